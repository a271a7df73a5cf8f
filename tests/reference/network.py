"""torchvision's Inception-v3 as nodal has it, with nodal's random weights or those of a file, and inputs for it."""
from pathlib import Path

import numpy as np
import torch
import torchvision
from safetensors.torch import load_file

import weights as generator

POOL = torch.nn.functional.avg_pool2d


def state_of(path):
    """A state_dict from a .safetensors or .pth file, the tensors of nodal's preprocessing left out."""
    path = Path(path)
    state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
    return {name: value for name, value in state.items() if not name.startswith(("preprocess.", "AuxLogits."))}


def random_state(seed, classes, shift):
    """nodal's random weights; `shift` adds a number to each tensor whose name ends so: {"bn.bias": 2}."""
    net = torchvision.models.inception_v3(weights=None, aux_logits=False, init_weights=False, num_classes=classes)
    shapes = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    state = generator.random_weights(seed, shapes)
    for ending, by in shift.items():
        names = [name for name in state if name.endswith(ending)]
        if not names:
            raise SystemExit(f"--shift {ending}: no weight's name ends so")
        for name in names:
            state[name] = state[name] + np.float32(by)
    return {name: torch.from_numpy(value) for name, value in state.items()}


def network(state, padding):
    """The network with the weights `state` in inference mode, float32, without the auxiliary head."""
    classes = state["fc.weight"].shape[0]
    net = torchvision.models.inception_v3(weights=None, aux_logits=False, init_weights=False, num_classes=classes)
    counters = {name: torch.tensor(0) for name in net.state_dict() if name.endswith("num_batches_tracked")}
    net.load_state_dict(counters | state, strict=True)
    exclude = lambda *a, **k: POOL(*a, **k, count_include_pad=False)
    torchvision.models.inception.F.avg_pool2d = exclude if padding == "exclude" else POOL
    return net.eval()


def convolutions(net):
    """Names of the 94 BasicConv2d in network order."""
    return [name for name, module in net.named_modules() if type(module).__name__ == "BasicConv2d"]


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


def crop(path, size):
    """A crop centred in zeros, the odd pixel right and bottom, as x / 127.5 - 1: [3, H, W]."""
    from PIL import Image
    pixels = np.asarray(Image.open(path).convert("RGB"), dtype=np.float32)
    (h, w), (height, width) = pixels.shape[:2], size
    if h > height or w > width:
        raise SystemExit(f"{path}: {h}×{w} is larger than {height}×{width}: give crops that fit")
    out = np.zeros((height, width, 3), np.float32)
    top, left = (height - h) // 2, (width - w) // 2
    out[top:top + h, left:left + w] = pixels
    return torch.from_numpy((out / np.float32(127.5) - np.float32(1)).transpose(2, 0, 1).copy())


def folder(path, size, count, seed):
    """`count` images and labels from a folder of one sub-folder a class, in an order that `seed` draws."""
    classes = sorted(entry for entry in Path(path).iterdir() if entry.is_dir())
    files = [(file, label) for label, of in enumerate(classes) for file in sorted(of.iterdir()) if file.is_file()]
    if len(classes) < 2 or not files:
        raise SystemExit(f"{path}: give a folder with a sub-folder of images for each of two or more classes")
    rounds = -(-count // len(files))
    order = np.concatenate([np.argsort(generator.bits(seed, f"order {r}", len(files))) for r in range(rounds)])[:count]
    chosen = [files[i] for i in order]
    return torch.stack([crop(file, size) for file, _ in chosen]), torch.tensor([label for _, label in chosen])


def release(package):
    """Its version without the build, such as `+cpu`."""
    return package.__version__.split("+")[0]


def made_by():
    return f"torch {release(torch)}, torchvision {release(torchvision)}"
