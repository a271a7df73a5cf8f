#!/bin/sh
# The whole study on phantoms, from crops to a report: some minutes on two cores. What it says of phantoms is no clinical evidence.
#
#   examples/study.sh [OUT]       NODAL, PATIENTS, SIZE, EPOCHS, SWEEP_EPOCHS and FOLDS change what stands below
set -eu
nodal=${NODAL:-target/release/nodal}
out=${1:-target/study}
size=${SIZE:-113}

if [ -e "$out" ]; then
    echo "$out: is there already: remove it, or name another folder" >&2
    exit 1
fi
mkdir -p "$out"

# Crops, two readers and a cohort, all made up by a known rule. Instead of random weights a study begins with ImageNet's.
"$nodal" phantom "$out/phantoms" --patients "${PATIENTS:-60}" --seed 1
"$nodal" init --seed 1 --size "$size" -o "$out/weights.safetensors"

# Fine-tune; whole patients validate.
"$nodal" train "$out/phantoms/nodes.csv" --weights "$out/weights.safetensors" --out "$out/run" --size "$size" \
    --epochs "${EPOCHS:-8}" --standardize --augment hflip=0.5,vflip=0.5

# Judge the network by image, node and patient, and beside the readers.
"$nodal" evaluate "$out/run"
"$nodal" predict --weights "$out/run" --csv "$out/run" > "$out/predictions.csv"
"$nodal" readers "$out/phantoms/readers.csv" --predictions "$out/predictions.csv" --shared
"$nodal" cohort "$out/phantoms/cohort.csv"

# How many layers to freeze.
"$nodal" sweep "$out/phantoms/nodes.csv" --weights "$out/weights.safetensors" --out "$out/sweep" --size "$size" \
    --freeze 0,3,9 --folds "${FOLDS:-2}" --epochs "${SWEEP_EPOCHS:-3}" --standardize

# One file to hand on.
"$nodal" report "$out/run" --readers "$out/phantoms/readers.csv" --cohort "$out/phantoms/cohort.csv" --sweep "$out/sweep" \
    -o "$out/report.html"
