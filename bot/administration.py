"""Running a workspace: roles, caps, the audit list."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from bot import access
from bot.datasets import csv_line
from bot.domain import AuditEntry, HostName, Role, User, UserId
from bot.errors import BadInput, NotFound, NotNow
from bot.examples import described
from bot.ports.dependencies import Surfaces
from bot.ports.provider import Hosts
from bot.ports.store import Records, Store
from bot.ports.surface import CanFindPerson
from bot.replies import Button, Card, Document, Fact, Listing, ListingRow, NoReply, Reply, Text
from bot.request import Request
from bot.undo_offers import offer_undo
from bot.words import Words

_OFF, _NO_ROLE = "off", "none"
_AUDIT_PAGE = 20
_AUDIT_EXPORTED = 100_000


async def roles(ask: Request, *, store: Store, surfaces: Surfaces) -> Reply:
    """Without a user it lists; with user and role it grants, `role:none` takes back.

    To be a member is a grant for a guest alone. Somebody of another organisation is lifted only
    by a grant that says so.
    """
    user, wanted = ask.text("user"), ask.text("role")
    if user is None and wanted is not None:
        problem = ask.words("option.missing", option="user", command="admin roles")
        raise BadInput(problem=problem)
    if user is None or wanted is None:
        return await _list_roles(ask, store=store)
    person = await _person(ask, user, surfaces)
    role = None if wanted == _NO_ROLE else Role[wanted.upper()]
    if role is not None and person.is_external and not ask.yes("external", default=False):
        raise NotNow(problem=ask.words("roles.external", user=user))
    is_needless = role is Role.MEMBER and not access.is_stranger(person)
    async with store.writing() as records:
        granted = None if is_needless else role
        undo = await _offer_undo(ask, person.id, records) if granted is None else ()
        await records.roles.put(ask.id, person.id, granted, is_external=person.is_external)
        await records.audit.add(
            ask.id, ask.by, "role.granted", at=ask.now, user_id=user, role=wanted
        )
    if role is None:
        return Text(ask.words("roles.taken_back", user=user), buttons=undo)
    text = ask.words("roles.granted", user=user, role=ask.words(f"role.{wanted}"))
    return Text(text, buttons=(_take_back_button(ask, person.id),))


async def take_back(ask: Request, *, store: Store) -> Reply:
    """The button beside a granted role."""
    user = UserId(ask.argument)
    async with store.writing() as records:
        undo = await _offer_undo(ask, user, records)
        await records.roles.put(ask.id, user, None)
        await records.audit.add(
            ask.id, ask.by, "role.granted", at=ask.now, user_id=user, role=_NO_ROLE
        )
    listing = await _list_roles(ask, store=store)
    done = ListingRow(user, ask.words("roles.taken_back", user=user), buttons=undo)
    return replace(listing, lines=(done, *listing.lines), replaces=True)


async def _offer_undo(ask: Request, user: UserId, records: Records) -> tuple[Button, ...]:
    role = await records.roles.get(ask.id, user)
    if role is None:
        return ()
    is_external = await records.roles.get(ask.id, user, is_external=True) is not None
    held = {"person": user, "role": int(role), "is_external": is_external}
    return (await offer_undo(ask, records, "role", held),)


async def _person(ask: Request, said: str, surfaces: Surfaces) -> User:
    """Who is meant. Raises NotFound where the platform knows nobody of that id."""
    surface = surfaces.of(ask.id)
    if not isinstance(surface, CanFindPerson):
        return await described(ask, UserId(said), surface)
    found = await surface.find_person(ask.place, said)
    if found is None:
        raise NotFound(noun="person", name=said)
    return found


async def person_left(ask: Request, *, store: Store) -> Reply:
    """Whoever comes back begins as a member; what was granted is granted anew, if at all."""
    async with store.writing() as records:
        if await records.roles.get(ask.id, ask.by) is not None:
            await records.roles.put(ask.id, ask.by, None)
            await records.audit.add(ask.id, ask.by, "role.lost", at=ask.now, user_id=ask.by)
    return NoReply()


async def approvers(ask: Request, *, store: Store) -> Reply:
    """Who may approve what is proposed; shown to whoever asks."""
    listing = await _list_roles(ask, store=store)
    return replace(listing, note=ask.words("roles.who_grants"), private=True)


async def budget(ask: Request, *, store: Store) -> Reply:
    """Tokens of answers per day, dollars of training per month, and what is left of them."""
    async with store.writing() as records:
        # As it is now: two admins may each set another cap at the same time.
        held = await records.workspaces.find(ask.id) or ask.workspace
        before = held.person_cap, held.workspace_cap, held.training_cap
        person, whole = _cap(ask, "person", before[0]), _cap(ask, "workspace", before[1])
        training = _dollars(ask, before[2])
        if (person, whole, training) != before:
            wanted = {"person": person, "whole": whole, "training": training}
            await records.workspaces.set_caps(ask.id, person=person, whole=whole, training=training)
            await records.audit.add(ask.id, ask.by, "budget.set", at=ask.now, **wanted)
        spent = await records.spending.spent(ask.id, ask.by, ask.now.date())
        paid = await records.jobs.committed(ask.id, since=ask.month_start)
    facts = (
        Fact(ask.words("budget.person"), _left(ask, person, spent[0])),
        Fact(ask.words("budget.workspace"), _left(ask, whole, spent[1])),
        Fact(ask.words("budget.training"), _money_left(ask, training, paid)),
    )
    return Card(ask.words("budget.title"), facts=facts)


async def audit(ask: Request, *, store: Store) -> Reply:
    """Who did what, newest first."""
    user, limit = ask.text("user"), ask.integer("limit") or _AUDIT_PAGE
    async with store.reading() as records:
        entries = await records.audit.page(
            ask.id,
            what=ask.text("what"),
            user=UserId(user) if user else None,
            limit=limit,
        )
    lines = tuple(
        ListingRow(
            id=f"{entry.at:%Y-%m-%d %H:%M}",
            text=f"{entry.user or 'attune'}: {_said(entry, ask.words)}",
            note=" · ".join(f"{name} {value}" for name, value in _details(entry)),
        )
        for entry in entries
    )
    return Listing(ask.words("audit.title"), lines, empty=ask.words("audit.empty"))


async def export_audit(ask: Request, *, store: Store) -> Reply:
    """All that the filters find, as CSV."""
    user = ask.text("user")
    async with store.reading() as records:
        entries = await records.audit.page(
            ask.id,
            what=ask.text("what"),
            user=UserId(user) if user else None,
            limit=_AUDIT_EXPORTED,
        )
    text = ask.words("audit.exported", count=len(entries))
    return Document(f"audit-{ask.now:%Y-%m-%d}.csv", _audit_lines(entries), text)


async def _audit_lines(entries: Sequence[AuditEntry]) -> AsyncIterator[bytes]:
    yield "\ufeff".encode() + csv_line(["at", "user", "what", "details"])
    for entry in entries:
        details = " ".join(f"{name}={value}" for name, value in _details(entry))
        yield csv_line([entry.at.isoformat(), entry.user or "", entry.what, details])


def _said(entry: AuditEntry, words: Words) -> str:
    """In words where there are some, else as it is called."""
    key = f"audit.{entry.what}"
    return words(key) if words.has(key) else entry.what


def _details(entry: AuditEntry) -> list[tuple[str, object]]:
    return [(name, value) for name, value in entry.details.items() if name != "event"]


async def hosts(ask: Request, *, hosts: Hosts) -> Reply:
    """The servers that are configured, and what each can do."""
    words = ask.words
    lines = []
    for name in hosts.usable(ask.workspace):
        host = hosts.get(name)
        notes = [words(f"method.{method}") for method in host.profile.methods]
        if not host.profile.is_tried:
            notes.append(words("hosts.untried"))
        test = Button(words("button.test"), f"host.test:{name}")
        lines.append(
            ListingRow(name, ", ".join(host.bases) or "–", ", ".join(notes), buttons=(test,))
        )
    return Listing(words("hosts.title"), tuple(lines), note=words("hosts.note"))


async def test_host(ask: Request, *, hosts: Hosts) -> Reply:
    """Ask a host for its models: the cheapest question that needs its address and key."""
    host = hosts.paid(HostName(ask.argument), ask.workspace)
    found = await host.check()
    lines = [ask.words("hosts.answers", host=host.name, count=found.models)]
    if found.refusal is not None:
        lines.append(ask.words("hosts.no_training", why=ask.words.error(found.refusal)))
    return Text("\n".join(lines), private=True)


async def _list_roles(ask: Request, *, store: Store) -> Listing:
    async with store.reading() as records:
        granted = await records.roles.all(ask.id)
    is_admin = ask.role >= Role.ADMIN
    wanted = ask.text("user")
    lines = tuple(
        ListingRow(
            user,
            user,
            ask.words(f"role.{role.name.lower()}"),
            buttons=(_take_back_button(ask, user),) if is_admin else (),
        )
        for user, role in granted
        if wanted in (None, user)
    )
    return Listing(ask.words("roles.title"), lines, empty=ask.words("roles.empty"))


def _take_back_button(ask: Request, user: UserId) -> Button:
    return Button(ask.words("button.take_back"), f"role.take_back:{user}")


def _cap(ask: Request, name: str, current: int | None) -> int | None:
    said = ask.text(name)
    if said is None:
        return current
    if said.lower() == _OFF:
        return None
    tokens = ask.integer(name)
    if tokens is None or tokens < 1:
        raise BadInput(problem=ask.words("budget.bad", option=name))
    return tokens


def _left(ask: Request, cap: int | None, spent: int) -> str:
    if cap is None:
        return ask.words("budget.off", spent=f"{spent:,}")
    return ask.words("budget.left", left=f"{max(0, cap - spent):,}", cap=f"{cap:,}")


def _dollars(ask: Request, current: float | None) -> float | None:
    said = ask.text("training")
    if said is None:
        return current
    if said.lower() == _OFF:
        return None
    dollars = ask.number("training")
    if dollars is None or dollars < 0:
        raise BadInput(problem=ask.words("budget.bad_money", option="training"))
    return dollars


def _money_left(ask: Request, cap: float | None, paid: float) -> str:
    if cap is None:
        return ask.words("budget.off", spent=f"${paid:,.2f}")
    return ask.words("budget.left", left=f"${max(0.0, cap - paid):,.2f}", cap=f"${cap:,.2f}")
