"""What is old goes, part by part: events, notices, answers, audit lines, and examples."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from bot.batches import run_in_batches
from bot.commands import Handlers, Option
from bot.domain import SHAREABLE_FOR, ExampleFilter, Role, Workspace
from bot.errors import BadInput, Outdated
from bot.examples.source_changes import erase_examples
from bot.numerals import whole_number
from bot.ports.dependencies import Dependencies
from bot.ports.store import Clock, Records, Store
from bot.replies import Button, Card, Fact, Reply
from bot.request import Request
from bot.shown_state import state_token

handlers = Handlers()

_UNUSED = timedelta(days=7)
"""A snapshot that no job names by then was cut off while it was written."""

_OFF = "off"
_MOST_DAYS = 3650

Forget = Callable[[datetime, Records, int], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class RetentionPeriods:
    """How long each is kept; zero is for ever."""

    events: timedelta
    """Keys of events that are done, and notices that were delivered."""
    answers: timedelta
    """Questions and replies, with their votes."""
    audit: timedelta


async def remove_old(keep: RetentionPeriods, *, store: Store, clock: Clock) -> None:
    """What an open example or job refers to stays; others can write between two parts."""
    forgotten: list[tuple[timedelta, Forget]] = [
        (keep.events, lambda at, records, most: records.inbox.forget_before(at, limit=most)),
        (keep.events, lambda at, records, most: records.outbox.forget_before(at, limit=most)),
        (keep.answers, lambda at, records, most: records.turns.forget_before(at, limit=most)),
        (keep.audit, lambda at, records, most: records.audit.forget_before(at, limit=most)),
        (
            SHAREABLE_FOR,
            lambda at, records, most: records.private_replies.forget_before(at, limit=most),
        ),
        (_UNUSED, lambda at, records, most: records.snapshots.forget_unused(at, limit=most)),
        (_UNUSED, lambda at, records, most: records.evaluations.forget_estimates(at, limit=most)),
        (_UNUSED, lambda at, records, most: records.judgings.forget_estimates(at, limit=most)),
        (
            _UNUSED,
            lambda at, records, most: records.synthetic_runs.forget_estimates(at, limit=most),
        ),
    ]
    for kept, forget in forgotten:
        if kept:
            await run_in_batches(partial(forget, clock.now() - kept), store)
    await _remove_of_workspaces(store, clock)


async def _remove_of_workspaces(store: Store, clock: Clock) -> None:
    """What each workspace keeps no longer; host files and models that learned from it follow."""
    async with store.reading() as records:
        limited = await records.workspaces.with_retention()
    for workspace in limited:
        for filters in _expired(workspace, clock.now()):
            erased = await run_in_batches(partial(_erase, workspace, filters, clock), store)
            if erased:
                async with store.writing() as records:
                    await records.audit.add(
                        workspace.id, None, "examples.expired", at=clock.now(), examples=erased
                    )
        if workspace.keep_days is not None:
            before = clock.now() - timedelta(days=workspace.keep_days)
            await run_in_batches(partial(_forget_turns, workspace, before), store)


def _expired(workspace: Workspace, now: datetime) -> list[ExampleFilter]:
    """What of the workspace is older than it keeps; an example may be in both."""
    found = []
    if workspace.keep_days is not None:
        before = now - timedelta(days=workspace.keep_days)
        found.append(ExampleFilter(created_before=before))
    if workspace.keep_unapproved_days is not None:
        before = now - timedelta(days=workspace.keep_unapproved_days)
        found.append(ExampleFilter(created_before=before, is_unapproved=True))
    return found


async def _erase(
    workspace: Workspace, filters: ExampleFilter, clock: Clock, records: Records, most: int
) -> int:
    now = clock.now()
    examples = await records.examples.ids(workspace.id, filters, until=now, limit=most)
    await erase_examples(workspace.id, examples, records, at=now)
    return len(examples)


async def _forget_turns(workspace: Workspace, before: datetime, records: Records, most: int) -> int:
    return await records.turns.forget_before(before, workspace=workspace.id, limit=most)


@handlers.command(
    "admin retention",
    Role.ADMIN,
    Option.amount("all"),
    Option.amount("unapproved"),
)
async def retention(request: Request, deps: Dependencies) -> Reply:
    """After how many days examples are deleted; a change is shown before it is made."""
    async with deps.store.reading() as records:
        held = await records.workspaces.find(request.workspace_id) or request.workspace
        everything = _days(request, "all", held.keep_days)
        unapproved = _days(request, "unapproved", held.keep_unapproved_days)
        wanted = replace(held, keep_days=everything, keep_unapproved_days=unapproved)
        if wanted == held:
            return _card(request, held)
        gone = await _count_expired(wanted, request.now, records)
    words = request.words
    action = f"retention.set:{everything or _OFF}.{unapproved or _OFF}.{_stamp(held)}"
    line = words("retention.gone", count=gone)
    card = _card(request, wanted)
    return replace(
        card,
        lines=(line, words("retention.explained")),
        buttons=(Button(words("button.delete_by_age"), action, is_danger=True),),
    )


@handlers.button("retention.set", Role.ADMIN)
async def set_retention(request: Request, deps: Dependencies) -> Reply:
    """As the card said; the next daily sweep deletes."""
    everything, _, rest = request.argument.partition(".")
    unapproved, _, stamp = rest.partition(".")
    if not all(one == _OFF or one.isdecimal() for one in (everything, unapproved)):
        raise Outdated(problem=request.words("button.outdated"))
    async with deps.store.writing() as records:
        held = await records.workspaces.find(request.workspace_id) or request.workspace
        if stamp != _stamp(held):
            raise Outdated(problem=request.words("button.outdated"))
        days = [None if one == _OFF else whole_number(one) for one in (everything, unapproved)]
        await records.workspaces.set_retention(
            request.workspace_id, everything=days[0], unapproved=days[1]
        )
        await request.audit(records, "retention.set", all=days[0], unapproved=days[1])
    kept = replace(held, keep_days=days[0], keep_unapproved_days=days[1])
    return replace(_card(request, kept), replaces=True)


async def _count_expired(workspace: Workspace, now: datetime, records: Records) -> int:
    """Each example once, also one that is in both."""
    expired = _expired(workspace, now)
    count = sum([await records.examples.count(workspace.id, one) for one in expired])
    if len(expired) == 2:
        oldest = min(one.created_before for one in expired if one.created_before is not None)
        both = ExampleFilter(created_before=oldest, is_unapproved=True)
        count -= await records.examples.count(workspace.id, both)
    return count


def _stamp(workspace: Workspace) -> str:
    return state_token(workspace.keep_days, workspace.keep_unapproved_days)


def _days(request: Request, name: str, held: int | None) -> int | None:
    said = request.text_option(name)
    if said is None:
        return held
    if said.lower() == _OFF:
        return None
    days = request.integer_option(name)
    if days is None or not 1 <= days <= _MOST_DAYS:
        raise BadInput(problem=request.words("retention.bad", option=name, most=_MOST_DAYS))
    return days


def _card(request: Request, workspace: Workspace) -> Card:
    words = request.words
    days = {"all": workspace.keep_days, "unapproved": workspace.keep_unapproved_days}
    facts = tuple(
        Fact(
            words(f"retention.{name}"),
            words("retention.never") if kept is None else words("retention.days", count=kept),
            name,
        )
        for name, kept in days.items()
    )
    return Card(words("retention.title"), (words("retention.explained"),), facts, private=True)
