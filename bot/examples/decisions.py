"""Decision buttons of an example; a click is refused if the example changed since it was shown."""

from __future__ import annotations

from dataclasses import replace

from bot.commands import Handlers
from bot.domain import ExampleState, Role
from bot.examples.example_buttons import is_shown_revision
from bot.examples.example_cards import refuse_outdated_click
from bot.examples.required_approvals import withdraw_verdict
from bot.examples.review_queue import next_review_card
from bot.examples.state_changes import decide, find_visible_example, named_example_id
from bot.ports.dependencies import Dependencies
from bot.replies import Reply, Text
from bot.request import Request

handlers = Handlers()


@handlers.button("example.approve", Role.CURATOR)
async def approve(request: Request, deps: Dependencies) -> Reply:
    return await _decide_and_show_next(request, ExampleState.APPROVED, deps)


@handlers.button("example.reject", Role.CURATOR)
async def reject(request: Request, deps: Dependencies) -> Reply:
    return await _decide_and_show_next(request, ExampleState.REJECTED, deps)


async def _decide_and_show_next(request: Request, state: ExampleState, deps: Dependencies) -> Reply:
    """Approves or rejects an example; the next review card replaces the clicked one."""
    decided = await decide(request, state, store=deps.store)
    if decided.outdated is not None:
        return refuse_outdated_click(request, decided.outdated)
    example = named_example_id(request)
    key = f"example.{state}.waits" if decided.is_waiting else f"example.{state}"
    done = request.words(key, id=example)
    card = await next_review_card(request, deps, after=example, done=done)
    return replace(card, buttons=(*card.buttons, *decided.undo))


@handlers.button("example.drop", Role.CURATOR)
async def withdraw(request: Request, deps: Dependencies) -> Reply:
    decided = await decide(request, ExampleState.WITHDRAWN, store=deps.store)
    if decided.outdated is not None:
        return refuse_outdated_click(request, decided.outdated)
    return Text(
        request.words("example.withdrawn", id=named_example_id(request)), buttons=decided.undo
    )


@handlers.button("example.undo", Role.CURATOR)
async def undo(request: Request, deps: Dependencies) -> Reply:
    """Proposes a decided example again, or removes the reviewer's verdict on a proposed one."""
    async with deps.store.writing() as records:
        example = await find_visible_example(request, records)
        is_current = example.state is ExampleState.PROPOSED and is_shown_revision(request, example)
        if is_current and await withdraw_verdict(request, example, records):
            return Text(request.words("example.waits_again", id=example.id))
    decided = await decide(request, ExampleState.PROPOSED, store=deps.store)
    if decided.outdated is not None:
        return refuse_outdated_click(request, decided.outdated)
    return Text(request.words("example.waits_again", id=named_example_id(request)))
