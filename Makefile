# nodal: everything a newcomer types. `make` alone lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help nvrtc build demo study test check report-check bench reference peers peers-train gpu-bundle fuzz clean

NODAL := $(or $(CARGO_TARGET_DIR),target)/release/nodal
DEMO := target/demo
CROPS := examples/crops/val
VENV ?= target/venv
THREADS ?= 2

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

cargo:
	@command -v cargo >/dev/null || { echo "nodal is built with Rust 1.89 or newer, and no cargo is on the PATH: install it from https://rustup.rs" >&2; exit 1; }

# Compiles the kernels, needs neither GPU nor toolkit: the last line of NVRTC that knows sm_61.
NVRTC := target/nvrtc
NVRTC_WHEEL := nvidia-cuda-nvrtc-cu12==12.9.86

nvrtc: $(NVRTC)/fetched ## fetch NVRTC, the kernels' compiler, as a Python wheel (under target/)

$(NVRTC)/fetched:
	@python3 -m pip --version >/dev/null 2>&1 || { echo "NVRTC comes as a Python wheel, and there is no pip: install python3 and pip, or name a libnvrtc.so.12 of CUDA 12 in NVRTC_LIB and build with cargo" >&2; exit 1; }
	rm -rf $(NVRTC)
	python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest $(NVRTC) $(NVRTC_WHEEL)
	cd $(NVRTC) && python3 -m zipfile -e *.whl . && rm *.whl && touch fetched

build: cargo nvrtc ## build the binary, target/release/nodal
	cargo build --release

demo: build ## the whole story: fine-tune on the crops, validate, classify, replay libtorch references, show the latency per node
	rm -rf $(DEMO) && mkdir -p $(DEMO)
	$(NODAL) init --seed 1 --size 75 -o $(DEMO)/weights.safetensors
	$(NODAL) train examples/crops --weights $(DEMO)/weights.safetensors --out $(DEMO)/run --standardize --epochs 12 --lr 0.003 --schedule cosine --warmup 15 --augment hflip=0.5,vflip=0.5
	$(NODAL) evaluate --weights $(DEMO)/run/weights-best.safetensors $(CROPS)
	$(NODAL) predict --weights $(DEMO)/run/weights-best.safetensors $(CROPS) | tail -5
	$(NODAL) verify --device cpu --reference tests/reference/eval-299x299.safetensors | tail -4
	$(NODAL) verify --device cpu --reference tests/reference/train-logit-freeze3.safetensors | tail -7
	$(NODAL) verify --device sim --reference tests/reference/eval-75x75.safetensors | tail -4
	$(NODAL) bench --weights $(DEMO)/weights.safetensors --size 299 --image $(CROPS)/grass/grass-000.jpg | tail -10

study: build ## the study of made-up crops from one script: train, evaluate, readers, cohort, sweep, report (target/study/report.html)
	rm -rf target/study
	NODAL=$(NODAL) examples/study.sh target/study

test: cargo nvrtc ## run all tests
	cargo test --workspace

check: cargo nvrtc ## format, lints, documentation, the README's dependencies, and each feature by itself
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps
	cargo tree -e normal --depth 1 --no-default-features --features cuda | sed 's| (/.*||' | diff - <(sed -n '/<!-- tree/,/tree -->/p' README.md | grep -v -e tree -e '```')
	for feature in cpu cuda sim explain metrics train cli; do cargo clippy --quiet --no-default-features --features $$feature -- -D warnings || exit 1; done

# A study of phantoms from training to the page, and the page of published counts. Exit code 77: no Chromium here, which is said.
REPORT := target/report-check

report-check: build ## make a report of phantoms and open it in headless Chromium: no message, no request
	rm -rf $(REPORT) && mkdir -p $(REPORT)
	$(NODAL) phantom $(REPORT)/made --seed 1 --patients 20
	$(NODAL) init --seed 1 --size 75 -o $(REPORT)/weights.safetensors
	$(NODAL) train $(REPORT)/made/nodes.csv --weights $(REPORT)/weights.safetensors --out $(REPORT)/run --epochs 4 --freeze 94 --standardize
	$(NODAL) report $(REPORT)/run --readers $(REPORT)/made/readers.csv --cohort $(REPORT)/made/cohort.csv -o $(REPORT)/phantom.html
	$(NODAL) report --readers tests/data/paper/readers.csv --cohort tests/data/paper/cohort.csv --title "Published counts" -o $(REPORT)/paper.html
	python3 tests/report/browser.py $(REPORT)/phantom.html $(REPORT)/paper.html --out $(REPORT)/shots || test $$? = 77

bench: cargo nvrtc ## criterion benches of every kernel
	cargo bench

reference: $(VENV)/reference ## write the libtorch reference files anew (installs PyTorch under target/)
	$(VENV)/bin/python tests/reference/generate.py
	$(VENV)/bin/python tests/reference/gradients.py

peers: build $(VENV)/peers ## time PyTorch, ONNX Runtime and nodal alternately in one run
	$(VENV)/bin/python benches/peers/peers.py --nodal $(NODAL) --threads $(THREADS)

peers-train: build $(VENV)/peers ## time a training step of PyTorch and nodal alternately in one run
	$(VENV)/bin/python benches/peers/train.py --nodal $(NODAL) --threads $(THREADS)

$(VENV)/reference: tests/reference/requirements.txt
$(VENV)/peers: benches/peers/requirements.txt
$(VENV)/reference $(VENV)/peers:
	test -x $(VENV)/bin/python || python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet -r $<
	touch $@

gpu-bundle: cargo nvrtc ## pack tests and benches for a GPU machine without Rust, target/gpu-bundle
	python3 benches/gpu/bundle.py

fuzz: cargo ## fuzz the weight readers and the image decoder, ten minutes each (needs cargo-fuzz)
	python3 fuzz/seeds.py
	for target in pth safetensors image; do RUSTC_BOOTSTRAP=1 cargo fuzz run $$target --sanitizer none -- -max_total_time=600 -rss_limit_mb=1024 || exit 1; done

clean: cargo ## remove all that was built
	cargo clean
