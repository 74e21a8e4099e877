"""An example as columns, and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row as Found

from bot.domain import Example, ExampleId, Exclusion, NewExample, Row, Source, UserId, WorkspaceId
from bot.private_text import PrivateText, row_kinds, row_texts
from bot.rows import fingerprint
from storage.columns import as_json

_PLAIN = ("role", "content")
_quoted = json.encoder.encode_basestring


def columns_of(workspace: WorkspaceId, example: NewExample, *, at: datetime) -> dict[str, object]:
    source = example.source
    return {
        "workspace": workspace,
        "assistant": example.assistant,
        "method": example.method,
        "state": example.state,
        "revision": 1,
        "revised_at": at,
        "origin": example.origin,
        "channel": source and source.channel,
        "message": source and source.message,
        "thread": source and source.thread,
        "permalink": source and source.permalink,
        "held_out": False,
        "created_at": at,
        "updated_at": at,
        "exclusions": int(example.exclusions),
        **text_columns_of(example.row),
    }


def text_columns_of(row: Row | None) -> dict[str, object]:
    """The text and what is drawn from it: they come, change and go together."""
    if row is None:
        return {"row": None, "search_text": None, "fingerprint": None, "private_text": 0}
    return {
        "row": row,
        "search_text": searchable(row),
        "fingerprint": mark_of(row),
        "private_text": int(row_kinds(row)),
    }


def mark_of(row: Row) -> str:
    """The fingerprint as kept: 128 bits tell any two rows apart, and index in half the space."""
    return fingerprint(row)[:32]


def as_text(row: Row | None) -> tuple[str | None, str | None]:
    """A row as JSON and its texts to search in; plain rows, of which imports are full, quickly."""
    if row is None:
        return None, None
    messages = row.get("messages") if len(row) == 1 else None
    told: list[str] = []
    texts: list[str] = []
    for message in messages if type(messages) is list else ():
        if type(message) is not dict or tuple(message) != _PLAIN:
            break
        role, content = message["role"], message["content"]
        if type(role) is not str or type(content) is not str:
            break
        texts.append(content)
        told.append(f'{{"role":{_quoted(role)},"content":{_quoted(content)}}}')
    else:
        if told:
            return f'{{"messages":[{",".join(told)}]}}', "\n".join(texts).casefold()
    return as_json(row), searchable(row)


def searchable(value: object) -> str:
    """Every text of a row, folded so that upper and lower case are the same in any script."""
    return "\n".join(row_texts(value)).casefold()


def kept(example: NewExample, workspace: WorkspaceId, number: int, *, at: datetime) -> Example:
    """What a new example has become, without asking the database."""
    return Example(
        id=ExampleId(number),
        workspace=workspace,
        assistant=example.assistant,
        method=example.method,
        state=example.state,
        row=example.row,
        revision=1,
        origin=example.origin,
        authors=tuple(dict.fromkeys(example.authors)),
        source=example.source,
        tags=tuple(dict.fromkeys(example.tags)),
        held_out=False,
        created_at=at,
        updated_at=at,
        exclusions=example.exclusions,
        private_text=row_kinds(example.row or {}),
    )


def example_of(row: Found[Any], authors: Sequence[UserId], tags: Sequence[str]) -> Example:
    return Example(
        id=row.id,
        workspace=row.workspace,
        assistant=row.assistant,
        method=row.method,
        state=row.state,
        row=row.row,
        revision=row.revision,
        origin=row.origin,
        authors=tuple(authors),
        source=_source_of(row),
        tags=tuple(tags),
        held_out=row.held_out,
        created_at=row.created_at,
        updated_at=row.updated_at,
        exclusions=Exclusion(row.exclusions),
        decided_by=row.decided_by,
        private_text=PrivateText(row.private_text),
        keeps_private_text=row.keeps_private_text,
    )


def _source_of(row: Found[Any]) -> Source | None:
    if row.message is None:
        return None
    return Source(row.channel, row.message, row.thread, row.permalink)
