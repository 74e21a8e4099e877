"""Contract tests of streamed answers: complete and posted once, whichever call fails."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import pytest

from adapters.discord import message_writers
from adapters.discord import rate_limits as discord_rate_limits
from adapters.discord.api_port import Access as DiscordAccess
from adapters.discord.gateway import HttpApi as DiscordApi
from adapters.discord.interaction_responses import InteractionContext, Interactions
from adapters.discord.message_writers import ChannelWriter, InteractionWriter
from adapters.discord.payload_parsing import APPLICATION_COMMAND, InteractionHandle
from adapters.discord.payload_parsing import Bot as DiscordBot
from adapters.slack import message_writer
from adapters.slack import rate_limits as slack_rate_limits
from adapters.slack.api_port import Access as SlackAccess
from adapters.slack.http_api import HttpApi as SlackApi
from adapters.slack.message_writer import AnswerTarget, SlackMessageWriter
from adapters.slack.payload_parsing import Bot as SlackBot
from adapters.slack.posted_before_crash import PostedMessages, PostedParts
from adapters.slack.rate_limits import FinalCallReservation
from adapters.streamed_answer import MessageWriter, StreamedAnswer
from bot.domain import MessageId, UserId
from bot.replies import Button, Stream
from tests.fakes import discord_rest
from tests.fakes import slack as slack_fake
from tests.fakes.discord import ANN, BOT, fake_discord
from tests.fakes.slack import fake_slack
from tests.waiting import until

BUTTONS = (Button("👍", "feedback.good"), Button("👎", "feedback.bad"))
WORDS = [f"word{number}" for number in range(60)]
CODE = range(15, 45)
NOT_DONE, DONE, BUSY = "not done", "done", "busy"


class Death(BaseException):
    """Simulates the end of the process: nothing is written after it."""


class Platform(Protocol):
    """A fake platform with answers, each in a channel of its own."""

    calls: int
    """Number of calls for the current answer."""
    dies_at: int | None
    """Number of the call after which the process ends."""

    def begin(self) -> None: ...

    def writer(self, *, is_new: bool = True) -> Any:
        """Returns a context manager of a new process's writer for the current answer."""
        ...

    def plan(self, number: int, fault: str) -> None: ...

    def is_planned(self) -> bool: ...

    def messages(self) -> list[str]: ...

    def buttons(self) -> list[list[str]]: ...

    def is_open(self) -> bool:
        """Whether a message is shown as still being written."""
        ...

    def first(self) -> MessageId: ...


class CountingApi:
    """Counts the calls of an answer, and raises Death at the planned call."""

    def __init__(self, api: Any, platform: Platform) -> None:
        self._api, self._platform = api, platform

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    async def call(self, *arguments: Any, **options: Any) -> Any:
        platform = self._platform
        if platform.dies_at is not None and platform.calls > platform.dies_at:
            raise Death
        answer = await self._api.call(*arguments, **options)
        platform.calls += 1
        if platform.dies_at is not None and platform.calls > platform.dies_at:
            raise Death
        return answer


class OnSlack:
    def __init__(self, slack: slack_fake.FakeSlack, api: SlackApi, *, has_streams: bool) -> None:
        self.slack, self.api = slack, api
        self.calls, self.channel = 0, "C100"
        self.dies_at: int | None = None
        api.pacing.has_streams = has_streams
        slack.tiers.is_on = False

    def begin(self) -> None:
        self.calls, self.dies_at = 0, None
        self.channel = f"C{int(self.channel[1:]) + 1}"
        self.slack.add_channel(self.channel)
        self.root = self.slack.put("U2", self.channel, "a question")

    @asynccontextmanager
    async def writer(self, *, is_new: bool = True) -> AsyncIterator[MessageWriter]:
        api: Any = CountingApi(self.api, self)
        posted_messages = PostedMessages(
            api, lambda: SlackBot("T1", slack_fake.BOT, slack_fake.BOT_ID)
        )
        with FinalCallReservation(self.api.pacing) as reservation:
            yield SlackMessageWriter(
                api,
                AnswerTarget(self.channel, self.root, "T1", UserId("U2"), "key"),
                PostedParts(posted_messages, self.channel, self.root, self.root),
                reservation=reservation,
                begins=ignored,
                now=asyncio.get_running_loop().time,
                is_new=is_new,
            )

    def plan(self, number: int, fault: str) -> None:
        is_busy = fault == BUSY
        cut = slack_fake.Fault(is_cut=True, is_done=fault == DONE)
        busy = slack_fake.Fault(status=429, error="ratelimited", retry_after=0)
        self.slack.planned_fault = (number, busy if is_busy else cut)

    def is_planned(self) -> bool:
        is_left, self.slack.planned_fault = self.slack.planned_fault is not None, None
        return is_left

    def messages(self) -> list[str]:
        return self.slack.texts(self.channel)

    def buttons(self) -> list[list[str]]:
        return [slack_fake.labels(message) for message in self.slack.own(self.channel)]

    def is_open(self) -> bool:
        timestamps = [message["ts"] for message in self.slack.own(self.channel)]
        streams = [self.slack.streams.get((self.channel, ts)) for ts in timestamps]
        return any(stream is not None and stream.state == "streaming" for stream in streams)

    def first(self) -> MessageId:
        return MessageId(self.slack.own(self.channel)[0]["ts"])


