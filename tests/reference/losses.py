#!/usr/bin/env python3
"""From the same weights on the same batches: are nodal's first losses those of PyTorch?

    python3 tests/reference/losses.py --nodal target/release/nodal --load w.pth --images examples/crops/train
    python3 tests/reference/losses.py --nodal target/release/nodal --seed 1 --size 107 139

generate.py makes a reference of the losses alone, `nodal verify` replays it, and this prints both, step by step, and exits 1
where two differ by more than --tolerance. PyTorch runs in float64; all options but the first three are generate.py's.
--keep keeps the reference for more runs of `nodal verify --reference`, with --device cuda for one.
"""
import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from safetensors import safe_open

import generate


def losses(path):
    with safe_open(path, "np") as file:
        return file.get_tensor("loss").tolist()


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--nodal", default="target/release/nodal")
    options.add_argument("--device", default="cpu")
    options.add_argument("--tolerance", type=float, default=1e-3, help="largest difference of a loss")
    options.add_argument("--keep", type=Path, help="keep the reference here")
    own, rest = options.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        reference, dump = own.keep or Path(folder) / "reference.safetensors", Path(folder) / "ours.safetensors"
        defaults = ["--steps", "20", "--batch", "8", "--freeze", "3", "--momentum", "0.9"]
        args = generate.parser().parse_args(["--out", str(reference), "--train", "--only", "loss", *defaults, *rest])
        generate.write(args)
        command = [own.nodal, "verify", "--device", own.device, "--reference", reference, "--dump", dump, "--json",
                   "--tolerance", "loss=1"]
        command += ["--weights", args.load] if args.load else []
        result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        if not dump.exists():
            sys.exit(result.stderr.strip() or "nodal verify wrote no losses")
        theirs, ours = losses(reference), losses(dump)
    print(f"{'step':>4}{'PyTorch':>14}{'nodal':>14}{'difference':>12}")
    for step, (a, b) in enumerate(zip(theirs, ours)):
        print(f"{step:4}{a:14.7f}{b:14.7f}{abs(a - b):12.1e}")
    worst = max((abs(a - b) for a, b in zip(theirs, ours)), key=lambda x: x if x == x else float("inf"))
    print(f"the largest difference is {worst:.1e}, {own.tolerance:.0e} is allowed")
    sys.exit(not worst <= own.tolerance)


if __name__ == "__main__":
    main()
