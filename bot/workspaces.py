"""Lists workspaces, allows them to use paid hosts, and handles installation of the app."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from bot.app_home import welcome_card
from bot.assistants import PLATFORMS_OPEN_TO_ANYBODY, initial_assistant
from bot.commands import Handlers
from bot.domain import Assistant, Role, Workspace, WorkspaceId
from bot.domain.ids import id_on_platform
from bot.errors import NotFound, Outdated
from bot.events import WorkspaceJoined
from bot.ports.dependencies import Dependencies
from bot.ports.model_hosts import Hosts
from bot.ports.store import Records
from bot.replies import Button, Listing, ListingRow, NoReply, Reply, Text, Tone
from bot.request import Request
from bot.words import Words
from bot.workspace_removal import WorkspaceRemovals

handlers = Handlers()


_PAGE = 200
_ATTEMPTS, _PAUSE = 5, timedelta(seconds=2)
"""Attempts, and the time between them, to ask a platform while a user waits."""


@handlers.button("workspaces", Role.OPERATOR, is_for_pages=True)
async def list_workspaces(request: Request, deps: Dependencies) -> Reply:
    """Lists all workspaces for the operator; `workspaces:<last>` is the next page.

    Workspaces that are not allowed yet come first.
    """
    last = WorkspaceId(request.argument) if request.argument else None
    async with deps.store.reading() as records:
        pages = records.workspaces.page
        waiting = () if last else await pages(is_allowed=False, limit=_PAGE)
        allowed = await pages(after=last, is_allowed=True, limit=_PAGE + 1)
        total = await records.workspaces.count()
    shown, words = allowed[:_PAGE], request.words
    more = None
    if len(allowed) > _PAGE:
        more = Button(words("list.more"), f"workspaces:{shown[-1].id}")
    lines = tuple(_line(workspace, deps.hosts, words) for workspace in (*waiting, *shown))
    return Listing(words("workspaces.title"), lines, more=more, total=total)


@handlers.button("workspace.allow", Role.OPERATOR, is_for_pages=True)
async def allow_paid_hosts(request: Request, deps: Dependencies) -> Reply:
    """Allows the configured hosts; an assistant that was not changed yet is moved to one."""
    async with deps.store.writing() as records:
        workspace = await _named_workspace(request, records)
        if not _is_restricted(workspace, deps.hosts):
            raise Outdated(problem=request.words("button.outdated"))
        workspace = replace(workspace, is_allowed=True)
        await records.workspaces.set_allowed(workspace.id, True)
        assistant = await records.assistants.default(workspace.id)
        if assistant is not None and await _is_untouched(assistant, workspace, records, deps.hosts):
            host, moved = (
                deps.hosts.default_host_for(workspace),
                initial_assistant(workspace, hosts=deps.hosts),
            )
            changed = replace(assistant, chat_host=host, training_host=host, base=moved.base)
            await records.assistants.update(workspace.id, changed)
        await records.audit.add(workspace.id, request.user_id, "workspace.allowed", at=request.now)
    return Text(request.words("workspaces.allowed", name=workspace.name))


@handlers.button("workspace.disallow", Role.OPERATOR, is_for_pages=True)
async def disallow_paid_hosts(request: Request, deps: Dependencies) -> Reply:
    """Forbids all hosts except the sandbox; the assistants' settings stay unchanged."""
    async with deps.store.writing() as records:
        workspace = await _named_workspace(request, records)
        if _is_restricted(workspace, deps.hosts):
            raise Outdated(problem=request.words("button.outdated"))
        await records.workspaces.set_allowed(workspace.id, False)
        await records.audit.add(
            workspace.id, request.user_id, "workspace.disallowed", at=request.now
        )
    is_listed = deps.hosts.is_named_in_settings(workspace.id)
    key = "workspaces.still_listed" if is_listed else "workspaces.disallowed"
    return Text(request.words(key, name=workspace.name))


