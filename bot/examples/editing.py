"""Searching, editing and withdrawing examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bot.domain import (
    NO_EXCLUSION,
    Example,
    ExampleFilter,
    ExampleId,
    ExampleState,
    Origin,
    Role,
    UserId,
)
from bot.errors import NotFound, NotNow
from bot.examples.keeping import hidden, number, redraw_cards, seen
from bot.examples.shown import stamp
from bot.examples.texts import checked, last_text, parts, readable, with_parts
from bot.numerals import whole_number
from bot.ports.store import Store
from bot.replies import (
    Button,
    Fact,
    Field,
    FieldKind,
    Form,
    Listing,
    ListingRow,
    Reply,
    Text,
    Tone,
)
from bot.request import Request
from bot.rows import Method
from bot.words import Words

_PAGE = 10
_TONES = {
    ExampleState.PROPOSED: Tone.BUSY,
    ExampleState.APPROVED: Tone.GOOD,
    ExampleState.REJECTED: Tone.BAD,
    ExampleState.WITHDRAWN: Tone.PLAIN,
}


async def edit_form(ask: Request, *, store: Store) -> Reply:
    """The text of an example, to be changed."""
    async with store.reading() as records:
        example = await seen(ask, records)
    if example.row is None:
        raise NotNow(problem=ask.words("example.pointer_only", id=example.id))
    names = parts(example.row)
    return Form(
        id=f"example.edit:{example.id}:{example.revision}",
        title=ask.words("example.edit_title", id=example.id),
        fields=tuple(
            Field(name, ask.words(f"part.{name.rstrip('0123456789')}"), FieldKind.TEXT, text)
            for name, text in names.items()
        ),
        submit=ask.words("example.save"),
        again=f"example.edit:{example.id}",
    )


async def edited(ask: Request, values: Mapping[str, str], *, store: Store) -> Reply:
    """The form came back: a new revision, unless nothing was changed."""
    named, _, shown = ask.argument.partition(":")
    chosen = number(replace(ask, argument=named))
    async with store.writing() as records:
        example = await records.examples.get(ask.id, chosen)
        if example.row is None:
            raise NotNow(problem=ask.words("example.pointer_only", id=chosen))
        if shown and shown != str(example.revision):
            raise NotNow(problem=ask.words("example.changed", id=chosen))
        row = checked(with_parts(example.row, values), ask.words)
        if row == example.row:
            return Text(ask.words("example.unchanged", id=chosen), private=True)
        await records.examples.revise(ask.id, chosen, row, ask.by, at=ask.now)
        await records.audit.add(ask.id, ask.by, "example.edited", at=ask.now, example=chosen)
        await redraw_cards(ask, [chosen], records)
    return Text(ask.words("example.saved", id=chosen))


async def listing(ask: Request, *, store: Store) -> Reply:
    """`/tune examples`: a page, or the one that `edit:` or `withdraw:` names."""
    page = ask.integer("limit") or _PAGE
    last, filters = _page_of(ask)
    after = ask.integer("after") or last
    async with store.reading() as records:
        found = await records.examples.page(
            ask.id, filters, after=ExampleId(after) if after else None, limit=page + 1
        )
        total = await records.examples.count(ask.id, filters)
    shown, words = found[:page], ask.words
    more = None
    if len(found) > page:
        more = Button(words("list.more"), _more(shown[-1].id, filters))
    return Listing(
        title=words("examples.title"),
        lines=tuple(
            line_of(example, words, may_decide=ask.role >= Role.CURATOR) for example in shown
        ),
        empty=words("examples.empty"),
        more=more,
        total=total,
        replaces=bool(ask.argument),
    )


def wanted(ask: Request) -> ExampleFilter:
    """What the options look for."""
    return _page_of(ask)[1]


def line_of(example: Example, words: Words, *, may_decide: bool) -> ListingRow:
    texts = readable(example.row)
    shown = list(texts.values())[-2:] or [words("example.no_text")]
    text = " → ".join(_short(one) for one in shown)
    notes = [words(f"state.{example.state}"), words(f"origin.{example.origin}")]
    if example.held_out:
        notes.append(words("example.held_out"))
    if example.method is Method.DPO:
        notes.append(words("example.preference"))
    return ListingRow(
        id=str(example.id),
        text=text,
        note=" · ".join([*notes, *(f"#{tag}" for tag in example.tags)]),
        buttons=_buttons(example, words) if may_decide else (),
        facts=_facts(example, texts, words),
        tone=_TONES[example.state],
    )


def _buttons(example: Example, words: Words) -> tuple[Button, ...]:
    return (
        Button(words("button.edit"), f"example.edit:{example.id}"),
        Button(words("button.withdraw"), f"example.drop:{stamp(example)}"),
    )


def _facts(example: Example, texts: Mapping[str, str], words: Words) -> tuple[Fact, ...]:
    """The cells of a table: always these, in this order, whatever the row has."""
    answer = "preferred" if example.method is Method.DPO else "answer"
    return (
        Fact(words("part.question"), last_text(texts, "question"), "question"),
        Fact(words("part.answer"), last_text(texts, answer), "answer"),
        Fact(words("part.rejected"), last_text(texts, "rejected"), "rejected"),
        Fact(words("fact.state"), words(f"state.{example.state}"), "state"),
        Fact(words("fact.origin"), words(f"origin.{example.origin}"), "origin"),
        Fact(words("fact.authors"), ", ".join(example.authors), "authors"),
        Fact(words("fact.tags"), ", ".join(example.tags), "tags"),
    )


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 70 else flat[:69] + "…"


def _page_of(ask: Request) -> tuple[ExampleId | None, ExampleFilter]:
    """After which example, and what is looked for: as the button says, or the options.

    A member looks among their own.
    """
    last, state, author, tag, search = [*ask.argument.split(":", 4), *[""] * 5][:5]
    state, author = ask.text("state") or state, ask.text("author") or author
    origin, method = ask.text("origin"), ask.text("method")
    if ask.role < Role.CURATOR:
        author = ask.by
    filters = ExampleFilter(
        assistant=ask.assistant.id,
        state=_state(state) if state else None,
        search=ask.text("search") or search or None,
        author=UserId(author) if author else None,
        origin=Origin(origin) if origin else None,
        method=Method(method) if method else None,
        tag=ask.text("tag") or tag or None,
        hidden=NO_EXCLUSION if author == ask.by else hidden(ask),
        seen_from=ask.place.channel,
    )
    return (_id(last) if last else None), filters


def _id(said: str) -> ExampleId:
    try:
        return ExampleId(whole_number(said))
    except ValueError:
        raise NotFound(noun="example", name=said) from None


def _state(said: str) -> ExampleState:
    try:
        return ExampleState(said)
    except ValueError:
        raise NotFound(noun="button", name=said) from None


def _more(last: ExampleId, filters: ExampleFilter) -> str:
    """`examples.more:<last shown>:<state>:<author>:<tag>:<search>` goes on with the same."""
    wanted = (filters.state, filters.author, filters.tag, filters.search)
    return ":".join(["examples.more", str(last), *(value or "" for value in wanted)])[:100]
