"""Removal of the app from a workspace: confirmation, closing, and erasure after a grace period.

A platform's removal event is only a report. The platform is asked until it answers; then the
workspace is closed, which stops answers and new trainings and erases nothing. Running jobs at
hosts continue, so a workspace that installs the app again has lost nothing. Each step is a state
in the database, so that it can be repeated, also after a crash.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from bot.commands import Handlers
from bot.database_batches import BatchSize, batched, every_job
from bot.domain import (
    LOCAL,
    ChannelId,
    Job,
    ModelKind,
    Notice,
    Place,
    RemoteCleanup,
    Role,
    Workspace,
    WorkspaceId,
)
from bot.errors import NotFound, NotNow, PlaceClosed
from bot.example_files import jsonl_lines
from bot.mentions_and_times import time_reference
from bot.outdated_clicks import outdated_refusal, state_token
from bot.ports.dependencies import Dependencies, Surfaces
from bot.ports.store import Clock, Records, Store
from bot.ports.surface import CanCheckInstallation
from bot.replies import Button, Card, Document, Drawn, Reply, Text, Tone
from bot.request import Request
from bot.rows import Method
from bot.words import Words

handlers = Handlers()


log = logging.getLogger(__name__)

REMOVAL_NOTICE = "workspace.closed"
_STUDIO = Place(LOCAL, ChannelId("general"))
_SETTLING = timedelta(minutes=1)
"""Time after a removal for which a platform may still answer that the app is installed."""
_UNANSWERED_SECONDS, _PENDING_SECONDS = 5.0, 60.0
_PART = 100


class WorkspaceRemovals:
    """Confirms reported removals, and closes, reopens or erases the workspaces."""

    def __init__(
        self, *, store: Store, surfaces: Surfaces, clock: Clock, erase_after: timedelta
    ) -> None:
        self._store = store
        self._surfaces = surfaces
        self._clock = clock
        self._erase_after = erase_after

    async def poll(self) -> float:
        """Checks each reported or closed workspace; returns seconds until the next check."""
        async with self._store.reading() as records:
            removed = await records.workspaces.list_removed_or_closed()
        answers = [await self._settle(workspace) for workspace in removed]
        return _UNANSWERED_SECONDS if None in answers else _PENDING_SECONDS

    async def report(self, workspace: WorkspaceId) -> None:
        """Stores that the platform reported a removal, and asks the platform at once."""
        async with self._store.writing() as records:
            await records.workspaces.record_reported_removal(workspace, at=self._clock.now())
        await self.confirm_removal(workspace)

    async def confirm_removal(self, workspace: WorkspaceId) -> bool | None:
        """Returns whether the app is installed, None without an answer.

        True without asking if no removal was reported.
        """
        async with self._store.reading() as records:
            stored = await records.workspaces.find(workspace)
        if stored is not None and (stored.removal_reported_at or stored.closed_at):
            return await self._settle(stored)
        return True

    async def _settle(self, workspace: Workspace) -> bool | None:
        """Asks the platform and acts on its answer; returns the answer."""
        is_installed = await self._is_installed(workspace)
        if is_installed:
            await self._reopen(workspace)
        elif is_installed is False:
            await self._close_or_erase(workspace)
        return is_installed

    async def _is_installed(self, workspace: Workspace) -> bool | None:
        """Returns the platform's answer.

        If the platform is off: None for a report, which it cannot confirm; False for a closed
        workspace, so that its grace period ends.
        """
        try:
            surface = self._surfaces.surface_of(workspace.id)
        except PlaceClosed:
            return None if workspace.closed_at is None else False
        if not isinstance(surface, CanCheckInstallation):
            return False
        return await surface.is_installed(workspace.id)

    async def _reopen(self, workspace: Workspace) -> None:
        reported = workspace.removal_reported_at
        if workspace.closed_at is None:
            if reported is not None and self._clock.now() - reported >= _SETTLING:
                async with self._store.writing() as records:
                    await records.workspaces.reopen(workspace.id)
            return
        async with self._store.writing() as records:
            await records.workspaces.reopen(workspace.id)
            await self._record(records, workspace, "workspace.reopened")
        log.warning("A workspace came back and is open again", extra={"workspace": workspace.id})

    async def _close_or_erase(self, workspace: Workspace) -> None:
        now = self._clock.now()
        if workspace.closed_at is None:
            async with self._store.writing() as records:
                await records.workspaces.close(workspace.id, at=now)
                await self._record(records, workspace, "workspace.closed")
            log.warning("The app was removed; its workspace is closed", extra=_extra(workspace))
        if (workspace.closed_at or now) + self._erase_after <= now:
            await erase(workspace, store=self._store, now=now)

    async def _record(self, records: Records, workspace: Workspace, what: str) -> None:
        now = self._clock.now()
        await records.audit.add(workspace.id, None, what, at=now)
        await queue_removal_notice(records, workspace, at=now, erase_after=self._erase_after)


async def erase(workspace: Workspace, *, store: Store, now: datetime) -> None:
    """Erases a workspace: in the database now, at its hosts through cleanups."""
    async with store.reading() as records:
        cleanups = [cleanup async for cleanup in _cleanups_of(workspace, records, now)]
    for batch in batched(cleanups, _PART):
        async with store.writing() as records:
            for cleanup in batch:
                await records.remote_cleanups.add(cleanup)
    table, size = 0, BatchSize()
    while table >= 0:
        # The workspace's own row is deleted last, so that an interrupted erasure is continued.
        async with size.measure_transaction(store) as records:
            table = await records.workspaces.erase_part(
                workspace.id, first_table=table, limit=size.rows
            )
    async with store.writing() as records:
        await queue_removal_notice(records, workspace, at=now, erase_after=timedelta(0))
    log.warning("A workspace is erased", extra=_extra(workspace))


async def _cleanups_of(
    workspace: Workspace, records: Records, now: datetime
) -> AsyncIterator[RemoteCleanup]:
    async for job in every_job(workspace.id, records):
        if cleanup := _cleanup_of(job, now):
            yield cleanup
    for model in await records.models.list_of_workspaces([workspace.id]):
        if model.kind is not ModelKind.BASE:
            start = f"model-{model.name}"
            names = (*([model.served_name] if model.served_name else []), model.name)
            yield RemoteCleanup(model.host, start, None, (), now, models=names)


async def queue_removal_notice(
    records: Records, workspace: Workspace, *, at: datetime, erase_after: timedelta
) -> None:
    """Queues the notice about a closed workspace in the local workspace.

    Its text is rendered at delivery, from the state at that time.
    """
    await records.outbox.put(
        f"{workspace.id}.removal",
        _STUDIO,
        REMOVAL_NOTICE,
        details={
            "workspace": workspace.id,
            "name": workspace.name,
            "erased_on": (at + erase_after).isoformat(),
        },
        at=at,
    )


async def render_removal_notice(notice: Notice, records: Records, words: Words) -> Drawn | None:
    """Renders the current state of a removal: closed with buttons, reopened, or erased."""
    name, until = str(notice.details["name"]), str(notice.details["erased_on"])
    workspace = await records.workspaces.find(WorkspaceId(str(notice.details["workspace"])))
    if workspace is None:
        return Text(words("removal.erased", name=name))
    if workspace.closed_at is None:
        return Text(words("removal.reopened", name=name))
    return _card(workspace, datetime.fromisoformat(until), words)


@handlers.button("workspace.show", Role.OPERATOR)
async def show_removal(request: Request, deps: Dependencies) -> Reply:
    """Shows when a closed workspace is erased, with the operator's buttons."""
    async with deps.store.reading() as records:
        workspace = await _closed_workspace(WorkspaceId(request.argument), records)
    return _card(workspace, _erasure_time(workspace, request, deps), request.words)


