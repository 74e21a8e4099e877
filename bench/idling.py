"""Memory of an idle service."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.figures import Figure
from bench.processes import children, free_port, megabytes, resident_bytes, running, wait_until

BOT_BYTES = 200_000_000
TUNER_BYTES = 100_000_000

_SETTLING_SECONDS = 3.0


def measure() -> Iterable[Figure]:
    port = free_port()
    with (
        TemporaryDirectory() as data,
        running("-m", "attune", "run", data=Path(data), ATTUNE_STUDIO_PORT=str(port)) as bot,
    ):
        wait_until(partial(_is_ready, port))
        time.sleep(_SETTLING_SECONDS)
        (tuner,) = children(bot.pid)
        yield _memory("the bot, idle", bot.pid, BOT_BYTES)
        yield _memory("the embedded tuner, idle", tuner, TUNER_BYTES)


def _memory(name: str, process: int, limit: int) -> Figure:
    used = resident_bytes(process)
    return Figure(f"memory of {name}", megabytes(used), f"≤ {megabytes(limit)}", used <= limit)


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=4) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, TimeoutError):
        return False
