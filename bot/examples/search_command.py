"""`/tune examples`: lists examples by the filters in its options."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from bot.commands import METHOD_OPTION, Handlers, Option, OptionKind
from bot.domain import (
    NO_EXCLUSIONS,
    ExampleFilter,
    ExampleId,
    ExampleOrder,
    ExampleState,
    Origin,
    Role,
    UserId,
)
from bot.examples.decisions import withdraw
from bot.examples.edit_form import edit_form
from bot.examples.example_cards import example_list_row
from bot.examples.state_changes import hidden_exclusion
from bot.option_parsing import button_action, parse_options
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
_NO_FILTERS: Final = frozenset(("limit", "after", "order"))
"""Options that leave no example out."""


@handlers.command(
    "examples",
    Role.MEMBER,
    Option.text("search", takes_rest=True),
    Option.choice("state", *(state.value for state in ExampleState)),
    Option.text("author"),
    Option.text("tag"),
    Option.choice("origin", *(origin.value for origin in Origin)),
    METHOD_OPTION,
    Option.integer("limit", 1, 200),
    Option.integer("after", 0),
    Option.choice("order", *(order.value for order in ExampleOrder)),
    Option.yes_no("mine"),
    Option("edit", OptionKind.EXAMPLE, required_role=Role.CURATOR, excludes_others=True),
    Option("withdraw", OptionKind.EXAMPLE, required_role=Role.CURATOR, excludes_others=True),
)
async def list_by_command(request: Request, deps: Dependencies) -> Reply:
    """Lists a page of examples, or edits or withdraws the one that an option names."""
    for name, change in {"edit": edit_form, "withdraw": withdraw}.items():
        if chosen := request.text_option(name):
            return await change(replace(request, argument=chosen), deps)
    return await list_examples(request, deps)


@handlers.button("examples.more", Role.MEMBER)
async def list_next_page(request: Request, deps: Dependencies) -> Reply:
    """Lists the next page, with the filters in the button."""
    (command,) = (command for command in handlers.commands if command.path == "examples")
    options = parse_options(command, request.argument, request.words)
    return await list_examples(replace(request, options=options), deps)


def _is_filtered(request: Request) -> bool:
    return any(value for name, value in request.options.items() if name not in _NO_FILTERS)


async def list_examples(request: Request, deps: Dependencies) -> Reply:
    """Lists a page of examples by the filters in the options, newest first by default."""
    page = request.integer_option("limit") or _PAGE
    after, filters = request.integer_option("after"), example_filter_of(request)
    async with deps.store.reading() as records:
        examples = await records.examples.page(
            request.workspace_id,
            filters,
            after=ExampleId(after) if after else None,
            limit=page + 1,
            order=ExampleOrder(request.text_option("order") or ExampleOrder.NEWEST),
        )
        total = await records.examples.count(request.workspace_id, filters)
    page_examples, words = examples[:page], request.words
    button, note = None, ""
    if len(examples) > page:
        last = str(page_examples[-1].id)
        action = button_action("examples.more:", {**request.options, "after": last})
        button = Button(words("list.more"), action) if action else None
        note = "" if action else words("list.more_typed", last=last)
    return Listing(
        title=words("examples.title"),
        lines=tuple(
            example_list_row(example, words, may_decide=request.role >= Role.CURATOR)
            for example in page_examples
        ),
        empty=words("examples.no_match" if _is_filtered(request) else "examples.empty"),
        note=note,
        more=button,
        total=total,
        replaces=bool(request.argument),
    )


def example_filter_of(request: Request) -> ExampleFilter:
    """Returns the filters in the options; for a member only the member's own examples."""
    author, origin, method = (
        request.text_option("author"),
        request.text_option("origin"),
        request.text_option("method"),
    )
    state = request.text_option("state")
    if request.role < Role.CURATOR:
        author = request.user_id
    return ExampleFilter(
        assistant=request.assistant.id,
        state=ExampleState(state) if state else None,
        search=request.text_option("search"),
        author=UserId(author) if author else None,
        origin=Origin(origin) if origin else None,
        method=Method(method) if method else None,
        tag=request.text_option("tag"),
        reviewer=request.user_id if request.yes_no_option("mine", default=False) else None,
        hidden_exclusions=NO_EXCLUSIONS if author == request.user_id else hidden_exclusion(request),
        visible_in_channel=request.place.channel,
    )
