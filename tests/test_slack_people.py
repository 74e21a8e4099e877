"""Who is whose: members, guests and people of another organisation, as Slack tells of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import cast

import pytest

from adapters.slack import payload_parsing
from adapters.slack.api_port import Api
from adapters.slack.payload_parsing import Bot
from adapters.slack.people import People
from bot.domain import ChannelId, ChannelKind, Place, User, UserId, WorkspaceId
from bot.errors import SurfaceBusy, SurfaceError
from bot.events import Event
from bot.ports.surface import CanFindChannel, CanFindChannelKind, CanNameChannel
from tests.fakes.slack_rules import Json
from tests.slack_scene import Scene

US = Bot("T1", "UBOT", "BBOT", enterprise="E1")
ANN = User(UserId("U2"), "U2")
TEAM = WorkspaceId("slack:T1")
NOW = datetime(2026, 11, 27, tzinfo=UTC)


class Profiles:
    """Answers `users.info`; `error` is raised instead while it is set."""

    def __init__(self, **profile: object) -> None:
        self.profile = profile
        self.error: Exception | None = None
        self.asked = 0
        self.now = 0.0

    async def call(self, method: str, args: Mapping[str, object], **more: object) -> Json:
        assert method == "users.info"
        self.asked += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return {"user": {"id": args["user"], **self.profile}}


def known_by(profiles: Profiles, bot: Bot = US) -> People:
    return People(cast(Api, profiles), lambda: bot, lambda: profiles.now)


def refused(code: str) -> SurfaceError:
    return SurfaceError(message=code, code=code)


FOREIGN_ORG = {"enterprise_user": {"enterprise_id": "E2", "teams": ["T2"]}}
OUR_ORG = {"enterprise_user": {"enterprise_id": "E1", "teams": ["T7"]}}
IN_BOTH = {"enterprise_user": {"enterprise_id": "E1", "teams": ["T7", "T1"]}}


@pytest.mark.parametrize(
    ("profile", "is_guest", "is_external"),
    [
        ({"team_id": "T1"}, False, False),
        ({}, False, False),
        ({"team_id": "T1", "is_restricted": True}, True, False),
        ({"team_id": "T1", "is_restricted": True, "is_ultra_restricted": True}, True, False),
        ({"team_id": "T1", "is_ultra_restricted": True}, True, False),
        ({"team_id": "T1", "is_stranger": True}, False, True),
        ({"team_id": "T2"}, False, True),
        ({"team_id": "T2", **FOREIGN_ORG}, False, True),
        ({"team_id": "T7", **OUR_ORG}, False, False),
        ({"team_id": "T7", **OUR_ORG, "is_stranger": True}, False, True),
        ({"team_id": "T7", **IN_BOTH}, False, False),
        ({"team_id": "E1", **IN_BOTH}, False, False),
        ({"team_id": "E2"}, False, True),
    ],
)
async def test_a_profile_says_who_belongs_here(
    profile: Json, is_guest: bool, is_external: bool
) -> None:
    person = await known_by(Profiles(**profile)).person(ANN)

    assert (person.user.is_guest, person.user.is_external) == (is_guest, is_external)


async def test_without_an_organisation_another_team_is_another_organisation() -> None:
    alone = Bot("T1", "UBOT", "BBOT")

    person = await known_by(Profiles(team_id="T7", **OUR_ORG), alone).person(ANN)

    assert person.user.is_external


@pytest.mark.parametrize("power", ["is_admin", "is_owner", "is_primary_owner"])
@pytest.mark.parametrize(
    ("profile", "is_admin"),
    [
        ({"team_id": "T1"}, True),
        ({"team_id": "T7", **IN_BOTH}, True),
        ({"team_id": "T7", **OUR_ORG}, False),
        ({"team_id": "T2"}, False),
        ({"team_id": "T1", "is_stranger": True}, False),
        ({"team_id": "T1", "is_restricted": True}, False),
    ],
)
async def test_only_this_workspaces_own_people_are_its_admins(
    power: str, profile: Json, is_admin: bool
) -> None:
    person = await known_by(Profiles(**profile, **{power: True})).person(ANN)

    assert person.user.is_platform_admin is is_admin


ERRORS = [
    SurfaceBusy(code="ratelimited"),
    TimeoutError(),
    refused("internal_error"),
    refused("unknown_method"),
]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
async def test_who_cannot_be_looked_up_stands_as_the_event_says(error: Exception) -> None:
    profiles = Profiles()
    profiles.error = error

    plain = await known_by(profiles).person(ANN)
    told = await known_by(profiles).person(User(ANN.id, "U2", is_external=True))
    shared = await known_by(profiles).person(ANN, is_shared=True)

    assert [one.user.is_external for one in (plain, told, shared)] == [False, True, True]


@pytest.mark.parametrize("code", ["user_not_found", "user_not_visible"])
async def test_who_is_not_shown_to_us_is_external(code: str) -> None:
    profiles = Profiles()
    profiles.error = refused(code)
    people = known_by(profiles)

    first, second = await people.person(ANN), await people.person(ANN)

    assert first.user.is_external
    assert second.user.is_external
    assert profiles.asked == 1


async def test_a_failed_look_leaves_what_was_known_last() -> None:
    profiles = Profiles(team_id="T1", is_restricted=True)
    people = known_by(profiles)
    await people.person(ANN)
    profiles.now, profiles.error = 1e6, SurfaceBusy(code="ratelimited")

    assert (await people.person(ANN)).user.is_guest
    assert profiles.asked == 2


async def test_who_becomes_a_guest_is_one_after_a_while() -> None:
    profiles = Profiles(team_id="T1")
    people = known_by(profiles)
    await people.person(ANN)
    profiles.profile = {"team_id": "T1", "is_restricted": True}

    assert not (await people.person(ANN)).user.is_guest
    profiles.now = 1000.0
    assert (await people.person(ANN)).user.is_guest


async def test_what_a_channel_is_and_is_called_is_asked_once(in_slack: Scene) -> None:
    """For its kind and its name; again after it was shared."""
    assert in_slack.app is not None
    surface, place = in_slack.app.surfaces.surface_of(TEAM), Place(TEAM, ChannelId("C1"))
    assert isinstance(surface, CanFindChannelKind)
    assert isinstance(surface, CanNameChannel)

    for _ in range(2):
        await asyncio.gather(surface.with_channel_kind(place), surface.channel_name(place))
    assert len(in_slack.slack.called("conversations.info")) == 1

    in_slack.slack.event({"type": "channel_shared", "channel": "C1"})
    await in_slack.settled()
    await surface.channel_name(place)
    assert len(in_slack.slack.called("conversations.info")) == 2


async def test_a_channel_is_missed_as_soon_as_the_bot_has_lost_it(in_slack: Scene) -> None:
    assert in_slack.app is not None
    surface, place = in_slack.app.surfaces.surface_of(TEAM), Place(TEAM, ChannelId("C1"))
    assert isinstance(surface, CanFindChannel)
    assert await surface.has_channel(place)

    in_slack.slack.channels["C1"].kind = "private"
    in_slack.slack.channels["C1"].members.discard("UBOT")

    assert not await surface.has_channel(place)


async def test_a_channel_is_looked_for_patiently_while_another_look_up_is_not() -> None:
    slack = ChannelsBusyAtFirst()
    people = People(cast(Api, slack), lambda: US, lambda: 0.0)

    kind, is_there = await asyncio.gather(
        people.with_channel_kind(Place(TEAM, ChannelId("C1"))), people.has_channel("C1")
    )

    assert (kind.kind, is_there) == (ChannelKind.PRIVATE, True)


class ChannelsBusyAtFirst:
    """Answers `conversations.info`, but refuses calls without patience as too many."""

    async def call(self, method: str, args: Mapping[str, object], *, patience: int) -> Json:
        await asyncio.sleep(0)
        if not patience:
            raise SurfaceBusy(code="ratelimited")
        return {"channel": {"id": args["channel"]}}


def events(body: Json) -> list[Event]:
    return list(payload_parsing.read_events(body, US, NOW))


SAID = {"type": "message", "user": "U2", "channel": "C1", "ts": "1.1", "text": "<@UBOT> hi"}
CHANGED = {"type": "message", "subtype": "message_changed", "channel": "C1"}


@pytest.mark.parametrize(
    ("event", "is_external"),
    [
        (SAID, False),
        ({**SAID, "team": "T1"}, False),
        ({**SAID, "team": "T1", "user_team": "T1", "source_team": "T1"}, False),
        ({**SAID, "user_team": "E1"}, False),
        ({**SAID, "user_team": "T2"}, True),
        ({**SAID, "user_team": "E2"}, True),
        ({**SAID, "source_team": "T2", "team": "T1"}, True),
        ({**SAID, "team": "T2"}, True),
        ({**CHANGED, "message": {**SAID, "text": "ho", "user_team": "T2"}}, True),
    ],
)
def test_an_event_says_that_its_person_is_of_another_team(event: Json, is_external: bool) -> None:
    (read,) = events({"type": "event_callback", "team_id": "T1", "event": event})

    assert read.user.is_external is is_external


@pytest.mark.parametrize(("team", "is_external"), [("T1", False), ("E1", False), ("T2", True)])
def test_so_does_an_interaction(team: str, is_external: bool) -> None:
    user = {"id": "U2", "team_id": team}
    action = {"value": "privacy.my_data", "action_ts": "1.1"}
    click = {"type": "block_actions", "user": user, "actions": [action], "channel": {"id": "C1"}}
    view = {"callback_id": "teach", "id": "V1", "state": {"values": {}}}

    (clicked,), (submitted,) = (
        events(click),
        events({"type": "view_submission", "user": user, "view": view}),
    )

    assert (clicked.user.is_external, submitted.user.is_external) == (is_external, is_external)


def test_what_comes_from_a_shared_channel_says_so() -> None:
    body = {"type": "event_callback", "is_ext_shared_channel": True, "event": SAID}

    (read,) = events(body)

    assert read.place.kind is ChannelKind.SHARED