class OnDiscord:
    def __init__(self, discord: Any, api: DiscordApi, *, is_interaction: bool) -> None:
        self.discord, self.api, self.is_interaction = discord, api, is_interaction
        self.calls, self.channel = 0, "5000"
        self.dies_at: int | None = None
        discord.limits.is_on = False

    def begin(self) -> None:
        self.calls, self.dies_at = 0, None
        self.channel = str(int(self.channel) + 1)
        self.discord.add_channel(self.channel)
        self.asked = self.discord.ask(ANN, self.channel, "a question")

    @asynccontextmanager
    async def writer(self, *, is_new: bool = True) -> AsyncIterator[MessageWriter]:
        api: Any = CountingApi(self.api, self)
        key = f"key/{self.channel}"
        if not self.is_interaction or not is_new:
            yield ChannelWriter(api, self.channel, key, None)
            return
        now = asyncio.get_running_loop().time
        handle = InteractionHandle(
            self.asked.id, self.asked.token, APPLICATION_COMMAND, has_public_response=True
        )
        yield InteractionWriter(
            api,
            self.channel,
            key,
            interactions=Interactions(api, lambda: DiscordBot(BOT, BOT), now),
            context=InteractionContext(handle, now()),
        )

    def plan(self, number: int, fault: str) -> None:
        is_busy = fault == BUSY
        cut = discord_rest.Fault(is_cut=True, is_done=fault == DONE)
        busy = discord_rest.Fault(status=429, retry_after=0.05)
        self.discord.rest.planned_fault = (number, busy if is_busy else cut)

    def is_planned(self) -> bool:
        rest = self.discord.rest
        is_left, rest.planned_fault = rest.planned_fault is not None, None
        return is_left

    def messages(self) -> list[str]:
        return [message["content"] for message in self.discord.own(self.channel)]

    def buttons(self) -> list[list[str]]:
        return [discord_rest.labels(message) for message in self.discord.own(self.channel)]

    def is_open(self) -> bool:
        return False

    def first(self) -> MessageId:
        return MessageId(self.discord.own(self.channel)[0]["id"])


async def ignored(*message: MessageId) -> None: ...


SLACK_BUDGETS = (
    "chat.update",
    "chat.startStream",
    "chat.stopStream",
    "chat.appendStream",
    "conversations.replies",
)
PACES = (
    (message_writer, "_APPEND_PAUSE_SECONDS", 0.001),
    (message_writer, "_UPDATE_PAUSE_SECONDS", 0.001),
    (message_writer, "_RESERVED_UPDATES", 0),
    (slack_rate_limits, "_POST_GAP_SECONDS", 0.0),
    (message_writers, "_FIRST_PAUSE_SECONDS", 0.001),
    (message_writers, "_PAUSE_SECONDS", 0.001),
    (discord_rate_limits, "_EDIT_GAP_SECONDS", 0.0),
    (SlackMessageWriter, "longest", 300),
    (ChannelWriter, "longest", 300),
)


