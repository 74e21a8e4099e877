"""Runs the tuner's worker as on a machine whose memory ends in the first backward pass."""

from __future__ import annotations

import runpy
import sys

import torch

_TEXT = (
    "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory:"
    " you tried to allocate 9830400000 bytes. Error code 12 (Cannot allocate memory)"
)
"""What PyTorch 2.13 says on a CPU."""


def _fail(*_: object, **__: object) -> None:
    raise RuntimeError(_TEXT)


if __name__ == "__main__":
    vars(torch)["Tensor"].backward = _fail
    sys.argv = ["tuner.worker", *sys.argv[1:]]
    runpy.run_module("tuner.worker", run_name="__main__")
