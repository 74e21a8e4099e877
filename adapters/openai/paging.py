"""Reads the pages of a host's list, also of hosts with faulty pagination."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import httpx2

from adapters.openai import response_parsing
from adapters.openai.response_parsing import Json

log = logging.getLogger(__name__)

ROWS_PER_PAGE = 100
MAX_PAGES = 50

FetchPage = Callable[[str | None], Awaitable[httpx2.Response]]


async def read_pages(
    fetch: FetchPage, *, content: Callable[[Json], tuple[str, ...]] | None = None
) -> AsyncIterator[Sequence[Json]]:
    """Yields the new rows of each page; ends at a page without new rows or after 50 pages.

    Some hosts leave out `has_more`, and some ignore `after` and repeat the first page. `content`
    returns the values that identify a row, for rows without an id or with a new id at every call.
    """
    seen: set[object] = set()
    after: str | None = None
    for _ in range(MAX_PAGES):
        rows, has_more = response_parsing.read_page(
            response_parsing.parse_json_object(await fetch(after))
        )
        new = [row for row in rows if _is_new(row, seen, content)]
        if new:
            yield new
        after = response_parsing.id_of_row(rows[-1]) if rows else None
        if not new or has_more is False or after is None:
            return
    log.warning("a host's list did not end", extra={"pages": MAX_PAGES})


def _is_new(
    row: Json, seen: set[object], content: Callable[[Json], tuple[str, ...]] | None
) -> bool:
    """Whether a row is new; adds its id and content to `seen`."""
    keys: set[object] = {content(row)} if content else set()
    if identity := response_parsing.id_of_row(row):
        keys.add(identity)
    is_new = bool(keys) and not keys & seen
    seen |= keys
    return is_new
