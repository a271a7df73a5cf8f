#!/usr/bin/env python3
"""From the same weights on the same batches: are nodal's first losses those of PyTorch?

    python3 tests/reference/losses.py --nodal target/release/nodal --load w.pth --images examples/crops/train
    python3 tests/reference/losses.py --nodal target/release/nodal --size 107 139 --shift bn.bias=2 --shift fc.bias=-11

generate.py makes a reference of the losses alone, `nodal verify` replays it, and this prints PyTorch's in float64 and float32 and
nodal's, step by step, and exits 1 where nodal's differ from float64 by more than --tolerance. All options but the first three
are generate.py's. --keep keeps the reference for more runs of `nodal verify --reference`, with --device cuda for one.

Training amplifies differences in the last digit, all the more with random weights (the shifts above calm them), high rates and
small batches. Where PyTorch's own float32 is as far off, the comparison tells nothing; choose a lower --lr or a larger --batch.
"""
import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from safetensors import safe_open

import generate


def losses(path, name="loss"):
    with safe_open(path, "np") as file:
        return file.get_tensor(name).tolist()


def furthest(ours, truth):
    """The largest difference; infinite where there is no number."""
    return max(abs(a - b) if abs(a - b) == abs(a - b) else float("inf") for a, b in zip(ours, truth))


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--nodal", default="target/release/nodal")
    options.add_argument("--device", default="cpu")
    options.add_argument("--tolerance", type=float, default=1e-3, help="largest difference of a loss")
    options.add_argument("--keep", type=Path, help="keep the reference here")
    own, rest = options.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        reference, dump = own.keep or Path(folder) / "reference.safetensors", Path(folder) / "ours.safetensors"
        defaults = ["--steps", "20", "--batch", "8", "--freeze", "3", "--momentum", "0.9", "--lr", "1e-5"]
        args = generate.parser().parse_args(["--out", str(reference), "--train", "--only", "loss", *defaults, *rest])
        generate.write(args)
        command = [own.nodal, "verify", "--device", own.device, "--reference", reference, "--dump", dump, "--json",
                   "--tolerance", "loss=1"]
        command += ["--weights", args.load] if args.load else []
        result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        if not dump.exists():
            sys.exit(result.stderr.strip() or "nodal verify wrote no losses")
        truth, single, ours = losses(reference), losses(reference, "f32.loss"), losses(dump)
    print(f"{'step':>4}{'float64':>13}{'PyTorch f32':>13}{'nodal':>13}{'PyTorch off':>13}{'nodal off':>13}")
    for step, (a, b, c) in enumerate(zip(truth, single, ours)):
        print(f"{step:4}{a:13.7f}{b:13.7f}{c:13.7f}{abs(b - a):13.1e}{abs(c - a):13.1e}")
    worst, peer = furthest(ours, truth), furthest(single, truth)
    print(f"nodal is off by {worst:.1e} at most, PyTorch's own float32 by {peer:.1e}; {own.tolerance:.0e} is allowed")
    if peer > own.tolerance:
        print("PyTorch itself does not hold that: choose a lower --lr or a larger --batch")
    sys.exit(not worst <= own.tolerance)


if __name__ == "__main__":
    main()
