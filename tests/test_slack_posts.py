"""Replies that are told twice or late: each stands once, and where it went the others go."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from adapters.slack.surface import SlackSurface
from bot.domain import ChannelId, MessageId, Place, User, UserId, WorkspaceId
from bot.events import Event, ReactionChanged
from bot.replies import Button, Listing, ListingRow, Text
from tests.fakes.slack import Fault, shown
from tests.slack_scene import Scene

TEAM = WorkspaceId("slack:T1")


@pytest.fixture
def surface(in_slack: Scene) -> SlackSurface:
    assert in_slack.app is not None
    found = in_slack.app.surfaces.surface_of(TEAM)
    assert isinstance(found, SlackSurface)
    return found


def reacted(channel: str, message: str) -> Event:
    place = Place(TEAM, ChannelId(channel))
    what = ReactionChanged(MessageId(message), "👎")
    return Event("slack:T1/event/Ev9", place, User(UserId("U2"), "U2"), datetime.now(UTC), what)


async def test_a_private_reply_to_a_reaction_stands_once_over_a_crash(
    in_slack: Scene, surface: SlackSurface
) -> None:
    in_slack.slack.add_channel("DU2", "im")
    event = reacted("DU2", in_slack.slack.put("U2", "DU2", "hm"))
    await surface.send_ephemeral(event, Text("Sorry.", private=True))

    surface.prepare_retry(event, has_begun=True)
    await surface.send_ephemeral(event, Text("Sorry.", private=True))

    assert in_slack.slack.texts("DU2") == ["Sorry."]


async def test_so_does_one_whose_sending_was_cut_off(
    in_slack: Scene, surface: SlackSurface
) -> None:
    in_slack.slack.add_channel("DU2", "im")
    event = reacted("DU2", in_slack.slack.put("U2", "DU2", "hm"))
    in_slack.slack.fail("chat.postMessage", Fault(is_done=True, is_cut=True))

    await surface.send_ephemeral(event, Text("Sorry.", private=True))

    assert in_slack.slack.texts("DU2") == ["Sorry."]


async def test_a_private_reply_beside_a_public_one_takes_nothing_of_its_place(
    in_slack: Scene, surface: SlackSurface
) -> None:
    in_slack.slack.add_channel("DU2", "im")
    event = reacted("DU2", in_slack.slack.put("U2", "DU2", "hm"))
    surface.prepare_retry(event, has_begun=True)
    await surface.post(event.place, Text("For all."), key=event.key)

    await surface.send_ephemeral(event, Text("For you.", private=True))

    assert in_slack.slack.texts("DU2") == ["For all.", "For you."]


async def test_pages_of_a_long_reply_stand_once_however_often_it_is_edited(
    in_slack: Scene, surface: SlackSurface
) -> None:
    lines = tuple(
        ListingRow(str(number), f"row {number}", "note", (Button("Go", f"go:{number}"),))
        for number in range(40)
    )
    place = Place(TEAM, ChannelId("C1"))
    listing = Listing("Rows", lines)
    message = await surface.post(place, listing, key="k1")
    count = len(in_slack.slack.own("C1"))

    for title in ("Rows again", "Rows once more"):
        await surface.edit(place, message, replace(listing, title=title))

    assert count > 1
    assert len(in_slack.slack.own("C1")) == count


async def test_once_its_address_has_ended_a_command_stays_in_the_channel(
    in_slack: Scene, surface: SlackSurface, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.fakes.slack.RESPONSES", 0)
    in_slack.slack.command("U2", "C1", "help status")
    await in_slack.calm()
    in_slack.slack.command("U2", "C1", "admin budget")

    _, told = await in_slack.whispered(2)

    assert "admin" in shown(told)
    (event,) = [
        context.event
        for context in surface._contexts.values()
        if "budget" in str(context.event.what)
    ]
    monkeypatch.setattr("tests.fakes.slack.RESPONSES", 5)
    await surface.send_ephemeral(event, Text("And more.", private=True))
    assert shown(in_slack.slack.ephemerals[-1]) == "And more."
    assert len(in_slack.slack.called("chat.postEphemeral")) == 3
