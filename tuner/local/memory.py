"""How much memory a training takes, and how much a process can have; nothing here imports torch."""

import ctypes
import json
import math
import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tuner.local.gpu_choice import has_fast_bf16_on_cpu, visible_gpu
from tuner.local.hyperparameters import (
    ROWS_ON_CPU,
    TOKENS_ON_CPU,
    Hyperparameters,
    plan_memory,
    resolve,
)
from tuner.spec import Spec
from tuner.training_run import Rejected

PATIENCE = 60.0
"""Seconds that a training waits for memory which the server's idle models may give back."""
_RUNTIME = 1 << 30
"""Bytes of Python and the libraries before any weights; of CUDA's context likewise."""
_TEMPLATE = 32
"""Tokens that a chat template adds to a row: marks, and a system message of its own."""
_OPTIMISED = 16
"""Bytes of a trained weight in full precision: itself, its gradient and Adam's two averages."""
_FOUR_BITS = 0.55
"""Bytes of a weight in 4 bits, its share of a block's scale included."""


_KERNELS = "64"
"""Those that oneDNN keeps for shapes it has met, instead of 1,024; a training meets few again."""


def limit_kernel_cache() -> None:
    """To be called before torch is imported: each new length of a batch costs megabytes else."""
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", _KERNELS)


def return_free_heap() -> None:
    """Gives pages that are free amid glibc's heap back to the system; nothing elsewhere.

    Batches of many shapes leave gaps, and the heap grows by some percent with every epoch.
    """
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):
            ctypes.CDLL(None).malloc_trim(0)


@dataclass(frozen=True, slots=True)
class Shape:
    """A base by its numbers: its weights in all, and the widths of what is computed."""

    parameters: int
    hidden: int
    inner: int
    layers: int
    vocabulary: int
    is_16_bit: bool
    """Whether its weights are saved in 16 bits."""

    @classmethod
    def of(cls, base: Path) -> "Shape":
        config = json.loads((base / "config.json").read_bytes())
        config = {**config, **config.get("text_config", {})}
        hidden = int(config.get("hidden_size", 0))
        return cls(
            parameters=sum(map(_parameters, base.glob("*.safetensors"))),
            hidden=hidden,
            inner=int(config.get("intermediate_size") or 4 * hidden),
            layers=int(config.get("num_hidden_layers", 0)),
            vocabulary=int(config.get("vocab_size", 0)),
            is_16_bit="16" in str(config.get("dtype") or config.get("torch_dtype")),
        )


def _parameters(file: Path) -> int:
    """By the head of a safetensors file: https://github.com/huggingface/safetensors#format."""
    with file.open("rb") as opened:
        head = opened.read(8)
        if len(head) < 8:
            return 0
        (length,) = struct.unpack("<Q", head)
        try:
            tensors = json.loads(opened.read(min(length, 100_000_000)))
        except ValueError:
            return 0
    return sum(math.prod(each["shape"]) for each in tensors.values() if "shape" in each)


def job_memory(spec: Spec, *, rows: int, longest: int) -> int:
    """Bytes that a job will take, where its longest row has so many tokens; a rough estimate."""
    is_full = None
    if spec.start_from:
        is_full = not (Path(spec.start_from) / "adapter_config.json").exists()
    return training_memory(
        Path(spec.base),
        resolve(spec.hyperparameters, rows=rows, is_full=is_full),
        tokens=longest,
        is_dpo=spec.method == "dpo",
        is_quantized=bool(spec.quantization),
    )


def training_memory(
    base: Path, numbers: Hyperparameters, *, tokens: int, is_dpo: bool, is_quantized: bool = False
) -> int:
    """Bytes: the weights, what the optimiser keeps, and the values that the way back needs.

    The values of a layer are counted as in "Reducing Activation Recomputation in Large Transformer
    Models" (https://arxiv.org/abs/2205.05198), without the scores of attention, which are not kept.
    """
    shape = Shape.of(base)
    is_short = shape.is_16_bit and (has_fast_bf16_on_cpu() or visible_gpu() is not None)
    width = 2 if is_short else 4
    plan = plan_memory(
        numbers.batch_size,
        parameters=shape.parameters,
        processes=1,
        is_on_cpu=visible_gpu() is None,
    )
    row = tokens + _TEMPLATE
    at_once = plan.rows * row * (2 if is_dpo else 1)
    if visible_gpu() is None and not is_dpo:
        at_once = max(row, min(at_once, TOKENS_ON_CPU))
    if numbers.lora:
        weights = shape.parameters * (_FOUR_BITS if is_quantized else width)
        pairs = 4 * 2 * shape.hidden + 3 * (shape.hidden + shape.inner)
        trained = shape.layers * numbers.lora_r * pairs * _OPTIMISED
    else:
        weights, trained = 0.0, shape.parameters * _OPTIMISED
    layer = at_once * (12 * shape.hidden + 4 * shape.inner) * width
    kept = layer + shape.layers * at_once * shape.hidden * width
    values = kept if plan.recomputes else layer * shape.layers
    # In float32 those of one row at a time, but of all where the loss is TRL's.
    exact = at_once if is_dpo else row
    guesses = shape.vocabulary * (at_once * 3 * width + exact * 12)
    return int(_RUNTIME + weights + trained + values + guesses)


