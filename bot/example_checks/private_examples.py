"""Lists the examples whose private text waits for a decision."""

from __future__ import annotations

from dataclasses import replace

from bot.domain import Example, ExampleId
from bot.example_checks.check_runner import visible_examples_filter
from bot.examples.example_buttons import example_state_token, masking_buttons
from bot.examples.example_cards import example_list_row
from bot.examples.review_queue import private_text_warnings
from bot.ports.dependencies import Dependencies
from bot.private_text import ANY_PRIVATE_TEXT
from bot.replies import Button, Listing, ListingRow
from bot.request import Request
from bot.words import Words

_PAGE = 10


async def list_private_examples(
    request: Request, deps: Dependencies, *, after: ExampleId
) -> Listing:
    """Returns a page of the examples with undecided private text, after the id `after`."""
    filters = replace(visible_examples_filter(request), undecided_private_text=ANY_PRIVATE_TEXT)
    async with deps.store.reading() as records:
        page = await records.examples.page(
            request.workspace_id, filters, after=after, limit=_PAGE + 1
        )
        total = await records.examples.count(request.workspace_id, filters)
    shown, words = page[:_PAGE], request.words
    is_more = len(page) > _PAGE
    return Listing(
        words("check.private"),
        tuple(_line(example, words) for example in shown),
        empty=words("check.private.none"),
        more=Button(words("list.more"), f"check.show:private:{shown[-1].id}") if is_more else None,
        total=total,
        private=True,
        replaces=after > 0,
    )


def _line(example: Example, words: Words) -> ListingRow:
    line = example_list_row(example, words, may_decide=False)
    withdraw = Button(words("button.withdraw"), f"example.drop:{example_state_token(example)}")
    buttons = (*masking_buttons(example, words), withdraw)
    return ListingRow(
        line.id, line.text, " ".join(private_text_warnings(example, words)), buttons, line.facts
    )
