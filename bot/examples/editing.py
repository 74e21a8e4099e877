"""Searching, editing and withdrawing examples."""

from __future__ import annotations

from dataclasses import replace

from bot.commands import METHOD, Handlers, Option, OptionKind
from bot.domain import (
    NO_EXCLUSION,
    ExampleFilter,
    ExampleId,
    ExampleState,
    Origin,
    Role,
    UserId,
)
from bot.errors import NotFound, NotNow
from bot.examples.cards import line_of
from bot.examples.deciding import withdraw
from bot.examples.keeping import hidden, number, redraw_cards, seen
from bot.examples.texts import checked, parts, with_parts
from bot.numerals import whole_number
from bot.ports.dependencies import Dependencies
from bot.replies import (
    Button,
    Field,
    FieldKind,
    Form,
    Listing,
    Reply,
    Text,
)
from bot.request import Request
from bot.rows import Method

handlers = Handlers()


_PAGE = 10


@handlers.button("example.edit", Role.CURATOR, opens_form=True)
async def edit_form(request: Request, deps: Dependencies) -> Reply:
    """The text of an example, to be changed."""
    async with deps.store.reading() as records:
        example = await seen(request, records)
    if example.row is None:
        raise NotNow(problem=request.words("example.pointer_only", id=example.id))
    names = parts(example.row)
    return Form(
        id=f"example.edit:{example.id}:{example.revision}",
        title=request.words("example.edit_title", id=example.id),
        fields=tuple(
            Field(name, request.words(f"part.{name.rstrip('0123456789')}"), FieldKind.TEXT, text)
            for name, text in names.items()
        ),
        submit=request.words("example.save"),
        again=f"example.edit:{example.id}",
    )


@handlers.form("example.edit", Role.CURATOR)
async def edited(request: Request, deps: Dependencies) -> Reply:
    """The form came back: a new revision, unless nothing was changed."""
    named, _, shown = request.argument.partition(":")
    chosen = number(replace(request, argument=named))
    async with deps.store.writing() as records:
        example = await records.examples.get(request.id, chosen)
        if example.row is None:
            raise NotNow(problem=request.words("example.pointer_only", id=chosen))
        if shown and shown != str(example.revision):
            raise NotNow(problem=request.words("example.changed", id=chosen))
        row = checked(with_parts(example.row, request.options), request.words)
        if row == example.row:
            return Text(request.words("example.unchanged", id=chosen), private=True)
        await records.examples.revise(request.id, chosen, row, request.by, at=request.now)
        await records.audit.add(
            request.id, request.by, "example.edited", at=request.now, example=chosen
        )
        await redraw_cards(request, [chosen], records)
    return Text(request.words("example.saved", id=chosen))


@handlers.command(
    "examples",
    Role.MEMBER,
    Option.text("search", rest=True),
    Option.choice("state", *(state.value for state in ExampleState)),
    Option.text("author"),
    Option.text("tag"),
    Option.choice("origin", *(origin.value for origin in Origin)),
    METHOD,
    Option.integer("limit", 1, 200),
    Option.integer("after", 0),
    Option("edit", OptionKind.EXAMPLE, role=Role.CURATOR, is_alone=True),
    Option("withdraw", OptionKind.EXAMPLE, role=Role.CURATOR, is_alone=True),
    is_private=True,
    is_shareable=True,
)
async def find(request: Request, deps: Dependencies) -> Reply:
    """A page of examples, or the one that `edit:` or `withdraw:` names."""
    for name, change in {"edit": edit_form, "withdraw": withdraw}.items():
        if chosen := request.text(name):
            return await change(replace(request, argument=chosen), deps)
    return await listing(request, deps)


@handlers.button("examples.more", Role.MEMBER, is_private=True)
async def listing(request: Request, deps: Dependencies) -> Reply:
    """A page of examples; the button goes on after the last that was shown."""
    page = request.integer("limit") or _PAGE
    last, filters = _page_of(request)
    after = request.integer("after") or last
    async with deps.store.reading() as records:
        found = await records.examples.page(
            request.id, filters, after=ExampleId(after) if after else None, limit=page + 1
        )
        total = await records.examples.count(request.id, filters)
    shown, words = found[:page], request.words
    more = None
    if len(found) > page:
        more = Button(words("list.more"), _more(shown[-1].id, filters))
    return Listing(
        title=words("examples.title"),
        lines=tuple(
            line_of(example, words, may_decide=request.role >= Role.CURATOR) for example in shown
        ),
        empty=words("examples.empty"),
        more=more,
        total=total,
        replaces=bool(request.argument),
    )


def wanted(request: Request) -> ExampleFilter:
    """What the options look for."""
    return _page_of(request)[1]


def _page_of(request: Request) -> tuple[ExampleId | None, ExampleFilter]:
    """After which example, and what is looked for: as the button says, or the options.

    A member looks among their own.
    """
    last, state, author, tag, search = [*request.argument.split(":", 4), *[""] * 5][:5]
    state, author = request.text("state") or state, request.text("author") or author
    origin, method = request.text("origin"), request.text("method")
    if request.role < Role.CURATOR:
        author = request.by
    filters = ExampleFilter(
        assistant=request.assistant.id,
        state=_state(state) if state else None,
        search=request.text("search") or search or None,
        author=UserId(author) if author else None,
        origin=Origin(origin) if origin else None,
        method=Method(method) if method else None,
        tag=request.text("tag") or tag or None,
        hidden=NO_EXCLUSION if author == request.by else hidden(request),
        seen_from=request.place.channel,
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
