"""Which card a process computes on, if any; nothing here imports torch."""

import os
import sys
from pathlib import Path


def limit_to_one_gpu() -> None:
    """Show CUDA the first card alone, unless it was said which; before torch is imported.

    With several in sight, trainers spread one model over them. A process that has a rank on its
    machine (`LOCAL_RANK`, as torchrun and Accelerate set it) sees all and takes its own.
    """
    if "LOCAL_RANK" not in os.environ:
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")


def own_rank() -> int:
    """The number of this process on its machine, which is that of its card."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def visible_gpu() -> str | None:
    """The name or number of the card of this process, as NVIDIA's driver knows it, or None."""
    if not Path("/proc/driver/nvidia/version").exists():
        return None
    torch = sys.modules.get("torch")
    if torch is not None and not torch.cuda.is_available():
        return None
    cards = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")
    return cards[min(own_rank(), len(cards) - 1)].strip() or None


def has_fast_bf16_on_cpu() -> bool:
    """Whether sums in bfloat16 are done by the hardware: elsewhere they are slower than others."""
    try:
        flags = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags or " bf16" in flags
