"""Whatever asks a model, and however its answer ends: what was paid for is counted, once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from bot import conversation_history
from bot.domain import LOCAL, UserId, WorkspaceId
from bot.events import ButtonClicked, FormSubmitted, MessageReceived
from bot.replies import Comparison
from bot.rows import estimate_message_tokens, estimate_text_tokens
from tests.fakes.connected import CHAT
from tests.fakes.faults import Fault, answers, error_event, short_stream
from tests.fakes.faulty_host import faulty_host
from tests.fakes.openai_rules import Body
from tests.scene import SLACK, Scene, copy_data
from tests.waiting import until

PIECE = "Half an answer"
FAULTS: dict[str, Fault] = {
    "ends early": short_stream(1),
    "says that it failed": error_event(1),
    "refuses": answers(500),
}
BY_US = ("stopped", "cancelled")


@dataclass(frozen=True, slots=True)
class PaidPath:
    """Something that asks models: how it begins, until it is over, and how people stop it.

    `calls` are under way at the same time.
    """

    begin: Callable[[Scene], Coroutine[object, object, object]]
    stop: Callable[[Scene], Awaitable[object]] | None = None
    workspace: WorkspaceId = LOCAL
    calls: int = 1


async def ask(scene: Scene) -> None:
    await scene.say("@attune hello")


async def stop_answer(scene: Scene) -> None:
    async def is_streaming() -> bool:
        return PIECE in await scene.last()

    await until(is_streaming)
    await scene.react("LAST", "❌")


async def ask_in_long_thread(scene: Scene) -> None:
    for number in range(4):
        scene.slack.hears(f"so much was said {number}", by="you", reply_to=number or None)
    said = MessageReceived(scene.slack.said[-1], is_addressed=True)
    await scene.slack_event(said, key=f"thread {scene.host.count(CHAT)}")


async def compare(scene: Scene) -> None:
    await scene.command("compare hello")


async def compare_on_page(scene: Scene) -> None:
    """A page that is left as soon as the first words stand there."""
    form = FormSubmitted("compare", {"question": "hello", "who": "base"})
    shown = await scene.app.handle_for_page(scene.event(form, key="page"))
    assert isinstance(shown, Comparison)
    pieces = shown.answers[0].pieces
    await anext(pieces)
    await pieces.aclose()


async def judge(scene: Scene) -> None:
    await scene.handle(scene.event(ButtonClicked("judge.estimate:1"), key="judge"))
    await scene.app.deliver_notices()
    await scene.click("Judge")
    await scene.app.runners.judges.poll()


async def evaluate(scene: Scene) -> None:
    await scene.command("evaluate questions:1")
    await scene.click("Evaluate")
    await scene.app.runners.evaluations.poll()


def click(action: str) -> Callable[[Scene], Awaitable[object]]:
    return lambda scene: scene.handle(scene.event(ButtonClicked(action), key=action))


PATHS = {
    "answer": PaidPath(ask, stop_answer),
    "summary": PaidPath(ask_in_long_thread, workspace=SLACK),
    "comparison": PaidPath(compare, calls=3),
    "comparison on a page": PaidPath(compare_on_page),
    "judge": PaidPath(judge, click("judge.stop:1"), calls=2),
    "evaluation": PaidPath(evaluate, click("evaluation.stop:2"), calls=3),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tuned model in use, one evaluation of it and a judge."""
    folder = tmp_path_factory.mktemp("trained")

    async def prepare() -> None:
        async with faulty_host() as host:
            scene = Scene(folder, host)
            host.answers = lambda body: f"From {body['model']}"
            await scene.start()
            await scene.command("assistant edit judge_model:judge")
            await scene.learn(15)
            await scene.confirm("validation:20% use:yes")
            await scene.settle()
            await scene.command("evaluate questions:1")
            await scene.click("Evaluate")
            await scene.settle()
            await scene.end()

    asyncio.run(prepare())
    return folder


async def spent(scene: Scene, workspace: WorkspaceId) -> int:
    async with scene.database.reading() as records:
        _, whole = await records.daily_tokens.tokens_of_day(
            workspace, UserId("you"), scene.clock.now().date()
        )
    return whole


@pytest.mark.parametrize("way", [*FAULTS, *BY_US])
async def test_what_breaks_off_is_counted_wherever_it_was_asked(
    way: str, tmp_path: Path, trained: Path, quick_hosts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation_history, "_MAX_MESSAGES", 1)
    copy_data(trained, tmp_path)
    async with faulty_host() as host:
        scene = Scene(tmp_path, host)
        host.answers = lambda body: PIECE
        host.stops_after_first = way in BY_US
        await scene.open()
        host.tuned += ["judge", *(model.name for model in await scene.models())]
        if way in FAULTS:
            host.fail_always(CHAT, FAULTS[way])
        for name, path in PATHS.items():
            host.asked.clear()
            before = await spent(scene, path.workspace)

            await break_off(scene, path, way)

            counted = await spent(scene, path.workspace) - before
            bodies = [one.body for one in host.asked if one.route == CHAT]
            assert bodies, name
            asked = sum(estimate_message_tokens(messages_in(body)) for body in bodies)
            most = asked + estimate_text_tokens(PIECE) * len(bodies)
            least = asked if way in BY_US else most
            assert counted == 0 if way == "refuses" else least <= counted <= most, name
        await scene.end()


def messages_in(body: Body) -> list[dict[str, object]]:
    return cast(list[dict[str, object]], body["messages"])


async def break_off(scene: Scene, path: PaidPath, way: str) -> None:
    if way in FAULTS:
        await path.begin(scene)
        return
    doing = asyncio.create_task(path.begin(scene))
    await until(lambda: scene.host.count(CHAT) == path.calls)
    if way == "stopped" and path.stop is not None:
        await path.stop(scene)
    else:
        for task in scene.app.running_tasks:
            task.cancel()
        if not scene.app.running_tasks:
            doing.cancel()
    await asyncio.wait([doing])


async def test_an_answer_that_was_given_is_not_paid_for_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after its last word, the event runs again: no file is read, nothing is summarised."""
    monkeypatch.setattr(conversation_history, "_MAX_MESSAGES", 1)
    with monkeypatch.context() as dying:
        dying.setattr("bot.inbox_writer.InboxWriter.mark_done", None)
        await ask_in_long_thread(scene)
    assert scene.host.count(CHAT) == 2

    await scene.restart()
    await asyncio.wait(set(scene.app.running_tasks))

    assert scene.host.count(CHAT) == 2
