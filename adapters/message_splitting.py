"""Long text in pieces, with code blocks closed and opened again; pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

FENCE_ROOM = 80
"""UTF-16 code units that a message keeps free for the end of a code block."""
_LONGEST_FENCE = 60
_WIDE = re.compile("[\U00010000-\U0010ffff]")
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})(.*)$", re.MULTILINE)


def unclosed_fence(text: str) -> str:
    """The line that opened the code block in which a text ends; empty outside of one."""
    opened = ""
    for match in _FENCE.finditer(text):
        marks, info = match[1], match[2]
        if not opened:
            opened = match[0].strip()
        elif opened.startswith(marks[0] * 3) and _closes(marks, opened) and not info.strip():
            opened = ""
    return opened


def closing_fence(text: str) -> str:
    """What must follow so that an open code block ends."""
    fence = unclosed_fence(text)
    if not fence:
        return ""
    marks = fence[: _length(fence)]
    return f"\n{marks}" if not text.endswith("\n") else marks


def length(text: str) -> int:
    """UTF-16 code units, in which the platforms' clients count."""
    return len(text) + len(_WIDE.findall(text))


def fitting_length(text: str, most: int) -> int:
    """How many characters of a text take at most so many UTF-16 code units."""
    if length(text) <= most:
        return len(text)
    units = 0
    for at, character in enumerate(text):
        units += 2 if ord(character) > 0xFFFF else 1
        if units > most:
            return at
    return len(text)


def close_code_block(text: str, longest: int) -> str:
    """With an open code block ended, unless that makes it longer than a message may be."""
    whole = text + closing_fence(text)
    return whole if length(whole) <= longest else text


def reopen_code_block(before: str, rest: str) -> str:
    """What follows a cut, with the code block of the text before it opened again."""
    fence = unclosed_fence(before)[:_LONGEST_FENCE]
    return f"{fence}\n{rest}" if fence else rest.lstrip("\n")


def first_page(text: str, longest: int) -> tuple[str, str]:
    """The first message of a text, at most so many UTF-16 code units, and what is left."""
    if len(text) <= longest and length(text + closing_fence(text)) <= longest:
        return text, ""
    most = max(1, fitting_length(text[:longest], longest - FENCE_ROOM))
    cut = boundary(text, most) or most
    page, rest = close_code_block(text[:cut], longest), reopen_code_block(text[:cut], text[cut:])
    # A fence as long as the page would be carried on for ever.
    return (page, rest) if len(rest) < len(text) else (text[:most], text[most:])


def split(text: str, longest: int) -> Iterator[str]:
    """Messages of at most so many UTF-16 code units; code blocks go on in the next one."""
    page, rest = first_page(text, longest)
    yield page
    while rest:
        page, rest = first_page(rest, longest)
        yield page


def chunks(text: str, most: int) -> Iterator[str]:
    """Pieces of plain text, broken between words where that is possible."""
    while len(text) > most:
        cut = boundary(text, most) or most
        yield text[:cut]
        text = text[cut:]
    yield text


def boundary(text: str, most: int) -> int:
    """Where to cut so many characters: after a paragraph, line or word, in their second half.

    0 if there is no such place, the length of the text if nothing need be cut.
    """
    if len(text) <= most:
        return len(text)
    for mark in ("\n\n", "\n", " "):
        at = text.rfind(mark, most // 2, most)
        if at >= 0:
            return at + len(mark)
    return 0


def _closes(marks: str, opened: str) -> bool:
    return len(marks) >= _length(opened)


def _length(fence: str) -> int:
    return len(fence) - len(fence.lstrip(fence[0]))
