"""Which code runs in the event loop's thread, where it holds up everybody."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).parents[1]


@contextmanager
def calls_in_event_loop(*modules: str) -> Iterator[set[str]]:
    """Collects `module:function` of calls in this thread; `modules` are paths like `bot/rows`."""
    prefixes = tuple(str(ROOT / module) for module in modules)
    calls: set[str] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(prefixes):
            calls.add(f"{code.co_filename.removeprefix(f'{ROOT}/')}:{code.co_name}")

    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(None)
