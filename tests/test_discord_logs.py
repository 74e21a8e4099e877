"""No logger holds what people write, whatever its level; no text holds the loop up."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from adapters.discord.payload_parsing import Bot, strip_markup
from adapters.discord.text_escaping import (
    MAX_TEXT_LENGTH,
    escape,
    sanitize,
    shorten,
    split_for_inputs,
)
from adapters.message_splitting import split_messages
from attune.logs import JsonFormatter
from tests.discord_scene import Scene
from tests.fakes.discord import ADMIN, ANN, GENERAL, GUILD
from tests.fakes.discord_rest import Fault
from tests.waiting import until

MARKER = "the words of a client"


class Record(logging.Handler):
    """Keeps the lines that the log would have at its lowest level."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.lines: list[tuple[str, str]] = []
        self._lines = JsonFormatter()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((record.name, self._lines.format(record)))


@contextmanager
def everything_logged() -> Iterator[Record]:
    record, root = Record(), logging.getLogger()
    made = logging.Logger.manager.loggerDict.values()
    loggers = [root, *(one for one in made if isinstance(one, logging.Logger))]
    kept = {one: one.level for one in loggers}
    root.addHandler(record)
    for one in loggers:
        one.setLevel(logging.DEBUG)
    try:
        yield record
    finally:
        root.removeHandler(record)
        for one, level in kept.items():
            one.setLevel(level)


async def test_no_logger_holds_text_or_the_token(in_discord: Scene) -> None:
    discord = in_discord.discord
    with everything_logged() as record:
        discord.fail("POST /channels/{channel}/messages", Fault(status=500), Fault(status=400))
        discord.mention(ANN, GENERAL, MARKER)
        discord.ask(ANN, GENERAL, MARKER)
        discord.say(ANN, discord.direct(ANN), MARKER)
        discord.react(ANN, GENERAL, discord.put(ANN, GENERAL, MARKER), "🎓")
        discord.command(ADMIN, GENERAL, "teach")
        broken = {"id": MARKER, "type": MARKER, "token": MARKER, "data": MARKER}
        discord.gateway.dispatch("INTERACTION_CREATE", broken)
        discord.gateway.dispatch(
            "MESSAGE_CREATE", {"id": MARKER, "content": MARKER, "type": MARKER}
        )
        discord.gateway.dispatch("GUILD_ROLE_UPDATE", {"guild_id": GUILD, "role": MARKER})
        await in_discord.hear()
        await in_discord.settled()

    names = {name.partition(".")[0] for name, _ in record.lines}
    assert "adapters" in names
    assert not names & {"discord", "aiohttp"}
    # The libraries of stores and hosts are no concern of this surface.
    others = ("aiosqlite", "sqlalchemy", "openai", "http")
    ours = [line for name, line in record.lines if not name.startswith(others)]
    for secret in (MARKER, discord.token):
        assert [line for line in ours if secret in line] == []


async def test_a_reply_to_a_reaction_is_posted_once(in_discord: Scene) -> None:
    message = in_discord.discord.put(ANN, GENERAL, "At nine.")

    in_discord.discord.react(ANN, GENERAL, message, "🎓")

    await in_discord.hear()
    assert len(in_discord.discord.own(GENERAL)) == 1
    # The card for the admins of a first mark goes to a channel of their own.
    posts = [one for one in in_discord.discord.calls if one.args.get("channel") == GENERAL]
    bodies = [one.body for one in posts if one.route == "POST /channels/{channel}/messages"]
    assert all(body["enforce_nonce"] for body in bodies)
    assert len({body["nonce"] for body in bodies}) == 1


async def test_an_interrupted_reply_to_a_reaction_is_not_told_twice(in_discord: Scene) -> None:
    message = in_discord.discord.put(ANN, GENERAL, "At nine.")
    fault = Fault(is_cut=True, is_done=True)
    in_discord.discord.fail("POST /channels/{channel}/messages", fault)

    in_discord.discord.react(ANN, GENERAL, message, "🎓")

    posts = "POST /channels/{channel}/messages"
    await until(
        lambda: len(in_discord.discord.called(posts)) >= 2,
        lambda: f"{in_discord.discord.called(posts)}",
    )
    await in_discord.settled()
    assert len(in_discord.discord.own(GENERAL)) == 1


READERS: dict[str, Callable[[str], object]] = {
    "safe": sanitize,
    "escaped": escape,
    "split": lambda text: list(split_messages(text, MAX_TEXT_LENGTH)),
    "cut": lambda text: split_for_inputs(text, 4000),
    "shortened": lambda text: shorten(text, 200),
    "plain": lambda text: strip_markup(text, Bot("900", "900"), {}),
}
UNITS = (
    "[",
    "[](",
    "](",
    "<@",
    "<@1",
    "<:a",
    "_",
    "*",
    "`",
    "```\n",
    " ",
    "\n",
    "#",
    "\\",
    "🦊",
    "~~~",
)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("name", READERS)
def test_no_text_takes_time_by_its_square(name: str, unit: str) -> None:
    def seconds(length: int) -> float:
        text = unit * (length // len(unit))
        took = []
        for _ in range(3):
            began = time.thread_time()
            READERS[name](text)
            took.append(time.thread_time() - began)
        return min(took)

    assert seconds(80_000) < 0.05 + 100 * seconds(5_000)
