"""What a workspace may learn from, and who said so: the form of `/tune admin sources`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import or_

from bot.commands import Handlers
from bot.domain import (
    NO_EXCLUSION,
    Exclusion,
    Role,
    Sources,
    Workspace,
)
from bot.errors import BadInput, NotNow, Outdated
from bot.examples.asking_admins import DECLINED, offer_again
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
async def sources(request: Request, deps: Dependencies) -> Reply:
    """What the workspace may learn from; an admin raises it with one form, others read it."""
    words = request.words
    if request.role < Role.ADMIN:
        held = _learning(request.workspace.sources, words)
        return Text(words("sources.here", sources=held), private=True)
    choices = tuple((s.name.lower(), words(f"sources.{s.name.lower()}")) for s in Sources)
    platform = request.workspace.platform
    return Form(
        id=f"sources:{_stamp(request.workspace)}",
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


def _stamp(workspace: Workspace) -> str:
    """What is allowed when the form opens: it overwrites nothing else."""
    return f"{int(workspace.sources)}.{int(workspace.allowed)}.{int(workspace.must_mask)}"


@handlers.form("sources", Role.ADMIN)
async def sources_submitted(request: Request, deps: Dependencies) -> Reply:
    """Stores who attested to what permission, when."""
    try:
        wanted = Sources[request.options.get("sources", "").upper()]
    except KeyError:
        raise BadInput(problem=request.words("sources.unknown")) from None
    allowed = _allowed(request, request.options)
    permission = request.options.get("permission", "").strip()
    if wanted > Sources.OUTSIDE and not permission and request.workspace.platform != "local":
        raise BadInput(problem=request.words("sources.permission_needed"))
    async with deps.store.writing() as records:
        held = await records.workspaces.find(request.workspace_id) or request.workspace
        if request.argument and request.argument != _stamp(held):
            raise NotNow(problem=request.words("sources.changed"))
        must_mask = _must_mask(request, held)
        await records.workspaces.set_must_mask(request.workspace_id, must_mask)
        await _set_sources(request, wanted, allowed, permission, records, must_mask=must_mask)
    said = _set(wanted, allowed, request.words)
    text = f"{said} {request.words('sources.mask_set')}" if must_mask else said
    return Text(text, is_for_all=True)


def _mask_field(request: Request) -> Field:
    value = "yes" if request.workspace.must_mask else "no"
    label = request.words("sources.mask")
    return Field("mask", label, FieldKind.TOGGLE, value, required=False)


def _must_mask(request: Request, held: Workspace) -> bool:
    """A form's switch that is off sends nothing; a script that does not say it changes nothing."""
    return request.yes_no_option("mask", default=held.must_mask and not request.argument)


async def _set_sources(
    request: Request,
    wanted: Sources,
    allowed: Exclusion,
    permission: str,
    records: Records,
    *,
    must_mask: bool,
) -> None:
    """Where messages may be kept from now on, those that were marked before are offered again."""
    await records.workspaces.set_sources(request.workspace_id, wanted, allowed=allowed)
    await request.audit(
        records,
        "sources.set",
        sources=wanted.name.lower(),
        allowed=_names(allowed),
        permission=permission,
        must_mask=must_mask,
    )
    if wanted >= Sources.MESSAGES > request.workspace.sources:
        await offer_again(request, records)


@handlers.button("marks.allow", Role.ADMIN, opens_form=True)
async def allow_form(request: Request, deps: Dependencies) -> Reply:
    """Who permits that, which nobody but an admin can say."""
    wanted, words = _wanted(request), request.words
    return Form(
        id=f"marks.allow:{wanted.name.lower()}",
        title=words("sources.title"),
        fields=(Field("permission", words("sources.permission"), FieldKind.TEXT),),
        submit_label=words("sources.submit"),
        note=words(f"sources.rule.{request.workspace.platform}"),
        reopen_action=f"marks.allow:{wanted.name.lower()}",
    )


@handlers.form("marks.allow", Role.ADMIN)
async def save_marks_permission(request: Request, deps: Dependencies) -> Reply:
    """Raises what may be learned from; who or what is excluded stays so."""
    wanted, allowed = _wanted(request), request.workspace.allowed
    permission = request.options.get("permission", "").strip()
    if not permission:
        raise BadInput(problem=request.words("sources.permission_needed"))
    async with deps.store.writing() as records:
        must_mask = request.workspace.must_mask
        await _set_sources(request, wanted, allowed, permission, records, must_mask=must_mask)
    return Text(_set(wanted, allowed, request.words), private=True)


@handlers.button("marks.decline", Role.ADMIN)
async def decline_marks(request: Request, deps: Dependencies) -> Reply:
    """Marks stay pointers, and whoever marks hears that it was decided."""
    words = request.words
    async with deps.store.writing() as records:
        await request.audit(records, DECLINED)
    lines = (words("marks.declined_done"),)
    return Card(words("marks.title"), lines, private=True, replaces=True)


def _wanted(request: Request) -> Sources:
    """What a button asks for. Raises Outdated where as much is allowed already."""
    wanted = Sources.MESSAGES if request.argument == "messages" else Sources.FORMS
    if request.workspace.sources >= wanted:
        held = _learning(request.workspace.sources, request.words)
        raise Outdated(problem=request.words("sources.here", sources=held))
    return wanted


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
    """What the form does not name stays excluded; a form without the question changes nothing."""
    if "allowed" not in values:
        return request.workspace.allowed
    named = [name for name in values["allowed"].replace(" ", "").split(",") if name]
    try:
        return reduce(or_, (Exclusion[name.upper()] for name in named), NO_EXCLUSION)
    except KeyError:
        choices = ", ".join(map(_name, Exclusion))
        raise BadInput(problem=request.words("sources.allowed_unknown", choices=choices)) from None


def _learning(sources: Sources, words: Words) -> str:
    return words(f"learning.{sources.name.lower()}")


def _set(sources: Sources, allowed: Exclusion, words: Words) -> str:
    said = words("sources.set", sources=_learning(sources, words))
    if not allowed:
        return said
    names = ", ".join(words(f"exclusion.{_name(one)}") for one in allowed)
    return f"{said} {words('sources.allowed_set', names=names)}"


def _names(allowed: Exclusion) -> str:
    return ",".join(map(_name, allowed))


def _name(exclusion: Exclusion) -> str:
    return str(exclusion.name).lower()
