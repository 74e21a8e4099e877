"""Buttons with which a curator masks an example's private text, or allows it."""

from __future__ import annotations

from bot.commands import Handlers
from bot.domain import Example, ExampleId, ExampleState, Role
from bot.errors import NotNow
from bot.examples.example_buttons import is_unchanged_since_shown
from bot.examples.example_cards import refuse_outdated_click
from bot.examples.review_queue import next_review_card
from bot.examples.row_texts import require_valid_row
from bot.examples.state_changes import find_visible_example, named_example_id, redraw_cards
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.private_text import mask_row
from bot.replies import Reply, Text
from bot.request import Request

handlers = Handlers()


@handlers.button("example.mask", Role.CURATOR)
async def mask_private_text(request: Request, deps: Dependencies) -> Reply:
    """Stores a revision with placeholders like `[EMAIL_1]`; equal texts get the same one."""
    async with deps.store.writing() as records:
        example = await find_visible_example(request, records)
        if is_current := is_unchanged_since_shown(request, example):
            await _mask(request, example, records)
    if not is_current:
        return refuse_outdated_click(request, example)
    return await _masked_reply(request, deps, example, "private.masked")


async def _mask(request: Request, example: Example, records: Records) -> None:
    if example.row is None or not example.private_text:
        raise NotNow(problem=request.words("private.none", id=example.id))
    row = require_valid_row(mask_row(example.row), request.words)
    await records.examples.add_revision(
        request.workspace_id, example.id, row, request.user_id, at=request.now
    )
    await _record_change(request, example, "example.masked", records)


@handlers.button("example.keep", Role.CURATOR)
async def keep_private_text(request: Request, deps: Dependencies) -> Reply:
    """Allows the private text found in the example to stay and be trained on."""
    async with deps.store.writing() as records:
        example = await find_visible_example(request, records)
        if is_current := is_unchanged_since_shown(request, example):
            workspace = await records.workspaces.find(request.workspace_id)
            if (workspace or request.workspace).must_mask:
                raise NotNow(problem=request.words("private.must_mask"))
            await records.examples.allow_private_text(
                request.workspace_id, example.id, at=request.now
            )
            await _record_change(request, example, "example.kept_private", records)
    if not is_current:
        return refuse_outdated_click(request, example)
    return await _masked_reply(request, deps, example, "private.kept")


async def _record_change(request: Request, example: Example, what: str, records: Records) -> None:
    """Writes the audit entry, updates cards, and deletes private replies that may quote it."""
    await request.audit(records, what, example=example.id)
    await redraw_cards(request, [example.id], records)
    await records.private_replies.delete_all(request.workspace_id)


async def _masked_reply(request: Request, deps: Dependencies, example: Example, key: str) -> Reply:
    """Returns the example's review card again if it is still proposed, else a confirmation."""
    done = request.words(key, id=named_example_id(request))
    if example.state is not ExampleState.PROPOSED or request.is_page:
        return Text(done, private=True)
    return await next_review_card(request, deps, after=ExampleId(example.id - 1), done=done)
