"""Tests of this folder, run by `cargo test --test gpu_bundle`: texts to facts, loops in disassemblies, and whole runs with
stand-ins for nodal and NVIDIA's tools."""
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest
from pathlib import Path

import bundle
import facts
import run
import sass

HERE = Path(__file__).resolve().parent

VOLTA = """
		Function : conv_f32
	.headerflags	@"EF_CUDA_SM90 EF_CUDA_PTX_SM(EF_CUDA_SM90)"
        /*0000*/                   LDC R1, c[0x0][0x28] ;                /* 0x00000a00ff017b82 */
                                                                         /* 0x000fe20000000800 */
        /*0010*/                   S2R R0, SR_TID.X ;                    /* 0x0000000000007919 */
        /*0020*/                   ISETP.GE.AND P0, PT, R0, 0x8, PT ;    /* 0x000000080000780c */
        /*0030*/               @P0 EXIT ;                                /* 0x000000000000094d */
        /*0040*/                   LDS.128 R4, [R2] ;                    /* the outer loop begins */
        /*0050*/                   FFMA R8, R4, R5, R8 ;
        /*0060*/                   LDS.128 R4, [R2+0x10] ;               /* the main loop begins */
        /*0070*/                   FFMA R8, R4, R5, R8 ;
        /*0080*/               @P1 BRA 0x110 ;                           /* a rare way, out of line */
        /*0090*/                   FFMA R9, R4, R5, R9 ;
        /*00a0*/                   FFMA.FTZ R10, R4, R5, R10 ;
        /*00b0*/              @!P2 BRA 0x60 ;
        /*00c0*/                   BAR.SYNC.DEFER_BLOCKING 0x0 ;
        /*00d0*/               @P3 BRA 0x40 ;
        /*00e0*/                   STG.E desc[UR4][R2.64], R8 ;
        /*00f0*/                   EXIT ;
        /*0100*/                   BRA 0x100;
        /*0110*/                   IADD3 R2, R2, 0x1, RZ ;
        /*0120*/                   BRA 0x90 ;
		Function : copy_f32
        /*0000*/                   LDG.E R0, desc[UR4][R2.64] ;
        /*0010*/              @!P0 BRA 0x0 ;
        /*0020*/                   EXIT ;
"""

PASCAL = """
	.section	.text.conv_f32,"ax",@progbits
.text.conv_f32:
        /*0008*/                   SSY `(.L_x_1) ;
        /*0010*/               @P0 SYNC                 (*"TARGET= .L_x_1 "*);
        /*0018*/                   MOV R1, c[0x0][0x20] ;
        /*0028*/                   SYNC                 (*"TARGET= .L_x_1 "*);
.L_x_1:
        /*0030*/         {         FFMA R8, R4, R5, R8 ;
        /*0038*/                   LDS.U.128 R4, [R2]         }
        /*0048*/                   XMAD R0, R1, R2, RZ ;
        /*0050*/                   FFMA R9, R4, R5, R9 ;
        /*0058*/               @P1 BRA `(.L_x_1) ;
        /*0068*/                   EXIT ;
.L_x_2:
        /*0070*/                   BRA `(.L_x_2) ;
"""

LIBTEST = """
running 4 tests
test a::passes ... ok
test a::fails ... FAILED
test a::panics - should panic ... ok
test a::later ... ignored

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s
"""

