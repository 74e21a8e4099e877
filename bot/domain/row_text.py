"""A training row as it is kept: its JSON, the text to search in, its fingerprint."""

from __future__ import annotations

import json
from typing import NamedTuple

from bot.domain.ids import Row
from bot.private_text import NO_PRIVATE_TEXT, PrivateText, may_be_private, row_kinds, row_texts
from bot.rows import fingerprint

_PLAIN = ("role", "content")
_quoted = json.encoder.encode_basestring
_as_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


class RowText(NamedTuple):
    """What is kept of a row: `search_text` is every text, folded."""

    json: str
    search_text: str
    fingerprint: str
    private: PrivateText


def row_text(row: Row) -> RowText:
    """Plain rows, of which imports are full, go a quick way."""
    told, search = _plain_text(row) or (_as_json(row), text_to_search(row))
    private = row_kinds(row) if may_be_private(search) else NO_PRIVATE_TEXT
    return RowText(told, search, short_fingerprint(row), private)


def short_fingerprint(row: Row) -> str:
    """The fingerprint as kept: 128 bits tell any two rows apart, and index in half the space."""
    return fingerprint(row)[:32]


def text_to_search(value: object) -> str:
    """Every text of a row, folded so that upper and lower case are the same in any script."""
    return "\n".join(row_texts(value)).casefold()


def _plain_text(row: Row) -> tuple[str, str] | None:
    messages = row.get("messages") if len(row) == 1 else None
    if type(messages) is not list or not messages:
        return None
    told: list[str] = []
    texts: list[str] = []
    for message in messages:
        if type(message) is not dict or tuple(message) != _PLAIN:
            return None
        role, content = message.values()
        if type(role) is not str or type(content) is not str:
            return None
        texts.append(content)
        told.append(f'{{"role":{_quoted(role)},"content":{_quoted(content)}}}')
    return f'{{"messages":[{",".join(told)}]}}', "\n".join(texts).casefold()
