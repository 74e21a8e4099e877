"""How many modules of `bot/` an event crosses until it is answered; see the record on walks."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE
from pathlib import Path
from types import FrameType

import bot
from bot.domain import LOCAL, User, UserId
from bot.events import ButtonClicked, CommandInvoked, FormSubmitted, ReactionChanged
from tests.scene import SLACK, Scene
from tests.waiting import until

BOT = str(Path(bot.__file__).parent) + "/"
ADMIN = User(UserId("U1"), "ann", is_platform_admin=True)
NO_STEPS = ("ports", "request", "mentions_and_times")
"""Doors to the outside, what a handler is given, and the markup of names in a reply."""
FRONT_DOOR = (
    *("dispatch", "keyed_order", "inbox_writer", "running_answers"),
    *("private_replies", "reply_sender", "examples/state_changes"),
)
"""The way of every command and click into the bot, and of its reply out of it."""


@contextmanager
def walked() -> Iterator[list[str]]:
    """Modules of `bot/` in which a coroutine ran meanwhile, in that order.

    A module that only computes, such as a rule, a text or a card, is no step of a walk.
    """
    found: dict[str, None] = {}

    def note(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        is_waiting = code.co_flags & (CO_COROUTINE | CO_ASYNC_GENERATOR)
        if event == "call" and is_waiting and code.co_filename.startswith(BOT):
            module = code.co_filename[len(BOT) :].removesuffix(".py").removesuffix("/__init__")
            if module.partition("/")[0] not in NO_STEPS:
                found[module] = None

    modules: list[str] = []
    sys.setprofile(note)
    threading.setprofile(note)
    try:
        yield modules
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
        modules += found


async def test_a_mention_crosses_few_modules(scene: Scene) -> None:
    first, question = (scene.spoken("hi", number=n, by=ADMIN) for n in (1, 2))
    await scene.slack_event(first, key="first", by=ADMIN)

    with walked() as modules:
        await scene.slack_event(question, key="e1", by=ADMIN)

    assert len(scene.slack.own_ids) == 2
    assert len(modules) <= 9, " ".join(modules)


async def test_a_mark_crosses_few_modules(scene: Scene) -> None:
    allowing = {"sources": "messages", "permission": "our own"}
    await scene.slack_event(FormSubmitted("sources", allowing), key="sources", by=ADMIN)
    scene.slack.hears("when do you open?", by="U2")
    answer = scene.slack.hears("at nine", by="U3")

    with walked() as modules:
        await scene.slack_event(ReactionChanged(answer.id, "🎓"), key="e1", by=ADMIN)

    assert len(await scene.examples(workspace=SLACK)) == 1
    assert len(modules) <= 8, " ".join(modules)


async def test_a_training_crosses_few_modules_until_its_model_answers(scene: Scene) -> None:
    await scene.learn(12)

    with walked() as modules:
        await scene.handle(scene.event(CommandInvoked("start"), key="start"))
        confirm = (await scene.last_card()).buttons[0].action
        await scene.handle(scene.event(ButtonClicked(confirm), key="confirm"))
        await until(lambda: is_deployed(scene), meanwhile=scene.step_jobs)

    own = [module for module in modules if module not in FRONT_DOOR]
    assert (own[0], own[-1]) == ("tuning/start", "tuning/job_steps"), " ".join(own)
    assert len(own) <= 10, " ".join(own)


async def is_deployed(scene: Scene) -> bool:
    async with scene.database.reading() as records:
        assistant = await records.assistants.default(LOCAL)
        assert assistant is not None
        return await records.deployments.current(LOCAL, assistant.id) is not None
