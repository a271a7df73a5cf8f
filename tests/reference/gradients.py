#!/usr/bin/env python3
"""Writes the reference of gradients by a layer's output: what torchvision's Inception-v3 has for one logit in float64, in inference mode.

Networks of nodal's random weights, with one logit and with three classes, see the same image; one has average pools that leave the padding out. For each of some layers the file has a sample of the
gradient of the logit by the layer's output, the norm of all of it, and the map of Grad-CAM before it is cut at 0. Seeds are tried from --seed on
until PyTorch's own float32 gradients stay within --most: where a value lies at ReLU's zero, either side is right.
"""
import argparse
from pathlib import Path

import torch

import network as nets
import safetensors_file

LAYERS = ("Mixed_7c", "Mixed_6e", "Mixed_5d", "Conv2d_4a_3x3", "Mixed_7b.branch3x3_1", "maxpool2")
# Outputs of each network, the logit, and how average pools treat their padding.
CASES = {"logit": (1, 0, "include"), "classes": (3, 1, "include"), "exclude": (1, 0, "exclude")}
SAMPLE = 500


def gradients(net, x, logit):
    """Each layer's output and the gradient of the logit by it, and all logits."""
    outputs, hooks = {}, []
    for name in LAYERS:
        # A gradient is kept of what leaves the layer, before anybody changes it.
        keep = lambda _, __, y, name=name: (outputs.__setitem__(name, y), y.retain_grad())[0]
        hooks.append(net.get_submodule(name).register_forward_hook(keep))
    logits = net(x.clone().requires_grad_())
    logits[0, logit].backward()
    for hook in hooks:
        hook.remove()
    return {name: (y.detach(), y.grad) for name, y in outputs.items()}, logits.detach()


def tensors_of(args, seed):
    """The file's tensors, and the worst float32 error of PyTorch."""
    h, w = args.size
    # In steps of 1/1024 it is exact in float16.
    x = torch.round(nets.images(seed, 1, h, w) * 1024) / 1024
    tensors, worst = {"input": x.half()}, 0.0
    for case, (classes, logit, padding) in CASES.items():
        net = nets.network(nets.random_state(seed, classes, {}), padding)
        single, _ = gradients(net, x, logit)
        truth, logits = gradients(net.double(), x.double(), logit)
        tensors[f"{case}.logits"] = logits
        for name, (y, g) in truth.items():
            error = torch.linalg.vector_norm(single[name][1].double() - g) / torch.linalg.vector_norm(g)
            print(f"seed {seed} {case} {name}: {tuple(y.shape)}, float32 error {error:.1e}", flush=True)
            worst = max(worst, error.item())
            step = max(1, g.numel() // SAMPLE) | 1
            tensors[f"{case}.grad.{name}"] = g.flatten()[::step].float()
            tensors[f"{case}.norm.{name}"] = torch.linalg.vector_norm(g).reshape(1)
            tensors[f"{case}.step.{name}"] = torch.tensor([step])
            tensors[f"{case}.cam.{name}"] = (g.mean((2, 3), keepdim=True) * y).sum(1)[0].float()
    return tensors, worst


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path, default=Path(__file__).parent / "gradients-107x139.safetensors")
    options.add_argument("--seed", type=int, default=21)
    options.add_argument("--size", type=int, nargs=2, default=(107, 139), metavar=("H", "W"))
    options.add_argument("--most", type=float, default=1e-5, help="PyTorch's float32 error at most")
    args = options.parse_args()
    for seed in range(args.seed, args.seed + 100):
        tensors, worst = tensors_of(args, seed)
        if worst <= args.most:
            break
    metadata = {"mode": "gradients", "weights.seed": str(seed), "f32_error": repr(worst), "made_by": nets.made_by()}
    safetensors_file.save(args.out, {name: value.numpy() for name, value in tensors.items()}, metadata)
    print(f"{args.out}: {args.out.stat().st_size} bytes, PyTorch's worst float32 error {worst:.1e}")


if __name__ == "__main__":
    main()
