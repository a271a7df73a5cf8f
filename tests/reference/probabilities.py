#!/usr/bin/env python3
"""Compares `nodal predict --json` with torchvision on the same crops and weights, such as a .pth that nodal exported.

    nodal predict --weights w.pth --json examples/crops/val > ours.json
    python3 tests/reference/probabilities.py w.pth ours.json

Any number of classes; crops are padded and normalised as the weights' metadata says (default: 299×299, x / 127.5 - 1). A .pth
is loaded as PyTorch's users do, with weights_only=True and strict=True. Exits 1 when a probability differs by more than
--tolerance, or when all crops have the same probabilities to that, so that a constant would pass.
"""
import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
import torchvision

import crops
import network as nets


def load(path, padding):
    """The network as a user of torchvision makes it of a .pth; of a .safetensors, which has no batch counters, as nodal does."""
    if path.suffix == ".safetensors":
        return nets.network(nets.state_of(path), padding)
    state = torch.load(path, weights_only=True)
    state = {name: value for name, value in state.items() if not name.startswith("preprocess.")}
    auxiliary = any(name.startswith("AuxLogits.") for name in state)
    classes = state["fc.weight"].shape[0]
    net = torchvision.models.inception_v3(weights=None, aux_logits=auxiliary, init_weights=False, num_classes=classes)
    net.load_state_dict(state, strict=True)
    nets.pool_padding(padding)
    return net.eval()


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("weights", type=Path)
    options.add_argument("ours", type=Path, help="what `nodal predict --json` printed")
    options.add_argument("--tolerance", type=float, default=1e-4)
    options.add_argument("--avg-pool-padding", choices=("include", "exclude"), default="include")
    options.add_argument("--batch", type=int, default=8)
    args = options.parse_args()

    results = [r for r in json.loads(args.ours.read_text())["results"] if "error" not in r]
    if not results:
        sys.exit(f"{args.ours}: no results")
    net, preprocess = load(args.weights, args.avg_pool_padding), crops.preprocess_of(args.weights)
    theirs = []
    with torch.no_grad():
        for first in range(0, len(results), args.batch):
            batch = [crops.crop(result["image"], preprocess) for result in results[first:first + args.batch]]
            logits = net(torch.stack(batch))
            one = logits.shape[1] == 1
            theirs.append(torch.cat([torch.sigmoid(-logits), torch.sigmoid(logits)], 1) if one else logits.softmax(1))
    theirs = torch.cat(theirs).numpy()
    ours = np.array([list(result["probabilities"].values()) for result in results])
    if ours.shape != theirs.shape:
        sys.exit(f"{args.ours}: {ours.shape[1]} classes, and the weights have {theirs.shape[1]}")
    apart = np.abs(ours - theirs).max(axis=1)
    spread, worst = np.ptp(theirs, axis=0).max(), int(apart.argmax())
    print(f"{len(results)} crops, {theirs.shape[1]} classes: largest difference of a probability {apart[worst]:.2e} "
          f"({results[worst]['image']}); over all crops they spread by {spread:.2e}")
    wrong = not apart[worst] <= args.tolerance or len(results) > 1 and spread <= args.tolerance
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
