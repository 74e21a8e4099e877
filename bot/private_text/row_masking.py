"""Private text of a training row: what it holds, and the row with masks in its place."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from operator import or_

from bot.private_text.finding import NO_PRIVATE_TEXT, PrivateText, find_private

Row = Mapping[str, object]

_TEXTS = ("content", "text", "arguments", "reasoning_content", "refusal")
_MASK = re.compile(r"\[(SECRET|CARD|BANK|TAX|PHONE|EMAIL|ADDRESS)_(\d{1,6})\]")


def row_kinds(row: Row) -> PrivateText:
    """All kinds of private text in a row; none is zero."""
    found = (one.kind for text in row_texts(row) for one in find_private(text))
    return reduce(or_, found, NO_PRIVATE_TEXT)


def private_texts(row: Row) -> list[tuple[PrivateText, str]]:
    """Every private text of a row with its kind, each once, in order."""
    found = (
        (one.kind, text[one.start : one.end])
        for text in row_texts(row)
        for one in find_private(text)
    )
    return list(dict.fromkeys(found))


def mask_row(row: Row) -> dict[str, object]:
    """The row with `[EMAIL_1]` for an address: everywhere in the row the same for the same."""
    masks = _Masks(row)
    return {key: _changed(value, key, masks.mask) for key, value in row.items()}


class _Masks:
    """The masks of one row, numbered on from those that it has already."""

    def __init__(self, row: Row) -> None:
        self._given: dict[tuple[PrivateText, str], str] = {}
        self._last: dict[str, int] = {}
        for text in row_texts(row):
            for name, number in _MASK.findall(text):
                self._last[name] = max(self._last.get(name, 0), int(number))

    def mask(self, text: str) -> str:
        pieces, at = [], 0
        for one in find_private(text):
            pieces += [text[at : one.start], self._of(one.kind, text[one.start : one.end])]
            at = one.end
        return "".join([*pieces, text[at:]])

    def _of(self, kind: PrivateText, text: str) -> str:
        key = kind, _plain(kind, text)
        if key not in self._given:
            name = str(kind.name)
            self._last[name] = self._last.get(name, 0) + 1
            self._given[key] = f"[{name}_{self._last[name]}]"
        return self._given[key]


def _plain(kind: PrivateText, text: str) -> str:
    """The same for two ways to write one: case of an address, spaces and signs of a number."""
    if kind is PrivateText.SECRET:
        return text
    if kind in (PrivateText.EMAIL, PrivateText.ADDRESS):
        return text.casefold()
    return "".join(one for one in text if one.isalnum()).casefold()


def row_texts(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(inner, str):
                yield from row_texts(inner)
            elif key in _TEXTS:
                yield inner
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from row_texts(inner)


def _changed(value: object, key: str, change: Callable[[str], str]) -> object:
    if isinstance(value, Mapping):
        return {name: _changed(inner, name, change) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_changed(inner, "", change) for inner in value]
    if not isinstance(value, str) or key not in _TEXTS:
        return value
    return _changed_arguments(value, change) if key == "arguments" else change(value)


def _changed_arguments(text: str, change: Callable[[str], str]) -> str:
    """Arguments of a call stay JSON: a number that is masked becomes a string."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        return change(text)
    changed = _changed_json(given, change)
    return text if changed == given else json.dumps(changed, ensure_ascii=False)


def _changed_json(value: object, change: Callable[[str], str]) -> object:
    if isinstance(value, Mapping):
        return {name: _changed_json(inner, change) for name, inner in value.items()}
    if isinstance(value, list):
        return [_changed_json(inner, change) for inner in value]
    if isinstance(value, str):
        return change(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        changed = change(str(value))
        return value if changed == str(value) else changed
    return value
