"""Time to the first text of an answer: through the whole core, and from the bare SDK."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from openai import AsyncOpenAI

from adapters.openai.hosts_file import ConfiguredHosts, default_host
from adapters.signed_links import SignedLinks
from attune.bootstrap import Surfaces, create_text_index
from attune.clock import SystemClock
from bench.figures import Figure, interleaved_results
from bench.processes import running
from bot.command_catalogue import CATALOGUE
from bot.daily_token_budget import TokenBudget
from bot.dispatch import Dispatch
from bot.domain import ChannelId, Message, MessageId, Place, User, UserId, WorkspaceId
from bot.events import Event, MessageReceived
from bot.example_index import ExampleIndex
from bot.ports.dependencies import Dependencies
from bot.replies import Drawn, Stream
from bot.running_answers import RunningAnswers
from storage.database import Database
from storage.import_folder import ImportFolder

MANY = 100
MAX_MORE_SECONDS = 0.010
MAX_SECONDS_FOR_MANY = 1.5

_ROUNDS = {1: 15, MANY: 5}
_RESTING_SECONDS = 0.2
_WORKSPACE = WorkspaceId("bench:team")

Round = Callable[[], Awaitable[float]]


def measure() -> Iterable[Figure]:
    with (
        TemporaryDirectory() as folder,
        running("-m", "bench.streaming_host", data=Path(folder)) as host,
    ):
        assert host.stdout is not None
        address = host.stdout.readline().strip()
        seconds_by_users = asyncio.run(_measure_all(address, Path(folder)))
    ours, bare = seconds_by_users[1]
    more = ours - bare
    yield Figure(
        "first text for one asker, beside the bare SDK",
        f"+{_milliseconds(more)} ({_milliseconds(ours)} : {_milliseconds(bare)})",
        f"≤ +{_milliseconds(MAX_MORE_SECONDS)}",
        more <= MAX_MORE_SECONDS,
    )
    ours, bare = seconds_by_users[MANY]
    yield Figure(
        f"first text for the last of {MANY} askers at once",
        f"{_milliseconds(ours)} (bare SDK {_milliseconds(bare)})",
        f"≤ {_milliseconds(MAX_SECONDS_FOR_MANY)}",
        ours <= MAX_SECONDS_FOR_MANY,
    )


class Ear:
    """A fake platform that records when each answer begins; implements Surface and CanStream."""

    def __init__(self) -> None:
        self.first_heard: dict[str, float] = {}

    async def stream(self, place: Place, stream: Stream, *, key: str, asker: UserId) -> MessageId:
        message = MessageId(f"answer-{key}")
        async for piece in stream.pieces:
            if piece and key not in self.first_heard:
                self.first_heard[key] = perf_counter()
                await stream.on_posted(message)
        return message

    async def post(self, place: Place, reply: Drawn, *, key: str) -> MessageId:
        raise AssertionError(reply)

    async def edit(self, place: Place, message: MessageId, reply: Drawn) -> None:
        raise AssertionError(reply)

    async def react(self, place: Place, message: MessageId, emoji: str) -> None:
        raise AssertionError(emoji)

    async def fetch_message(self, place: Place, message: MessageId) -> Message | None:
        return None

    async def thread_before(self, place: Place, before: MessageId, limit: int) -> Sequence[Message]:
        return ()

    async def messages_before(
        self, place: Place, before: MessageId, limit: int
    ) -> Sequence[Message]:
        return ()


async def _measure_all(address: str, folder: Path) -> dict[int, list[float]]:
    """Returns the seconds until the last user's first text (core, bare SDK) by number of users."""
    async with _core(address, folder) as ours, _sdk(address) as bare:
        seconds_by_users = {}
        for askers, rounds in _ROUNDS.items():
            acts = partial(ours, askers), partial(bare, askers)
            await interleaved_results(*acts, rounds=1, pause=_RESTING_SECONDS)
            seconds_by_users[askers] = await interleaved_results(
                *acts, rounds=rounds, pause=_RESTING_SECONDS
            )
        return seconds_by_users


@asynccontextmanager
async def _core(address: str, folder: Path) -> AsyncIterator[Callable[[int], Awaitable[float]]]:
    """Yields a function that asks through dispatch, chat, client and store, as in the service."""
    async with AsyncExitStack() as stack:
        database = await Database.open(f"sqlite:///{folder}/bench.db")
        stack.push_async_callback(database.close)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        host = default_host(base_url=address, has_key=True, bases=["base"])
        hosts = ConfiguredHosts([host], keys={"OPENAI_API_KEY": "bench"})
        stack.push_async_callback(hosts.close)
        ear, answers = Ear(), RunningAnswers()
        deps = Dependencies(
            store=database,
            hosts=hosts,
            surfaces=Surfaces({"bench": ear}),
            clock=SystemClock(),
            links=SignedLinks("", "bench"),
            imports=ImportFolder(folder / "imports"),
            running_answers=answers,
            token_reservations=TokenBudget(database),
            nearest_examples=ExampleIndex(
                store=database,
                clock=SystemClock(),
                create_index=create_text_index,
                start_task=group.create_task,
            ),
            admins=frozenset(),
            starters={},
            wake_runners=lambda: None,
            publish_change=lambda topic: None,
        )
        dispatch = Dispatch(
            deps=deps,
            catalogue=CATALOGUE,
            answers=answers,
            spawn=lambda work, name: group.create_task(work, name=name),
        )
        numbers = itertools.count(1)
        yield lambda askers: _ask_core(dispatch, ear, [next(numbers) for _ in range(askers)])


async def _ask_core(dispatch: Dispatch, ear: Ear, numbers: Sequence[int]) -> float:
    """Sends all questions at once; returns the seconds until the last answer begins.

    Waits until all answers are complete.
    """
    start = perf_counter()
    tasks = await asyncio.gather(*(dispatch.handle(_mention(number)) for number in numbers))
    await asyncio.gather(*(task for task in tasks if task))
    return max(ear.first_heard[f"bench-{number}"] for number in numbers) - start


def _mention(number: int) -> Event:
    place = Place(_WORKSPACE, ChannelId(f"channel-{number % MANY}"))
    user, now = User(UserId(f"user-{number % MANY}"), "ann"), datetime.now(UTC)
    message = Message(place, MessageId(str(number)), user, "How do I reset my password?", now)
    return Event(f"bench-{number}", place, user, now, MessageReceived(message, is_addressed=True))


@asynccontextmanager
async def _sdk(address: str) -> AsyncIterator[Callable[[int], Awaitable[float]]]:
    async with AsyncOpenAI(base_url=address, api_key="bench", max_retries=0) as client:
        yield partial(_ask_sdk, client)


async def _ask_sdk(client: AsyncOpenAI, askers: int) -> float:
    start = perf_counter()
    return max(await asyncio.gather(*(_first_text(client) for _ in range(askers)))) - start


async def _first_text(client: AsyncOpenAI) -> float:
    """Returns the time of the first text, after reading the rest of the answer."""
    stream = await client.chat.completions.create(
        model="base",
        messages=[{"role": "user", "content": "How do I reset my password?"}],
        stream=True,
    )
    first = None
    async for chunk in stream:
        if first is None and chunk.choices and chunk.choices[0].delta.content:
            first = perf_counter()
    assert first is not None
    return first


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
