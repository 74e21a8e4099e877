"""Which workspace a payload is for, and whether its person belongs there; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Payload = Mapping[str, Any]


def is_org(team: str, enterprise: str) -> bool:
    """Whether an installation is that of a whole Enterprise organisation."""
    return team == enterprise != ""


def is_for(body: Payload, team: str, enterprise: str, *, must_say: bool) -> bool:
    """Whether a payload is for this workspace; `must_say` refuses one that names none.

    An app that is installed for a whole organisation (`team` is that of the organisation) hears
    of each of its workspaces: https://docs.slack.dev/enterprise/organization-ready-apps.
    """
    is_whole = is_org(team, enterprise)
    named = [one for one in _installations(body) if one[0] or (is_whole and one[1])]
    if not named:
        return not must_say
    if is_whole:
        return any(enterprise in one for one in named)
    return any(one[0] == team and one[1] in ("", enterprise) for one in named)


def is_shared(body: Payload) -> bool:
    """Whether it comes from a channel that other organisations read too."""
    return body.get("is_ext_shared_channel") is True


def is_from_elsewhere(body: Payload, team: str, enterprise: str) -> bool:
    """Whether a payload says that its person belongs to another workspace."""
    event = _mapping(body.get("event"))
    message = _mapping(event.get("message"))
    if is_org(team, enterprise):
        # One of the organisation's workspaces: that which the payload is for.
        team = next((one[0] for one in _installations(body) if one[1] == enterprise), team)
    return any(is_foreign(one, team, enterprise) for one in (event, message, _user(body)))


def is_foreign(told: Payload, team: str, enterprise: str) -> bool:
    """Whether an event, a message or a person names a team that is not this one.

    `user_team` and `source_team` stand in messages of Slack Connect; both and `team` may also
    hold the id of an enterprise.
    """
    names = ("user_team", "source_team", "team", "team_id")
    named = {told[name] for name in names if isinstance(told.get(name), str)}
    return bool(named - {"", team, enterprise})


def _installations(body: Payload) -> Iterator[tuple[str, str]]:
    """Team and enterprise of each installation that a payload may be meant for.

    In a channel shared between organisations the outer `team_id` of an event may be the other
    one's, and a form opened there names ours as `app_installed_team_id`.
    """
    installed = _mapping(body.get("view")).get("app_installed_team_id")
    if installed:
        yield str(installed), ""
    elif body.get("type") == "event_callback":
        yield from _of_event(body)
    else:
        team = _id(body.get("team")) or _id(body.get("team_id"))
        org = _id(body.get("enterprise")) or _id(body.get("enterprise_id"))
        yield team or _id(_user(body).get("team_id")), org


def _of_event(body: Payload) -> Iterator[tuple[str, str]]:
    team = _id(body.get("team_id"))
    yield team, _id(body.get("enterprise_id"))
    if team and not is_shared(body):
        return
    yield _id(body.get("context_team_id")), _id(body.get("context_enterprise_id"))
    for one in body.get("authorizations") or ():
        yield _id(one.get("team_id")), _id(one.get("enterprise_id"))


def _user(body: Payload) -> Payload:
    return _mapping(body.get("user"))


def _id(told: object) -> str:
    """An id stands alone or in an object."""
    return str(_mapping(told).get("id") or "") if isinstance(told, Mapping) else str(told or "")


def _mapping(told: object) -> Payload:
    return told if isinstance(told, Mapping) else {}