def wait_for_memory(
    needed: int, numbers: Hyperparameters, pause: Callable[[], object], tell: Callable[[str], None]
) -> None:
    """Until so many bytes are free. Raises Rejected where they never can be, or not in time."""
    if needed > (size := memory_size() or needed):
        raise too_large(numbers, needed=needed, free=size)
    ends, is_told = time.monotonic() + PATIENCE, False
    while needed > (free := free_memory() or needed):
        if not is_told:
            tell(f"Waiting for memory: about {_shown(needed)} are needed, {_shown(free)} are free")
            is_told = True
        if time.monotonic() > ends:
            raise too_large(numbers, needed=needed, free=free)
        pause()


def too_large(
    numbers: Hyperparameters, *, needed: int | None = None, free: int | None = None
) -> Rejected:
    """What a job's error says where memory is too small, with what to do about it."""
    at_once = numbers.batch_size if visible_gpu() else min(numbers.batch_size, ROWS_ON_CPU)
    if at_once > 1:
        advice = f"Try batch_size {at_once // 2}."
    else:
        advice = "batch_size is 1 already: use shorter examples or a smaller base."
    sentence = f"The memory is too small for batch_size {numbers.batch_size}"
    if needed is not None and free is not None:
        sentence += f": about {_shown(needed)} are needed, and {_shown(free)} can be had"
    return Rejected("out_of_memory", f"{sentence}. {advice}", "batch_size")


def _shown(size: int) -> str:
    return f"{size / (1 << 30):.1f} GB"


def free_memory() -> int | None:
    """Bytes that a new process could have: of its card, else of the machine; None if not told."""
    card = visible_gpu()
    return _free_on_machine() if card is None else _on_card(card, "free")


def memory_size() -> int | None:
    """Bytes that there are in all, of the card or of the machine."""
    card = visible_gpu()
    return _size_of_machine() if card is None else _on_card(card, "total")


def _on_card(card: str, kind: str) -> int | None:
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    words = [f"--query-gpu=memory.{kind}", "--format=csv,noheader,nounits", f"--id={card}"]
    with suppress(OSError, ValueError, subprocess.SubprocessError):
        told = subprocess.run(  # noqa: S603 - the driver's own program, and no shell
            [program, *words], capture_output=True, text=True, timeout=20, check=True
        )
        return int(told.stdout.split()[0]) << 20
    return None


def _free_on_machine() -> int | None:
    free, (limit, used) = _told_by_linux().get("MemAvailable"), _control_group()
    if free is None or limit is None:
        return free
    return min(free, max(0, limit - used))


def _size_of_machine() -> int | None:
    size, (limit, _) = _told_by_linux().get("MemTotal"), _control_group()
    return size if size is None or limit is None else min(size, limit)


def _told_by_linux() -> Mapping[str, int]:
    """Bytes by name: https://docs.kernel.org/filesystems/proc.html#meminfo; none elsewhere."""
    if sys.platform != "linux":
        return {}
    found = {}
    for line in Path("/proc/meminfo").read_text("utf-8").splitlines():
        name, _, value = line.partition(":")
        found[name] = int(value.split()[0]) << 10
    return found


def _control_group() -> tuple[int | None, int]:
    """The limit of a container and what it uses: https://docs.kernel.org/admin-guide/cgroup-v2.html."""
    folder = Path("/sys/fs/cgroup")
    with suppress(OSError, ValueError):
        limit = int((folder / "memory.max").read_text("utf-8"))
        kept = (folder / "memory.stat").read_text("utf-8").split()
        files = int(kept[kept.index("inactive_file") + 1])
        return limit, int((folder / "memory.current").read_text("utf-8")) - files
    return None, 0
