"""Estimates the memory of a training, and reads how much is available; does not import torch."""

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

from tuner.job_spec import JobSpec
from tuner.local.gpu_choice import has_fast_bf16_on_cpu, visible_gpu
from tuner.local.hyperparameters import (
    MAX_TOKENS_PER_PASS_ON_CPU,
    Hyperparameters,
    plan_memory,
    resolve_hyperparameters,
)
from tuner.training_interface import JobRejected

MAX_WAIT_SECONDS = 60.0
"""Seconds that a training waits for memory which the server's idle models may free."""
_RUNTIME_BYTES = 1 << 30
"""Bytes of Python and the libraries without weights; CUDA's context takes about the same."""
_TEMPLATE_TOKENS = 32
"""Tokens that a chat template adds to a row: special tokens and a default system message."""
_TRAINED_WEIGHT_BYTES = 16
"""Bytes of a trained weight in float32: the weight, its gradient and Adam's two averages."""
_4BIT_WEIGHT_BYTES = 0.55
"""Bytes of a weight in 4 bits, with its share of the block's scale."""


_KERNELS = "64"
"""Kernels that oneDNN caches, instead of 1,024; a training rarely sees a shape again."""


def limit_kernel_cache() -> None:
    """Limits oneDNN's kernel cache, which takes megabytes for each length of a batch.

    Call this before importing torch.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", _KERNELS)


def return_free_heap() -> None:
    """Returns free pages inside glibc's heap to the system; does nothing elsewhere.

    Batches of many shapes leave gaps, and the heap grows by some percent with every epoch.
    """
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):
            ctypes.CDLL(None).malloc_trim(0)


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The sizes of a base: its number of weights and the widths of its layers."""

    parameters: int
    hidden: int
    inner: int
    layers: int
    vocabulary: int
    is_16_bit: bool
    """Whether the weights are saved in 16 bits."""

    @classmethod
    def of(cls, base: Path) -> "ModelShape":
        """Reads the sizes from the config and the headers of the weight files."""
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
    """Returns the number of weights of a safetensors file, from its header.

    https://github.com/huggingface/safetensors#format
    """
    with file.open("rb") as stream:
        head = stream.read(8)
        if len(head) < 8:
            return 0
        (length,) = struct.unpack("<Q", head)
        try:
            tensors = json.loads(stream.read(min(length, 100_000_000)))
        except ValueError:
            return 0
    return sum(math.prod(tensor["shape"]) for tensor in tensors.values() if "shape" in tensor)


def estimate_job_memory(spec: JobSpec, *, rows: int, longest: int) -> int:
    """Returns a rough estimate of a job's memory in bytes; `longest` is in tokens."""
    is_full = None
    if spec.start_from:
        is_full = not (Path(spec.start_from) / "adapter_config.json").exists()
    return estimate_training_memory(
        Path(spec.base),
        resolve_hyperparameters(spec.hyperparameters, rows=rows, is_full=is_full),
        tokens=longest,
        is_dpo=spec.method == "dpo",
        is_quantized=bool(spec.quantization),
    )


def estimate_training_memory(
    base: Path, numbers: Hyperparameters, *, tokens: int, is_dpo: bool, is_quantized: bool = False
) -> int:
    """Returns the bytes of the weights, the optimiser's state and the activations.

    A layer's activations are counted as in "Reducing Activation Recomputation in Large Transformer
    Models" (https://arxiv.org/abs/2205.05198), without attention scores, which are not kept.
    """
    shape = ModelShape.of(base)
    is_short = shape.is_16_bit and (has_fast_bf16_on_cpu() or visible_gpu() is not None)
    width = 2 if is_short else 4
    plan = plan_memory(
        numbers.batch_size,
        parameters=shape.parameters,
        processes=1,
        is_on_cpu=visible_gpu() is None,
    )
    row = tokens + _TEMPLATE_TOKENS
    batch_tokens = plan.rows * row * (2 if is_dpo else 1)
    if visible_gpu() is None and not is_dpo:
        batch_tokens = max(row, min(batch_tokens, MAX_TOKENS_PER_PASS_ON_CPU))
    if numbers.lora:
        weights = shape.parameters * (_4BIT_WEIGHT_BYTES if is_quantized else width)
        pairs = 4 * 2 * shape.hidden + 3 * (shape.hidden + shape.inner)
        trained = shape.layers * numbers.lora_r * pairs * _TRAINED_WEIGHT_BYTES
    else:
        weights, trained = 0.0, shape.parameters * _TRAINED_WEIGHT_BYTES
    layer = batch_tokens * (12 * shape.hidden + 4 * shape.inner) * width
    recomputed = layer + shape.layers * batch_tokens * shape.hidden * width
    activations = recomputed if plan.recomputes else layer * shape.layers
    # In float32 there are the logits of one row; with TRL's loss those of all rows.
    float32_tokens = batch_tokens if is_dpo else row
    logits = shape.vocabulary * (batch_tokens * 3 * width + float32_tokens * 12)
    return int(_RUNTIME_BYTES + weights + trained + activations + logits)


