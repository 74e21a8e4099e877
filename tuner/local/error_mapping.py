"""Turns errors of torch and safetensors about memory and disk into errors of a job."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from tuner.job_folder import JobFolder, is_disk_full, remove_path
from tuner.local.hyperparameters import Hyperparameters
from tuner.local.training_memory import too_large_error
from tuner.training_interface import JobRejected

_DISK_FULL_TEXTS = ("no space left", "disk quota", "file too large", "os error 28", "os error 27")
_MEMORY_TEXTS = ("can't allocate memory", "out of memory", "not enough memory", "bad_alloc")


@contextmanager
def mapped_errors(folder: JobFolder, numbers: Hyperparameters | None = None) -> Iterator[None]:
    """Raises JobRejected in place of exceptions about exhausted memory or a full disk."""
    try:
        yield
    except (RuntimeError, MemoryError, OSError, ValueError) as error:
        if is_out_of_memory(error):
            raise _too_large(numbers) from error
        if is_disk_error(error):
            raise _disk_full(folder) from error
        raise
    except Exception as error:
        # safetensors has its own exception class, which is a subclass of none of these.
        if is_disk_error(error):
            raise _disk_full(folder) from error
        raise


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory was exhausted."""
    if isinstance(error, MemoryError) or (
        isinstance(error, OSError) and error.errno == errno.ENOMEM
    ):
        return True
    return any(words in str(error).lower() for words in _MEMORY_TEXTS)


def is_disk_error(error: BaseException) -> bool:
    """Whether an exception means that the disk is full."""
    if is_disk_full(error):
        return True
    # torch's own writer names only the place in its code where it failed.
    text = str(error).lower()
    return any(words in text for words in _DISK_FULL_TEXTS) or "pytorchstreamwriter failed" in text


def _too_large(numbers: Hyperparameters | None) -> JobRejected:
    if numbers is None:
        return JobRejected(
            "out_of_memory", "The memory is too small for this base. Use a smaller one.", "model"
        )
    return too_large_error(numbers)


def _disk_full(folder: JobFolder) -> JobRejected:
    # The checkpoints are of no more use, and the error below needs space to be written.
    remove_path(folder.states)
    free = shutil.disk_usage(folder.path).free >> 20
    return JobRejected(
        "disk_full",
        f"The disk of the tuner's data folder is full ({free} MB are free now). Delete models or"
        " files there that you no longer need, and start the job again.",
        "model",
    )
