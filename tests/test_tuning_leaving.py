"""After a workspace has left: nothing of it stays at its hosts, and nothing of it stays here."""

from __future__ import annotations

import pytest

from bot.domain import Message, MessageId, Place, User, UserId
from bot.events import CommandInvoked, MessageReceived
from tests.fakes.connected import UPLOAD
from tests.fakes.faults import answers, cut_after
from tests.scene import SLACK, Scene
from tests.test_tuning_watch import LONG, watching

CANCEL = "POST /fine_tuning/jobs/{id}/cancel"
DELETE = "DELETE /files/{id}"


async def leave(scene: Scene) -> None:
    await scene.leave()


async def rounds(scene: Scene, count: int = 3) -> None:
    for _ in range(count):
        await scene.turn()
        scene.advance(600)


async def test_the_files_of_a_workspace_that_left_go_at_the_host(scene: Scene) -> None:
    await scene.tuned()
    assert scene.host.files

    await leave(scene)
    await rounds(scene, 1)

    assert scene.host.files == {}
    assert await remembered(scene) == 0


async def remembered(scene: Scene) -> int:
    scene.advance(10**6)
    async with scene.database.reading() as records:
        return len(await records.remote_cleanups.list_due(now=scene.clock.now()))


async def test_a_running_job_is_cancelled_and_its_files_go(scene: Scene) -> None:
    await watching(scene, *LONG)

    await leave(scene)
    await rounds(scene, 1)

    assert [job.status for job in scene.host.jobs.values()] == ["cancelled"]
    assert scene.host.files == {}


async def test_a_file_that_was_being_sent_is_found_by_its_name(scene: Scene) -> None:
    scene.host.fail(UPLOAD, cut_after())
    await scene.learn(12)
    await scene.confirm()
    await scene.turn()
    await scene.turn()
    assert len(scene.host.files) == 1

    await leave(scene)
    await rounds(scene, 1)

    assert scene.host.files == {}


@pytest.mark.parametrize("route", [DELETE, CANCEL, "GET /files"])
async def test_a_host_that_is_away_is_tried_again_also_after_a_restart(
    scene: Scene, route: str
) -> None:
    await watching(scene, *LONG)
    scene.host.fail(route, answers(500), answers(503))

    await leave(scene)
    await rounds(scene, 1)
    await scene.restart()
    await rounds(scene, 3)

    assert scene.host.files == {}
    assert await remembered(scene) == 0


async def test_a_host_that_comes_back_after_months_is_not_forgotten(scene: Scene) -> None:
    await scene.tuned()
    await scene.leave()
    scene.host.fail_always(DELETE, answers(403))

    for _ in range(80):
        for hours in (1, 23):
            await scene.app.runners.jobs.poll()
            scene.advance(hours * 3600)
    assert 80 <= scene.host.count(DELETE) < 100
    scene.host.recover()
    scene.advance(24 * 3600)
    await scene.app.runners.jobs.poll()

    assert scene.host.files == {}
    assert await remembered(scene) == 0


# Held-out marks


async def test_marks_of_one_method_outlive_a_training_of_the_other(scene: Scene) -> None:
    await scene.learn(20)
    await scene.confirm("validation:25%")
    await scene.settle()
    held = {example.id for example in await scene.examples() if example.held_out}
    await scene.do(f"/tune import {pairs(scene)} yes")

    await scene.confirm("method:dpo validation:25%")
    await scene.settle()

    after = {example.id for example in await scene.examples() if example.held_out}
    assert held < after
    assert len(held) == len(after - held) == 5


def pairs(scene: Scene) -> str:
    path = scene.folder / "pairs.jsonl"
    said = '[{"role": "assistant", "content": "%s"}]'
    asked = '{"messages": [{"role": "user", "content": "q%d"}]}'
    lines = [
        f'{{"input": {asked % n}, "preferred_output": {said % "a"}, '
        f'"non_preferred_output": {said % "b"}}}\n'
        for n in range(20)
    ]
    path.write_text("".join(lines))
    return str(path)


# A platform that is off


async def promised(scene: Scene, *whats: CommandInvoked | MessageReceived) -> None:
    """Events that were taken in, and then the process died."""
    for what in whats:
        place = {"workspace": SLACK, "channel": scene.slack.channel}
        event = scene.event(what, key=what.kind, **place)
        promises = scene.app.dispatch._inbox
        assert await promises.store_event(event, promises.next_arrival_time())


def spoken(scene: Scene) -> MessageReceived:
    place = Place(SLACK, scene.slack.channel)
    mina = User(UserId("mina"), "mina")
    return MessageReceived(
        Message(place, MessageId("77"), mina, "hi", scene.clock.now()), is_addressed=True
    )


async def without_slack(scene: Scene) -> None:
    await scene.end()
    scene.surfaces = {}
    await scene.open()


async def with_slack(scene: Scene) -> None:
    await scene.end()
    scene.surfaces = {"slack": scene.slack}
    await scene.open()
    await scene.settle()


async def test_what_a_platform_sent_waits_until_it_is_on_again(scene: Scene) -> None:
    await promised(scene, CommandInvoked("help"), spoken(scene))

    await without_slack(scene)
    scene.advance(60)
    await with_slack(scene)

    assert len([*scene.slack.whispers, *scene.slack.posts]) == 2
    assert scene.host.count("POST /chat/completions") == 1


async def test_a_question_that_has_grown_old_is_let_go(scene: Scene) -> None:
    await promised(scene, CommandInvoked("help"), spoken(scene))

    await without_slack(scene)
    scene.advance(11 * 60)
    await with_slack(scene)

    assert len([*scene.slack.whispers, *scene.slack.posts]) == 1
    assert scene.host.count("POST /chat/completions") == 0
