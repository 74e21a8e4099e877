"""Private text of an example: masked, or kept by a curator's decision."""

from __future__ import annotations

from bot.commands import Handlers
from bot.domain import Example, ExampleId, ExampleState, Role
from bot.errors import NotNow
from bot.examples.cards import refuse_outdated
from bot.examples.example_buttons import is_unchanged_since_shown
from bot.examples.review import next_card
from bot.examples.states import find_visible, named_example_id, redraw_cards
from bot.examples.texts import require_valid
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.private_text import mask_row
from bot.replies import Reply, Text
from bot.request import Request

handlers = Handlers()


@handlers.button("example.mask", Role.CURATOR)
async def mask_private_text(request: Request, deps: Dependencies) -> Reply:
    """A new revision with `[EMAIL_1]` and the like; the same everywhere in the row."""
    async with deps.store.writing() as records:
        example = await find_visible(request, records)
        if is_current := is_unchanged_since_shown(request, example):
            await _mask(request, example, records)
    if not is_current:
        return refuse_outdated(request, example)
    return await _done(request, deps, example, "private.masked")


async def _mask(request: Request, example: Example, records: Records) -> None:
    if example.row is None or not example.private_text:
        raise NotNow(problem=request.words("private.none", id=example.id))
    row = require_valid(mask_row(example.row), request.words)
    await records.examples.revise(
        request.workspace_id, example.id, row, request.user_id, at=request.now
    )
    await _note(request, example, "example.masked", records)


@handlers.button("example.keep", Role.CURATOR)
async def keep_private_text(request: Request, deps: Dependencies) -> Reply:
    """Not a mistake: what was found may stay, and be trained on."""
    async with deps.store.writing() as records:
        example = await find_visible(request, records)
        if is_current := is_unchanged_since_shown(request, example):
            workspace = await records.workspaces.find(request.workspace_id)
            if (workspace or request.workspace).must_mask:
                raise NotNow(problem=request.words("private.must_mask"))
            await records.examples.keep_private_text(
                request.workspace_id, example.id, at=request.now
            )
            await _note(request, example, "example.kept_private", records)
    if not is_current:
        return refuse_outdated(request, example)
    return await _done(request, deps, example, "private.kept")


async def _note(request: Request, example: Example, what: str, records: Records) -> None:
    await request.audit(records, what, example=example.id)
    await redraw_cards(request, [example.id], records)
    await records.private_replies.forget(request.workspace_id)


async def _done(request: Request, deps: Dependencies, example: Example, key: str) -> Reply:
    """What still waits for a decision is shown again, as it is now."""
    done = request.words(key, id=named_example_id(request))
    if example.state is not ExampleState.PROPOSED or request.is_page:
        return Text(done, private=True)
    return await next_card(request, deps, after=ExampleId(example.id - 1), done=done)
