"""Text of PDF and Word files, read by a process of its own that cannot take this one with it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256

_SECONDS = 25.0
_AT_ONCE = 2
_KEPT = 16
_LONGEST_LINE = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class DocumentText:
    """The text of the first `read` of `of` pages; `problem` is "locked", "unread" or none."""

    text: str
    pages_read: int = 0
    page_count: int = 0
    problem: str = ""


class Documents:
    """Reads two at a time at most, and keeps the last few texts, as talks come back to them."""

    def __init__(self) -> None:
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._known: OrderedDict[tuple[bytes, int], DocumentText] = OrderedDict()

    async def read(self, content: bytes, room: int) -> DocumentText:
        """About the first `room` characters of it."""
        key = sha256(content).digest(), room
        if key not in self._known:
            async with self._gate:
                self._known[key] = await _read(content, room)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return self._known[key]


async def _read(content: bytes, room: int) -> DocumentText:
    """What came before the time was up counts."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot.document_reader", str(room)),
        stdin=pipe,
        stdout=pipe,
        stderr=asyncio.subprocess.DEVNULL,
        limit=_LONGEST_LINE,
    )
    lines: list[bytes] = []
    try:
        async with asyncio.timeout(_SECONDS), asyncio.TaskGroup() as group:
            group.create_task(_write(process, content))
            assert process.stdout is not None
            async for line in process.stdout:
                lines += [line]
    except* (TimeoutError, ValueError):
        pass
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await process.wait()
    return _document(lines)


async def _write(process: asyncio.subprocess.Process, content: bytes) -> None:
    assert process.stdin is not None
    with contextlib.suppress(ConnectionError):
        process.stdin.write(content)
        await process.stdin.drain()
        process.stdin.close()


def _document(lines: list[bytes]) -> DocumentText:
    told = [json.loads(line) for line in lines if line.endswith(b"\n")]
    pages = [one for one in told if "text" in one]
    problem = next((str(one["problem"]) for one in told if "problem" in one), "")
    if not pages:
        return DocumentText("", problem=problem or "unread")
    text = "\n\n".join(str(one["text"]) for one in pages).strip()
    return DocumentText(text, len(pages), int(pages[0]["of"]))
