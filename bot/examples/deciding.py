"""Decisions by button: each about the state that was shown, and refused about any other."""

from __future__ import annotations

from dataclasses import replace

from bot.domain import ExampleState
from bot.examples import review
from bot.examples.cards import refuse_outdated
from bot.examples.keeping import decide, number
from bot.ports.dependencies import Surfaces
from bot.ports.store import Store
from bot.replies import Reply, Text
from bot.request import Request


async def judge(ask: Request, state: ExampleState, *, store: Store, surfaces: Surfaces) -> Reply:
    """Approve or reject from the review card; the next one takes its place."""
    decided = await decide(ask, state, store=store)
    if decided.outdated is not None:
        return await refuse_outdated(ask, decided.outdated, surfaces=surfaces)
    example = number(ask)
    done = ask.words(f"example.{state}", id=example)
    card = await review.review(ask, store=store, surfaces=surfaces, after=example, done=done)
    return replace(card, buttons=(*card.buttons, *decided.undo))


async def withdraw(ask: Request, *, store: Store, surfaces: Surfaces) -> Reply:
    decided = await decide(ask, ExampleState.WITHDRAWN, store=store)
    if decided.outdated is not None:
        return await refuse_outdated(ask, decided.outdated, surfaces=surfaces)
    return Text(ask.words("example.withdrawn", id=number(ask)), buttons=decided.undo)


async def undo(ask: Request, *, store: Store, surfaces: Surfaces) -> Reply:
    """Back among those that wait, as if nobody had judged it."""
    decided = await decide(ask, ExampleState.PROPOSED, store=store)
    if decided.outdated is not None:
        return await refuse_outdated(ask, decided.outdated, surfaces=surfaces)
    return Text(ask.words("example.waits_again", id=number(ask)))
