"""Stored form of a training row: its JSON, search text, fingerprint and kinds of private text."""

from __future__ import annotations

import json
from typing import NamedTuple

from bot.domain.ids import Row
from bot.private_text import (
    NO_PRIVATE_TEXT,
    PrivateText,
    may_contain_private_text,
    private_kinds_in_row,
    row_texts,
)
from bot.rows import fingerprint

_PLAIN_KEYS = ("role", "content")
_encode_string = json.encoder.encode_basestring
_encode_row = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


class RowText(NamedTuple):
    """Stored form of a row; `search_text` is every text of the row, case-folded."""

    json: str
    search_text: str
    fingerprint: str
    private: PrivateText


def to_row_text(row: Row) -> RowText:
    """Returns the stored form of a row."""
    encoded, search = _encode_plain_row(row) or (_encode_row(row), to_search_text(row))
    private = private_kinds_in_row(row) if may_contain_private_text(search) else NO_PRIVATE_TEXT
    return RowText(encoded, search, short_fingerprint(row), private)


def short_fingerprint(row: Row) -> str:
    """Returns the stored fingerprint: the first 128 bits in hex, half the index space of 256."""
    return fingerprint(row)[:32]


def to_search_text(value: object) -> str:
    """Returns every text of a row, case-folded, one a line."""
    return "\n".join(row_texts(value)).casefold()


def _encode_plain_row(row: Row) -> tuple[str, str] | None:
    """Returns JSON and search text of a row whose messages have only a role and a text, else None.

    Most rows of an import are such rows; this is faster than the general encoder.
    """
    messages = row.get("messages") if len(row) == 1 else None
    if type(messages) is not list or not messages:
        return None
    encoded: list[str] = []
    texts: list[str] = []
    for message in messages:
        if type(message) is not dict or tuple(message) != _PLAIN_KEYS:
            return None
        role, content = message.values()
        if type(role) is not str or type(content) is not str:
            return None
        texts.append(content)
        encoded.append(f'{{"role":{_encode_string(role)},"content":{_encode_string(content)}}}')
    return f'{{"messages":[{",".join(encoded)}]}}', "\n".join(texts).casefold()
