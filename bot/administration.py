"""Running a workspace: roles, caps, the audit list."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime

from bot import access, references
from bot.commands import Handlers, Option, OptionKind
from bot.datasets import csv_line
from bot.domain import AuditEntry, Grant, Role, User, UserId
from bot.errors import BadInput, NotNow, Outdated
from bot.examples.exchange import find_person
from bot.monthly_budget import committed_this_month
from bot.ports.dependencies import Dependencies
from bot.ports.store import EVERYWHERE, Records
from bot.replies import Button, Card, Document, Fact, Listing, ListingRow, NoReply, Reply, Text
from bot.request import Request
from bot.undo_offers import offer_undo
from bot.words import Words

handlers = Handlers()


_OFF, _NO_ROLE = "off", "none"
_AUDIT_PAGE = 20
_AUDIT_EXPORTED = 100_000


@handlers.command(
    "admin roles",
    Role.ADMIN,
    Option("user", OptionKind.GRANTEE, rest=True),
    Option.choice("role", "none", "member", "curator", "trainer", "admin"),
    Option.yes_no("external"),
)
async def manage_roles(request: Request, deps: Dependencies) -> Reply:
    """Without a user it lists; with user and role it grants, `role:none` takes back.

    To be a member is a grant for a guest alone. Somebody of another organisation is lifted only
    by a grant that says so.
    """
    user, wanted = request.text_option("user"), request.text_option("role")
    if user is None and wanted is not None:
        problem = request.words("option.missing", option="user", command="admin roles")
        raise BadInput(problem=problem)
    if user is None or wanted is None:
        return await _list_roles(request, deps)
    person = await find_person(request, user, deps.surfaces)
    shown = references.person_reference(person.id, person.name)
    role = None if wanted == _NO_ROLE else Role[wanted.upper()]
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
        await request.audit(records, "role.granted", user_id=user, role=wanted)
    if role is None:
        return Text(request.words("roles.taken_back", user=shown), buttons=undo)
    text = request.words("roles.granted", user=shown, role=request.words(f"role.{wanted}"))
    return Text(text, buttons=(_take_back_button(request, person.id, role),))


@handlers.button("role.take_back", Role.ADMIN)
async def revoke_role(request: Request, deps: Dependencies) -> Reply:
    """The button beside a granted role."""
    shown, _, named = request.argument.partition(":")
    user = UserId(named)
    async with deps.store.writing() as records:
        grant = await records.roles.get(request.workspace_id, user)
        if grant is not None and shown != str(int(grant.role)):
            raise Outdated(
                problem=request.words("roles.changed", user=references.person_reference(user))
            )
        undo = await _offer_undo(request, user, records)
        await records.roles.set_grant(request.workspace_id, user, None)
        await request.audit(records, "role.granted", user_id=user, role=_NO_ROLE)
    listing = await _list_roles(request, deps)
    text = request.words("roles.taken_back", user=references.person_reference(user))
    done = ListingRow(references.person_reference(user), text, buttons=undo)
    return replace(listing, lines=(done, *listing.lines), replaces=True)


def _grant(person: User, role: Role, now: datetime) -> Grant:
    """Never before the person joined, though our clock and the platform's differ."""
    return Grant(role, max(now, person.joined_at or now), person.is_external)


async def _offer_undo(request: Request, user: UserId, records: Records) -> tuple[Button, ...]:
    grant = await records.roles.get(request.workspace_id, user)
    if grant is None:
        return ()
    held = {
        "person": user,
        "role": int(grant.role),
        "at": grant.at.isoformat(),
        "is_external": grant.is_external,
    }
    return (await offer_undo(request, records, "role", held),)


@handlers.event("person_left", Role.STRANGER)
async def on_person_left(request: Request, deps: Dependencies) -> Reply:
    """Whoever comes back begins as a member; what was granted since then stays."""
    async with deps.store.writing() as records:
        grant = await records.roles.get(request.workspace_id, request.user_id)
        if grant is not None and grant.at < request.event.at:
            await records.roles.set_grant(request.workspace_id, request.user_id, None)
            await request.audit(records, "role.lost", user_id=request.user_id)
    return NoReply()


@handlers.button("welcome.approvers", Role.MEMBER)
async def list_approvers(request: Request, deps: Dependencies) -> Reply:
    """Who may approve what is proposed; shown to whoever asks."""
    listing = await _list_roles(request, deps)
    return replace(listing, note=request.words("roles.who_grants"), private=True)


