"""The review queue: shows proposed examples one card at a time."""

from __future__ import annotations

from dataclasses import replace

from bot.commands import Handlers, Option, OptionKind
from bot.domain import (
    Example,
    ExampleFilter,
    ExampleId,
    ExampleState,
    Role,
)
from bot.errors import BadInput
from bot.examples import review_assignment
from bot.examples.example_buttons import message_button, review_buttons
from bot.examples.message_exchange import mention_people
from bot.examples.required_approvals import agreement_line
from bot.examples.row_texts import labelled_text_lines, last_text_of_part, readable_texts
from bot.examples.state_changes import hidden_exclusion, named_example_id
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.private_text import PrivateText, private_texts_in_row
from bot.replies import (
    Card,
    Fact,
    Reply,
    one_line,
)
from bot.request import Request
from bot.words import Words

handlers = Handlers()

_MAX_NAMED = 8
_MAX_QUOTED, _MAX_QUOTE_LENGTH = 3, 40
"""Limits of quoted private texts of one kind, and of the characters of each."""


@handlers.command(
    "review",
    Role.CURATOR,
    Option("example", OptionKind.EXAMPLE, takes_rest=True),
    Option("assign", OptionKind.USER),
)
async def review(request: Request, deps: Dependencies) -> Reply:
    """Shows the next or the named proposed example; assigns it, with `off` to nobody."""
    person, example = request.text_option("assign"), request.text_option("example")
    if person and example:
        return await review_assignment.assign_typed_reviewer(request, deps, person)
    if person:
        problem = request.words("option.missing", option="example", command="review")
        raise BadInput(problem=problem)
    if example:
        return await _named_card(replace(request, argument=example), deps)
    return await next_review_card(request, deps)


async def _named_card(request: Request, deps: Dependencies) -> Card:
    """Returns the card of an example, also if it is in another queue or in none.

    Raises Outdated if it is decided.
    """
    async with deps.store.reading() as records:
        example = await review_assignment.proposed_example(request, records)
        synthetic = await synthetic_lines(example, records, request.words)
        count = await records.examples.count(request.workspace_id, _queue_of(request))
    lines = (*synthetic, *await review_assignment.review_status_lines(request, example, deps))
    return _review_card(request, example, mention_people(example.authors), count, "", lines)


def _queue_of(request: Request) -> ExampleFilter:
    """Returns the filter for proposed examples that wait for the user."""
    return ExampleFilter(
        assistant=request.assistant.id,
        state=ExampleState.PROPOSED,
        hidden_exclusions=hidden_exclusion(request),
        visible_in_channel=request.place.channel,
        reviewer=request.user_id,
    )


async def next_review_card(
    request: Request, deps: Dependencies, *, after: ExampleId | None = None, done: str = ""
) -> Card:
    """Returns the card of the next proposed example, which with `done` replaces the clicked one."""
    waiting = _queue_of(request)
    async with deps.store.reading() as records:
        page = await records.examples.page(request.workspace_id, waiting, after=after, limit=1)
        if not page and after is not None:
            page = await records.examples.page(request.workspace_id, waiting, limit=1)
        count = await records.examples.count(request.workspace_id, waiting)
        agreement = await agreement_line(request, records)
        synthetic = await synthetic_lines(page[0], records, request.words) if page else ()
    if not page:
        lines = (*_line_if_any(done), *agreement)
        return Card(request.words("review.empty"), lines, private=True, replaces=bool(done))
    authors = mention_people(page[0].authors)
    lines = (*synthetic, *await review_assignment.review_status_lines(request, page[0], deps))
    return _review_card(request, page[0], authors, count, done, lines)


@handlers.button("example.skip", Role.CURATOR)
async def skip_example(request: Request, deps: Dependencies) -> Reply:
    example, done = named_example_id(request), request.words("review.skipped")
    return await next_review_card(request, deps, after=example, done=done)


def _review_card(
    request: Request,
    example: Example,
    authors: str,
    count: int,
    done: str,
    more_lines: tuple[str, ...],
) -> Card:
    words = request.words
    return Card(
        title=words("review.title", id=example.id, count=count),
        lines=(
            *_line_if_any(done),
            *example_text_lines(example, words),
            *private_text_warnings(example, words),
            *more_lines,
        ),
        facts=(
            Fact(words("fact.origin"), words(f"origin.{example.origin}")),
            Fact(words("fact.authors"), authors or "–"),
        ),
        buttons=(
            *review_buttons(example, words),
            *review_assignment.assignment_buttons(request, example),
            *message_button(example.source.permalink if example.source else None, words),
        ),
        private=True,
        replaces=bool(done),
    )


def example_text_lines(example: Example, words: Words) -> tuple[str, ...]:
    """Returns each text of an example as a line with its label; of a pointer that it has none."""
    if example.row is None:
        return (words("example.pointer_only", id=example.id),)
    return labelled_text_lines(example.row, words)


async def synthetic_lines(example: Example, records: Records, words: Words) -> tuple[str, ...]:
    """Returns a line about the source of a synthetic example, or the examples derived from one."""
    if example.synthetic is None:
        derived = await records.examples.list_derived(example.workspace, [example.id])
        names = ", ".join(f"#{number}" for number in derived[:_MAX_NAMED])
        more = "…" if len(derived) > _MAX_NAMED else ""
        return (words("synthetic.used", names=names + more),) if derived else ()
    source, model = example.synthetic.source, example.synthetic.model
    if not example.synthetic.replaces_source:
        return (words("synthetic.wording_of", model=model, id=source),)
    replaced = await records.examples.get(example.workspace, source)
    answer = one_line(last_text_of_part(readable_texts(replaced.row), "answer"), _MAX_QUOTE_LENGTH)
    return (words("synthetic.label_of", model=model, id=source, answer=answer),)


def private_text_warnings(example: Example, words: Words) -> tuple[str, ...]:
    """Returns a line for each kind of undecided private text."""
    if not example.awaits_masking:
        return ()
    texts_by_kind: dict[PrivateText, list[str]] = {}
    for kind, text in private_texts_in_row(example.row or {}):
        texts_by_kind.setdefault(kind, []).append(one_line(text, _MAX_QUOTE_LENGTH))
    return tuple(
        words(
            "review.warning",
            what=words(f"finding.{_kind_name(kind)}"),
            texts=", ".join(texts[:_MAX_QUOTED]),
        )
        for kind, texts in texts_by_kind.items()
    )


def highlighted_texts(example: Example) -> tuple[str, ...]:
    """Returns the undecided private texts, to be highlighted in the example."""
    if not example.awaits_masking:
        return ()
    return tuple(text for _, text in private_texts_in_row(example.row or {}))


def _kind_name(kind: PrivateText) -> str:
    return str(kind.name).lower()


def _line_if_any(line: str) -> tuple[str, ...]:
    return (line,) if line else ()