def _erasure_time(workspace: Workspace, request: Request, deps: Dependencies) -> datetime:
    return (workspace.closed_at or request.now) + deps.erase_after


def _token_of(workspace: Workspace) -> str:
    """Returns a token of the closing time, which changes when the grace period starts anew."""
    return state_token(workspace.closed_at)


@handlers.button("workspace.export", Role.OPERATOR)
async def export_before_removal(request: Request, deps: Dependencies) -> Reply:
    """Exports the trainable examples of a closed workspace's assistants, of one method."""
    method, _, number = request.argument.partition(":")
    lines: list[bytes] = []
    async with deps.store.reading() as records:
        workspace = await _closed_workspace(WorkspaceId(number), records)
        for assistant in await records.assistants.all(workspace.id):
            examples = records.examples.iterate_trainable(
                workspace.id, assistant.id, Method(method)
            )
            lines += [line async for line in jsonl_lines(examples, assistant.instructions)]
    if not lines:
        raise NotNow(problem=request.words("export.nothing"))
    async with deps.store.writing() as records:
        await records.audit.add(
            workspace.id,
            request.user_id,
            "examples.exported",
            at=request.now,
            rows=len(lines),
            format="jsonl",
        )
    name = f"{workspace.id.replace(':', '-')}-{method}.jsonl"
    return Document(name, _blocks(lines), request.words("export.done", count=len(lines)))


