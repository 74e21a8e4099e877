"""Runs processes of this checkout and reads their memory in /proc (Linux only)."""

from __future__ import annotations

import os
import re
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).resolve().parents[1]

_KIB = 1024
_TIMEOUT_SECONDS = 60.0

# wait4 counts the parent's peak memory for a child too, so the child reports its own:
# https://man7.org/linux/man-pages/man2/getrusage.2.html
_PRINT_STATUS_AT_EXIT = """
import atexit, pathlib, runpy, sys
status = pathlib.Path("/proc/self/status")
atexit.register(lambda: sys.stderr.write(status.read_text()))
runpy.run_module("attune", run_name="__main__", alter_sys=True)
"""


@dataclass(frozen=True, slots=True)
class Run:
    """Wall-clock seconds, CPU seconds and peak memory of a finished process."""

    seconds: float
    processor_seconds: float
    peak_bytes: int


def environment(data: Path, **variables: str) -> Mapping[str, str]:
    """Returns the environment of an installation in `data`, without the user's own settings."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    folders = {"PYTHONPATH": str(ROOT), "ATTUNE_DATA_DIR": str(data)}
    return {**inherited, **folders, "LANG": "C.UTF-8", **variables}


def run_attune(*words: str, data: Path) -> Run:
    """Runs `attune …` with empty stdin and measures its process. Raises RuntimeError."""
    start, cpu_before = perf_counter(), _processor_seconds()
    process = subprocess.run(
        [sys.executable, "-c", _PRINT_STATUS_AT_EXIT, *words],
        env=environment(data),
        cwd=data,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds, cpu_seconds = perf_counter() - start, _processor_seconds() - cpu_before
    if process.returncode:
        raise RuntimeError(process.stderr)
    return Run(seconds, cpu_seconds, _kibibytes("VmHWM", process.stderr) * _KIB)


@contextmanager
def running(*command: str, data: Path, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Runs a Python process during the block."""
    process = subprocess.Popen(
        [sys.executable, *command],
        env=environment(data, **variables),
        cwd=data,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def resident_bytes(process: int) -> int:
    """Returns the resident memory of a process."""
    return _kibibytes("VmRSS", Path(f"/proc/{process}/status").read_text()) * _KIB


def children(process: int) -> list[int]:
    """Returns the process ids of the child processes."""
    return [
        int(number)
        for number in Path(f"/proc/{process}/task/{process}/children").read_text().split()
    ]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_until(
    condition: Callable[[], bool], *, every: float = 0.02, longest: float = _TIMEOUT_SECONDS
) -> None:
    """Waits until the condition is true. Raises TimeoutError after `longest` seconds."""
    end = perf_counter() + longest
    while not condition():
        if perf_counter() > end:
            raise TimeoutError
        time.sleep(every)


def megabytes(amount: int) -> str:
    return f"{amount / 1e6:.0f} MB"


def _processor_seconds() -> float:
    """Returns the CPU seconds of all finished child processes."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _kibibytes(field: str, status: str) -> int:
    match = re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)
    if match is None:
        raise RuntimeError(f"no {field} in {status}")
    return int(match[1])