@handlers.event("joined", Role.STRANGER)
async def on_app_added(request: Request, deps: Dependencies) -> Reply:
    """Welcomes a workspace that installed the app; a closed one is reopened with its data."""
    await _removals(deps).confirm_removal(request.workspace_id)
    async with deps.store.reading() as records:
        workspace = await records.workspaces.find(request.workspace_id)
    if workspace is None or workspace.closed_at is not None:
        return NoReply()
    what = request.event.what
    if isinstance(what, WorkspaceJoined) and what.name:
        async with deps.store.writing() as records:
            await records.workspaces.rename(request.workspace_id, what.name)
    return welcome_card(request, _waiting_note(request.workspace, deps.hosts, request.words))


@handlers.event("left", Role.STRANGER)
async def on_app_removed(request: Request, deps: Dependencies) -> Reply:
    await _removals(deps).report(request.workspace_id)
    deps.wake_runners()
    return NoReply()


async def check_reinstallation(workspace: WorkspaceId, deps: Dependencies) -> None:
    """Asks the platform after an event from a closed workspace whether the app is back."""
    removals = _removals(deps)
    for _ in range(_ATTEMPTS):
        if await removals.confirm_removal(workspace) is not None:
            return
        await deps.clock.sleep(_PAUSE)


def _removals(deps: Dependencies) -> WorkspaceRemovals:
    return WorkspaceRemovals(
        store=deps.store,
        surfaces=deps.surfaces,
        clock=deps.clock,
        erase_after=deps.erase_after,
    )


def _waiting_note(workspace: Workspace, hosts: Hosts, words: Words) -> str:
    """Returns the note for a server that is not allowed yet; "" for others."""
    if not _is_restricted(workspace, hosts):
        return ""
    return words("workspaces.not_allowed", server=id_on_platform(workspace.id))


def _is_restricted(workspace: Workspace, hosts: Hosts) -> bool:
    return len(hosts.usable_names(workspace)) < len(hosts.names())


def _line(workspace: Workspace, hosts: Hosts, words: Words) -> ListingRow:
    if workspace.closed_at is not None:
        show = Button(words("removal.show"), f"workspace.show:{workspace.id}")
        note = words("removal.line")
        return ListingRow(workspace.id, workspace.name, note, buttons=(show,), tone=Tone.BAD)
    note = words(f"learning.{workspace.sources.name.lower()}")
    if workspace.platform not in PLATFORMS_OPEN_TO_ANYBODY:
        return ListingRow(workspace.id, workspace.name, note)
    if _is_restricted(workspace, hosts):
        allow = Button(words("button.allow"), f"workspace.allow:{workspace.id}", is_primary=True)
        waits = f"{words('workspaces.waiting')} · {workspace.id}"
        return ListingRow(workspace.id, workspace.name, waits, buttons=(allow,), tone=Tone.BUSY)
    if hosts.is_named_in_settings(workspace.id):
        return ListingRow(workspace.id, workspace.name, f"{note} · {words('workspaces.listed')}")
    stop = Button(words("button.disallow"), f"workspace.disallow:{workspace.id}")
    return ListingRow(workspace.id, workspace.name, note, buttons=(stop,))


async def _named_workspace(request: Request, records: Records) -> Workspace:
    workspace = await records.workspaces.find(WorkspaceId(request.argument))
    if workspace is None:
        raise NotFound(noun="workspace", name=request.argument)
    return workspace


async def _is_untouched(
    assistant: Assistant, workspace: Workspace, records: Records, hosts: Hosts
) -> bool:
    """Whether the assistant has its initial settings and the workspace has no jobs."""
    start = initial_assistant(replace(workspace, is_allowed=False), hosts=hosts)
    is_same = (assistant.chat_host, assistant.training_host, assistant.base) == (
        start.chat_host,
        start.training_host,
        start.base,
    )
    return is_same and not await records.jobs.page(workspace.id, limit=1)
