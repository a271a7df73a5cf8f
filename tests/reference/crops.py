#!/usr/bin/env python3
"""Compares `nodal predict --json` with torchvision over folders of crops, padded and normalised the same way.

    nodal predict --weights w.safetensors --json examples/crops > ours.json
    python3 tests/reference/crops.py w.safetensors ours.json

Needs Pillow beside what generate.py needs. One logit only. Exits 1 when a probability differs by more than 1e-5, or when
the logits spread so little (standard deviation below 0.05) that a constant would pass.
"""
import json
import sys

import numpy as np
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file


def padded(path):
    grey = np.asarray(Image.open(path).convert("L"), dtype=np.float32)
    out = np.zeros((299, 299), np.float32)
    top, left = (299 - grey.shape[0]) // 2, (299 - grey.shape[1]) // 2
    out[top:top + grey.shape[0], left:left + grey.shape[1]] = grey
    return np.repeat(out[None] / np.float32(127.5) - np.float32(1), 3, axis=0)


def main():
    weights, ours = sys.argv[1:]
    results = json.load(open(ours))["results"]
    net = torchvision.models.inception_v3(weights=None, aux_logits=True, init_weights=False, num_classes=1)
    net.aux_logits, net.AuxLogits = False, None
    state = load_file(weights) if weights.endswith(".safetensors") else torch.load(weights, weights_only=True)
    net.load_state_dict(state, strict=not weights.endswith(".safetensors"))
    net.eval()
    logits = []
    with torch.no_grad():
        for first in range(0, len(results), 16):
            batch = np.stack([padded(r["image"]) for r in results[first:first + 16]])
            logits += net(torch.from_numpy(batch)).flatten().tolist()
    positive = [list(r["probabilities"].values())[1] for r in results]
    worst = np.abs(torch.sigmoid(torch.tensor(logits)).numpy() - np.array(positive)).max()
    spread = np.std(logits)
    print(f"{len(results)} crops: largest difference of a probability {worst:.2e}, logits' standard deviation {spread:.3f}")
    sys.exit(worst > 1e-5 or spread < 0.05)


if __name__ == "__main__":
    main()
