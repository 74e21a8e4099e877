"""Deletes old data in batches: events, notices, answers, audit entries, and examples."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from bot.commands import Handlers, Option
from bot.database_batches import run_in_batches
from bot.domain import SHAREABLE_PERIOD, ExampleFilter, Role, Workspace
from bot.errors import BadInput, Outdated
from bot.examples.deleted_source_messages import erase_examples
from bot.number_formats import parse_id
from bot.outdated_clicks import state_token
from bot.ports.dependencies import Dependencies
from bot.ports.store import Clock, Records, Store
from bot.replies import Button, Card, Fact, Reply
from bot.request import Request

handlers = Handlers()

_UNUSED = timedelta(days=7)
"""Age at which a snapshot without a job is deleted, and an estimate without a confirmation."""

_OFF = "off"
_MAX_DAYS = 3650

DeleteBatch = Callable[[datetime, Records, int], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class RetentionPeriods:
    """Retention periods by kind of data; zero keeps it forever."""

    events: timedelta
    """For keys of finished events, and delivered notices."""
    answers: timedelta
    """For questions and replies, with their votes."""
    audit: timedelta


async def delete_old_data(keep: RetentionPeriods, *, store: Store, clock: Clock) -> None:
    """Deletes what is older than the retention periods, except data of open examples and jobs.

    Others can write between two batches.
    """
    forgotten: list[tuple[timedelta, DeleteBatch]] = [
        (
            keep.events,
            lambda at, records, most: records.inbox.delete_finished_before(at, limit=most),
        ),
        (
            keep.events,
            lambda at, records, most: records.outbox.delete_delivered_before(at, limit=most),
        ),
        (keep.answers, lambda at, records, most: records.turns.delete_before(at, limit=most)),
        (keep.audit, lambda at, records, most: records.audit.delete_before(at, limit=most)),
        (
            SHAREABLE_PERIOD,
            lambda at, records, most: records.private_replies.delete_before(at, limit=most),
        ),
        (_UNUSED, lambda at, records, most: records.snapshots.delete_unused(at, limit=most)),
        (
            _UNUSED,
            lambda at, records, most: records.evaluations.delete_old_estimates(at, limit=most),
        ),
        (_UNUSED, lambda at, records, most: records.judgings.delete_old_estimates(at, limit=most)),
        (
            _UNUSED,
            lambda at, records, most: records.synthetic_runs.delete_old_estimates(at, limit=most),
        ),
    ]
    for period, forget in forgotten:
        if period:
            await run_in_batches(partial(forget, clock.now() - period), store)
    await _remove_by_workspace(store, clock)


async def _remove_by_workspace(store: Store, clock: Clock) -> None:
    """Deletes data older than each workspace's own periods, with training files at hosts."""
    async with store.reading() as records:
        limited = await records.workspaces.list_with_retention()
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
    """Returns filters for a workspace's expired examples; an example may match both."""
    filters = []
    if workspace.keep_days is not None:
        before = now - timedelta(days=workspace.keep_days)
        filters.append(ExampleFilter(created_before=before))
    if workspace.keep_unapproved_days is not None:
        before = now - timedelta(days=workspace.keep_unapproved_days)
        filters.append(ExampleFilter(created_before=before, is_unapproved=True))
    return filters


async def _erase(
    workspace: Workspace, filters: ExampleFilter, clock: Clock, records: Records, most: int
) -> int:
    now = clock.now()
    examples = await records.examples.list_ids(workspace.id, filters, until=now, limit=most)
    await erase_examples(workspace.id, examples, records, at=now)
    return len(examples)


async def _forget_turns(workspace: Workspace, before: datetime, records: Records, most: int) -> int:
    return await records.turns.delete_before(before, workspace=workspace.id, limit=most)


@handlers.command(
    "admin retention",
    Role.ADMIN,
    Option.number_or_word("all"),
    Option.number_or_word("unapproved"),
)
async def show_retention(request: Request, deps: Dependencies) -> Reply:
    """Shows the retention periods; a change is shown with its effect, to be confirmed."""
    async with deps.store.reading() as records:
        current = await records.workspaces.find(request.workspace_id) or request.workspace
        everything = _days(request, "all", current.keep_days)
        unapproved = _days(request, "unapproved", current.keep_unapproved_days)
        changed = replace(current, keep_days=everything, keep_unapproved_days=unapproved)
        if changed == current:
            return _card(request, current)
        expired = await _count_expired(changed, request.now, records)
    words = request.words
    action = f"retention.set:{everything or _OFF}.{unapproved or _OFF}.{_token_of(current)}"
    line = words("retention.gone", count=expired)
    card = _card(request, changed)
    return replace(
        card,
        lines=(line, words("retention.explained")),
        buttons=(Button(words("button.delete_by_age"), action, is_danger=True),),
    )


@handlers.button("retention.set", Role.ADMIN)
async def set_retention(request: Request, deps: Dependencies) -> Reply:
    """Stores the periods that the card showed; the next daily run deletes."""
    everything, _, rest = request.argument.partition(".")
    unapproved, _, token = rest.partition(".")
    if not all(text == _OFF or text.isdecimal() for text in (everything, unapproved)):
        raise Outdated(problem=request.words("button.outdated"))
    async with deps.store.writing() as records:
        current = await records.workspaces.find(request.workspace_id) or request.workspace
        if token != _token_of(current):
            raise Outdated(problem=request.words("button.outdated"))
        days = [None if text == _OFF else parse_id(text) for text in (everything, unapproved)]
        await records.workspaces.set_retention(
            request.workspace_id, keep_days=days[0], keep_unapproved_days=days[1]
        )
        await request.audit(records, "retention.set", all=days[0], unapproved=days[1])
    changed = replace(current, keep_days=days[0], keep_unapproved_days=days[1])
    return replace(_card(request, changed), replaces=True)


async def _count_expired(workspace: Workspace, now: datetime, records: Records) -> int:
    """Returns the number of expired examples; an example that matches both filters counts once."""
    expired = _expired(workspace, now)
    count = sum([await records.examples.count(workspace.id, filters) for filters in expired])
    if len(expired) == 2:
        oldest = min(f.created_before for f in expired if f.created_before is not None)
        both = ExampleFilter(created_before=oldest, is_unapproved=True)
        count -= await records.examples.count(workspace.id, both)
    return count


def _token_of(workspace: Workspace) -> str:
    return state_token(workspace.keep_days, workspace.keep_unapproved_days)


def _days(request: Request, name: str, current: int | None) -> int | None:
    """Returns the days of an option; `current` if it is missing, None for "off"."""
    text = request.text_option(name)
    if text is None:
        return current
    if text.lower() == _OFF:
        return None
    days = request.integer_option(name)
    if days is None or not 1 <= days <= _MAX_DAYS:
        raise BadInput(problem=request.words("retention.bad", option=name, most=_MAX_DAYS))
    return days


def _card(request: Request, workspace: Workspace) -> Card:
    words = request.words
    days = {"all": workspace.keep_days, "unapproved": workspace.keep_unapproved_days}
    facts = tuple(
        Fact(
            words(f"retention.{name}"),
            words("retention.never") if period is None else words("retention.days", count=period),
            name,
        )
        for name, period in days.items()
    )
    return Card(words("retention.title"), (words("retention.explained"),), facts, private=True)
