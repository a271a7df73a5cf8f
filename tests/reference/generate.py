#!/usr/bin/env python3
"""Writes libtorch reference files: what torchvision's Inception-v3 computes, layer by layer, in float64.

Without arguments: the files kept beside this script. With --out: one file as asked, for checks with other seeds, sizes
and classes; --weights also writes the weights that were used. The format is described in README.md.
"""
import argparse
from pathlib import Path

import numpy as np
import torch
import torchvision

import safetensors_file
import weights as generator

HERE = Path(__file__).parent
SAMPLE_SEED = 7
# Values of a layer that are kept when it is larger.
SAMPLE = 1000

# name: seed, classes, height, width, batch, padding
KEPT = {
    "eval-75x75": (1, 1, 75, 75, 2, "include"),
    "eval-107x139-exclude": (2, 3, 107, 139, 2, "exclude"),
    "eval-299x299": (3, 5, 299, 299, 1, "include"),
}


def network(seed, classes, padding):
    """torchvision's network in inference mode with nodal's random weights, float32."""
    net = torchvision.models.inception_v3(weights=None, aux_logits=True, init_weights=False, num_classes=classes)
    net.aux_logits, net.AuxLogits = False, None
    shapes = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    state = {name: torch.from_numpy(value) for name, value in generator.random_weights(seed, shapes).items()}
    state |= {name: torch.tensor(0) for name in shapes if name.endswith("num_batches_tracked")}
    net.load_state_dict(state, strict=True)
    if padding == "exclude":
        pool = torch.nn.functional.avg_pool2d
        torchvision.models.inception.F.avg_pool2d = lambda *a, **k: pool(*a, **k, count_include_pad=False)
    return net.eval()


def images(seed, batch, height, width):
    """Waves, a bright disc and noise, from -1 to 1: structure at every scale, nothing symmetric."""
    uniform = generator.uniform(generator.bits(seed, "input", batch * 3 * height * width))
    noise = uniform.reshape(batch, 3, height, width) - 0.5
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    out = np.empty_like(noise)
    for n in range(batch):
        for c in range(3):
            wave = np.sin(2 * np.pi * ((3 + n) * x + (2 + c) * y * y)) / 3
            disc = ((x - 0.4 - 0.1 * n) ** 2 + (y - 0.45) ** 2 < 0.06) / 2
            out[n, c] = wave + disc - 0.25
    return torch.from_numpy(np.clip(out + 0.5 * noise, -1, 1).astype(np.float32))


def run(net, x):
    """Logits and the output of every BasicConv2d, block, pool and fc, by module name."""
    outputs, hooks = {}, []
    for name, module in net.named_modules():
        kind = type(module).__name__
        if kind == "BasicConv2d" or kind.startswith("Inception") and name or name in ("maxpool1", "maxpool2", "avgpool", "fc"):
            hook = lambda _, __, y, name=name: outputs.__setitem__(name, y.detach())
            hooks.append(module.register_forward_hook(hook))
    with torch.no_grad():
        logits = net(x)
    for hook in hooks:
        hook.remove()
    return logits, outputs


def relative(a, b):
    return (torch.linalg.vector_norm(a.double() - b) / torch.linalg.vector_norm(b)).item()


def release(package):
    """Its version without the build, such as `+cpu`."""
    return package.__version__.split("+")[0]


def reference(seed, classes, height, width, batch, padding, full, dtype):
    """All tensors and metadata of one file."""
    net, x = network(seed, classes, padding), images(seed, batch, height, width)
    logits32, layers32 = run(net, x)
    logits, layers = run(net.double(), x.double())
    net.float()
    layer_error = max(relative(layers32[name], layers[name]) for name in layers)
    metadata = {
        "mode": "eval", "avg_pool_padding": padding, "weights.seed": str(seed), "weights.classes": str(classes),
        "f32_error.logits": repr(relative(logits32, logits)), "f32_error.layer": repr(layer_error),
        "made_by": f"torch {release(torch)}, torchvision {release(torchvision)}",
    }
    tensors = {"input": x, "logits": logits.to(dtype)}
    for name, value in layers.items():
        if full or value.numel() <= SAMPLE:
            tensors[f"layer.{name}"] = value.to(dtype).contiguous()
            continue
        metadata["sample.seed"] = str(SAMPLE_SEED)
        index = generator.bits(SAMPLE_SEED, name, SAMPLE) % np.uint64(value.numel())
        tensors[f"sample.layer.{name}"] = value.flatten()[torch.from_numpy(index.astype(np.int64))].to(dtype)
        tensors[f"norm.layer.{name}"] = torch.linalg.vector_norm(value).reshape(1)
        tensors[f"shape.layer.{name}"] = torch.tensor(value.shape)
    return net, tensors, metadata


def save_weights(net, path, legacy):
    state = {name: value.contiguous() for name, value in net.state_dict().items()}
    if path.suffix == ".safetensors":
        state = {name: value.numpy() for name, value in state.items() if not name.endswith("num_batches_tracked")}
        safetensors_file.save(path, state, {})
    else:
        torch.save(state, path, _use_new_zipfile_serialization=not legacy)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path, help="write one reference here instead of the kept ones")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--classes", type=int, default=1)
    options.add_argument("--size", type=int, nargs=2, default=(299, 299), metavar=("H", "W"))
    options.add_argument("--batch", type=int, default=1)
    options.add_argument("--avg-pool-padding", choices=("include", "exclude"), default="include")
    options.add_argument("--full", action="store_true", help="keep every layer whole")
    options.add_argument("--f64", action="store_true", help="store float64 instead of rounding to float32")
    options.add_argument("--weights", type=Path, action="append", default=[], help=".safetensors or .pth; may be repeated")
    options.add_argument("--legacy", action="store_true", help="write .pth in the older form")
    args = options.parse_args()

    # One thread: the same bytes on every run.
    torch.set_num_threads(1)
    pool = torch.nn.functional.avg_pool2d
    if args.out:
        jobs = {args.out: (args.seed, args.classes, *args.size, args.batch, args.avg_pool_padding)}
    else:
        jobs = {HERE / f"{name}.safetensors": job for name, job in KEPT.items()}
    for path, job in jobs.items():
        torchvision.models.inception.F.avg_pool2d = pool
        dtype = torch.float64 if args.f64 else torch.float32
        net, tensors, metadata = reference(*job, args.full, dtype)
        safetensors_file.save(path, {name: value.numpy() for name, value in tensors.items()}, metadata)
        for weights in args.weights:
            save_weights(net, weights, args.legacy)
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB, " + ", ".join(f"{k} {v}" for k, v in metadata.items()))


if __name__ == "__main__":
    main()
