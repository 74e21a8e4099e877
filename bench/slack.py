"""Slack: the whole bot compared with a bare Bolt handler, under the same rate limits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench.figures import Figure, told
from bench.processes import free_port, megabytes, resident_bytes, running
from tests.fakes.slack import BOT, Call, FakeSlack, fake_slack

MAX_MORE_SECONDS = 0.030
MAX_RATIO = 1.2
MAX_MORE_BYTES = 40_000_000

_ALONE = 9
_CROWDS = (20, 100)
_RESTING_SECONDS = 3.0
_TIMEOUT_SECONDS = 45.0
"""Timeout; a user without an answer by then counts with this time."""
_WRITES = (
    "chat.postMessage",
    "chat.update",
    "chat.startStream",
    "chat.appendStream",
    "chat.stopStream",
)


@dataclass(frozen=True, slots=True)
class Taken:
    """Results of a round: seconds until each user's first text, writes per answer, and memory."""

    seconds: tuple[float, ...]
    writes: float
    idle_bytes: int
    bytes: int

    @property
    def worst(self) -> float:
        return max(self.seconds)

    @property
    def median(self) -> float:
        return median(self.seconds)


def measure() -> Iterable[Figure]:
    with (
        TemporaryDirectory() as folder,
        running("-m", "bench.streaming_host", data=Path(folder)) as host,
    ):
        assert host.stdout is not None
        address = host.stdout.readline().strip()
        yield from _alone(address)
        for people in _CROWDS:
            yield from _crowd(address, people)


def _alone(address: str) -> Iterable[Figure]:
    ours, bare = (asyncio.run(_round(address, bot, 1, times=_ALONE)) for bot in _BOTS)
    added_seconds = ours.median - bare.median
    yield Figure(
        "Slack: first text for one person, beside bare bolt",
        f"+{_milliseconds(added_seconds)} "
        f"({_milliseconds(ours.median)} : {_milliseconds(bare.median)})",
        f"≤ +{_milliseconds(MAX_MORE_SECONDS)}",
        added_seconds <= MAX_MORE_SECONDS,
    )
    yield told("Slack: writes per answer", f"{ours.writes:.1f} (bare {bare.writes:.1f})")


def _crowd(address: str, people: int) -> Iterable[Figure]:
    ours, bare = (asyncio.run(_round(address, bot, people)) for bot in _BOTS)
    for name, mine, other in (
        ("median", ours.median, bare.median),
        ("last", ours.worst, bare.worst),
    ):
        yield Figure(
            f"Slack: first text for {people} at once, {name}",
            f"{mine / other:.2f} ({_milliseconds(mine)} : {_milliseconds(other)})",
            f"≤ {MAX_RATIO}",
            mine / other <= MAX_RATIO,
        )
    yield told(f"Slack: writes per answer for {people}", f"{ours.writes:.1f} ({bare.writes:.1f})")
    added_bytes = ours.bytes - ours.idle_bytes
    yield Figure(
        f"Slack: memory that {people} at once add",
        f"+{megabytes(added_bytes)}",
        f"≤ +{megabytes(MAX_MORE_BYTES)}",
        added_bytes <= MAX_MORE_BYTES,
    )


_OURS: tuple[str, ...] = ("-m", "attune", "run")
_BARE: tuple[str, ...] = ("-m", "bench.bare_slack")
_BOTS = (_OURS, _BARE)


async def _round(address: str, bot: tuple[str, ...], people: int, *, times: int = 1) -> Taken:
    """Measures a new process of a bot, so that no rate limit is used up."""
    async with fake_slack() as slack:
        for number in range(people * times):
            slack.add_channel(f"C{number + 100}")
        with TemporaryDirectory() as folder:
            variables = _variables(slack, address)
            with running(*bot, data=Path(folder), **variables) as process:
                await _until(lambda: bool(slack.sockets))
                await asyncio.sleep(_RESTING_SECONDS)
                idle = resident_bytes(process.pid)
                seconds: list[float] = []
                for number in range(times):
                    seconds += await _ask_all(slack, range(number * people, (number + 1) * people))
                await _until(lambda: _are_complete(slack, people * times))
                writes = sum(call.method in _WRITES for call in slack.calls)
                answers = max(1, _complete_answers(slack))
                used = resident_bytes(process.pid)
    # The first of several questions is a warm-up.
    timed = seconds[people:] if times > 1 else seconds
    return Taken(tuple(timed), writes / answers, idle, used)


async def _ask_all(slack: FakeSlack, numbers: range) -> list[float]:
    loop = asyncio.get_running_loop()
    asked_at = {}
    for number in numbers:
        channel = f"C{number + 100}"
        asked_at[channel] = loop.time()
        slack.mention("U2", channel, "How do I reset my password?")
    await _until(lambda: all(_first_text_call(slack, channel) is not None for channel in asked_at))
    firsts = {channel: _first_text_call(slack, channel) for channel in asked_at}
    return [
        first.at - asked_at[channel] if first is not None else _TIMEOUT_SECONDS
        for channel, first in firsts.items()
    ]


def _first_text_call(slack: FakeSlack, channel: str) -> Call | None:
    """Returns the write that first contained text of the model."""
    return next(
        (
            call
            for call in slack.calls
            if call.args.get("channel") == channel
            and call.method in ("chat.startStream", "chat.postMessage", "chat.appendStream")
            and "word" in str(call.args)
        ),
        None,
    )


def _are_complete(slack: FakeSlack, answers: int) -> bool:
    return _complete_answers(slack) >= answers


def _complete_answers(slack: FakeSlack) -> int:
    texts = [
        str(message.get("text"))
        for channel in slack.channels.values()
        for message in channel.messages
        if message["user"] == BOT
    ]
    return sum("word19" in text for text in texts)


async def _until(condition: Callable[[], bool]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            while not condition():
                await asyncio.sleep(0.02)


def _variables(slack: FakeSlack, address: str) -> dict[str, str]:
    return {
        **slack.settings,
        "OPENAI_BASE_URL": address,
        "OPENAI_API_KEY": "bench",
        "ATTUNE_BASE_MODEL": "base",
        "ATTUNE_STUDIO_PORT": str(free_port()),
    }


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
