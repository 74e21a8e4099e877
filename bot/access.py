"""Who may do what: pure decisions."""

from __future__ import annotations

from bot.errors import NotAllowed, OverCap
from bot.model import Role, User, Workspace
from bot.words import Words


def role_of(
    user: User, *, workspace: Workspace, stored: Role | None, admins: frozenset[str]
) -> Role:
    """The highest of: what was granted here, what the platform says, what the operator set.

    `admins` holds `platform:user` entries of ATTUNE_ADMINS.
    """
    if user.is_operator:
        return Role.OPERATOR
    is_admin = user.is_platform_admin or f"{workspace.platform}:{user.id}" in admins
    return max(stored or Role.MEMBER, Role.ADMIN if is_admin else Role.MEMBER)


def require(role: Role, needed: Role, words: Words) -> None:
    """Raises NotAllowed, naming who can."""
    if role < needed:
        raise NotAllowed(
            role=words(f"role.{needed.name.lower()}"), who=words(f"role.ask.{needed.name.lower()}")
        )


def within_caps(workspace: Workspace, spent: tuple[int, int], words: Words) -> None:
    """Raises OverCap when today's tokens of the person or the workspace are used up."""
    person, whole = spent
    if workspace.person_cap is not None and person >= workspace.person_cap:
        raise OverCap(cap=workspace.person_cap, whom=words("cap.you"))
    if workspace.workspace_cap is not None and whole >= workspace.workspace_cap:
        raise OverCap(cap=workspace.workspace_cap, whom=words("cap.workspace"))
