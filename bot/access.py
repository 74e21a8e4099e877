"""Who may do what by role, also after leaving and rejoining; reads and writes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import reduce
from operator import or_

from bot.commands import Action, Command
from bot.domain import (
    CHANNEL_EXCLUSIONS,
    NO_EXCLUSION,
    ChannelKind,
    Exclusion,
    Grant,
    Place,
    Role,
    User,
    Workspace,
)
from bot.errors import NotAllowed, NotForGuests, NotFound, NotNow, OverCap
from bot.parsing import parse
from bot.request import Request
from bot.words import Words

_CLOSED = {
    ChannelKind.OPEN: NO_EXCLUSION,
    ChannelKind.PRIVATE: Exclusion.PRIVATE,
    ChannelKind.SHARED: Exclusion.SHARED,
    ChannelKind.DIRECT: Exclusion.DIRECT,
    ChannelKind.RESTRICTED: Exclusion.RESTRICTED,
}


def role_of(
    user: User,
    *,
    workspace: Workspace,
    grant: Grant | None,
    admins: frozenset[str],
    through_groups: Role = Role.STRANGER,
) -> Role:
    """The highest of: what was granted here, what the platform says, what the operator set.

    `through_groups` is the highest role that a group of theirs holds; it lifts no stranger.

    `admins` holds `platform:user` entries of ATTUNE_ADMINS. A guest or somebody of another
    organisation is a stranger, and no platform admin, unless one of the other two says more.
    Somebody of another organisation holds only what was granted to them as such.
    """
    if user.is_operator:
        return Role.OPERATOR
    is_named = f"{workspace.platform}:{user.id}" in admins
    if is_named or (user.is_platform_admin and not is_guest_or_external(user)):
        return Role.ADMIN
    own = Role.STRANGER if is_guest_or_external(user) else max(Role.MEMBER, through_groups)
    if (
        grant is None
        or has_rejoined_since(grant, user)
        or (user.is_external and not grant.is_external)
    ):
        return own
    return max(grant.role, own)


def has_rejoined_since(grant: Grant, user: User) -> bool:
    """Whether somebody left and joined again since: who comes back begins as a member."""
    return user.joined_at is not None and grant.at < user.joined_at


def is_guest_or_external(user: User) -> bool:
    """Whether the platform says that a person is a guest or of another organisation."""
    return user.is_guest or user.is_external


def authorize_and_parse(entry: Command | Action, request: Request, line: str = "") -> Request:
    """The request with the options of a command's line, for whoever may make it.

    The one place where the role of a command, an option, a button, a form, a reaction or a
    shortcut is required. Raises NotAllowed, NotForGuests, BadInput, and NotFound for what only
    the studio's pages offer.
    """
    require_role(request.role, entry.role, request.words)
    if isinstance(entry, Action):
        if entry.is_for_pages and not request.is_page:
            raise NotFound(noun="button", name=entry.name)
        return request
    options = parse(entry, line, request.words, given=request.options)
    for option in entry.options:
        if option.role is not None and options.get(option.name):
            require_role(request.role, option.role, request.words)
    return replace(request, options=options)


def require_role(role: Role, needed: Role, words: Words) -> None:
    """Raises NotAllowed, naming who can."""
    if role < needed and role is Role.STRANGER:
        raise NotForGuests
    if role < needed:
        raise NotAllowed(
            role=words(f"role.{needed.name.lower()}"), who=words(f"role.ask.{needed.name.lower()}")
        )


def require_leave_to_ask(may_ask: bool) -> None:
    """Raises NotForGuests for a stranger where no admin lets strangers ask."""
    if not may_ask:
        raise NotForGuests


def refuse_closed_workspace(workspace: Workspace, words: Words) -> None:
    """Raises NotNow where the app was removed: nothing is asked of a model, nothing is trained."""
    if workspace.closed_at is not None:
        raise NotNow(problem=words("removal.closed"))


def require_within_caps(workspace: Workspace, spent: tuple[int, int], words: Words) -> None:
    """Raises OverCap when today's tokens of the person or the workspace are used up."""
    person, whole = spent
    if workspace.person_cap is not None and person >= workspace.person_cap:
        raise OverCap(cap=workspace.person_cap, whom=words("cap.you"))
    if workspace.workspace_cap is not None and whole >= workspace.workspace_cap:
        raise OverCap(cap=workspace.workspace_cap, whom=words("cap.workspace"))


def exclusions_hidden_elsewhere(workspace: Workspace) -> Exclusion:
    """What was said in such a channel shows in that channel alone; the admin's form allows more."""
    return CHANNEL_EXCLUSIONS & ~workspace.allowed


def exclusions(place: Place, people: Iterable[User]) -> Exclusion:
    """For what reasons words said there by these people teach nothing by themselves."""
    return _CLOSED[place.kind] | excluded_people(people)


def excluded_people(people: Iterable[User]) -> Exclusion:
    return reduce(
        or_, (Exclusion.GUEST for one in people if is_guest_or_external(one)), NO_EXCLUSION
    )
