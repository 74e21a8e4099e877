"""Discord: the whole bot compared with bare discord.py, under the same rate limits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench.figures import Figure, told
from bench.processes import free_port, megabytes, resident_bytes, running
from bench.streaming_host import PIECES, SECONDS_APART
from tests.fakes.discord import ANN, GUILD, FakeDiscord, fake_discord
from tests.fakes.discord_rest import Call

MAX_MORE_SECONDS = 0.030
MAX_AFTER_SECONDS = 0.3
MANY = 100
MAX_SECONDS_FOR_MANY = MANY / 50 + 0.5
MAX_MORE_BYTES = 40_000_000

_ALONE = 9
_QUEUE = 15
_RESTING_SECONDS = 5.5
"""After that, the welcome message no longer counts against the rate limit of its channel."""
_TIMEOUT_SECONDS = 300.0
_LAST_WORD = f"word{PIECES - 1}"
_STREAM_SECONDS = SECONDS_APART * (PIECES - 1)


@dataclass(frozen=True, slots=True)
class Taken:
    """Results of a round.

    `firsts` are seconds to the first text, `lasts` from there to the last text.
    """

    firsts: tuple[float, ...]
    lasts: tuple[float, ...]
    writes: float
    more_bytes: int
    has_typed: bool
    seconds: float


def measure() -> Iterable[Figure]:
    with (
        TemporaryDirectory() as folder,
        running("-m", "bench.streaming_host", data=Path(folder)) as host,
    ):
        assert host.stdout is not None
        address = host.stdout.readline().strip()
        yield from _alone(address)
        yield from _many(address)
        yield from _queue(address)


def _alone(address: str) -> Iterable[Figure]:
    ours, bare = (asyncio.run(_round(address, bot, 1, times=_ALONE)) for bot in _BOTS)
    first, bare_first = median(ours.firsts), median(bare.firsts)
    added_seconds = first - bare_first
    yield Figure(
        "Discord: first text for one person, beside bare discord.py",
        f"+{_milliseconds(added_seconds)} ({_milliseconds(first)} : {_milliseconds(bare_first)})",
        f"≤ +{_milliseconds(MAX_MORE_SECONDS)}",
        added_seconds <= MAX_MORE_SECONDS,
    )
    after = median(ours.lasts) - _STREAM_SECONDS
    bare_after = median(bare.lasts) - _STREAM_SECONDS
    yield Figure(
        "Discord: final text after the last token",
        f"{_milliseconds(after)} (bare {_milliseconds(bare_after)})",
        f"≤ {_milliseconds(MAX_AFTER_SECONDS)}",
        after <= MAX_AFTER_SECONDS,
    )
    yield told("Discord: writes per answer", f"{ours.writes:.1f} (bare {bare.writes:.1f})")


def _many(address: str) -> Iterable[Figure]:
    ours, bare = (asyncio.run(_round(address, bot, MANY)) for bot in _BOTS)
    yield Figure(
        f"Discord: first text for the last of {MANY} in {MANY} channels",
        f"{_milliseconds(max(ours.firsts))} (bare {_milliseconds(max(bare.firsts))})",
        f"≤ {_milliseconds(MAX_SECONDS_FOR_MANY)}",
        max(ours.firsts) <= MAX_SECONDS_FOR_MANY,
    )
    yield told(
        f"Discord: whole answers for {MANY}", f"{ours.seconds:.1f} s (bare {bare.seconds:.1f} s)"
    )
    yield Figure(
        f"Discord: memory that {MANY} at once add",
        f"+{megabytes(ours.more_bytes)}",
        f"≤ +{megabytes(MAX_MORE_BYTES)}",
        ours.more_bytes <= MAX_MORE_BYTES,
    )


def _queue(address: str) -> Iterable[Figure]:
    """Measures a queue in one channel, which takes five posts in five seconds."""
    ours = asyncio.run(_round(address, _OURS, _QUEUE, channels=1))
    floor = (_QUEUE - 1) // 5 * 5.0
    yield Figure(
        f"Discord: first text for the last of {_QUEUE} in one channel, typing shown",
        f"{max(ours.firsts):.1f} s{', typing' if ours.has_typed else ''}",
        f"≤ {floor + 1.5:.1f} s",
        max(ours.firsts) <= floor + 1.5 and ours.has_typed,
    )


_OURS: tuple[str, ...] = ("-m", "attune", "run")
_BARE: tuple[str, ...] = ("-m", "bench.bare_discord")
_BOTS = (_OURS, _BARE)


async def _round(
    address: str, bot: tuple[str, ...], people: int, *, times: int = 1, channels: int = 0
) -> Taken:
    """Measures a new process of a bot, so that no rate limit is used up."""
    async with fake_discord() as discord:
        discord.rest.checks_bodies = False
        for number in range(channels or people * times):
            discord.add_channel(_channel(number))
        with (
            TemporaryDirectory() as folder,
            running(*bot, data=Path(folder), **_variables(discord, address)) as process,
        ):
            await _until(lambda: bool(discord.gateway.live))
            await asyncio.sleep(_RESTING_SECONDS)
            idle = resident_bytes(process.pid)
            firsts: list[float] = []
            lasts: list[float] = []
            started_at = asyncio.get_running_loop().time()
            for repetition in range(times):
                # Each user has a channel, except in the queue, where all share one.
                channel_numbers = [
                    (repetition * people + n) % (channels or people * times) for n in range(people)
                ]
                first, last = await _ask_all(
                    discord, [_channel(number) for number in channel_numbers]
                )
                firsts, lasts = firsts + first, lasts + last
            seconds = asyncio.get_running_loop().time() - started_at
            used = resident_bytes(process.pid)
            writes = [call for call in _writes(discord) if "word0" in str(call.body["content"])]
    # The first of several questions is a warm-up.
    start = people if times > 1 else 0
    return Taken(
        tuple(firsts[start:]),
        tuple(lasts[start:]),
        len(writes) / (people * times),
        used - idle,
        bool(discord.typed),
        seconds,
    )


async def _ask_all(
    discord: FakeDiscord, channels: Sequence[str]
) -> tuple[list[float], list[float]]:
    """Asks in all channels at once and waits for complete answers.

    Returns seconds to the first text of each answer, and from there to its last text.
    """
    loop = asyncio.get_running_loop()
    asked_at: dict[str, float] = {}
    for channel in channels:
        number = discord.mention(ANN, channel, "How do I reset my password?")
        asked_at[number] = loop.time()
    await _until(lambda: set(asked_at) <= set(_times_of_word(discord, channels, _LAST_WORD)))
    first_text_at = _times_of_word(discord, channels, "word0")
    last_text_at = _times_of_word(discord, channels, _LAST_WORD)
    firsts = [first_text_at[number] - time for number, time in asked_at.items()]
    return firsts, [last_text_at[number] - first_text_at[number] for number in asked_at]


def _times_of_word(discord: FakeDiscord, channels: Sequence[str], word: str) -> dict[str, float]:
    """Returns, by question, the time at which its answer first contained a word."""
    answered = {
        message["id"]: str((message.get("message_reference") or {}).get("message_id"))
        for channel in set(channels)
        for message in discord.own(channel)
    }
    times: dict[str, float] = {}
    for call in _writes(discord):
        reference = call.body.get("message_reference") or {}
        question = str(reference.get("message_id") or answered.get(call.args.get("message")))
        if word in str(call.body.get("content")):
            times.setdefault(question, call.at)
    return times


def _writes(discord: FakeDiscord) -> list[Call]:
    return [call for call in discord.calls if "/messages" in call.route and call.body]


def _channel(number: int) -> str:
    return f"{GUILD}{number + 1000}"


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(_TIMEOUT_SECONDS):
        while not condition():
            await asyncio.sleep(0.1)


def _variables(discord: FakeDiscord, address: str) -> dict[str, str]:
    return {
        "DISCORD_TOKEN": discord.token,
        "ATTUNE_DISCORD_SERVERS": GUILD,
        "DISCORD_API_URL": discord.url,
        "DISCORD_GATEWAY_URL": discord.gateway.url,
        "OPENAI_BASE_URL": address,
        "OPENAI_API_KEY": "bench",
        "ATTUNE_BASE_MODEL": "base",
        "ATTUNE_STUDIO_PORT": str(free_port()),
    }


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
