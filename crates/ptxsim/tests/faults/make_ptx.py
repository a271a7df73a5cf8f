#!/usr/bin/env python3
"""Makes the PTX of the CUDA files in a folder anew, with line numbers: make_ptx.py [--library NVRTC] [FOLDER...]

The library may also be named by NVRTC_LIB. Without a folder, those of this crate: tests/faults, tests/counters, benches/kernels.
"""
import argparse
import ctypes
import os
import pathlib
import re

CRATE = pathlib.Path(__file__).resolve().parents[2]
OPTIONS = ["--gpu-architecture=compute_61", "-lineinfo", "--std=c++17"]


def compile(nvrtc, source, name):
    program = ctypes.c_void_p()
    check(nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), name.encode(), 0, None, None))
    options = (ctypes.c_char_p * len(OPTIONS))(*[option.encode() for option in OPTIONS])
    result = nvrtc.nvrtcCompileProgram(program, len(OPTIONS), options)
    if result:
        raise SystemExit(text(nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog, program))
    ptx = text(nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX, program)
    check(nvrtc.nvrtcDestroyProgram(ctypes.byref(program)))
    # The compiler puts the working directory before the name.
    return re.sub(r'(\.file\s+\d+\s+)"[^"]*/([^"/]+)"', r'\1"\2"', ptx)


def text(size_of, get, program):
    size = ctypes.c_size_t()
    check(size_of(program, ctypes.byref(size)))
    buffer = ctypes.create_string_buffer(size.value)
    check(get(program, buffer))
    return buffer.value.decode()


def check(result):
    if result:
        raise SystemExit(f"NVRTC error {result}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", default=os.environ.get("NVRTC_LIB", "libnvrtc.so.12"))
    parser.add_argument("folders", nargs="*", type=pathlib.Path)
    arguments = parser.parse_args()
    nvrtc = ctypes.CDLL(arguments.library)
    folders = arguments.folders or [CRATE / "tests/faults", CRATE / "tests/counters", CRATE / "benches/kernels"]
    for source in sorted(source for folder in folders for source in folder.glob("*.cu")):
        source.with_suffix(".ptx").write_text(compile(nvrtc, source.read_text(), source.name))
        print(source)


if __name__ == "__main__":
    main()
