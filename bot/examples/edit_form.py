"""The form to edit the text of an example."""

from __future__ import annotations

from dataclasses import replace

from bot.commands import Handlers
from bot.domain import (
    Role,
)
from bot.errors import NotNow
from bot.examples.row_texts import editable_texts, replace_texts, require_valid_row, text_fields
from bot.examples.state_changes import find_visible_example, named_example_id, redraw_cards
from bot.ports.dependencies import Dependencies
from bot.replies import Form, Reply, Text
from bot.request import Request

handlers = Handlers()


@handlers.button("example.edit", Role.CURATOR, opens_form=True)
async def edit_form(request: Request, deps: Dependencies) -> Reply:
    """Opens the form with the example's texts."""
    async with deps.store.reading() as records:
        example = await find_visible_example(request, records)
    if example.row is None:
        raise NotNow(problem=request.words("example.pointer_only", id=example.id))
    return Form(
        id=f"example.edit:{example.id}:{example.revision}",
        title=request.words("example.edit_title", id=example.id),
        fields=text_fields(editable_texts(example.row).items(), request.words),
        submit_label=request.words("example.save"),
        reopen_action=f"example.edit:{example.id}",
    )


@handlers.form("example.edit", Role.CURATOR)
async def save_edit(request: Request, deps: Dependencies) -> Reply:
    """Stores the submitted form as a new revision, unless nothing was changed."""
    number, _, shown_revision = request.argument.partition(":")
    chosen = named_example_id(replace(request, argument=number))
    async with deps.store.writing() as records:
        example = await records.examples.get(request.workspace_id, chosen)
        if example.row is None:
            raise NotNow(problem=request.words("example.pointer_only", id=chosen))
        if shown_revision and shown_revision != str(example.revision):
            raise NotNow(problem=request.words("example.changed", id=chosen))
        row = require_valid_row(replace_texts(example.row, request.options), request.words)
        if row == example.row:
            return Text(request.words("example.unchanged", id=chosen), private=True)
        await records.examples.add_revision(
            request.workspace_id, chosen, row, request.user_id, at=request.now
        )
        await request.audit(records, "example.edited", example=chosen)
        await redraw_cards(request, [chosen], records)
    return Text(request.words("example.saved", id=chosen))
