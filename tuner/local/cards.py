"""Which card a process computes on."""

import os


def see_one_card() -> None:
    """Show CUDA the first card alone, unless it was said which; before torch is imported.

    With several in sight, trainers spread one model over them. A process that has a rank on its
    machine (`LOCAL_RANK`, as torchrun and Accelerate set it) sees all and takes its own.
    """
    if "LOCAL_RANK" not in os.environ:
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")


def own_rank() -> int:
    """The number of this process on its machine, which is that of its card."""
    return int(os.environ.get("LOCAL_RANK", "0"))