def wait_for_memory(
    needed: int, numbers: Hyperparameters, pause: Callable[[], object], tell: Callable[[str], None]
) -> None:
    """Waits until `needed` bytes are free.
    Raises JobRejected if the machine is too small, or not free after MAX_WAIT_SECONDS.
    """
    if needed > (size := memory_size() or needed):
        raise too_large_error(numbers, needed=needed, free=size)
    deadline, was_logged = time.monotonic() + MAX_WAIT_SECONDS, False
    while needed > (free := free_memory() or needed):
        if not was_logged:
            sizes = f"about {_as_gigabytes(needed)} are needed, {_as_gigabytes(free)} are free"
            tell(f"Waiting for memory: {sizes}")
            was_logged = True
        if time.monotonic() > deadline:
            raise too_large_error(numbers, needed=needed, free=free)
        pause()


def too_large_error(
    numbers: Hyperparameters, *, needed: int | None = None, free: int | None = None
) -> JobRejected:
    """Returns the error of a job whose memory is too small, with advice.

    On a CPU a batch is computed a few rows at a time, so a smaller batch saves little.
    """
    if visible_gpu() is None:
        sentence, advice = "The memory is too small", "Use shorter examples or a smaller base."
    else:
        sentence = f"The memory is too small for batch_size {numbers.batch_size}"
        advice = f"Try batch_size {numbers.batch_size // 2}."
        if numbers.batch_size == 1:
            advice = "batch_size is 1 already: use shorter examples or a smaller base."
    if not numbers.lora:
        advice = f"Train an adapter: leave out 'lora'. {advice}"
    if needed is not None and free is not None:
        sentence += (
            f": about {_as_gigabytes(needed)} are needed, and {_as_gigabytes(free)} can be had"
        )
    param = "batch_size" if visible_gpu() else "model"
    return JobRejected("out_of_memory", f"{sentence}. {advice}", param)


def _as_gigabytes(size: int) -> str:
    return f"{size / (1 << 30):.1f} GB"


def free_memory() -> int | None:
    """Returns the bytes that are free on the GPU, else on the machine; None if unknown."""
    gpu = visible_gpu()
    return _free_on_machine() if gpu is None else _gpu_memory(gpu, "free")


def memory_size() -> int | None:
    """Returns the bytes of the GPU's memory, else of the machine's; None if unknown."""
    gpu = visible_gpu()
    return _size_of_machine() if gpu is None else _gpu_memory(gpu, "total")


def _gpu_memory(gpu: str, kind: str) -> int | None:
    """Returns the bytes that nvidia-smi reports for a GPU; None if nvidia-smi fails."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    arguments = [f"--query-gpu=memory.{kind}", "--format=csv,noheader,nounits", f"--id={gpu}"]
    with suppress(OSError, ValueError, subprocess.SubprocessError):
        output = subprocess.run(  # noqa: S603 - the driver's own program, and no shell
            [program, *arguments], capture_output=True, text=True, timeout=20, check=True
        )
        return int(output.stdout.split()[0]) << 20
    return None


def _free_on_machine() -> int | None:
    free, (limit, used) = _meminfo().get("MemAvailable"), _container_limit()
    if free is None or limit is None:
        return free
    return min(free, max(0, limit - used))


def _size_of_machine() -> int | None:
    size, (limit, _) = _meminfo().get("MemTotal"), _container_limit()
    return size if size is None or limit is None else min(size, limit)


def _meminfo() -> Mapping[str, int]:
    """Returns the bytes of /proc/meminfo by name; empty on other systems.

    https://docs.kernel.org/filesystems/proc.html#meminfo
    """
    if sys.platform != "linux":
        return {}
    values = {}
    for line in Path("/proc/meminfo").read_text("utf-8").splitlines():
        name, _, value = line.partition(":")
        values[name] = int(value.split()[0]) << 10
    return values


def _container_limit() -> tuple[int | None, int]:
    """Returns the memory limit of a container, None without one, and the bytes in use.

    https://docs.kernel.org/admin-guide/cgroup-v2.html
    """
    folder = Path("/sys/fs/cgroup")
    with suppress(OSError, ValueError):
        limit = int((folder / "memory.max").read_text("utf-8"))
        statistics = (folder / "memory.stat").read_text("utf-8").split()
        files = int(statistics[statistics.index("inactive_file") + 1])
        return limit, int((folder / "memory.current").read_text("utf-8")) - files
    return None, 0