@handlers.command(
    "admin budget",
    Role.ADMIN,
    Option.amount("person", suggestions=("off",)),
    Option.amount("workspace", suggestions=("off",)),
    Option.amount("training", suggestions=("off",)),
)
async def manage_budget(request: Request, deps: Dependencies) -> Reply:
    """Tokens of answers per day, dollars of training per month, and what is left of them."""
    async with deps.store.writing() as records:
        # As it is now: two admins may each set another cap at the same time.
        held = await records.workspaces.find(request.workspace_id) or request.workspace
        before = held.person_cap, held.workspace_cap, held.training_cap
        person, whole = _cap(request, "person", before[0]), _cap(request, "workspace", before[1])
        training = _dollars(request, before[2])
        if (person, whole, training) != before:
            wanted = {"person": person, "whole": whole, "training": training}
            await records.workspaces.set_caps(
                request.workspace_id, person=person, whole=whole, training=training
            )
            await request.audit(records, "budget.set", **wanted)
        spent = await records.daily_tokens.spent(
            request.workspace_id, request.user_id, request.now.date()
        )
        paid = await committed_this_month(request, records)
    facts = (
        Fact(request.words("budget.person"), _left(request, person, spent[0])),
        Fact(request.words("budget.workspace"), _left(request, whole, spent[1])),
        Fact(request.words("budget.training"), _money_left(request, training, paid)),
    )
    return Card(request.words("budget.title"), facts=facts)


@handlers.command(
    "admin audit",
    Role.ADMIN,
    Option.text("what", rest=True),
    Option("user", OptionKind.USER),
    Option.integer("limit", 1, 200),
)
async def show_audit_log(request: Request, deps: Dependencies) -> Reply:
    """Who did what, newest first."""
    user, limit = request.text_option("user"), request.integer_option("limit") or _AUDIT_PAGE
    async with deps.store.reading() as records:
        entries = await records.audit.page(
            request.workspace_id,
            what=request.text_option("what"),
            user=UserId(user) if user else None,
            limit=limit,
        )
    lines = tuple(
        ListingRow(
            id=references.time_reference(entry.at),
            text=f"{_who(entry)}: {_said(entry, request.words)}",
            note=" · ".join(f"{name} {_shown(name, value)}" for name, value in _details(entry)),
        )
        for entry in entries
    )
    return Listing(request.words("audit.title"), lines, empty=request.words("audit.empty"))


@handlers.form("audit.export", Role.ADMIN, is_for_pages=True)
async def export_audit(request: Request, deps: Dependencies) -> Reply:
    """All that the filters find, as CSV."""
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
        details = " ".join(f"{name}={value}" for name, value in _details(entry))
        yield csv_line([entry.at.isoformat(), entry.user or "", entry.what, details])


def _said(entry: AuditEntry, words: Words) -> str:
    """In words where there are some, else as it is called."""
    key = f"audit.{entry.what}"
    return words(key) if words.has(key) else entry.what


def _who(entry: AuditEntry) -> str:
    return references.person_reference(entry.user) if entry.user else "attune"


def _shown(name: str, value: object) -> object:
    if name == "user_id":
        return references.person_reference(str(value))
    return (
        references.channel_reference(str(value))
        if name == "channel" and value != EVERYWHERE
        else value
    )


def _details(entry: AuditEntry) -> list[tuple[str, object]]:
    return [(name, value) for name, value in entry.details.items() if name != "event"]


async def _list_roles(request: Request, deps: Dependencies) -> Listing:
    async with deps.store.reading() as records:
        granted = await records.roles.all(request.workspace_id)
    is_admin = request.role >= Role.ADMIN
    wanted = request.text_option("user")
    lines = [
        ListingRow(
            references.person_reference(user),
            request.words(f"role.{role.name.lower()}"),
            buttons=(_take_back_button(request, user, role),) if is_admin else (),
        )
        for user, role in granted
        if wanted in (None, user)
    ]
    return Listing(request.words("roles.title"), tuple(lines), empty=request.words("roles.empty"))


def _take_back_button(request: Request, user: UserId, role: Role) -> Button:
    action = f"role.take_back:{int(role)}:{user}"
    return Button(request.words("button.take_back"), action)


def _cap(request: Request, name: str, current: int | None) -> int | None:
    said = request.text_option(name)
    if said is None:
        return current
    if said.lower() == _OFF:
        return None
    tokens = request.integer_option(name)
    if tokens is None or tokens < 1:
        raise BadInput(problem=request.words("budget.bad", option=name))
    return tokens


def _left(request: Request, cap: int | None, spent: int) -> str:
    if cap is None:
        return request.words("budget.off", spent=f"{spent:,}")
    return request.words("budget.left", left=f"{max(0, cap - spent):,}", cap=f"{cap:,}")


def _dollars(request: Request, current: float | None) -> float | None:
    said = request.text_option("training")
    if said is None:
        return current
    if said.lower() == _OFF:
        return None
    dollars = request.number_option("training")
    if dollars is None or dollars < 0:
        raise BadInput(problem=request.words("budget.bad_money", option="training"))
    return dollars


def _money_left(request: Request, cap: float | None, paid: float) -> str:
    if cap is None:
        return request.words("budget.off", spent=f"${paid:,.2f}")
    return request.words("budget.left", left=f"${max(0.0, cap - paid):,.2f}", cap=f"${cap:,.2f}")
