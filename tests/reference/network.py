"""torchvision's Inception-v3 as nodal has it, with nodal's random weights or those of a file, and made inputs for it."""
from pathlib import Path

import numpy as np
import torch
import torchvision
from safetensors.torch import load_file

import weights as generator

POOL = torch.nn.functional.avg_pool2d


def state_of(path, auxiliary=False):
    """A state_dict from a .safetensors or .pth file, without nodal's preprocessing, and without the auxiliary head if it is not wanted."""
    path = Path(path)
    state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
    if auxiliary and "AuxLogits.fc.weight" not in state:
        raise SystemExit(f"{path}: has no auxiliary head (AuxLogits)")
    left_out = ("preprocess.",) if auxiliary else ("preprocess.", "AuxLogits.")
    return {name: value for name, value in state.items() if not name.startswith(left_out)}


def empty(classes, auxiliary=False):
    """The network without memory for its weights."""
    with torch.device("meta"):
        return torchvision.models.inception_v3(weights=None, aux_logits=auxiliary, init_weights=False, num_classes=classes)


def random_state(seed, classes, shift, auxiliary=False):
    """nodal's random weights; `shift` adds a number to each tensor whose name ends so: {"bn.bias": 2}."""
    shapes = {name: tuple(value.shape) for name, value in empty(classes, auxiliary).state_dict().items()}
    state = generator.random_weights(seed, shapes)
    for ending, by in shift.items():
        names = [name for name in state if name.endswith(ending)]
        if not names:
            raise SystemExit(f"--shift {ending}: no weight's name ends so")
        for name in names:
            state[name] = state[name] + np.float32(by)
    return {name: torch.from_numpy(value) for name, value in state.items()}


def network(state, padding):
    """The network with the weights `state` in inference mode, float32, with an auxiliary head if they have one."""
    net = empty(state["fc.weight"].shape[0], "AuxLogits.fc.weight" in state)
    counters = {name: torch.tensor(0) for name in net.state_dict() if name.endswith("num_batches_tracked")}
    net.load_state_dict(counters | {name: value.clone() for name, value in state.items()}, strict=True, assign=True)
    pool_padding(padding)
    return net.eval()


def pool_padding(padding):
    """Makes torchvision's average pools count their padding, or not, from now on."""
    exclude = lambda *a, **k: POOL(*a, **k, count_include_pad=False)
    torchvision.models.inception.F.avg_pool2d = exclude if padding == "exclude" else POOL


def convolutions(net):
    """Names of the 94 BasicConv2d in network order, the auxiliary head's left out."""
    own = lambda name, module: type(module).__name__ == "BasicConv2d" and not name.startswith("AuxLogits.")
    return [name for name, module in net.named_modules() if own(name, module)]


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


def release(package):
    """Its version without the build, such as `+cpu`."""
    return package.__version__.split("+")[0]


def made_by():
    return f"torch {release(torch)}, torchvision {release(torchvision)}"
