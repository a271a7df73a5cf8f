"""Crops as nodal makes inputs of them: padded and normalised as the weights' file says. Needs Pillow."""
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load

import weights as generator


@dataclass
class Preprocess:
    """Size, and what is subtracted from pixels from 0 to 255 before they are divided by 127.5."""
    size: tuple = (299, 299)
    mean: np.ndarray | float = 127.5


def preprocess_of(path):
    """What the metadata of a .safetensors or .pth file says."""
    if str(path).endswith(".safetensors"):
        with safe_open(path, "np") as file:
            return preprocess(file.metadata() or {}, lambda name: file.get_tensor(name))
    with zipfile.ZipFile(path) as archive:
        side = [name for name in archive.namelist() if name.endswith("nodal.safetensors")]
        content = archive.read(side[0]) if side else None
    if content is None:
        return Preprocess()
    length = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8:8 + length]).get("__metadata__", {})
    return preprocess(metadata, lambda name: load(content)[name].numpy())


def preprocess(metadata, tensor):
    if metadata.get("preprocess.standardize") == "true":
        raise SystemExit("these weights standardise each crop, which is not done here: choose others, or a folder of crops "
                         "that are standardised already")
    fit, normalize = metadata.get("preprocess.fit", "pad"), metadata.get("preprocess.normalize", "tf")
    if fit != "pad" or normalize not in ("tf", "mean"):
        raise SystemExit(f"these weights want --fit {fit} and --normalize {normalize}; here there are pad, and tf or mean")
    height, _, width = metadata.get("preprocess.size", "299").partition("x")
    mean = tensor("preprocess.mean") if normalize == "mean" else 127.5
    return Preprocess((int(height), int(width or height)), mean)


def crop(path, preprocess):
    """One crop, centred in zeros, the odd pixel right and bottom, as (x - mean) / 127.5: [3, H, W]."""
    pixels = np.asarray(Image.open(path).convert("RGB"), dtype=np.float32)
    (h, w), (height, width) = pixels.shape[:2], preprocess.size
    if h > height or w > width:
        raise SystemExit(f"{path}: {h}×{w} is larger than {height}×{width}: give crops that fit")
    out = np.zeros((3, height, width), np.float32)
    top, left = (height - h) // 2, (width - w) // 2
    out[:, top:top + h, left:left + w] = pixels.transpose(2, 0, 1)
    return torch.from_numpy((out - np.float32(preprocess.mean)) / np.float32(127.5))


def folder(path, preprocess, count, seed):
    """`count` crops and labels from a folder of one sub-folder a class, again and again in orders that `seed` draws."""
    classes = sorted(entry for entry in Path(path).iterdir() if entry.is_dir())
    files = [(file, label) for label, of in enumerate(classes) for file in sorted(of.iterdir()) if file.is_file()]
    if len(classes) < 2 or not files:
        raise SystemExit(f"{path}: give a folder with a sub-folder of images for each of two or more classes")
    rounds = -(-count // len(files))
    orders = [np.argsort(generator.bits(seed, f"order {r}", len(files)), kind="stable") for r in range(rounds)]
    chosen = [files[i] for i in np.concatenate(orders)[:count]]
    return torch.stack([crop(file, preprocess) for file, _ in chosen]), torch.tensor([label for _, label in chosen])
