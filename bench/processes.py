"""Fresh processes of this checkout, and what /proc says of their memory; for Linux."""

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
_LONGEST_WAIT_SECONDS = 60.0

# The kernel carries the parent's peak over into wait4's figure for a child, so a child tells its
# own: https://man7.org/linux/man-pages/man2/getrusage.2.html
_TELLS_ITS_PEAK = """
import atexit, pathlib, runpy, sys
status = pathlib.Path("/proc/self/status")
atexit.register(lambda: sys.stderr.write(status.read_text()))
runpy.run_module("attune", run_name="__main__", alter_sys=True)
"""


@dataclass(frozen=True, slots=True)
class Run:
    """What a finished process took: on the clock, of the processor, of memory at its peak."""

    seconds: float
    processor_seconds: float
    peak_bytes: int


def environment(data: Path, **variables: str) -> Mapping[str, str]:
    """A plain installation on `data`: none of the operator's own settings."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    folders = {"PYTHONPATH": str(ROOT), "ATTUNE_DATA_DIR": str(data)}
    return {**inherited, **folders, "LANG": "C.UTF-8", **variables}


def run_attune(*words: str, data: Path) -> Run:
    """A whole `attune …` with nothing on its stdin, from the start of Python to its end."""
    start, before = perf_counter(), _processor_seconds()
    done = subprocess.run(
        [sys.executable, "-c", _TELLS_ITS_PEAK, *words],
        env=environment(data),
        cwd=data,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    taken, worked = perf_counter() - start, _processor_seconds() - before
    if done.returncode:
        raise RuntimeError(done.stderr)
    return Run(taken, worked, _kibibytes("VmHWM", done.stderr) * _KIB)


@contextmanager
def running(*command: str, data: Path, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """A Python process that lives as long as the block."""
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
    return _kibibytes("VmRSS", Path(f"/proc/{process}/status").read_text()) * _KIB


def children(process: int) -> list[int]:
    return [
        int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()
    ]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_until(
    condition: Callable[[], bool], *, every: float = 0.02, longest: float = _LONGEST_WAIT_SECONDS
) -> None:
    """Raises TimeoutError where it never comes true."""
    end = perf_counter() + longest
    while not condition():
        if perf_counter() > end:
            raise TimeoutError
        time.sleep(every)


def megabytes(amount: int) -> str:
    return f"{amount / 1e6:.0f} MB"


def _processor_seconds() -> float:
    """Of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _kibibytes(field: str, status: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"no {field} in {status}")
    return int(found[1])
