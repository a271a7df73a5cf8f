#!/usr/bin/env python3
"""Writes small images in every format, and what Pillow makes of them, for `tests/data.rs`. Needs Pillow, NumPy, safetensors.

`expected.safetensors`: `decode.FILE` [H, W, C] for each file; for each target size `resize.FILE.HxW` [H, W, C] as Pillow
scales 8-bit pixels, and `exact.FILE.HxW` as it scales float32 ones, which it does not round; `input.NORMALIZE.FILE`
[3, H, W], padded and normalised in float32. What Pillow cannot write (RGB of 16 bits, interlaced PNG, a white zero) is
written here byte by byte.
"""
import struct
import zlib
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
colour16 = picture(11, 14, 3, 65535)
small, tiny = picture(21, 34, 3, 255), picture(10, 13, 1, 255)
turned = Image.Exif()
turned[0x0112] = 6  # lies on its side
files |= {
    "progressive.jpg": (Image.fromarray(small), {"progressive": True, "subsampling": "4:2:0"}),
    "444.jpg": (Image.fromarray(small), {"subsampling": "4:4:4"}),
    "turned.jpg": (Image.fromarray(tiny), {"exif": turned}),
    "lzw.tif": (Image.fromarray(small), {"compression": "tiff_lzw"}),
    "deflate.tif": (Image.fromarray(tiny), {"compression": "tiff_adobe_deflate"}),
    "bits.tif": (Image.fromarray(tiny).convert("1"), {}),
    "alpha.tif": (Image.fromarray(np.dstack([small, small[..., 1]])), {}),
    "bits.bmp": (Image.fromarray(tiny).convert("1"), {}),
    "alpha.bmp": (Image.fromarray(np.dstack([small, small[..., 1]])), {}),
    "clear.png": (Image.fromarray(small).quantize(5), {"transparency": 2}),
}


def png(pixels, bits, color, interlaced=False):
    """A PNG of [H, W] or [H, W, 3] samples; `interlaced` in Adam7's seven passes."""
    h, w = pixels.shape[:2]
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    rows = b""
    for top, left, down, right in passes if interlaced else [(0, 0, 1, 1)]:
        part = pixels[top::down, left::right]
        if part.size:
            rows += b"".join(b"\0" + row.astype(">u2" if bits == 16 else "u1").tobytes() for row in part)
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, bits, color, 0, 0, interlaced))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff(pixels, photometric):
    """A big-endian TIFF in one strip, not compressed."""
    h, w, c = *pixels.shape, *[1][:3 - pixels.ndim]
    data = pixels.astype(">u2" if pixels.itemsize == 2 else "u1").tobytes()
    bits = [8 * pixels.itemsize] * c
    tags = [(256, 4, w), (257, 4, h), (258, 3, bits), (259, 3, 1), (262, 3, photometric), (273, 4, 200), (277, 3, c),
            (278, 4, h), (279, 4, len(data))]
    entries = b""
    for tag, kind, value in tags:
        values = value if isinstance(value, list) else [value]
        packed = struct.pack(">" + "HI"[kind == 4] * len(values), *values).ljust(4, b"\0")
        entries += struct.pack(">HHI", tag, kind, len(values)) + (packed if len(packed) == 4 else struct.pack(">I", 190))
    start = b"MM\0*" + struct.pack(">IH", 8, len(tags)) + entries + bytes(4)
    return start.ljust(190, b"\0") + struct.pack(">3H", *(bits * 3)[:3]) + bytes(4) + data


written = {
    "colour16.png": (png(colour16, 16, 2), colour16),
    "interlaced.png": (png(small, 8, 2, True), small),
    "colour16.tif": (tiff(colour16, 2), colour16),
    "white-zero.tif": (tiff(tiny, 0), 255 - tiny),
}
expected = {}
for name, (content, pixels) in written.items():
    (HERE / name).write_bytes(content)
    pixels = pixels.astype(np.float32) / (257 if pixels.itemsize == 2 else 1)
    expected[f"decode.{name}"] = pixels.reshape(*pixels.shape[:2], -1)
    opened = Image.open(HERE / name)  # Pillow agrees as far as its 8 bits of colour go
    assert opened.size == (pixels.shape[1], pixels.shape[0])
    assert np.abs(np.asarray(opened).astype(np.float32) - pixels).max() < 1, name
for name, image in files.items():
    options = {"quality": 90} if name.endswith("jpg") else {}
    if isinstance(image, tuple):
        image, options = image[0], options | image[1]
    image.save(HERE / name, **options)
    image = Image.open(HERE / name)
    if image.mode in ("P", "RGBA"):
        image = image.convert("RGB")
    if image.mode in ("1", "LA"):
        image = image.convert("L")
    pixels = np.asarray(image).astype(np.float32)
    if pixels.max() > 255:
        pixels = pixels / np.float32(257)
        image = Image.fromarray(pixels)
    expected[f"decode.{name}"] = pixels.reshape(image.height, image.width, -1)
    if name in ("grey.png", "rgb.png", "deep.png"):
        for h, w in SIZES:
            resized = np.asarray(image.resize((w, h), Image.BILINEAR)).astype(np.float32)
            expected[f"resize.{name}.{h}x{w}"] = resized.reshape(h, w, -1)
            bands = [Image.fromarray(band) for band in np.moveaxis(np.atleast_3d(pixels), 2, 0)]
            exact = [np.asarray(band.resize((w, h), Image.BILINEAR)) for band in bands]
            expected[f"exact.{name}.{h}x{w}"] = np.stack(exact, axis=2)
        maps = np.zeros((3, 32, 39), np.float32)
        top, left = (32 - image.height) // 2, (39 - image.width) // 2
        maps[:, top:top + image.height, left:left + image.width] = np.moveaxis(np.atleast_3d(pixels), 2, 0)
        mean, std = (np.float32(v).reshape(3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
        expected[f"input.tf.{name}"] = maps / np.float32(127.5) - np.float32(1)
        expected[f"input.imagenet.{name}"] = (maps / np.float32(255) - mean) / std
save_file(expected, HERE / "expected.safetensors")
