"""What a host says in its own words reaches curators and the operator, and no member."""

from __future__ import annotations

import pytest

from bot.domain import NO_EXCLUSIONS, Role, Sources
from bot.events import ButtonClicked, CommandInvoked, EventContent, FormSubmitted, MessageReceived
from tests.fakes.connected import CHAT, JOB, with_
from tests.fakes.faults import Fault, answers, error_event
from tests.scene import SLACK, Scene

MARKER = "PARROT row 3 holds a secret"
MEMBER, CURATOR, ADMIN = "U1", "U2", "U9"
PLAIN = "reported a problem"
PLAIN_OF_ANSWER = "Curators and whoever runs the bot can see what it said"


@pytest.fixture
async def team(scene: Scene) -> Scene:
    """A Slack workspace with a member, a curator and an admin."""
    scene.admins = f"slack:{ADMIN}"
    await scene.restart()
    await let(scene, CommandInvoked("help"), "first")
    await scene.grant(CURATOR, Role.CURATOR, SLACK)
    return scene


async def let(scene: Scene, what: EventContent, key: str, *, by: str = ADMIN) -> None:
    await scene.slack_event(what, key=key, by=by)


def everything(scene: Scene) -> str:
    """All that anybody was told, in the channel and alone."""
    return f"{list(scene.slack.posts.values())} {scene.slack.whispers}"


async def failed(scene: Scene) -> None:
    async with scene.store.writing() as records:
        await records.workspaces.set_sources(SLACK, Sources.FORMS, allowed=NO_EXCLUSIONS)
    for number in range(12):
        lesson = FormSubmitted("teach", {"question": f"q {number}", "answer": f"a {number}"})
        await let(scene, lesson, f"t{number}")
    await let(scene, CommandInvoked("consent on"), "yes")
    scene.host.life = ("running", "failed")
    error = {"code": "bad_rows", "message": MARKER}
    scene.host.fail_always(JOB, with_(status="failed", error=error))
    await let(scene, CommandInvoked("start"), "start")
    await let(scene, ButtonClicked(f"job.confirm:{await scene.estimate()}"), "confirm")
    await scene.settle()


async def test_the_channel_and_members_hear_a_plain_sentence_about_a_training(team: Scene) -> None:
    await failed(team)
    await let(team, CommandInvoked("jobs"), "jobs", by=MEMBER)
    await let(team, CommandInvoked("status"), "status", by=MEMBER)
    await let(team, CommandInvoked("status"), "status2", by=CURATOR)
    await let(team, ButtonClicked("job.quote:1"), "quote", by=MEMBER)

    assert "bad_rows" not in everything(team)
    assert MARKER not in everything(team)
    assert PLAIN in everything(team)


@pytest.mark.parametrize("what", [ButtonClicked("job.quote:1"), CommandInvoked("jobs")])
async def test_a_curator_reads_alone_what_the_host_said(team: Scene, what: EventContent) -> None:
    await failed(team)

    await let(team, what, "look", by=CURATOR)

    assert MARKER in str(team.slack.whispers[-1])
    assert MARKER not in str(team.slack.posts)


async def test_the_operators_own_room_quotes_the_host(scene: Scene) -> None:
    await scene.learn(12)
    scene.host.fail_always(JOB, with_(status="failed", error={"message": MARKER}))
    await scene.confirm()
    await scene.settle()

    assert MARKER in str(await scene.last_card())


@pytest.mark.parametrize("by", [MEMBER, CURATOR])
@pytest.mark.parametrize(
    "fault", [answers(400, MARKER), answers(500, MARKER), error_event(0, MARKER)]
)
async def test_an_answer_that_failed_quotes_the_host_to_curators_alone(
    team: Scene, fault: Fault, by: str
) -> None:
    team.host.fail_always(CHAT, fault)
    place = team.slack.channel
    said = team.slack.hears("hello", by=by)

    await let(team, MessageReceived(said, is_addressed=True), f"q{place}", by=by)

    told = str(team.slack.whispers[-1])
    assert (MARKER in told) is (by == CURATOR and MARKER in everything(team))
    assert MARKER not in str(team.slack.posts)
    assert by == CURATOR or PLAIN_OF_ANSWER in told


async def test_a_comparison_in_the_channel_quotes_no_host(team: Scene) -> None:
    team.host.fail_always(CHAT, answers(400, MARKER))

    await let(team, CommandInvoked("compare hello"), "compare", by=CURATOR)

    assert PLAIN_OF_ANSWER in everything(team)
    assert MARKER not in everything(team)
