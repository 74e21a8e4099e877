"""The form of `/tune admin sources`: what a workspace may learn from, and who permitted it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import or_

from bot.commands import Handlers
from bot.domain import (
    NO_EXCLUSIONS,
    Exclusion,
    Role,
    Sources,
    Workspace,
)
from bot.errors import BadInput, NotNow, Outdated
from bot.examples.ask_admins_for_permission import (
    PERMISSION_DECLINED_AUDIT,
    queue_marks_allowed_notices,
)
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.replies import (
    Card,
    Field,
    FieldKind,
    Form,
    Reply,
    Text,
)
from bot.request import Request
from bot.words import Words

handlers = Handlers()


@handlers.command("admin sources", Role.ADMIN, opens_form=True)
@handlers.button("welcome.sources", Role.MEMBER, opens_form=True)
async def show_sources_form(request: Request, deps: Dependencies) -> Reply:
    """Opens the form for an admin; tells others what the workspace may learn from."""
    words = request.words
    if request.role < Role.ADMIN:
        current = _learning(request.workspace.sources, words)
        return Text(words("sources.here", sources=current), private=True)
    choices = tuple((s.name.lower(), words(f"sources.{s.name.lower()}")) for s in Sources)
    platform = request.workspace.platform
    return Form(
        id=f"sources:{_state_token(request.workspace)}",
        title=words("sources.title"),
        fields=(
            Field(
                "sources",
                words("sources.field"),
                FieldKind.CHOICE,
                request.workspace.sources.name.lower(),
                choices=choices,
            ),
            _allowed_field(request),
            Field("permission", words("sources.permission"), FieldKind.TEXT, required=False),
            _mask_field(request),
        ),
        submit_label=words("sources.submit"),
        note=words(f"sources.rule.{platform}"),
    )


def _state_token(workspace: Workspace) -> str:
    """Returns a token of the settings, by which an outdated form is refused."""
    return f"{int(workspace.sources)}.{int(workspace.allowed)}.{int(workspace.must_mask)}"


@handlers.form("sources", Role.ADMIN)
async def save_sources(request: Request, deps: Dependencies) -> Reply:
    """Stores what the workspace may learn from, and the attested permission in the audit log."""
    try:
        new_sources = Sources[request.options.get("sources", "").upper()]
    except KeyError:
        raise BadInput(problem=request.words("sources.unknown")) from None
    allowed = _allowed(request, request.options)
    permission = request.options.get("permission", "").strip()
    if new_sources > Sources.OUTSIDE and not permission and request.workspace.platform != "local":
        raise BadInput(problem=request.words("sources.permission_needed"))
    async with deps.store.writing() as records:
        workspace = await records.workspaces.find(request.workspace_id) or request.workspace
        if request.argument and request.argument != _state_token(workspace):
            raise NotNow(problem=request.words("sources.changed"))
        must_mask = _must_mask(request, workspace)
        await records.workspaces.set_must_mask(request.workspace_id, must_mask)
        await _set_sources(request, new_sources, allowed, permission, records, must_mask=must_mask)
    text = _confirmation(new_sources, allowed, request.words)
    if must_mask:
        text = f"{text} {request.words('sources.mask_set')}"
    return Text(text, is_for_all=True)


def _mask_field(request: Request) -> Field:
    value = "yes" if request.workspace.must_mask else "no"
    label = request.words("sources.mask")
    return Field("mask", label, FieldKind.TOGGLE, value, required=False)


def _must_mask(request: Request, workspace: Workspace) -> bool:
    """Returns whether private text must be masked, by the form.

    A form sends nothing for a switch that is off. A script's request, which has no token, changes
    nothing unless it sends a value.
    """
    return request.yes_no_option("mask", default=workspace.must_mask and not request.argument)


async def _set_sources(
    request: Request,
    new_sources: Sources,
    allowed: Exclusion,
    permission: str,
    records: Records,
    *,
    must_mask: bool,
) -> None:
    """Stores the sources and an audit entry.

    If messages may now be learned from for the first time, messages that were marked before are
    offered again.
    """
    await records.workspaces.set_sources(request.workspace_id, new_sources, allowed=allowed)
    await request.audit(
        records,
        "sources.set",
        sources=new_sources.name.lower(),
        allowed=_names(allowed),
        permission=permission,
        must_mask=must_mask,
    )
    if new_sources >= Sources.MESSAGES > request.workspace.sources:
        await queue_marks_allowed_notices(request, records)


@handlers.button("marks.allow", Role.ADMIN, opens_form=True)
async def show_permission_form(request: Request, deps: Dependencies) -> Reply:
    """Opens a form in which an admin names the permission for the requested sources."""
    requested, words = _requested_sources(request), request.words
    return Form(
        id=f"marks.allow:{requested.name.lower()}",
        title=words("sources.title"),
        fields=(Field("permission", words("sources.permission"), FieldKind.TEXT),),
        submit_label=words("sources.submit"),
        note=words(f"sources.rule.{request.workspace.platform}"),
        reopen_action=f"marks.allow:{requested.name.lower()}",
    )


@handlers.form("marks.allow", Role.ADMIN)
async def save_permission(request: Request, deps: Dependencies) -> Reply:
    """Extends what may be learned from; exclusions stay as they are."""
    requested, allowed = _requested_sources(request), request.workspace.allowed
    permission = request.options.get("permission", "").strip()
    if not permission:
        raise BadInput(problem=request.words("sources.permission_needed"))
    async with deps.store.writing() as records:
        must_mask = request.workspace.must_mask
        await _set_sources(request, requested, allowed, permission, records, must_mask=must_mask)
    return Text(_confirmation(requested, allowed, request.words), private=True)


@handlers.button("marks.decline", Role.ADMIN)
async def decline_permission(request: Request, deps: Dependencies) -> Reply:
    """Stores that an admin declined to learn from marked messages; only their ids stay stored."""
    words = request.words
    async with deps.store.writing() as records:
        await request.audit(records, PERMISSION_DECLINED_AUDIT)
    lines = (words("marks.declined_done"),)
    return Card(words("marks.title"), lines, private=True, replaces=True)


def _requested_sources(request: Request) -> Sources:
    """Returns the sources that a button asks for. Raises Outdated if they are allowed already."""
    requested = Sources.MESSAGES if request.argument == "messages" else Sources.FORMS
    if request.workspace.sources >= requested:
        current = _learning(request.workspace.sources, request.words)
        raise Outdated(problem=request.words("sources.here", sources=current))
    return requested


def _allowed_field(request: Request) -> Field:
    words = request.words
    choices = tuple((name, words(f"exclusion.{name}")) for name in map(_name, Exclusion))
    return Field(
        "allowed",
        words("sources.allowed"),
        FieldKind.CHOICES,
        _names(request.workspace.allowed),
        hint=words("sources.allowed_hint"),
        choices=choices,
        required=False,
    )


def _allowed(request: Request, values: Mapping[str, str]) -> Exclusion:
    """Returns the exclusions that the form lifts; a form without the field changes nothing."""
    if "allowed" not in values:
        return request.workspace.allowed
    names = [name for name in values["allowed"].replace(" ", "").split(",") if name]
    try:
        return reduce(or_, (Exclusion[name.upper()] for name in names), NO_EXCLUSIONS)
    except KeyError:
        choices = ", ".join(map(_name, Exclusion))
        raise BadInput(problem=request.words("sources.allowed_unknown", choices=choices)) from None


def _learning(sources: Sources, words: Words) -> str:
    return words(f"learning.{sources.name.lower()}")


def _confirmation(sources: Sources, allowed: Exclusion, words: Words) -> str:
    text = words("sources.set", sources=_learning(sources, words))
    if not allowed:
        return text
    names = ", ".join(words(f"exclusion.{_name(exclusion)}") for exclusion in allowed)
    return f"{text} {words('sources.allowed_set', names=names)}"


def _names(allowed: Exclusion) -> str:
    return ",".join(map(_name, allowed))


def _name(exclusion: Exclusion) -> str:
    return str(exclusion.name).lower()
