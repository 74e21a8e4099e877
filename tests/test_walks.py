"""How many modules of `bot/` an event crosses until it is answered; see the record on handlers."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import bot
from bot.domain import User, UserId
from bot.events import FormSubmitted, ReactionChanged
from tests.scene import SLACK, Scene

BOT = str(Path(bot.__file__).parent) + "/"
ADMIN = User(UserId("U1"), "ann", is_platform_admin=True)
VALUES = (
    *("domain", "events", "errors", "replies", "rows", "words", "request", "ports"),
    "private_text",
    *("mentions_and_times", "private_replies", "examples/example_buttons", "examples/texts"),
)
"""What the steps speak of: values, and functions that only read or draw one; no step of a walk."""


@contextmanager
def walked() -> Iterator[list[str]]:
    """Modules of `bot/` in which a function was entered meanwhile, in that order."""
    found: dict[str, None] = {}

    def note(frame: FrameType, event: str, _: object) -> None:
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(BOT):
            module = name[len(BOT) :].removesuffix(".py").removesuffix("/__init__")
            if not {module, module.partition("/")[0]} & set(VALUES):
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
