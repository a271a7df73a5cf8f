"""Writes state.pth (zip form) and state-legacy.pth, which tests/weights_files.rs reads: small tensors of every kind that
torch.save stores differently. Needs torch; run from anywhere."""
from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn

HERE = Path(__file__).resolve().parent


def ramp(*shape, dtype=torch.float32):
    """0, 1/4, 2/4, ... : exact in every floating type here."""
    return (torch.arange(torch.Size(shape).numel(), dtype=torch.float64) / 4).reshape(shape).to(dtype)


def tensors():
    shared = ramp(4, 6)
    return OrderedDict(
        [
            ("plain", ramp(2, 3)),
            ("transposed", ramp(3, 2, 5).permute(2, 0, 1)),  # 5, 3, 2
            ("shared", shared),
            ("shared_rows", shared[1:3]),  # 2, 6, from element 6
            ("shared_columns", shared[:, 1::2]),  # 4, 3, strided
            ("parameter", nn.Parameter(ramp(7))),
            ("f64", ramp(3, dtype=torch.float64)),
            ("f16", ramp(5, dtype=torch.float16)),
            ("bf16", ramp(5, dtype=torch.bfloat16)),
            ("i64", torch.tensor(-(2**40))),
            ("i32", torch.tensor([[-7, 8]], dtype=torch.int32)),
            ("i16", torch.tensor([-300], dtype=torch.int16)),
            ("i8", torch.tensor([-3, 4], dtype=torch.int8)),
            ("u8", torch.tensor([250], dtype=torch.uint8)),
            ("bool", torch.tensor([True, False])),
            ("empty", torch.zeros(0, 3)),
        ]
    )


state = tensors()
state._metadata = OrderedDict([("", {"version": 1})])
checkpoint = {"epoch": 3, "loss": [0.5, 0.25], "arch": "inception_v3", "done": None, "state_dict": state}
torch.save(checkpoint, HERE / "state.pth")

model = {f"module.{name}": tensor for name, tensor in tensors().items()}
torch.save({**model, "module.note": "no tensor"}, HERE / "state-legacy.pth", _use_new_zipfile_serialization=False)
