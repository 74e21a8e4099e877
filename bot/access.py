"""Which role a person has and what each role may do; pure functions without I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import reduce
from operator import or_

from bot.commands import Action, Command
from bot.domain import (
    CHANNEL_EXCLUSIONS,
    NO_EXCLUSIONS,
    ChannelKind,
    Evaluation,
    Exclusion,
    Grant,
    Job,
    Judging,
    Place,
    Role,
    SyntheticRun,
    User,
    Workspace,
)
from bot.errors import NotAllowed, NotForGuests, NotFound, NotNow
from bot.option_parsing import parse_options
from bot.request import Request
from bot.words import Words

_CHANNEL_EXCLUSIONS = {
    ChannelKind.OPEN: NO_EXCLUSIONS,
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
    """Returns the highest role from the grant, the platform, the user's groups and ATTUNE_ADMINS.

    `through_groups` is the highest role granted to one of the user's groups. `admins` holds the
    `platform:user` entries of ATTUNE_ADMINS. For guests and people of another organisation the
    groups and the platform's admin flag do not count: they are strangers without a grant or an
    entry in `admins`. A grant counts for people of another organisation only if it was made to
    them as such.
    """
    if user.is_operator:
        return Role.OPERATOR
    is_configured_admin = f"{workspace.platform}:{user.id}" in admins
    if is_configured_admin or (user.is_platform_admin and not is_guest_or_external(user)):
        return Role.ADMIN
    default_role = Role.STRANGER if is_guest_or_external(user) else max(Role.MEMBER, through_groups)
    if (
        grant is None
        or has_rejoined_since(grant, user)
        or (user.is_external and not grant.is_external)
    ):
        return default_role
    return max(grant.role, default_role)


def has_rejoined_since(grant: Grant, user: User) -> bool:
    """Whether the user left and joined again after the grant, which is then no longer valid."""
    return user.joined_at is not None and grant.at < user.joined_at


def is_guest_or_external(user: User) -> bool:
    """Whether the user is a guest or belongs to another organisation, by the platform's data."""
    return user.is_guest or user.is_external


def authorize_and_parse(entry: Command | Action, request: Request, line: str = "") -> Request:
    """Checks the role of a request and returns the request with its parsed options.

    This is the only place where the role of a command, an option, a button, a form, a reaction or
    a shortcut is checked. Raises NotAllowed, NotForGuests or BadInput, and NotFound for an action
    of the studio's pages that comes from a chat.
    """
    require_role(request.role, entry.role, request.words)
    if isinstance(entry, Action):
        if entry.is_for_pages and not request.is_page:
            raise NotFound(noun="button", name=entry.name)
        return request
    options = parse_options(entry, line, request.words, given=request.options)
    for option in entry.options:
        if option.required_role is not None and options.get(option.name):
            require_role(request.role, option.required_role, request.words)
    return replace(request, options=options)


def require_role(role: Role, needed: Role, words: Words) -> None:
    """Raises NotAllowed, which names who has the needed role, or NotForGuests for strangers."""
    if role < needed and role is Role.STRANGER:
        raise NotForGuests
    if role < needed:
        raise NotAllowed(
            role=words(f"role.{needed.name.lower()}"), who=words(f"role.ask.{needed.name.lower()}")
        )


def require_leave_to_ask(may_ask: bool) -> None:
    """Raises NotForGuests unless `may_ask`."""
    if not may_ask:
        raise NotForGuests


def require_may_confirm(
    request: Request, estimate: Job | Evaluation | Judging | SyntheticRun, *, noun: str
) -> None:
    """Raises NotFound unless the estimate was made in this channel or for this person."""
    is_here = estimate.place.channel == request.place.channel or request.role is Role.OPERATOR
    if not is_here and estimate.asked_by != request.user_id:
        raise NotFound(noun=noun, name=estimate.id)


def refuse_closed_workspace(workspace: Workspace, words: Words) -> None:
    """Raises NotNow if the app was removed from the workspace."""
    if workspace.closed_at is not None:
        raise NotNow(problem=words("removal.closed"))


def exclusions_shown_only_in_own_channel(workspace: Workspace) -> Exclusion:
    """Returns the kinds of channels whose messages are shown in their own channel only.

    An admin can allow a kind in the form of `/tune admin sources`.
    """
    return CHANNEL_EXCLUSIONS & ~workspace.allowed


def learning_exclusions(place: Place, people: Iterable[User]) -> Exclusion:
    """Returns the reasons why messages of these people in this place are not learned from."""
    return _CHANNEL_EXCLUSIONS[place.kind] | excluded_people(people)


def excluded_people(people: Iterable[User]) -> Exclusion:
    """Returns Exclusion.GUEST if one of the people is a guest or of another organisation."""
    return reduce(
        or_, (Exclusion.GUEST for user in people if is_guest_or_external(user)), NO_EXCLUSIONS
    )
