"""Erasing is a decision: a removal is confirmed, closes, and erases after a grace period."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import pytest

from adapters.studio.page_session import STUDIO_OWNER
from bot.domain import LOCAL, ExampleState, NewExample, Origin, Role, Workspace, WorkspaceId
from bot.events import ButtonClicked, CommandInvoked, WorkspaceJoined, WorkspaceLeft
from bot.outdated_clicks import state_token
from bot.replies import Card, Document, Refused, Reply
from bot.rows import Method
from tests.fakes.platform import FakePlatform
from tests.scene import SLACK, Death, Scene, copy_data
from tests.stores import a_row

OWN = "ours alone"
GRACE = timedelta(days=7)


@dataclass(slots=True)
class Platform(FakePlatform):
    """A platform that says whether the app is installed, or nothing."""

    answer: bool | None = True
    asked: int = 0

    async def is_installed(self, workspace: WorkspaceId) -> bool | None:
        assert workspace == SLACK
        self.asked += 1
        return self.answer


@pytest.fixture
async def platform(scene: Scene) -> Platform:
    """A workspace with twelve examples, used and then left alone."""
    made = Platform()
    scene.slack = made
    scene.surfaces = {"slack": made}
    await scene.restart()
    await scene.slack_event(CommandInvoked("help"), key="first", by="U1")
    async with scene.store.writing() as records:
        assistant = await records.assistants.default(SLACK)
        assert assistant is not None
        rows = [a_row(f"{OWN} {number}") for number in range(12)]
        new = [
            NewExample(
                assistant.id, Method.SUPERVISED, ExampleState.APPROVED, row, Origin.STUDIO, ()
            )
            for row in rows
        ]
        await records.examples.add_many(SLACK, new, at=scene.clock.now())
    return made


async def found(scene: Scene) -> Workspace | None:
    async with scene.database.reading() as records:
        return await records.workspaces.find(SLACK)


async def is_closed(scene: Scene) -> bool:
    workspace = await found(scene)
    return workspace is not None and workspace.closed_at is not None


async def leave(scene: Scene, key: str = "left") -> None:
    await scene.slack_event(WorkspaceLeft(), key=key)


async def look(scene: Scene, after: timedelta = timedelta(0)) -> None:
    scene.advance(after.total_seconds())
    await scene.app.runners.removals.poll()


async def act(scene: Scene, action: str) -> Reply:
    event = scene.event(ButtonClicked(action), key=f"{scene.clock.now()}.{action}", by=STUDIO_OWNER)
    return await scene.app.handle_for_page(event)


async def start(scene: Scene, by: str = "U1") -> None:
    await scene.grant(by, Role.ADMIN, SLACK)
    await scene.slack_event(CommandInvoked("start"), key="start", by=by)
    (card,) = (post for post in scene.slack.whispers if isinstance(post, Card))
    confirm = next(button.action for button in card.buttons if "confirm" in button.action)
    await scene.slack_event(ButtonClicked(confirm), key="confirm", by=by)


# Confirmed first


async def test_a_report_that_proves_wrong_changes_nothing(scene: Scene, platform: Platform) -> None:
    await leave(scene)
    await look(scene, timedelta(minutes=2))

    workspace = await found(scene)
    assert workspace is not None
    assert workspace.closed_at is None
    assert workspace.removal_reported_at is None
    assert platform.asked == 2


async def test_a_platform_that_is_slow_to_notice_is_asked_again(
    scene: Scene, platform: Platform
) -> None:
    await leave(scene)
    platform.answer = False

    await look(scene, timedelta(seconds=10))

    assert await is_closed(scene)


async def test_a_platform_without_an_answer_is_asked_until_there_is_one_also_after_a_restart(
    scene: Scene, platform: Platform
) -> None:
    platform.answer = None
    await leave(scene)
    for _ in range(3):
        await look(scene, timedelta(days=30))
        await scene.restart()
    assert not await is_closed(scene)

    platform.answer = False
    await look(scene)

    assert await is_closed(scene)
    assert len(await scene.examples(workspace=SLACK)) == 12


async def test_a_platform_that_is_off_confirms_no_removal(scene: Scene, platform: Platform) -> None:
    platform.answer = None
    await leave(scene)
    scene.surfaces = {}
    await scene.restart()

    await look(scene, timedelta(days=30))

    assert not await is_closed(scene)
    assert len(await scene.examples(workspace=SLACK)) == 12


async def test_a_workspace_that_was_never_there_is_not_made_to_be_closed(
    scene: Scene, platform: Platform
) -> None:
    other = WorkspaceId("slack:T9")

    await scene.handle(scene.event(WorkspaceLeft(), key="left", workspace=other, channel=""))

    async with scene.database.reading() as records:
        assert await records.workspaces.find(other) is None


# Closed at once


async def test_nobody_is_answered_in_a_closed_workspace(scene: Scene, platform: Platform) -> None:
    platform.answer = False
    await leave(scene)
    before = len(platform.posts), len(platform.whispers), len(scene.host.asked)

    for what in (CommandInvoked("help"), CommandInvoked("jobs"), scene.spoken("hi", number=9)):
        await scene.slack_event(what, key=f"after {what}", by="U1")
    looked = await scene.app.handle_read_only(
        scene.event(CommandInvoked("examples"), key="look", by="U1", workspace=SLACK)
    )

    assert (len(platform.posts), len(platform.whispers), len(scene.host.asked)) == before
    assert isinstance(looked, Refused)


@pytest.mark.parametrize("unanswered", [0, 2])
async def test_who_asks_before_anybody_saw_that_the_app_is_back_is_answered(
    scene: Scene, platform: Platform, monkeypatch: pytest.MonkeyPatch, unanswered: int
) -> None:
    """It was invited again while we were away; the platform may not tell at once."""
    platform.answer = False
    await leave(scene)
    await scene.restart()
    answers = [None] * unanswered

    async def installed(self: Platform, workspace: WorkspaceId) -> bool | None:
        return answers.pop() if answers else True

    monkeypatch.setattr(Platform, "is_installed", installed)
    before = len(scene.host.asked)

    await scene.slack_event(scene.spoken("are you there?", number=9), key="back", by="U1")

    assert len(scene.host.asked) == before + 1
    assert not await is_closed(scene)


async def test_a_training_that_was_confirmed_before_does_not_start_while_it_is_closed(
    scene: Scene, platform: Platform
) -> None:
    await start(scene)
    platform.answer = False
    await leave(scene)

    for _ in range(3):
        await scene.turn()
        scene.advance(600)
    assert scene.host.files == {}

    platform.answer = True
    await look(scene)
    await scene.settle()
    assert len(scene.host.jobs) == 1


async def test_a_training_that_runs_at_its_host_goes_on(scene: Scene, platform: Platform) -> None:
    await start(scene)
    for _ in range(4):
        await scene.turn()
    assert len(scene.host.jobs) == 1
    platform.answer = False
    await leave(scene)

    for _ in range(20):
        await scene.turn()
        scene.advance(60)

    (job,) = scene.host.jobs.values()
    assert job.status == "succeeded"


async def test_the_operator_reads_and_exports_but_starts_nothing(
    scene: Scene, platform: Platform
) -> None:
    platform.answer = False
    await leave(scene)

    exported = await act(scene, f"workspace.export:supervised:{SLACK}")
    event = scene.event(CommandInvoked("start"), key="start", by=STUDIO_OWNER, workspace=SLACK)
    started = await scene.app.handle_for_page(event)
    listed = await scene.app.handle_read_only(
        scene.event(CommandInvoked("examples"), key="look", by=STUDIO_OWNER, workspace=SLACK)
    )

    assert isinstance(exported, Document)
    assert OWN.encode() in b"".join([chunk async for chunk in exported.chunks])
    assert isinstance(started, Refused)
    assert not isinstance(listed, Refused)


async def test_only_the_operator_decides(scene: Scene, platform: Platform) -> None:
    platform.answer = False
    await leave(scene)

    for action in ("export:supervised", "extend", "erase", "erase_sure", "show"):
        event = scene.event(ButtonClicked(f"workspace.{action}:{SLACK}"), key=action, by="U1")
        assert isinstance(await scene.app.handle_for_page(event), Refused)

    assert await is_closed(scene)


# Told in the studio


async def test_the_studio_is_told_with_three_ways_on(scene: Scene, platform: Platform) -> None:
    platform.answer = False
    await leave(scene)
    await scene.app.deliver_notices()

    card = await scene.last_card()

    assert [button.label for button in card.buttons] == [
        "Export",
        "Export preferences",
        "It is coming back",
        "Erase now",
    ]
    assert any("2026-11-10" in line for line in card.lines)


async def test_erase_now_asks_once_and_erases(scene: Scene, platform: Platform) -> None:
    platform.answer = False
    await leave(scene)

    sure = await act(scene, f"workspace.erase:{SLACK}")
    assert isinstance(sure, Card)
    assert await found(scene) is not None
    await act(scene, sure.buttons[0].action)

    assert await found(scene) is None
    await scene.app.deliver_notices()
    assert "erased" in await scene.last()


async def test_it_is_coming_back_begins_the_period_anew(scene: Scene, platform: Platform) -> None:
    platform.answer = False
    await leave(scene)
    await look(scene, GRACE - timedelta(hours=1))

    shown = await act(scene, f"workspace.show:{SLACK}")
    assert isinstance(shown, Card)
    (extend,) = (one.action for one in shown.buttons if "extend" in one.action)
    await act(scene, extend)
    await look(scene, GRACE - timedelta(hours=1))
    assert await found(scene) is not None
    await look(scene, timedelta(hours=2))

    assert await found(scene) is None


async def test_an_open_workspace_is_not_erased_by_a_crafted_click(
    scene: Scene, platform: Platform
) -> None:
    await act(scene, f"workspace.erase_sure:{state_token(None)}:{SLACK}")
    await act(scene, f"workspace.erase_sure:{state_token(None)}:{LOCAL}")

    assert await found(scene) is not None


async def test_models_go_at_the_host_with_the_workspace(scene: Scene, platform: Platform) -> None:
    await start(scene)
    for _ in range(20):
        await scene.turn()
        scene.advance(60)
    assert scene.host.tuned
    platform.answer = False
    await leave(scene)
    assert scene.host.tuned

    await look(scene, GRACE)
    await scene.turn()

    assert scene.host.tuned == []


# Erased, or open again


async def test_it_is_erased_when_the_period_is_over_and_not_before(
    scene: Scene, platform: Platform
) -> None:
    platform.answer = False
    await leave(scene)
    await look(scene, GRACE - timedelta(seconds=1))
    assert await found(scene) is not None

    await look(scene, timedelta(seconds=1))

    assert await found(scene) is None


async def test_it_is_erased_at_a_start_after_the_period(scene: Scene, platform: Platform) -> None:
    platform.answer = False
    await leave(scene)
    await scene.end()
    scene.advance(GRACE.total_seconds())
    await scene.open()

    await look(scene)

    assert await found(scene) is None


async def test_it_is_erased_where_its_platform_is_not_configured_any_more(
    scene: Scene, platform: Platform
) -> None:
    platform.answer = False
    await leave(scene)
    scene.surfaces = {}
    await scene.restart()

    await look(scene, GRACE)

    assert await found(scene) is None


async def test_a_platform_without_an_answer_is_no_reason_to_erase(
    scene: Scene, platform: Platform
) -> None:
    platform.answer = False
    await leave(scene)
    platform.answer = None

    await look(scene, GRACE * 3)
    assert await found(scene) is not None
    platform.answer = True
    await look(scene)

    assert await found(scene) is not None
    assert not await is_closed(scene)


async def test_a_workspace_that_comes_back_in_time_has_lost_nothing(
    scene: Scene, platform: Platform
) -> None:
    platform.answer = False
    await leave(scene)
    platform.answer = True

    await scene.slack_event(WorkspaceJoined("again"), key="joined")

    assert not await is_closed(scene)
    assert len(await scene.examples(workspace=SLACK)) == 12
    await scene.app.deliver_notices()
    assert "is back" in await scene.last()


async def test_events_that_come_twice_or_late_change_nothing(
    scene: Scene, platform: Platform
) -> None:
    platform.answer = False
    await leave(scene)
    first = await found(scene)
    scene.advance(3600)
    await leave(scene)
    await leave(scene, "again")
    assert await found(scene) == first

    platform.answer = True
    await look(scene)
    await leave(scene, "late")
    await look(scene, timedelta(minutes=2))

    assert not await is_closed(scene)


async def test_no_days_erase_at_once(scene: Scene, platform: Platform) -> None:
    scene.erase_after_days = 0
    await scene.restart()
    platform.answer = False

    await leave(scene)

    assert await found(scene) is None


@pytest.mark.parametrize("days", [0.0, 7.0])
async def test_a_death_at_any_moment_of_it_is_made_good(
    scene: Scene, platform: Platform, days: float
) -> None:
    scene.erase_after_days = days
    platform.answer = False
    await scene.end()
    before = scene.folder / "before"
    before.mkdir()
    copy_data(scene.folder, before)

    for moment in range(1, 40):
        for path in scene.folder.glob("attune.db*"):
            path.unlink()
        copy_data(before, scene.folder)
        is_over = await lives_through_leaving(scene, moment)
        await scene.restart()
        if scene.app.running_tasks:
            await asyncio.wait(set(scene.app.running_tasks))
        await leave(scene)
        await look(scene)
        await look(scene, GRACE)
        assert await found(scene) is None, f"killed at moment {moment}"
        if is_over:
            break
        await scene.end()

    assert 3 < moment < 40


async def lives_through_leaving(scene: Scene, dies_at: int) -> bool:
    try:
        await scene.open(dies_at)
        await leave(scene)
    except Death:
        return False
    return True