NODAL = '''#!/usr/bin/env python3
import json, os, sys
from pathlib import Path
a = sys.argv[1:]
value = lambda key, other=None: a[a.index(key) + 1] if key in a else other
bad = os.environ.get("FAKE_BAD", "")
if a[0] == "devices" and "--extract" in a:
    Path(value("--extract")).mkdir()
    for arch in (61, 90): Path(value("--extract"), f"conv2d.sm_{arch}.cubin").write_text("cubin")
elif a[0] == "devices":
    one = {"device": "cuda:0", "name": "NVIDIA H100 80GB HBM3", "compute_capability": [9, 0]}
    gpu = {"available": True, "devices": [one, dict(one, device="cuda:1")]}
    print(json.dumps({"cuda": gpu if bad != "absent" else {"available": False, "reason": "no driver", "devices": []}}))
elif a[0] == "verify":
    ok = not (bad == "verify" and value("--fuse") == "none")
    group = {"group": "layer", "worst": "layer.x", "relative_l2": 1e-7 if ok else 1e-2, "tolerance": 2e-6, "f32_error": 1e-7, "passed": ok}
    print(json.dumps({"passed": ok, "groups": [group], "tensors": [{"name": "layer.x", "passed": ok}]}))
    sys.exit(0 if ok else 1)
elif a[0] == "predict":
    print(json.dumps({"results": [{"image": "a.jpg", "probabilities": {"positive": 0.25}}]}))
elif a[0] == "bench" and "--train" in a:
    ms = 10.0 if value("--device") == "sim" else 15.0
    layers = [{"name": n, "kind": k, "ms": ms * t} for n, k, t in (("filters", "pack_filters", 1), ("first", "conv2d", 2), ("first dx", "conv2d", 3))]
    step = {"min": 6.5 * ms, "p50": 7 * ms, "p90": 7 * ms, "p99": 7 * ms}
    print(json.dumps({"network_ms": {"model": 6 * ms}, "layers": layers} if value("--device") == "sim" else
                     {"step_ms": step, "freeze": int(value("--freeze")), "images_per_s": 9.0, "layers": layers}))
elif a[0] == "bench":
    ms = 1.0 if value("--device") == "sim" else 0.5 if bad == "bench" else 1.5
    layers = [{"name": n, "ms": ms * k} for n, k in (("first", 1), ("second", 2), ("second", 3))]
    network = {"model": 6 * ms} if value("--device") == "sim" else {"min": 6.5 * ms, "p50": 7 * ms, "p90": 7 * ms, "p99": 7 * ms}
    print(json.dumps({"device": value("--device"), "card": "H100", "network_ms": network, "network_loop_ms": network, "images_per_s": 9.0, "layers": layers}))
elif a[0] == "init":
    Path(value("-o")).write_text("weights")
'''

# In place of PyTorch, and of the script that times it.
TORCH = """
__version__ = "2.0"
class cuda:
    is_available = staticmethod(lambda: True)
"""
PEERS_TRAIN = '''
import json, sys
row = lambda name, ms: {"variant": name, "device_ms": {"median": ms}, "wall_ms": {"median": ms}}
group = lambda precision, *rows: {"batch": 64, "precision": precision, "nodal": {"median_ms": 105.0}, "rows": list(rows)}
failed = {"variant": "eager", "error": "no memory"}
groups = [group("fp32", row("eager", 150.0), row("eager channels_last", 140.0)), group("tf32", failed if "FAIL" else row("eager", 70.0))]
facts = {"torch": "2.0", "cudnn": 9, "device": "H100", "size": 299, "what": {"nodal": "step_ms"}, "not_reached": ["amp batch 16"], "groups": groups}
open(sys.argv[1], "w").write(json.dumps(facts))
'''

TOOLS = {
    "nvidia-smi": 'echo "0, NVIDIA H100 80GB HBM3, 580.1, 1980, 2619, 1980, 420.5, 700.00, 45, 97"; case "$*" in *-lms*) sleep 9;; esac',
    "compute-sanitizer": 'shift; echo "========= COMPUTE-SANITIZER"; if [ "$1 $FAKE_BAD" = "racecheck race" ]; then '
                         'echo "========= RACECHECK SUMMARY: 3 hazards displayed (3 errors, 0 warnings)"; exit 99; fi; '
                         'echo "========= ERROR SUMMARY: 0 errors"',
    "cuobjdump": f"cat <<'END'{VOLTA}END",
}


