"""The queue of proposed examples, one card after the other."""

from __future__ import annotations

from bot.domain import (
    Example,
    ExampleFilter,
    ExampleId,
    ExampleState,
)
from bot.examples.exchange import names_of
from bot.examples.keeping import hidden, number
from bot.examples.shown import stamp
from bot.examples.texts import readable
from bot.examples.writing import write_button
from bot.ports.dependencies import Surfaces
from bot.ports.store import Store
from bot.redaction import findings
from bot.replies import (
    Button,
    Card,
    Fact,
    Reply,
)
from bot.request import Request
from bot.words import Words


async def review(
    ask: Request,
    *,
    store: Store,
    surfaces: Surfaces,
    after: ExampleId | None = None,
    done: str = "",
) -> Card:
    """The next proposed example, as a card that is replaced by the one after it."""
    waiting = ExampleFilter(
        assistant=ask.assistant.id,
        state=ExampleState.PROPOSED,
        hidden=hidden(ask),
        seen_from=ask.place.channel,
    )
    async with store.reading() as records:
        page = await records.examples.page(ask.id, waiting, after=after, limit=1)
        if not page and after is not None:
            page = await records.examples.page(ask.id, waiting, limit=1)
        left = await records.examples.count(ask.id, waiting)
    if not page:
        return Card(ask.words("review.empty"), lines=_some(done), replaces=bool(done))
    authors = await names_of(ask, page[0].authors, surfaces)
    return _review_card(ask, page[0], authors, left, done)


async def skip(ask: Request, *, store: Store, surfaces: Surfaces) -> Reply:
    example, done = number(ask), ask.words("review.skipped")
    return await review(ask, store=store, surfaces=surfaces, after=example, done=done)


def _review_card(ask: Request, example: Example, authors: str, left: int, done: str) -> Card:
    words = ask.words
    return Card(
        title=words("review.title", id=example.id, count=left),
        lines=(*_some(done), *spoken_lines(example, words), *warnings(example, words)),
        facts=(
            Fact(words("fact.origin"), words(f"origin.{example.origin}")),
            Fact(words("fact.authors"), authors or "–"),
        ),
        buttons=review_buttons(example, words),
        replaces=bool(done),
    )


def review_buttons(example: Example, words: Words) -> tuple[Button, ...]:
    return (
        *_approving(example, words),
        Button(words("button.reject"), f"example.reject:{stamp(example)}", is_danger=True),
        Button(words("button.skip"), f"example.skip:{stamp(example)}"),
    )


def _approving(example: Example, words: Words) -> tuple[Button, ...]:
    """A pointer has no text that could be approved or edited; it must be written first."""
    if example.row is None:
        return (write_button(example.id, words),)
    return (
        Button(words("button.approve"), f"example.approve:{stamp(example)}", is_primary=True),
        Button(words("button.edit"), f"example.edit:{example.id}"),
    )


def spoken_lines(example: Example, words: Words) -> tuple[str, ...]:
    if example.row is None:
        return (words("example.pointer_only", id=example.id),)
    return tuple(
        f"{words('part.' + name.rstrip('0123456789'))}: {text}"
        for name, text in readable(example.row).items()
    )


def warnings(example: Example, words: Words) -> tuple[str, ...]:
    text = "\n".join(readable(example.row).values())
    return tuple(words("review.warning", what=words(f"finding.{kind}")) for kind in findings(text))


def _some(line: str) -> tuple[str, ...]:
    return (line,) if line else ()
