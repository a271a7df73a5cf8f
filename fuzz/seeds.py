#!/usr/bin/env python3
"""Writes small valid files for the fuzz targets to start from. Standard library only; run from anywhere."""
import json
import pickle
import shutil
import struct
from pathlib import Path

ROOT = Path(__file__).resolve().parent
CROPS = ROOT.parent / "examples/crops/val"


def write(target, name, data):
    folder = ROOT / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def safetensors(dtype, size):
    header = json.dumps({"a": {"dtype": dtype, "shape": [2, 3], "data_offsets": [0, 6 * size]},
                         "__metadata__": {"k": "v"}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(range(6 * size))


def text(s):
    return b"X" + struct.pack("<I", len(s)) + s.encode()


def state_dict():
    """The pickle of a state_dict with one tensor, as torch.save writes it."""
    tensor = (b"ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") +
              text("cpu") + b"K\x10tQK\x00(K\x02K\x03t(K\x03K\x01t\x89ccollections\nOrderedDict\n)RtR")
    return b"\x80\x02ccollections\nOrderedDict\n)R(" + text("a.weight") + tensor + b"u."


for dtype, size in (("F32", 4), ("F64", 8), ("F16", 2), ("BF16", 2), ("I64", 8)):
    write("safetensors", dtype, safetensors(dtype, size))
write("pth", "state_dict", state_dict())
keys = pickle.dumps(["0"], 2)
magic = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
legacy = magic + pickle.dumps(1001, 2) + pickle.dumps({}, 2) + state_dict() + keys
write("pth", "legacy", legacy + struct.pack("<q", 16) + bytes(64))
for file in (ROOT.parent / "tests/data").glob("*.pth"):
    write("pth", file.stem, file.read_bytes())
write("pth", "plain", pickle.dumps({"a": [1, 2.5, ("b", None, True)]}, 2))
for i, crop in enumerate(sorted(CROPS.glob("*/*.jpg"))[:4]):
    (ROOT / "corpus/image").mkdir(parents=True, exist_ok=True)
    shutil.copy(crop, ROOT / "corpus/image" / f"{i}.jpg")
print(f"seeds under {ROOT / 'corpus'}")
