"""Converts an example to columns and back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row as Found

from bot.domain import (
    Example,
    ExampleId,
    ExampleSource,
    Exclusion,
    NewExample,
    Row,
    SyntheticOrigin,
    UserId,
    WorkspaceId,
    to_row_text,
)
from bot.private_text import PrivateText, private_kinds_in_row


def example_columns(
    workspace: WorkspaceId, example: NewExample, *, at: datetime
) -> dict[str, object]:
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
        **_synthetic_columns_of(example.synthetic),
        **row_text_columns(example.row),
    }


def row_text_columns(row: Row | None) -> dict[str, object]:
    """Returns the text and the columns derived from it, which always change together."""
    if row is None:
        return {"row": None, "search_text": None, "fingerprint": None, "private_text": 0}
    text = to_row_text(row)
    return {
        "row": row,
        "search_text": text.search_text,
        "fingerprint": text.fingerprint,
        "private_text": int(text.private),
    }


def example_from_new(
    example: NewExample, workspace: WorkspaceId, number: int, *, at: datetime
) -> Example:
    """Returns the stored form of a new example without a query."""
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
        private_text=private_kinds_in_row(example.row or {}),
        synthetic=example.synthetic,
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
        synthetic=_synthetic_of(row),
    )


def _synthetic_columns_of(synthetic: SyntheticOrigin | None) -> dict[str, object]:
    return {
        "derived_from": synthetic and synthetic.source,
        "written_by": synthetic and synthetic.model,
        "replaces_source": synthetic is not None and synthetic.replaces_source,
    }


def _synthetic_of(row: Found[Any]) -> SyntheticOrigin | None:
    if row.derived_from is None:
        return None
    return SyntheticOrigin(row.derived_from, row.written_by, row.replaces_source)


def _source_of(row: Found[Any]) -> ExampleSource | None:
    if row.message is None:
        return None
    return ExampleSource(row.channel, row.message, row.thread, row.permalink)
