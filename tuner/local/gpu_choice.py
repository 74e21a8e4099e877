"""Chooses the GPU of a process; this module does not import torch."""

import os
import sys
from pathlib import Path


def limit_to_one_gpu() -> None:
    """Limits CUDA to the first GPU unless CUDA_VISIBLE_DEVICES is set; call before importing torch.

    With several visible GPUs trainers split a model over them. A process with a LOCAL_RANK, as
    torchrun and Accelerate set it, sees all GPUs and uses its own.
    """
    if "LOCAL_RANK" not in os.environ:
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")


def own_rank() -> int:
    """Returns the rank of this process on its machine, which is the index of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def visible_gpu() -> str | None:
    """Returns the index or UUID of this process's GPU for NVIDIA's driver, None without a GPU."""
    if not Path("/proc/driver/nvidia/version").exists():
        return None
    torch = sys.modules.get("torch")
    if torch is not None and not torch.cuda.is_available():
        return None
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")
    return gpus[min(own_rank(), len(gpus) - 1)].strip() or None


def has_fast_bf16_on_cpu() -> bool:
    """Whether the CPU has bfloat16 instructions; without them bfloat16 is slower than float32."""
    try:
        flags = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags or " bf16" in flags
