"""Finds the private text of a training row, and replaces it by placeholders."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from operator import or_

from bot.private_text.detection import find_private_text
from bot.private_text.kinds import NO_PRIVATE_TEXT, PrivateText

Row = Mapping[str, object]

_TEXTS = ("content", "text", "arguments", "reasoning_content", "refusal")
_MASK = re.compile(r"\[(SECRET|CARD|BANK|TAX|PHONE|EMAIL|ADDRESS)_(\d{1,6})\]")


def private_kinds_in_row(row: Row) -> PrivateText:
    """Returns all kinds of private text in a row; zero for none."""
    kinds = (finding.kind for text in row_texts(row) for finding in find_private_text(text))
    return reduce(or_, kinds, NO_PRIVATE_TEXT)


def private_texts_in_row(row: Row) -> list[tuple[PrivateText, str]]:
    """Returns (kind, text) of a row's private text, without duplicates, in order."""
    texts = (
        (finding.kind, text[finding.start : finding.end])
        for text in row_texts(row)
        for finding in find_private_text(text)
    )
    return list(dict.fromkeys(texts))


def mask_row(row: Row) -> dict[str, object]:
    """Returns the row with placeholders like `[EMAIL_1]`; equal texts get the same one."""
    masks = _Placeholders(row)
    return {key: _map_texts(value, key, masks.mask) for key, value in row.items()}


class _Placeholders:
    """Placeholders of one row; their numbers continue those that the row has already."""

    def __init__(self, row: Row) -> None:
        self._placeholders: dict[tuple[PrivateText, str], str] = {}
        self._last: dict[str, int] = {}
        for text in row_texts(row):
            for name, number in _MASK.findall(text):
                self._last[name] = max(self._last.get(name, 0), int(number))

    def mask(self, text: str) -> str:
        """Returns the text with placeholders."""
        parts, end = [], 0
        for finding in find_private_text(text):
            private = text[finding.start : finding.end]
            parts += [text[end : finding.start], self._placeholder(finding.kind, private)]
            end = finding.end
        return "".join([*parts, text[end:]])

    def _placeholder(self, kind: PrivateText, text: str) -> str:
        key = kind, _normalised(kind, text)
        if key not in self._placeholders:
            name = str(kind.name)
            self._last[name] = self._last.get(name, 0) + 1
            self._placeholders[key] = f"[{name}_{self._last[name]}]"
        return self._placeholders[key]


def _normalised(kind: PrivateText, text: str) -> str:
    """Returns a form that is equal for spellings with other case, spaces or separators."""
    if kind is PrivateText.SECRET:
        return text
    if kind in (PrivateText.EMAIL, PrivateText.ADDRESS):
        return text.casefold()
    return "".join(char for char in text if char.isalnum()).casefold()


def row_texts(value: object) -> Iterator[str]:
    """Yields every text of a row that a model reads, with the arguments of tool calls."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(inner, str):
                yield from row_texts(inner)
            elif key in _TEXTS:
                yield inner
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from row_texts(inner)


def _map_texts(value: object, key: str, change: Callable[[str], str]) -> object:
    if isinstance(value, Mapping):
        return {name: _map_texts(inner, name, change) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_map_texts(inner, "", change) for inner in value]
    if not isinstance(value, str) or key not in _TEXTS:
        return value
    return _map_arguments(value, change) if key == "arguments" else change(value)


def _map_arguments(text: str, change: Callable[[str], str]) -> str:
    """Changes the values of a call's JSON arguments; a masked number becomes a string."""
    try:
        arguments = json.loads(text)
    except (ValueError, RecursionError):
        return change(text)
    changed = _map_json(arguments, change)
    return text if changed == arguments else json.dumps(changed, ensure_ascii=False)


def _map_json(value: object, change: Callable[[str], str]) -> object:
    if isinstance(value, Mapping):
        return {name: _map_json(inner, change) for name, inner in value.items()}
    if isinstance(value, list):
        return [_map_json(inner, change) for inner in value]
    if isinstance(value, str):
        return change(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        changed = change(str(value))
        return value if changed == str(value) else changed
    return value
