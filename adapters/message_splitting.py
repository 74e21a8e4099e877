"""Long text in pieces, with code blocks closed and opened again; pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})(.*)$", re.MULTILINE)


def open_fence(text: str) -> str:
    """The line that opened the code block in which a text ends; empty outside of one."""
    opened = ""
    for match in _FENCE.finditer(text):
        marks, info = match[1], match[2]
        if not opened:
            opened = match[0].strip()
        elif opened.startswith(marks[0] * 3) and _closes(marks, opened) and not info.strip():
            opened = ""
    return opened


def close_fence(text: str) -> str:
    """What must follow so that an open code block ends."""
    fence = open_fence(text)
    if not fence:
        return ""
    marks = fence[: _length(fence)]
    return f"\n{marks}" if not text.endswith("\n") else marks


def split(text: str, most: int) -> Iterator[str]:
    """Pieces of at most so many characters; code blocks go on in the next one."""
    while len(text) > most:
        room = most - 80
        cut = _boundary(text, room)
        piece, text = text[:cut], text[cut:]
        fence = open_fence(piece)
        yield piece + close_fence(piece)
        text = f"{fence[:60]}\n{text}" if fence else text.lstrip("\n")
    yield text


def chunks(text: str, most: int) -> Iterator[str]:
    """Pieces of plain text, broken between words where that is possible."""
    while len(text) > most:
        cut = _boundary(text, most)
        yield text[:cut]
        text = text[cut:]
    yield text


def _boundary(text: str, most: int) -> int:
    for mark in ("\n\n", "\n", " "):
        at = text.rfind(mark, most // 2, most)
        if at > 0:
            return at + len(mark)
    return most


def _closes(marks: str, opened: str) -> bool:
    return len(marks) >= _length(opened)


def _length(fence: str) -> int:
    return len(fence) - len(fence.lstrip(fence[0]))
