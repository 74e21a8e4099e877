"""Splits long texts into messages, closing and reopening their code blocks; pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

MAX_CLOSING_FENCE_LENGTH = 80
"""UTF-16 code units that a message keeps free for the end of a code block."""
_MAX_FENCE_LENGTH = 60
_WIDE = re.compile("[\U00010000-\U0010ffff]")
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})(.*)$", re.MULTILINE)


def unclosed_fence(text: str) -> str:
    """Returns the line that opens a text's unclosed code block, or "" if there is none."""
    opened = ""
    for match in _FENCE.finditer(text):
        marks, info = match[1], match[2]
        if not opened:
            opened = match[0].strip()
        elif opened.startswith(marks[0] * 3) and _closes(marks, opened) and not info.strip():
            opened = ""
    return opened


def closing_fence(text: str) -> str:
    """Returns the text that closes an unclosed code block, or "" if there is none."""
    fence = unclosed_fence(text)
    if not fence:
        return ""
    marks = fence[: _length(fence)]
    return f"\n{marks}" if not text.endswith("\n") else marks


def utf16_length(text: str) -> int:
    """Returns the length in UTF-16 code units, in which platforms measure messages."""
    return len(text) + len(_WIDE.findall(text))


def fitting_length(text: str, most: int) -> int:
    """Returns how many characters of a text fit into `most` UTF-16 code units."""
    if utf16_length(text) <= most:
        return len(text)
    units = 0
    for index, character in enumerate(text):
        units += 2 if ord(character) > 0xFFFF else 1
        if units > most:
            return index
    return len(text)


def close_code_block(text: str, longest: int) -> str:
    """Returns a text with its code block closed, unless the result is longer than `longest`."""
    whole = text + closing_fence(text)
    return whole if utf16_length(whole) <= longest else text


def reopen_code_block(before: str, rest: str) -> str:
    """Returns the text after a cut, with the unclosed code block of the text before reopened."""
    fence = unclosed_fence(before)[:_MAX_FENCE_LENGTH]
    return f"{fence}\n{rest}" if fence else rest.lstrip("\n")


def split_off_message(text: str, longest: int) -> tuple[str, str]:
    """Returns the first message of a text, at most `longest` UTF-16 code units, and the rest."""
    if len(text) <= longest and utf16_length(text + closing_fence(text)) <= longest:
        return text, ""
    most = max(1, fitting_length(text[:longest], longest - MAX_CLOSING_FENCE_LENGTH))
    cut = cut_position(text, most) or most
    page, rest = close_code_block(text[:cut], longest), reopen_code_block(text[:cut], text[cut:])
    # A fence as long as a message would be reopened for ever.
    return (page, rest) if len(rest) < len(text) else (text[:most], text[most:])


def split_messages(text: str, longest: int) -> Iterator[str]:
    """Yields messages of at most `longest` UTF-16 code units; code blocks are reopened."""
    page, rest = split_off_message(text, longest)
    yield page
    while rest:
        page, rest = split_off_message(rest, longest)
        yield page


def split_at_words(text: str, most: int) -> Iterator[str]:
    """Yields pieces of at most `most` characters, cut between words where that is possible."""
    while len(text) > most:
        cut = cut_position(text, most) or most
        yield text[:cut]
        text = text[cut:]
    yield text


def cut_position(text: str, most: int) -> int:
    """Returns where to cut a text to at most `most` characters: after a paragraph, line or word.

    The position is in the second half of these characters, or 0 if there is no such place there.
    It is the length of the text if the text is short enough.
    """
    if len(text) <= most:
        return len(text)
    for separator in ("\n\n", "\n", " "):
        position = text.rfind(separator, most // 2, most)
        if position >= 0:
            return position + len(separator)
    return 0


def _closes(marks: str, opened: str) -> bool:
    return len(marks) >= _length(opened)


def _length(fence: str) -> int:
    return len(fence) - len(fence.lstrip(fence[0]))
