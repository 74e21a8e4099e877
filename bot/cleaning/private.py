"""The examples whose private text waits for a decision."""

from __future__ import annotations

from bot.commands import Handlers
from bot.domain import Example, ExampleFilter, ExampleId, ExampleState, Role
from bot.errors import NotFound
from bot.examples.cards import line_of
from bot.examples.changes import hidden
from bot.examples.review import warnings
from bot.examples.shown import masking_buttons, stamp
from bot.numerals import whole_number
from bot.ports.dependencies import Dependencies
from bot.private_text import ANY_PRIVATE_TEXT
from bot.replies import Button, Listing, ListingRow, Reply
from bot.request import Request
from bot.words import Words

handlers = Handlers()

_PAGE = 10
_LIVING = (ExampleState.PROPOSED, ExampleState.APPROVED)


@handlers.command("check", Role.CURATOR, is_private=True)
async def check(request: Request, deps: Dependencies) -> Reply:
    """What should be decided before training."""
    return await _listing(request, deps, after=ExampleId(0))


@handlers.button("check.private", Role.CURATOR, is_private=True)
async def more(request: Request, deps: Dependencies) -> Reply:
    """The examples behind the one that is named."""
    try:
        after = ExampleId(whole_number(request.argument or "0"))
    except ValueError:
        raise NotFound(noun="example", name=request.argument) from None
    return await _listing(request, deps, after=after)


async def _listing(request: Request, deps: Dependencies, *, after: ExampleId) -> Listing:
    filters = ExampleFilter(
        assistant=request.assistant.id,
        private_text=ANY_PRIVATE_TEXT,
        is_living=True,
        hidden=hidden(request),
        seen_from=request.place.channel,
    )
    async with deps.store.reading() as records:
        found = await records.examples.page(request.id, filters, after=after, limit=_PAGE + 1)
        total = await records.examples.count(request.id, filters)
    shown, words = found[:_PAGE], request.words
    is_more = len(found) > _PAGE
    return Listing(
        words("check.private"),
        tuple(_line(example, words) for example in shown),
        empty=words("check.private.none"),
        more=Button(words("list.more"), f"check.private:{shown[-1].id}") if is_more else None,
        total=total,
        replaces=bool(request.argument),
    )


def _line(example: Example, words: Words) -> ListingRow:
    line = line_of(example, words, may_decide=False)
    withdraw = Button(words("button.withdraw"), f"example.drop:{stamp(example)}")
    buttons = (*masking_buttons(example, words), withdraw)
    return ListingRow(line.id, line.text, " ".join(warnings(example, words)), buttons, line.facts)
