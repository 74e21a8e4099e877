"""What a member is shown is true for a member: buttons that work, names, and who may help."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.fakes.slack import labels, shown
from tests.fakes.slack_rules import Json
from tests.slack_scene import Scene
from tests.waiting import until

MEMBER, OTHER, ADMIN = "U2", "U3", "U1"
COMMANDS = ("help", "examples", "status", "jobs", "models", "assistant list", "consent")


async def all_delivered(scene: Scene) -> None:
    """No notice waits for its channel any more."""
    assert scene.app is not None
    store = scene.app.store

    async def is_empty() -> bool:
        async with store.reading() as records:
            return not await records.outbox.list_due(now=datetime.now(UTC) + timedelta(days=1))

    await until(is_empty)


async def a_marked_answer(scene: Scene, by: str) -> None:
    scene.slack.put(MEMBER, "C1", "How do we greet?")
    answer = scene.slack.put(OTHER, "C1", "With a wave.")
    scene.slack.react(by, "C1", answer, "mortar_board")
    await scene.whispered()


async def test_a_member_is_whispered_no_button_that_refuses_them(in_slack: Scene) -> None:
    in_slack.slack.tiers.is_on = False
    await in_slack.allow_messages()
    await a_marked_answer(in_slack, by=MEMBER)
    for command in COMMANDS:
        in_slack.slack.command(MEMBER, "C1", command)
        await in_slack.settled()

    for message in list(in_slack.slack.ephemerals):
        for label in labels(message):
            # A click may have replaced the message, and its other buttons with it.
            if label in labels(message):
                in_slack.slack.click(MEMBER, message, label)
                await in_slack.settled()

    assert not [shown(one) for one in in_slack.slack.ephemerals if "the role" in shown(one)]


async def test_a_curator_still_judges_what_they_marked(in_slack: Scene) -> None:
    await in_slack.allow_messages()

    await a_marked_answer(in_slack, by=ADMIN)

    assert labels(in_slack.slack.ephemerals[0]) == ["Approve", "Edit", "Reject", "Skip"]


@pytest.mark.parametrize(
    ("label", "told"),
    [
        ("Who may approve", "owners and admins of this workspace"),
        ("What may I learn from", "text written in the studio or imported"),
        ("Try me", "Mention me"),
    ],
)
async def test_every_button_of_the_welcome_answers_a_member(
    in_slack: Scene, label: str, told: str
) -> None:
    in_slack.slack.join("C1")
    await in_slack.hear("C1")

    in_slack.slack.click(MEMBER, in_slack.slack.own("C1")[0], label)

    assert told in shown((await in_slack.whispered())[0])


async def test_roles_are_told_by_name(in_slack: Scene) -> None:
    in_slack.slack.command(ADMIN, "C1", f"admin roles <@{OTHER}> role:curator")

    assert "name-U3 is curator now." in (await in_slack.read("C1"))[0]

    in_slack.slack.command(ADMIN, "C1", "admin roles")
    assert "name-U3" in shown((await in_slack.whispered())[0])


async def test_a_refusal_names_nothing_that_the_refused_may_not_use(in_slack: Scene) -> None:
    in_slack.slack.command(MEMBER, "C1", "import starter:limericks")

    refused = shown((await in_slack.whispered())[0])
    assert "a curator or an admin of this workspace" in refused
    assert "/tune" not in refused


async def test_a_lesson_that_could_not_be_kept_is_not_asked_for(in_slack: Scene) -> None:
    in_slack.slack.command(MEMBER, "C1", "teach")

    def told() -> list[Json]:
        return [*in_slack.slack.ephemerals, *in_slack.slack.views.values()]

    await until(
        lambda: any("I may not keep text that is typed here" in shown(one) for one in told())
    )
    assert not [one for one in told() for block in one["blocks"] if block["type"] == "input"]


async def test_after_a_decision_the_review_shows_the_next_and_stays(in_slack: Scene) -> None:
    in_slack.slack.tiers.is_on = False
    await in_slack.allow_messages()
    for number in range(2):
        in_slack.slack.command(MEMBER, "C1", "teach")
        lesson = {"question": f"When {number}?", "answer": f"At {number}."}
        in_slack.slack.submit(MEMBER, await in_slack.view(number + 2), **lesson)
        await in_slack.settled()
    in_slack.slack.command(ADMIN, "C1", "review")
    await until(lambda: bool(in_slack.slack.ephemerals))
    await in_slack.settled()
    review = next(one for one in in_slack.slack.ephemerals if "waiting" in shown(one))

    in_slack.slack.click(ADMIN, review, "Skip")
    await until(lambda: "Skipped" in shown(review), lambda: shown(review))
    in_slack.slack.click(ADMIN, review, "Reject")
    await until(lambda: "1 waiting" in shown(review), lambda: shown(review))
    await all_delivered(in_slack)

    assert "1 waiting" in shown(review)
    assert labels(review)[:4] == ["Approve", "Edit", "Reject", "Skip"]
