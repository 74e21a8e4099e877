"""Which workspace a payload is for, and whether its user belongs to that workspace.

Pure functions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Payload = Mapping[str, Any]


def is_org_install(team: str, enterprise: str) -> bool:
    """Whether the app is installed for a whole Enterprise organisation."""
    return team == enterprise != ""


def is_for_workspace(body: Payload, team: str, enterprise: str, *, must_say: bool) -> bool:
    """Whether a payload is for this workspace.

    A payload that names no workspace is accepted unless `must_say`. An app that is installed for a
    whole organisation, whose id `team` then is, gets the events of each of its workspaces:
    https://docs.slack.dev/enterprise/organization-ready-apps
    """
    is_organisation = is_org_install(team, enterprise)
    installations = [
        installation
        for installation in _installations(body)
        if installation[0] or (is_organisation and installation[1])
    ]
    if not installations:
        return not must_say
    if is_organisation:
        return any(enterprise in installation for installation in installations)
    return any(
        installation[0] == team and installation[1] in ("", enterprise)
        for installation in installations
    )


def is_in_shared_channel(body: Payload) -> bool:
    """Whether a payload comes from a channel that is shared with other organisations."""
    return body.get("is_ext_shared_channel") is True


def is_from_other_workspace(body: Payload, team: str, enterprise: str) -> bool:
    """Whether a payload names another workspace as the one of its user."""
    event = _mapping(body.get("event"))
    message = _mapping(event.get("message"))
    if is_org_install(team, enterprise):
        # The workspace of the organisation that the payload is for.
        team = next((team_id for team_id, org in _installations(body) if org == enterprise), team)
    return any(is_of_other_team(part, team, enterprise) for part in (event, message, _user(body)))


def is_of_other_team(payload: Payload, team: str, enterprise: str) -> bool:
    """Whether an event, a message or a user object names another team.

    Messages of Slack Connect have `user_team` and `source_team`; these and `team` may also hold an
    enterprise id.
    """
    names = ("user_team", "source_team", "team", "team_id")
    teams = {payload[name] for name in names if isinstance(payload.get(name), str)}
    return bool(teams - {"", team, enterprise})


def _installations(body: Payload) -> Iterator[tuple[str, str]]:
    """Yields team and enterprise of each installation that a payload may be for.

    In a channel shared between organisations the outer `team_id` of an event may be the other
    organisation's, and a form opened there has ours as `app_installed_team_id`.
    """
    installed = _mapping(body.get("view")).get("app_installed_team_id")
    if installed:
        yield str(installed), ""
    elif body.get("type") == "event_callback":
        yield from _event_installations(body)
    else:
        team = _id(body.get("team")) or _id(body.get("team_id"))
        org = _id(body.get("enterprise")) or _id(body.get("enterprise_id"))
        yield team or _id(_user(body).get("team_id")), org


def _event_installations(body: Payload) -> Iterator[tuple[str, str]]:
    team = _id(body.get("team_id"))
    yield team, _id(body.get("enterprise_id"))
    if team and not is_in_shared_channel(body):
        return
    yield _id(body.get("context_team_id")), _id(body.get("context_enterprise_id"))
    for authorization in body.get("authorizations") or ():
        yield _id(authorization.get("team_id")), _id(authorization.get("enterprise_id"))


def _user(body: Payload) -> Payload:
    return _mapping(body.get("user"))


def _id(value: object) -> str:
    """Returns an id that is given as a string or in an object."""
    return str(_mapping(value).get("id") or "") if isinstance(value, Mapping) else str(value or "")


def _mapping(value: object) -> Payload:
    return value if isinstance(value, Mapping) else {}
