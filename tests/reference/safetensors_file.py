"""Writes a safetensors file whose bytes depend on its contents alone.

Format: 8 bytes little-endian length of the header, the header as JSON (padded with spaces to a multiple of 8), the data.
The `safetensors` package is not used for writing: it puts the metadata in a random order.
"""

import json
import struct

import numpy as np

DTYPES = {"float16": "F16", "float32": "F32", "float64": "F64", "int64": "I64"}


def save(path, tensors, metadata):
    """Writes `tensors` (name -> array of f16, f32, f64 or i64) and `metadata` (str -> str) to `path`."""
    order = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    header, end = {"__metadata__": dict(sorted(metadata.items()))}, 0
    for name in order:
        array = tensors[name]
        begin, end = end, end + array.nbytes
        header[name] = {"dtype": DTYPES[str(array.dtype)], "shape": list(array.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in order:
            file.write(np.ascontiguousarray(tensors[name]).tobytes())