class Texts(unittest.TestCase):
    def test_counts_of_a_test_binary(self):
        counts = facts.test_counts(LIBTEST)
        self.assertEqual(counts, {"passed": 2, "failed": ["a::fails"], "ignored": 1, "ended": True})
        self.assertFalse(facts.test_counts(LIBTEST[:60])["ended"])

    def test_errors_of_the_sanitizer(self):
        self.assertEqual(facts.sanitizer_errors("== ERROR SUMMARY: 0 errors"), 0)
        self.assertEqual(facts.sanitizer_errors("== RACECHECK SUMMARY: 3 hazards displayed (1 error, 2 warnings)"), 3)
        self.assertIsNone(facts.sanitizer_errors("== Error: Device not supported"))

    def test_nvidia_smi(self):
        line = "0, Tesla P4, 535.1, 1531, 3003, 1531, [N/A], 75.00, 50, 98\n"
        row = facts.smi_rows(line)[0]
        self.assertEqual((row["name"], row["clocks.sm"], row["power.draw"]), ("Tesla P4", 1531.0, None))
        idle = line.replace("1531, 3003", "300, 3003").replace(" 98", " 0")
        self.assertEqual(facts.clock_range(idle + line), {"sm_mhz": {"min": 1531.0, "median": 1531.0, "max": 1531.0}})
        self.assertEqual(facts.smi_rows("No devices were found"), [])

    def test_the_nearest_card(self):
        for name, capability, card in [("NVIDIA H100 80GB HBM3", (9, 0), ("h100", True)),
                                       ("NVIDIA GeForce GTX 1080 Ti", (6, 1), ("gtx-1080-ti", True)),
                                       ("NVIDIA GeForce GTX 1080", (6, 1), ("gtx-1080-ti", False)),
                                       ("NVIDIA A10", (8, 6), ("rtx-4090", False)), ("NVIDIA B200", (10, 0), ("h200", False))]:
            self.assertEqual(facts.nearest_card(name, capability), card)

    def test_the_cards_are_nodals(self):
        source = HERE.parents[1] / "src/kernels/card.rs"
        if not source.exists():
            self.skipTest("not in the repository")
        rows = re.findall(r'card\("([^"]+)", "[^"]+", \((\d+), (\d+)\)', source.read_text(encoding="utf-8"))
        self.assertEqual(sorted((n, (int(a), int(b))) for n, a, b in rows), sorted((n, c) for n, _, c in facts.CARDS))

    def test_model_and_measurement(self):
        layers = lambda *times: [{"name": name, "ms": ms} for name, ms in zip("abb", times)]
        model = {"network_ms": {"model": 3.0}, "layers": layers(1.0, 1.0, 1.0)}
        measured = {"network_ms": {"p50": 7.0, "min": 6.0}, "layers": layers(2.0, 3.0, 1.0)}
        found = facts.compare(model, measured)
        self.assertEqual((found["holds"], found["median_ratio"], found["network"]["ratio"]), (True, 2.0, 2.0))
        self.assertEqual([row["ratio"] for row in found["rows"]], [2.0, 3.0, 1.0])
        measured["layers"][0]["ms"] = 0.9
        self.assertEqual(facts.compare(model, measured)["below"], ["a"])
        measured["layers"][0]["name"] = "c"
        found = facts.compare(model, measured)
        self.assertEqual((found["unmatched"], found["holds"]), (["c", "a"], True))
        self.assertIsNone(facts.compare(dict(model, layers=[]), measured)["holds"])

    def test_model_and_measurement_of_a_training_step(self):
        layers = lambda *times: [{"name": kind, "kind": kind, "ms": ms} for kind, ms in times]
        model = {"network_ms": {"model": 5.0}, "layers": layers(("conv2d", 1.0), ("conv2d", 2.0), ("update", 1.0), ("pack", 1.0))}
        measured = {"step_ms": {"p50": 9.0, "min": 8.0}, "layers": layers(("update", 2.0), ("conv2d", 4.0), ("conv2d", 5.0), ("loss", 0.5))}
        kinds = {row["kind"]: (row["measured_ms"], row["model_ms"], row["ratio"]) for row in facts.compare_kinds(model, measured)}
        self.assertEqual(kinds, {"update": (2.0, 1.0, 2.0), "conv2d": (9.0, 3.0, 3.0), "loss": (0.5, None, None), "pack": (None, 1.0, None)})
        self.assertEqual(facts.compare(model, measured)["network"], {"model_ms": 5.0, "p50_ms": 9.0, "min_ms": 8.0, "ratio": 1.6})

    def test_ratios_to_peers(self):
        times = {"median": 4.0, "min": 3.0}
        rows = [{"variant": "eager", "device_ms": {"median": 2.0}, "wall_ms": times}, {"variant": "graph", "error": "no memory"}]
        found = facts.peer_rows({"groups": [{"batch": 8, "precision": "fp32", "nodal": {"median_ms": 3.0}, "rows": rows}]})
        self.assertEqual((found[0]["ratio_device"], found[0]["ratio_wall"]), (1.5, 0.75))
        self.assertEqual((found[1]["ratio_wall"], found[1]["error"]), (None, "no memory"))
        self.assertEqual(facts.best_peers(found, "fp32")[8]["variant"], "eager")
        silent = facts.peer_rows({"groups": [{"batch": 1, "precision": "fp32", "rows": rows[:1]}]})
        self.assertIsNone(silent[0]["ratio_wall"])

    def test_tables(self):
        self.assertEqual(facts.table(["a", "word"], [[1.5, "x"], [None, "yy"]]), "    a  word\n1.500  x\n    -  yy\n")
        self.assertEqual(facts.markdown(["a", "b"], [[1, "x|y"]]), "| a | b |\n| --- | --- |\n| 1 | x/y |\n")


