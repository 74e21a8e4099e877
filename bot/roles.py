"""Grants and revokes roles, and lists who has one."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from bot import access
from bot.commands import Handlers, Option, OptionKind
from bot.domain import Grant, Role, User, UserId
from bot.errors import BadInput, NotNow, Outdated
from bot.examples.message_exchange import find_person
from bot.mentions_and_times import person_reference
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.replies import Button, Listing, ListingRow, NoReply, Reply, Text
from bot.request import Request
from bot.undo_buttons import offer_undo

handlers = Handlers()


_NO_ROLE = "none"


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