@pytest.fixture(params=["slack streams", "slack updates", "discord", "discord interaction"])
async def platform(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Platform]:
    for target, name, value in PACES:
        monkeypatch.setattr(target, name, value)
    for method in SLACK_BUDGETS:
        monkeypatch.setitem(slack_rate_limits._PER_MINUTE, method, 10_000)
    if request.param.startswith("slack"):
        async with fake_slack() as slack:
            url = slack.settings["SLACK_API_URL"]
            api = SlackApi(SlackAccess(slack.bot_token, slack.app_token, api_url=url))
            yield OnSlack(slack, api, has_streams=request.param == "slack streams")
            await api.close()
        return
    async with fake_discord() as discord:
        discord_api = DiscordApi(DiscordAccess(discord.token, discord.url))
        await discord_api.log_in()
        is_interaction = request.param == "discord interaction"
        yield OnDiscord(discord, discord_api, is_interaction=is_interaction)
        await discord_api.close()


async def pieces(platform: Platform) -> AsyncGenerator[str]:
    """Yields words with a code block in the middle, a few per call of the platform."""
    for number, word in enumerate(WORDS):
        opening = "\n```python\n" if number == CODE.start else ""
        closing = "\n```\n" if number == CODE.stop else ""
        yield f"{closing}{opening}{word} "
        if number % 6 == 0:
            calls = platform.calls
            for _ in range(400):
                await asyncio.sleep(0.001)
                if platform.calls > calls:
                    break


async def answer(platform: Platform, *, standing: MessageId | None = None) -> MessageId:
    """Writes the complete answer as one process; `standing` is the message of an earlier
    process.
    """
    noted: list[MessageId] = [standing] if standing else []

    async def posted(message: MessageId) -> None:
        noted.append(message)

    now = asyncio.get_running_loop().time
    stream = Stream(pieces(platform), posted, lambda: BUTTONS, unfinished_message=standing)
    async with platform.writer(is_new=standing is None) as writer:
        first = await StreamedAnswer(writer, stream, now=now).run()
    assert noted[-1] == first
    return first


def words(platform: Platform) -> list[str]:
    return re.findall(r"word\d+", " ".join(platform.messages()))


def assert_whole(platform: Platform) -> None:
    messages, buttons = platform.messages(), platform.buttons()
    assert words(platform) == WORDS, messages
    assert all(len(text) <= 300 for text in messages)
    assert all(text.count("```") % 2 == 0 for text in messages), messages
    assert [len(message_buttons) for message_buttons in buttons] == [0] * (len(buttons) - 1) + [2]
    assert not platform.is_open()


async def test_an_answer_of_several_messages_stands_whole(platform: Platform) -> None:
    platform.begin()

    await answer(platform)

    assert len(platform.messages()) >= 2
    assert_whole(platform)


@pytest.mark.parametrize("fault", [NOT_DONE, DONE, BUSY])
async def test_whichever_call_fails_nothing_is_lost_or_doubled(
    platform: Platform, fault: str
) -> None:
    if isinstance(platform, OnDiscord) and platform.is_interaction and fault == DONE:
        pytest.skip("Discord's follow-up messages take no nonce")
    for number in itertools.count():
        platform.begin()
        platform.plan(number, fault)

        await answer(platform)

        is_past_the_last = platform.is_planned()
        assert_whole(platform)
        if is_past_the_last:
            break
    assert number >= 4


async def stop_at(platform: Platform, number: int) -> bool:
    """Stops an answer at this call to the platform; False if it ended before."""
    task = asyncio.create_task(answer(platform))
    await until(lambda: platform.calls >= number or task.done(), meanwhile=lambda: asyncio.sleep(0))
    is_stopped = not task.done()
    task.cancel()
    await asyncio.wait({task})
    return is_stopped


async def test_stopped_at_any_call_what_is_shown_is_a_beginning_and_closed(
    platform: Platform,
) -> None:
    for number in range(1, 30):
        platform.begin()
        if not await stop_at(platform, number):
            break

        shown = words(platform)
        assert shown == WORDS[: len(shown)]
        assert all(text.count("```") % 2 == 0 for text in platform.messages())
        assert not platform.is_open()
    assert number >= 4


async def test_killed_after_any_call_it_is_written_anew_in_its_own_messages(
    platform: Platform,
) -> None:
    if isinstance(platform, OnDiscord) and platform.is_interaction:
        pytest.skip("what an interaction posted has no nonce by which it is found")
    for number in range(30):
        platform.begin()
        platform.dies_at = number
        is_dead, first = False, None
        try:
            await answer(platform)
        except Death:
            is_dead = True
            first = platform.first()
        platform.dies_at = None
        if not is_dead:
            break

        await answer(platform, standing=first)

        assert_whole(platform)
    assert number >= 4