class Loops(unittest.TestCase):
    def test_the_main_loop_of_absolute_addresses(self):
        code = sass.functions(VOLTA)
        loop = sass.main_loop(code["conv_f32"])
        # From 0x60 to 0xb0, and the two instructions out of line.
        self.assertEqual((loop["instructions"], loop["ffma"]), (8, 3))
        self.assertEqual(loop["names"], {"FFMA": 3, "BRA": 3, "LDS": 1, "IADD3": 1})
        self.assertEqual((loop["around"]["instructions"], loop["around"]["ffma"]), (12, 4))
        self.assertIsNone(sass.main_loop(code["copy_f32"]))

    def test_the_main_loop_of_labels(self):
        loop = sass.main_loop(sass.functions(PASCAL)["conv_f32"])
        self.assertEqual((loop["instructions"], loop["ffma"], loop["share"]), (5, 2, 0.4))

    def test_no_code(self):
        self.assertEqual(sass.functions("cuobjdump fatal: no such file"), {})
        self.assertIsNone(sass.main_loop([]))


    def test_labels_at_a_scheduling_word(self):
        text = "Function : f\n /*0008*/ MOV R0, R1 ;\n /*0028*/ FFMA R0, R1, R1, R0 ;\n /*0030*/ @P0 BRA 0x20 ;\n /*0038*/ EXIT ;"
        self.assertEqual(sass.main_loop(sass.functions(text)["f"])["names"], {"FFMA": 1, "BRA": 1})