@handlers.button("workspace.erase", Role.OPERATOR)
async def ask_erase(request: Request, deps: Dependencies) -> Reply:
    async with deps.store.reading() as records:
        workspace = await _closed_workspace(WorkspaceId(request.argument), records)
    return _confirmation_card(workspace, request.words)


def _confirmation_card(workspace: Workspace, words: Words) -> Card:
    action = f"workspace.erase_sure:{_token_of(workspace)}:{workspace.id}"
    sure = Button(words("removal.erase_now"), action, is_danger=True)
    return Card(
        words("removal.sure", name=workspace.name),
        lines=(words("removal.sure.text"),),
        buttons=(sure, Button(words("button.keep"), "privacy.keep")),
        private=True,
    )


@handlers.button("workspace.erase_sure", Role.OPERATOR)
async def erase_now(request: Request, deps: Dependencies) -> Reply:
    """Erases a closed workspace before its grace period ends."""
    token, _, number = request.argument.partition(":")
    async with deps.store.reading() as records:
        workspace = await _closed_workspace(WorkspaceId(number), records)
    if token != _token_of(workspace):
        return outdated_refusal(request, _confirmation_card(workspace, request.words))
    await erase(workspace, store=deps.store, now=request.now)
    deps.wake_runners()
    return Card(request.words("removal.erased", name=workspace.name), replaces=True)


@handlers.button("workspace.extend", Role.OPERATOR)
async def extend_grace_period(request: Request, deps: Dependencies) -> Reply:
    """Starts the grace period of a closed workspace anew."""
    token, _, number = request.argument.partition(":")
    async with deps.store.writing() as records:
        workspace = await _closed_workspace(WorkspaceId(number), records)
        if token != _token_of(workspace):
            return outdated_refusal(
                request, _card(workspace, _erasure_time(workspace, request, deps), request.words)
            )
        await records.workspaces.close(workspace.id, at=request.now)
        await records.audit.add(workspace.id, request.user_id, "workspace.kept", at=request.now)
        await queue_removal_notice(records, workspace, at=request.now, erase_after=deps.erase_after)
    until = time_reference(request.now + deps.erase_after)
    return Text(request.words("removal.extended", name=workspace.name, until=until))


def _card(workspace: Workspace, until: datetime, words: Words) -> Card:
    number = workspace.id
    return Card(
        words("removal.title", name=workspace.name),
        lines=(words("removal.text", until=time_reference(until)), words("removal.jobs")),
        buttons=(
            Button(words("removal.export"), f"workspace.export:supervised:{number}"),
            Button(words("removal.export_pairs"), f"workspace.export:dpo:{number}"),
            Button(words("removal.extend"), f"workspace.extend:{_token_of(workspace)}:{number}"),
            Button(words("removal.erase_now"), f"workspace.erase:{number}", is_danger=True),
        ),
        tone=Tone.BAD,
    )


async def _closed_workspace(workspace: WorkspaceId, records: Records) -> Workspace:
    """Returns a closed workspace. Raises NotFound."""
    stored = await records.workspaces.find(workspace)
    if stored is None or stored.closed_at is None:
        raise NotFound(noun="workspace", name=workspace)
    return stored


def _cleanup_of(job: Job, now: datetime) -> RemoteCleanup | None:
    """Returns the cleanup of a job at its host; None for a job that has nothing there."""
    files = tuple(file for file in (job.training_file, job.validation_file) if file)
    running = None if job.phase.is_over else job.host_job
    if not files and running is None and job.attempted_at is None:
        return None
    return RemoteCleanup(job.host, job.idempotency_key, running, files, now)


async def _blocks(lines: list[bytes]) -> AsyncIterator[bytes]:
    for line in lines:
        yield line


def _extra(workspace: Workspace) -> dict[str, object]:
    return {"workspace": workspace.id}
