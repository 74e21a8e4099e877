"""Pages of lists: the query parameters, and the list object of an answer."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from starlette.requests import Request

from tuner.errors import ApiError
from tuner.store.database import number_of_identifier

MAX_PAGE_SIZE = 10_000
MAX_QUERY_PARAMETERS = 64


@dataclass(frozen=True, slots=True)
class Page:
    """Parameters of a page; `after` is the sequence number of the last row that the client has."""

    after: int | None
    limit: int

    @property
    def limit_plus_one(self) -> int:
        """One row more than the limit, which shows whether there are more."""
        return self.limit + 1


def page_of(request: Request, *, default_limit: int, others: Collection[str] = ()) -> Page:
    """Returns the page in the query. Raises ApiError for unknown parameters."""
    query = request.query_params
    if len(query.multi_items()) > MAX_QUERY_PARAMETERS:
        raise ApiError("The query has too many parameters.")
    for name in query:
        if name not in ("after", "limit") and name not in others:
            raise ApiError(
                f"Unrecognized request argument supplied: {name}",
                param=name,
                code="unknown_parameter",
            )
        if "\0" in query[name]:
            raise ApiError(f"'{name}' contains a NUL character.", param=name)
    after = query.get("after")
    return Page(
        after=number_of_identifier(after, param="after") if after else None,
        limit=_limit(query.get("limit"), default_limit),
    )


def _limit(text: str | None, default: int) -> int:
    if text is None:
        return default
    is_number = text.isascii() and text.isdigit() and len(text) <= 9
    if not is_number or not 1 <= int(text) <= MAX_PAGE_SIZE:
        raise ApiError(f"'limit' must be a number from 1 to {MAX_PAGE_SIZE}.", param="limit")
    return int(text)


def list_object(rows: Sequence[dict[str, object]], page: Page) -> dict[str, object]:
    return {"object": "list", "data": rows[: page.limit], "has_more": len(rows) > page.limit}


def with_first_and_last_id(body: dict[str, object], *, empty: str | None) -> dict[str, object]:
    """Adds the ids of the first and last row; `empty` if the page has no rows."""
    rows = body["data"]
    ids = [row["id"] for row in rows] if isinstance(rows, list) else []
    return {**body, "first_id": ids[0] if ids else empty, "last_id": ids[-1] if ids else empty}
