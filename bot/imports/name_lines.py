"""Removes greetings and signatures from mails by the names of the people in a ticket."""

import re
from collections.abc import Collection, Iterable
from typing import Final

# A line that may precede a name at the end of a mail: no sentence, no item of a list.
_CLOSING: Final = re.compile(r"[^-*•\d\s][^.:;?。：；？\n]{0,38}[^.:;?。：；？\n]")
_SENTENCE: Final = re.compile(r"[?:;。？：；]|[.!！]$")
_MAX_LINES, _MAX_WORDS, _MAX_LENGTH, _MAX_LENGTH_BELOW = 7, 5, 60, 90
"""Limits of a signature, of a line with a name, and of the lines below it."""
_MIN_CLOSINGS: Final = 3
_MIN_NAME: Final = 2


def recurring_closings(texts: Iterable[tuple[str, Collection[str]]]) -> frozenset[str]:
    """Returns lines such as “Kind regards”, which precede a name below several different texts.

    Each text comes with the names of the people in its ticket.
    """
    above: dict[str, set[int]] = {}
    for text, names in texts:
        lines = text.split("\n")
        at = _signature_start(lines, names)
        rest = [line for line in lines[:at] if line]
        if at < len(lines) and len(rest) > 1 and _CLOSING.fullmatch(rest[-1]):
            above.setdefault(rest[-1], set()).add(hash(tuple(rest[:-1])))
    return frozenset(line for line, seen in above.items() if len(seen) >= _MIN_CLOSINGS)


def strip_greeting_and_signature(
    text: str, names: Collection[str], closings: Collection[str]
) -> str:
    """Returns the text without a first line that greets, and last lines that sign, by name."""
    lines = text.split("\n")
    end = _signature_start(lines, names)
    if end < len(lines):
        while end > 1 and (not lines[end - 1] or _is_closing(lines[end - 1], closings)):
            end -= 1
    body = lines[:end]
    last_words = {name.split()[-1] for name in names if name.strip()}
    if len(body) > 1 and _ends_with(body[0].rstrip(",，:：!！。. "), {*names, *last_words}):
        body = body[1:]
    return "\n".join(body).strip() or text


def _is_closing(line: str, closings: Collection[str]) -> bool:
    return line in closings or (line.endswith(",") and _CLOSING.fullmatch(line) is not None)


def _signature_start(lines: list[str], names: Collection[str]) -> int:
    """Returns the index of the line with a name from which only short lines follow."""
    filled = [at for at, line in enumerate(lines) if line]
    for at in filled[1:][-_MAX_LINES:]:
        is_name = _ends_with(lines[at], names) or any(
            lines[at].startswith(name) and len(lines[at]) <= _MAX_LENGTH for name in names
        )
        if is_name and all(len(line) <= _MAX_LENGTH_BELOW for line in lines[at:]):
            return at
    return len(lines)


def _ends_with(line: str, names: Collection[str]) -> bool:
    """Whether a line is no sentence and ends with a name, or with the first word of one."""
    words = line.split()
    if not 0 < len(words) <= _MAX_WORDS or len(line) > _MAX_LENGTH or _SENTENCE.search(line):
        return False
    firsts = {name.split()[0] for name in names if name.strip()}
    return any(
        len(name) >= _MIN_NAME and re.search(rf"(?:^|\W){re.escape(name)}$", line)
        for name in {*names, *firsts}
    )
