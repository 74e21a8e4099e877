"""Removes greetings and signatures from mails by the names of the people in a ticket."""

import re
from collections.abc import Collection, Iterable
from typing import Final

from bot.imports.mail_text import is_signature_line

# A line that may precede a name at the end of a mail: no sentence, no item of a list.
_CLOSING: Final = re.compile(r"[^-*•\d\s][^.:;?。：；？\n]{0,38}[^.:;?。：；？\n]")
_SENTENCE_ENDS: Final = (".", "!", "?", "。", "！", "？")
_CLOSING_BEFORE_NAME: Final = re.compile(r"[^\W\d_]+(?: [^\W\d_]+){0,2}[,，]\s?")
_MAX_LINES: Final = 7
_MAX_GREETING_WORDS: Final = 2
_MIN_CLOSINGS: Final = 3


def recurring_closings(texts: Iterable[tuple[str, Collection[str]]]) -> frozenset[str]:
    """Returns lines such as “Kind regards”, which precede a name below several different texts.

    Each text comes with the names of the people in its ticket.
    """
    above: dict[str, set[int]] = {}
    for text, names in texts:
        lines = text.split("\n")
        at = _name_line(lines, names)
        rest = [line for line in lines[:at] if line]
        if at < len(lines) and len(rest) > 1 and _CLOSING.fullmatch(rest[-1]):
            above.setdefault(rest[-1], set()).add(hash(tuple(rest[:-1])))
    return frozenset(line for line, seen in above.items() if len(seen) >= _MIN_CLOSINGS)


def strip_greeting_and_signature(
    text: str, names: Collection[str], closings: Collection[str]
) -> str:
    """Returns the text without a first line that greets, and last lines that sign, by name.

    A name signs only below a whole sentence or a closing.
    """
    lines = text.split("\n")
    at = end = _name_line(lines, names)
    if at < len(lines):
        while end > 1 and (not lines[end - 1] or _is_closing(lines[end - 1], closings)):
            end -= 1
        if not any(lines[end:at]) and not lines[end - 1].endswith(_SENTENCE_ENDS):
            end = len(lines)
    body = lines[:end]
    if len(body) > 1 and not body[1] and _greets(body[0], names):
        body = body[1:]
    return "\n".join(body).strip() or text


def _is_closing(line: str, closings: Collection[str]) -> bool:
    return line in closings or (line.endswith(",") and _CLOSING.fullmatch(line) is not None)


def _name_line(lines: list[str], names: Collection[str]) -> int:
    """Returns the index of the line of a name below which no sentence follows, or the end."""
    filled = [at for at, line in enumerate(lines) if line]
    for at in filled[1:][-_MAX_LINES:]:
        below = [line for line in lines[at + 1 :] if line]
        if _is_name(lines[at], names, is_last=not below) and all(map(is_signature_line, below)):
            return at
    return len(lines)


def _is_name(line: str, names: Collection[str], *, is_last: bool) -> bool:
    """Whether a line is a name alone, or a full name after a few words and a comma.

    One word is a name in the last line only.
    """
    own = line.lstrip("/~—")
    if is_last and own in {*names, *_first_words(names)}:
        return True
    full_names = [name for name in names if " " in name]
    return own in full_names or any(
        line.endswith(name) and _CLOSING_BEFORE_NAME.fullmatch(line.removesuffix(name))
        for name in full_names
    )


def _greets(line: str, names: Collection[str]) -> bool:
    """Whether a line is one or two words, a name, and a comma."""
    last_words = {name.split()[-1] for name in names if name.strip()}
    return line.endswith((",", "，")) and any(
        0 < len(line[:-1].removesuffix(f" {name}").split()) <= _MAX_GREETING_WORDS
        for name in {*names, *_first_words(names), *last_words}
        if line[:-1].endswith(f" {name}")
    )


def _first_words(names: Collection[str]) -> set[str]:
    return {name.split()[0] for name in names if name.strip()}