class Bundles(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = Path(self.folder.name)

    def test_size_and_glibc(self):
        (self.root / "a").write_bytes(b"\0GLIBC_2.9\0GLIBC_2.34\0" + b"x" * 2_000_000)
        self.assertIsNone(bundle.too_large(self.root, 3))
        self.assertIn("2.0 MB, and 1 MB are allowed; the largest are a", bundle.too_large(self.root, 1))
        self.assertEqual(bundle.glibc([self.root / "a"]), "2.34")

    def test_which_tests_travel(self):
        (self.root / "runs.rs").write_text('Device::open("cuda", None)')
        (self.root / "drives.rs").write_text('Device::open("cuda", None) CARGO_BIN_EXE_nodal')
        (self.root / "reads.rs").write_text("Weights::open(path)")
        (self.root / "simulates.rs").write_text('Device::open("sim", None)')
        for name, part in (("folder", ""), ("drives", "CARGO_BIN_EXE_nodal"), ("shared", "")):
            (self.root / name).mkdir()
            (self.root / name / "part.rs").write_text('Device::open("cuda", None)' + part)
        for name in ("folder", "drives"):
            (self.root / name / "main.rs").write_text("mod part;")
        self.assertEqual(bundle.device_tests(self.root), ["folder", "runs"])
        (self.root / "runs.rs").write_text('Device::open("cuda", None) env!("CARGO_MANIFEST_DIR")')
        with self.assertRaisesRegex(SystemExit, "tests/runs.rs"):
            bundle.device_tests(self.root)


class Runs(unittest.TestCase):
    """run.sh from a bundle of stand-ins."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = Path(self.folder.name) / "moved bundle"
        for name in ("bin/tests", "gpu", "tests/reference", "examples/crops/val", "tools"):
            (self.root / name).mkdir(parents=True)
        for path in HERE.glob("*.py"):
            shutil.copy(path, self.root / "gpu")
        shutil.copy(HERE / "run.sh", self.root)
        (self.root / "tests/reference/eval-75x75.safetensors").touch()
        build = {"commit": "0123456789abcdef", "dirty": False, "date": "2000-01-01 00:00 UTC", "architectures": ["sm_61", "sm_90"],
                 "tests": [{"name": "library", "file": "bin/tests/library"}]}
        (self.root / "build.json").write_text(json.dumps(build))
        self.program("bin/nodal", NODAL)
        self.program("bin/tests/library", f"#!/bin/sh\ntest \"$NODAL_REQUIRE_GPU\" = 1 || exit 3\ncat <<'END'{LIBTEST}END\n"
                     .replace("FAILED", "ok"))

    def program(self, name, text):
        (self.root / name).write_text(text)
        (self.root / name).chmod(0o755)

    def run_parts(self, *names, tools=TOOLS, **env):
        for name, text in tools.items():
            self.program(f"tools/{name}", f"#!/bin/sh\n{text}\n")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("NODAL_", "CUDA_"))}
        environment.update(PATH=f"{self.root / 'tools'}:{os.defpath}", PYTHON=sys.executable, **env)
        done = subprocess.run([self.root / "run.sh", *names], env=environment, capture_output=True, text=True, cwd="/")
        summary = self.root / "out/summary.json"
        return done, json.loads(summary.read_text()) if summary.exists() else None

    def test_everything_passes(self):
        done, summary = self.run_parts("tests", "references", "sanitize", "bench", "sass")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("5 passed, 0 failed, 0 skipped", done.stdout)
        self.assertEqual(summary["bench"]["8"]["median_ratio"], 1.5)
        self.assertTrue(summary["bench"]["8"]["model_holds"])
        self.assertEqual([(k["kernel"], k["architecture"], k["share"]) for k in summary["sass"]][0], ("conv_f32", "sm_90", 0.375))
        references = json.loads((self.root / "out/references.json").read_text())
        self.assertEqual((references["passed"], references["failed"]), (5, 0), "fused or not, graph or not, the second card")
        row = (self.root / "out/summary.md").read_text().splitlines()[-2]
        self.assertRegex(row, r"^\| \d{4}-\d\d-\d\d \| 0123456789ab \| NVIDIA H100 80GB HBM3, driver 580.1 \| run.sh tests .*batch 8: 10.50")
        with tarfile.open(self.root / "out/all.tar.gz") as archive:
            self.assertIn("references.log", archive.getnames())

    def test_a_part_that_fails_is_named_and_the_next_runs(self):
        done, summary = self.run_parts("references", "sanitize", FAKE_BAD="verify")
        self.assertEqual(done.returncode, 1)
        self.assertEqual([p["status"] for p in summary["parts"]], ["failed", "passed"])
        self.assertIn("eval-75x75 cuda fuse none: 1 tensors differ", summary["parts"][0]["reason"])
        done, summary = self.run_parts("sanitize", FAKE_BAD="race")
        self.assertEqual(summary["parts"][0]["reason"], "racecheck: 3 errors, exit code 99")

    def test_training_references_and_the_sanitizer_over_a_training_step(self):
        (self.root / "tests/reference/train-logit-freeze3.safetensors").touch()
        # One that a test replays, not the command.
        (self.root / "tests/reference/gradients-107x139.safetensors").touch()
        done, summary = self.run_parts("references", "sanitize_train")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        rows = json.loads((self.root / "out/references.json").read_text())["rows"]
        self.assertFalse([r for r in rows if r["reference"].startswith("gradients")])
        runs = [(r["device"], r["fuse"], r["graph"]) for r in rows if r["reference"] == "train-logit-freeze3"]
        self.assertEqual(runs, [("cuda", "full", True), ("cuda", "full", False), ("cuda", "none", True), ("cuda", "none", False), ("cuda:1", "full", True)])
        commands = [line for line in (self.root / "out/sanitize_train.log").read_text().splitlines() if line.startswith("$ ")]
        self.assertEqual(len(commands), 8)
        self.assertIn("--tool memcheck", commands[0])
        self.assertIn("bench --train --freeze 3 --batch 2 --size 75 --seconds 0 --fuse full --device cuda --no-graph", commands[0])
        done, summary = self.run_parts("sanitize_train", FAKE_BAD="race")
        self.assertEqual(summary["parts"][0]["reason"], "racecheck fuse full: 3 errors, exit code 99 (and 1 more)")

    def with_pytorch(self, script):
        for name in ("torch", "torchvision"):
            (self.root / f"stand-ins/{name}").mkdir(parents=True, exist_ok=True)
            (self.root / f"stand-ins/{name}/__init__.py").write_text(TORCH)
        (self.root / "gpu/peers_train.py").write_text(script)
        return {"PYTHONPATH": str(self.root / "stand-ins")}

    def test_a_training_step_beside_the_model_and_pytorch(self):
        done, summary = self.run_parts("train", **self.with_pytorch(PEERS_TRAIN.replace('"FAIL"', "False")))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("p50 batch 64 105.00 ms, batch 16 105.00 ms; nodal / best PyTorch fp32 batch 64: 0.75 (eager channels_last); "
                      "no time for amp batch 16", done.stdout)
        train = summary["train"]
        self.assertEqual((train["batches"]["64"]["median_ratio"], train["batches"]["16"]["model_ms"]), (1.5, 60.0))
        self.assertEqual([(k["kind"], k["measured_ms"], k["model_ms"]) for k in train["kinds"]["64"]],
                         [("pack_filters", 15.0, 10.0), ("conv2d", 75.0, 50.0)])
        text = (self.root / "out/summary.md").read_text()
        self.assertIn("| conv2d | 75.000 | 50.000 | 1.500 |", text)
        self.assertIn("| 64 | tf32 | eager | 105.000 | 70.000 | 70.000 | 1.500 | 1.500 |", text)
        self.assertRegex(text.splitlines()[-2], r"\| train 64: 105.00; train 16: 105.00 \| train 64: 60.00, ratio 1.50; .* "
                         r"\| train 64: 0.75 \(eager channels_last\) \|$")
        commands = (self.root / "out/train.log").read_text()
        for words in ("--device cuda --batch 64", "--device cuda --batch 16 --seconds 2 --no-graph", "--device sim --card h100 --batch 64"):
            self.assertIn(f"bench --train --freeze 3 --json {words}", commands)

    def test_a_training_peer_that_fails_is_named(self):
        done, summary = self.run_parts("train", **self.with_pytorch(PEERS_TRAIN))
        self.assertEqual((done.returncode, summary["parts"][0]["reason"]), (1, "eager tf32 batch 64: no memory"))
        self.assertEqual(summary["train"]["batches"]["64"]["model_ms"], 60.0)

    @unittest.skipIf(importlib.util.find_spec("torch"), "there is a PyTorch here")
    def test_a_training_step_without_pytorch(self):
        done, summary = self.run_parts("train")
        self.assertEqual((done.returncode, summary["parts"][0]["status"]), (0, "passed"), done.stdout)
        self.assertIn("has no PyTorch with torchvision", (self.root / "out/summary.md").read_text())

    def test_every_script_travels(self):
        source = (HERE / "bundle.py").read_text(encoding="utf-8") if (HERE / "bundle.py").exists() else ""
        for path in HERE.glob("*.py"):
            if path.name not in ("bundle.py", "test_gpu.py"):
                self.assertIn(f'"{path.name}"', source)

    def test_a_failed_test_and_one_that_dies(self):
        self.program("bin/tests/library", f"#!/bin/sh\ncat <<'END'{LIBTEST}END\nexit 101\n")
        done, summary = self.run_parts("tests")
        self.assertEqual((done.returncode, summary["parts"][0]["reason"]), (1, "library: a::fails failed"))
        self.program("bin/tests/library", "#!/bin/sh\necho 'test a ... ok'; echo 'illegal address' >&2; exit 134\n")
        done, summary = self.run_parts("tests")
        self.assertEqual(summary["parts"][0]["reason"], "library: exit code 134: illegal address")

    def test_a_measurement_below_the_model_is_said(self):
        done, summary = self.run_parts("bench", FAKE_BAD="bench")
        self.assertEqual(done.returncode, 0)
        self.assertEqual((summary["bench"]["1"]["model_holds"], summary["bench"]["1"]["median_ratio"]), (False, 0.5))
        self.assertIn("Batch 1, measured below the model: first, second, second", (self.root / "out/summary.md").read_text())

    def test_without_a_gpu(self):
        silent = {"nvidia-smi": "exit 9"}
        done, summary = self.run_parts("tests", "bench", tools=silent, FAKE_BAD="absent")
        self.assertEqual((done.returncode, summary["counts"]["skipped"]), (0, 2), done.stdout)
        self.assertEqual(summary["parts"][0]["reason"], "no CUDA device: no driver")
        done, _ = self.run_parts("tests", tools=silent, FAKE_BAD="absent", NODAL_REQUIRE_GPU="1")
        self.assertEqual(done.returncode, 1)
        done, _ = self.run_parts("tests", FAKE_BAD="absent")
        self.assertIn("but nvidia-smi sees NVIDIA H100", done.stdout)
        self.assertEqual(done.returncode, 1)

    def test_a_binary_that_does_not_start(self):
        self.program("bin/nodal", "#!/bin/sh\necho \"version 'GLIBC_2.99' not found\" >&2; exit 1\n")
        done, summary = self.run_parts("tests", "sass")
        self.assertEqual((done.returncode, summary["counts"]["failed"]), (1, 2))
        self.assertIn("bin/nodal does not run here: exit code 1: version 'GLIBC_2.99' not found", done.stdout)

    @unittest.skipIf(importlib.util.find_spec("torch"), "there is a PyTorch here")
    def test_what_is_not_installed_is_skipped_by_name(self):
        tools = {"nvidia-smi": TOOLS["nvidia-smi"]}
        done, summary = self.run_parts("peers", tools=tools)
        self.assertEqual((done.returncode, summary["counts"]["skipped"]), (0, 1), done.stdout)
        self.assertIn("has no PyTorch with torchvision; set PYTHON to one that has", summary["parts"][0]["reason"])

    def test_nothing_is_left_of_a_command_that_takes_too_long(self):
        begin = time.monotonic()
        result = run.call(["sh", "-c", "echo begun; sleep 60 & wait"], 0.5)
        self.assertLess(time.monotonic() - begin, 30)
        self.assertEqual((result.out, result.reason()), ("begun\n", "stopped: out of time"))

    def test_an_unknown_part(self):
        done, _ = self.run_parts("test")
        self.assertEqual(done.returncode, 2)
        self.assertIn("no part is called `test`", done.stderr)


if __name__ == "__main__":
    unittest.main()
