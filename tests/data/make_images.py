#!/usr/bin/env python3
"""Writes small images in every format, and what Pillow makes of them, for `tests/data.rs`. Needs Pillow, NumPy, safetensors.

`expected.safetensors`: `decode.FILE` [H, W, C] for each file, `resize.FILE.HxW` [H, W, C] for each target size.
"""
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

HERE = Path(__file__).parent
SIZES = [(31, 47), (9, 5), (75, 60), (1, 1), (13, 40)]
rng = np.random.default_rng(5)


def picture(h, w, channels, levels):
    """Waves with noise; height and width differ, channels too."""
    y, x = np.mgrid[0:h, 0:w]
    base = np.stack([np.sin(x / (3 + c)) + np.cos(y / (5 - c)) for c in range(channels)], axis=2)
    noisy = (base + 2) / 4 + 0.1 * rng.standard_normal((h, w, channels))
    return np.clip(noisy * levels, 0, levels).astype(np.uint16 if levels > 255 else np.uint8).squeeze()


grey, rgb, deep = picture(23, 37, 1, 255), picture(29, 17, 3, 255), picture(19, 26, 1, 65535)
files = {
    "grey.png": Image.fromarray(grey), "rgb.png": Image.fromarray(rgb), "deep.png": Image.fromarray(deep),
    "grey.bmp": Image.fromarray(grey), "rgb.bmp": Image.fromarray(rgb),
    "grey.tif": Image.fromarray(grey), "rgb.tif": Image.fromarray(rgb), "deep.tif": Image.fromarray(deep),
    "grey.jpg": Image.fromarray(grey), "rgb.jpg": Image.fromarray(rgb),
    "palette.png": Image.fromarray(rgb).quantize(16), "bits.png": Image.fromarray(grey).convert("1"),
    "alpha.png": Image.fromarray(np.dstack([rgb, rgb[..., 0]])), "grey-alpha.png": Image.fromarray(np.dstack([grey, grey]), "LA"),
}
expected = {}
for name, image in files.items():
    options = {"quality": 90} if name.endswith("jpg") else {}
    image.save(HERE / name, **options)
    image = Image.open(HERE / name)
    if image.mode in ("P", "RGBA"):
        image = image.convert("RGB")
    if image.mode in ("1", "LA"):
        image = image.convert("L")
    pixels = np.asarray(image).astype(np.float32)
    if pixels.max() > 255:
        pixels = pixels / 257
        image = Image.fromarray(pixels)
    expected[f"decode.{name}"] = pixels.reshape(image.height, image.width, -1)
    if name in ("grey.png", "rgb.png", "deep.png"):
        for h, w in SIZES:
            resized = np.asarray(image.resize((w, h), Image.BILINEAR)).astype(np.float32)
            expected[f"resize.{name}.{h}x{w}"] = resized.reshape(h, w, -1)
save_file(expected, HERE / "expected.safetensors")
