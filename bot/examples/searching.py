"""`/tune examples`: a page of the examples that the options describe."""

from __future__ import annotations

from dataclasses import replace

from bot.commands import METHOD, Handlers, Option, OptionKind
from bot.domain import (
    NO_EXCLUSION,
    ExampleFilter,
    ExampleId,
    ExampleOrder,
    ExampleState,
    Origin,
    Role,
    UserId,
)
from bot.examples.cards import line_of
from bot.examples.decision_buttons import withdraw
from bot.examples.editing import edit_form
from bot.examples.states import hidden_exclusion
from bot.parsing import in_button, parse
from bot.ports.dependencies import Dependencies
from bot.replies import (
    Button,
    Listing,
    Reply,
)
from bot.request import Request
from bot.rows import Method

handlers = Handlers()

_PAGE = 10


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
    Option.choice("order", *(order.value for order in ExampleOrder)),
    Option.yes_no("mine"),
    Option("edit", OptionKind.EXAMPLE, role=Role.CURATOR, is_alone=True),
    Option("withdraw", OptionKind.EXAMPLE, role=Role.CURATOR, is_alone=True),
)
async def find(request: Request, deps: Dependencies) -> Reply:
    """A page of examples, or the one that `edit:` or `withdraw:` names."""
    for name, change in {"edit": edit_form, "withdraw": withdraw}.items():
        if chosen := request.text(name):
            return await change(replace(request, argument=chosen), deps)
    return await list_examples(request, deps)


@handlers.button("examples.more", Role.MEMBER)
async def more(request: Request, deps: Dependencies) -> Reply:
    """The next page of what the button looks for."""
    (command,) = (one for one in handlers.commands if one.path == "examples")
    options = parse(command, request.argument, request.words)
    return await list_examples(replace(request, options=options), deps)


async def list_examples(request: Request, deps: Dependencies) -> Reply:
    """A page of what the options look for; the newest first unless they say otherwise."""
    page = request.integer("limit") or _PAGE
    after, filters = request.integer("after"), filter_of(request)
    async with deps.store.reading() as records:
        found = await records.examples.page(
            request.id,
            filters,
            after=ExampleId(after) if after else None,
            limit=page + 1,
            order=ExampleOrder(request.text("order") or ExampleOrder.NEWEST),
        )
        total = await records.examples.count(request.id, filters)
    shown, words = found[:page], request.words
    button, note = None, ""
    if len(found) > page:
        last = str(shown[-1].id)
        action = in_button("examples.more:", {**request.options, "after": last})
        button = Button(words("list.more"), action) if action else None
        note = "" if action else words("list.more_typed", last=last)
    return Listing(
        title=words("examples.title"),
        lines=tuple(
            line_of(example, words, may_decide=request.role >= Role.CURATOR) for example in shown
        ),
        empty=words("examples.empty"),
        note=note,
        more=button,
        total=total,
        replaces=bool(request.argument),
    )


def filter_of(request: Request) -> ExampleFilter:
    """What the options look for; a member looks among their own."""
    author, origin, method = request.text("author"), request.text("origin"), request.text("method")
    state = request.text("state")
    if request.role < Role.CURATOR:
        author = request.by
    return ExampleFilter(
        assistant=request.assistant.id,
        state=ExampleState(state) if state else None,
        search=request.text("search"),
        author=UserId(author) if author else None,
        origin=Origin(origin) if origin else None,
        method=Method(method) if method else None,
        tag=request.text("tag"),
        reviewer=request.by if request.yes("mine", default=False) else None,
        hidden=NO_EXCLUSION if author == request.by else hidden_exclusion(request),
        seen_from=request.place.channel,
    )
