"""Extracts the text of PDF and Word files in a child process, which may crash or time out."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256

_SECONDS = 25.0
_MAX_CONCURRENT = 2
_MAX_CACHED = 16
_MAX_LINE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class DocumentText:
    """The text of the first `pages_read` pages; `problem` is "locked", "unread" or ""."""

    text: str
    pages_read: int = 0
    page_count: int = 0
    problem: str = ""


class PdfDocxReader:
    """Reads at most two files at a time, and caches the texts of the last few files.

    Each later question of a conversation reads the same files again.
    """

    def __init__(self) -> None:
        self._gate = asyncio.Semaphore(_MAX_CONCURRENT)
        self._cache: OrderedDict[tuple[bytes, int], DocumentText] = OrderedDict()

    async def read_text(self, content: bytes, max_characters: int) -> DocumentText:
        """Returns the text of a file's first pages, about `max_characters` in total."""
        key = sha256(content).digest(), max_characters
        if key not in self._cache:
            async with self._gate:
                self._cache[key] = await _read(content, max_characters)
            while len(self._cache) > _MAX_CACHED:
                self._cache.popitem(last=False)
        return self._cache[key]


async def _read(content: bytes, max_characters: int) -> DocumentText:
    """Runs `bot.pdf_docx_program`; after the time limit, returns the pages read until then."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot.pdf_docx_program", str(max_characters)),
        stdin=pipe,
        stdout=pipe,
        stderr=asyncio.subprocess.DEVNULL,
        limit=_MAX_LINE_BYTES,
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
    """Returns the text of the program's output; an incomplete last line is ignored."""
    output = [json.loads(line) for line in lines if line.endswith(b"\n")]
    pages = [value for value in output if "text" in value]
    problem = next((str(value["problem"]) for value in output if "problem" in value), "")
    if not pages:
        return DocumentText("", problem=problem or "unread")
    text = "\n\n".join(str(page["text"]) for page in pages).strip()
    return DocumentText(text, len(pages), int(pages[0]["of"]))
