"""Administration of a workspace: roles, budgets and the audit log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime

from bot import access
from bot.audit_descriptions import describe_action, describe_details, raw_details
from bot.commands import Handlers, Option, OptionKind
from bot.domain import AuditEntry, Grant, ModelName, Role, User, UserId
from bot.errors import BadInput, NotNow, Outdated
from bot.example_files import csv_line
from bot.examples.message_exchange import find_person
from bot.mentions_and_times import person_reference, time_reference
from bot.monthly_budget import committed_dollars_this_month
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.replies import Button, Card, Document, Fact, Listing, ListingRow, NoReply, Reply, Text
from bot.request import Request
from bot.undo_buttons import offer_undo
from bot.words import format_dollars

handlers = Handlers()


_OFF, _NO_ROLE = "off", "none"
_AUDIT_PAGE = 20
_AUDIT_EXPORTED = 100_000


@handlers.command(
    "admin roles",
    Role.ADMIN,
    Option("user", OptionKind.USER_OR_GROUP, takes_rest=True),
    Option.choice("role", "none", "member", "curator", "trainer", "admin"),
    Option.yes_no("external"),
)
async def manage_roles(request: Request, deps: Dependencies) -> Reply:
    """Lists the granted roles; with `user` and `role` grants a role, with `role:none` revokes it.

    A grant of the role member is stored only for guests and people of another organisation, as
    others are members anyway. A person of another organisation needs `external:yes`.
    """
    user, role_name = request.text_option("user"), request.text_option("role")
    if user is None and role_name is not None:
        problem = request.words("option.missing", option="user", command="admin roles")
        raise BadInput(problem=problem)
    if user is None or role_name is None:
        return await _list_roles(request, deps)
    person = await find_person(request, user, deps.surfaces)
    mention = person_reference(person.id, person.name)
    role = None if role_name == _NO_ROLE else Role[role_name.upper()]
    if (
        role is not None
        and person.is_external
        and not request.yes_no_option("external", default=False)
    ):
        raise NotNow(problem=request.words("roles.external", user=person.name))
    is_needless = role is Role.MEMBER and not access.is_guest_or_external(person)
    async with deps.store.writing() as records:
        grant = None if role is None or is_needless else _grant(person, role, request.now)
        undo = await _offer_undo(request, person.id, records) if grant is None else ()
        await records.roles.set_grant(request.workspace_id, person.id, grant)
        await request.audit(records, "role.granted", user_id=user, role=role_name)
    if role is None:
        return Text(request.words("roles.taken_back", user=mention), buttons=undo)
    text = request.words("roles.granted", user=mention, role=request.words(f"role.{role_name}"))
    return Text(text, buttons=(_take_back_button(request, person.id, role),))


@handlers.button("role.take_back", Role.ADMIN)
async def revoke_role(request: Request, deps: Dependencies) -> Reply:
    """Revokes a role by the button beside it, unless another role was granted since."""
    shown_role, _, user_id = request.argument.partition(":")
    user = UserId(user_id)
    async with deps.store.writing() as records:
        grant = await records.roles.get(request.workspace_id, user)
        if grant is not None and shown_role != str(int(grant.role)):
            raise Outdated(problem=request.words("roles.changed", user=person_reference(user)))
        undo = await _offer_undo(request, user, records)
        await records.roles.set_grant(request.workspace_id, user, None)
        await request.audit(records, "role.granted", user_id=user, role=_NO_ROLE)
    listing = await _list_roles(request, deps)
    text = request.words("roles.taken_back", user=person_reference(user))
    confirmation = ListingRow(person_reference(user), text, buttons=undo)
    return replace(listing, lines=(confirmation, *listing.lines), replaces=True)


def _grant(person: User, role: Role, now: datetime) -> Grant:
    """Returns a grant of now, but not before the person joined by the clock of the platform.

    A grant that is older than the person's joining would not count.
    """
    return Grant(role, max(now, person.joined_at or now), person.is_external)


async def _offer_undo(request: Request, user: UserId, records: Records) -> tuple[Button, ...]:
    """Returns a button that restores the present grant of a user; empty if there is none."""
    grant = await records.roles.get(request.workspace_id, user)
    if grant is None:
        return ()
    values = {
        "person": user,
        "role": int(grant.role),
        "at": grant.at.isoformat(),
        "is_external": grant.is_external,
    }
    return (await offer_undo(request, records, "role", values),)


@handlers.event("person_left", Role.STRANGER)
async def on_person_left(request: Request, deps: Dependencies) -> Reply:
    """Deletes the role of a person who left the workspace, unless it was granted afterwards."""
    async with deps.store.writing() as records:
        grant = await records.roles.get(request.workspace_id, request.user_id)
        if grant is not None and grant.at < request.event.at:
            await records.roles.set_grant(request.workspace_id, request.user_id, None)
            await request.audit(records, "role.lost", user_id=request.user_id)
    return NoReply()


@handlers.button("welcome.approvers", Role.MEMBER)
async def list_approvers(request: Request, deps: Dependencies) -> Reply:
    """Lists who has a role and may therefore approve proposed examples."""
    listing = await _list_roles(request, deps)
    return replace(listing, note=request.words("roles.who_grants"), private=True)


@handlers.command(
    "admin budget",
    Role.ADMIN,
    Option.number_or_word("person", suggestions=("off",)),
    Option.number_or_word("workspace", suggestions=("off",)),
    Option.number_or_word("training", suggestions=("off",)),
)
async def manage_budget(request: Request, deps: Dependencies) -> Reply:
    """Sets or shows the caps on answer tokens a day and on training dollars a month."""
    async with deps.store.writing() as records:
        # Read again inside the transaction, as two admins may set different caps at once.
        stored = await records.workspaces.find(request.workspace_id) or request.workspace
        before = stored.person_cap, stored.workspace_cap, stored.training_cap
        person, whole = (
            _cap_option(request, "person", before[0]),
            _cap_option(request, "workspace", before[1]),
        )
        training = _training_cap_option(request, before[2])
        if (person, whole, training) != before:
            caps = {"person": person, "whole": whole, "training": training}
            await records.workspaces.set_caps(
                request.workspace_id, person_cap=person, workspace_cap=whole, training_cap=training
            )
            await request.audit(records, "budget.set", **caps)
        spent = await records.daily_tokens.tokens_of_day(
            request.workspace_id, request.user_id, request.now.date()
        )
        paid = await committed_dollars_this_month(request, records)
    facts = (
        Fact(request.words("budget.person"), _tokens_left(request, person, spent[0])),
        Fact(request.words("budget.workspace"), _tokens_left(request, whole, spent[1])),
        Fact(request.words("budget.training"), _money_left(request, training, paid)),
    )
    return Card(request.words("budget.title"), facts=facts)


@handlers.command(
    "admin audit",
    Role.ADMIN,
    Option.text("what", takes_rest=True),
    Option("user", OptionKind.USER),
    Option.integer("limit", 1, 200),
)
async def show_audit_log(request: Request, deps: Dependencies) -> Reply:
    """Lists the audit log, newest entries first."""
    user, limit = request.text_option("user"), request.integer_option("limit") or _AUDIT_PAGE
    async with deps.store.reading() as records:
        entries = await records.audit.page(
            request.workspace_id,
            what=request.text_option("what"),
            user=UserId(user) if user else None,
            limit=limit,
        )
        model_names = await _model_names(request, entries, records)
    lines = tuple(
        ListingRow(
            id=time_reference(entry.at),
            text=f"{_author(entry)}: {describe_action(entry, request.words)}",
            note=" · ".join(describe_details(entry, request.words, model_names)),
        )
        for entry in entries
    )
    return Listing(request.words("audit.title"), lines, empty=request.words("audit.empty"))


@handlers.form("audit.export", Role.ADMIN, is_for_pages=True)
async def export_audit(request: Request, deps: Dependencies) -> Reply:
    """Exports the filtered audit log as CSV, up to 100,000 entries."""
    user = request.text_option("user")
    async with deps.store.reading() as records:
        entries = await records.audit.page(
            request.workspace_id,
            what=request.text_option("what"),
            user=UserId(user) if user else None,
            limit=_AUDIT_EXPORTED,
        )
    text = request.words("audit.exported", count=len(entries))
    return Document(f"audit-{request.now:%Y-%m-%d}.csv", _audit_lines(entries), text)


async def _audit_lines(entries: Sequence[AuditEntry]) -> AsyncIterator[bytes]:
    yield "\ufeff".encode() + csv_line(["at", "user", "what", "details"])
    for entry in entries:
        details = " ".join(f"{name}={value}" for name, value in raw_details(entry).items())
        yield csv_line([entry.at.isoformat(), entry.user or "", entry.what, details])


def _author(entry: AuditEntry) -> str:
    return person_reference(entry.user) if entry.user else "attune"


async def _model_names(
    request: Request, entries: Sequence[AuditEntry], records: Records
) -> dict[str, str]:
    """Returns the short name of each model in the entries, by its id."""
    ids = {ModelName(str(one.details["model"])) for one in entries if "model" in one.details}
    models = [await records.models.find(request.workspace_id, one) for one in sorted(ids)]
    return {model.name: model.display_name for model in models if model is not None}


async def _list_roles(request: Request, deps: Dependencies) -> Listing:
    async with deps.store.reading() as records:
        granted = await records.roles.all(request.workspace_id)
    is_admin = request.role >= Role.ADMIN
    only_user = request.text_option("user")
    lines = [
        ListingRow(
            person_reference(user),
            request.words(f"role.{role.name.lower()}"),
            buttons=(_take_back_button(request, user, role),) if is_admin else (),
        )
        for user, role in granted
        if only_user in (None, user)
    ]
    return Listing(request.words("roles.title"), tuple(lines), empty=request.words("roles.empty"))


def _take_back_button(request: Request, user: UserId, role: Role) -> Button:
    action = f"role.take_back:{int(role)}:{user}"
    return Button(request.words("button.take_back"), action)


def _cap_option(request: Request, name: str, current: int | None) -> int | None:
    value = request.text_option(name)
    if value is None:
        return current
    if value.lower() == _OFF:
        return None
    tokens = request.integer_option(name)
    if tokens is None or tokens < 1:
        raise BadInput(problem=request.words("budget.bad", option=name))
    return tokens


def _tokens_left(request: Request, cap: int | None, spent: int) -> str:
    if cap is None:
        return request.words("budget.off", spent=f"{spent:,}")
    return request.words("budget.left", left=f"{max(0, cap - spent):,}", cap=f"{cap:,}")


def _training_cap_option(request: Request, current: float | None) -> float | None:
    value = request.text_option("training")
    if value is None:
        return current
    if value.lower() == _OFF:
        return None
    dollars = request.number_option("training")
    if dollars is None or dollars < 0:
        raise BadInput(problem=request.words("budget.bad_money", option="training"))
    return dollars


def _money_left(request: Request, cap: float | None, paid: float) -> str:
    if cap is None:
        return request.words("budget.off", spent=format_dollars(paid))
    left = format_dollars(max(0.0, cap - paid))
    return request.words("budget.left", left=left, cap=format_dollars(cap))
