"""However an answer ends, it gives back what it held of Slack's budgets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

import pytest

from adapters.slack import message_writer
from adapters.slack.message_writer import AnswerTarget, SlackMessageWriter
from adapters.slack.payload_parsing import Bot
from adapters.slack.posted_before_crash import PostedMessages, PostedParts
from adapters.slack.rate_limits import FinalCallReservation, Pacing
from adapters.streamed_answer import StreamedAnswer
from bot.domain import MessageId, UserId
from bot.errors import MessageGone, PlaceClosed, SurfaceError
from bot.replies import Stream

METHODS = ("chat.startStream", "chat.appendStream", "chat.stopStream", "chat.postMessage")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece goes out as it comes."""
    for name in ("_APPEND_PAUSE_SECONDS", "_UPDATE_PAUSE_SECONDS"):
        monkeypatch.setattr(message_writer, name, 0.0)


class StubApi:
    """Calls succeed, but one method hangs or fails."""

    def __init__(self, method: str, error: Exception | None) -> None:
        self.pacing = Pacing(asyncio.get_running_loop().time, asyncio.sleep)
        self.reached = asyncio.Event()
        self._method, self._error = method, error

    async def call(self, method: str, args: Mapping[str, object], **options: Any) -> Any:
        if method == self._method:
            self.reached.set()
            if self._error is not None:
                raise self._error
            await asyncio.Event().wait()
        return {"ts": "1.0", "messages": []}

    async def respond(self, url: str, payload: Mapping[str, object]) -> None: ...

    async def upload(self, *given: Any, **options: Any) -> None: ...

    async def download(self, url: str) -> AsyncIterator[bytes]:
        yield b""


async def pieces() -> AsyncGenerator[str]:
    for _ in range(30):
        yield "word " * 10
        await asyncio.sleep(0.005)


async def posted(message: MessageId) -> None: ...


async def begins() -> None: ...


def answer(api: StubApi) -> asyncio.Task[MessageId]:
    return asyncio.create_task(written(api))


async def written(api: StubApi) -> MessageId:
    now = asyncio.get_running_loop().time
    posted_messages = PostedMessages(api, lambda: Bot("T1", "U9", "B1"))
    with FinalCallReservation(api.pacing) as reservation:
        writer = SlackMessageWriter(
            api,
            AnswerTarget("C1", "1.0", "T1", UserId("U1"), "key"),
            PostedParts(posted_messages, "C1", "1.0", None),
            reservation=reservation,
            begins=begins,
            now=now,
            is_new=True,
        )
        return await StreamedAnswer(writer, Stream(pieces(), posted), now=now).run()


@pytest.mark.parametrize("method", METHODS)
async def test_a_cancelled_answer_gives_its_slots_back(method: str) -> None:
    api = StubApi(method, None)
    if method == "chat.postMessage":
        api.pacing.has_streams = False
    task = answer(api)
    async with asyncio.timeout(20):
        await api.reached.wait()

    task.cancel()
    await asyncio.wait({task})

    assert (api.pacing.streams, api.pacing.updating) == (0, 0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "error",
    [
        PlaceClosed(),
        MessageGone(),
        SurfaceError(message="no", code="fatal_error"),
        RuntimeError("torn"),
    ],
)
async def test_a_failed_answer_gives_its_slots_back(method: str, error: Exception) -> None:
    api = StubApi(method, error)
    if method == "chat.postMessage":
        api.pacing.has_streams = False

    await asyncio.wait({answer(api)}, timeout=20)

    assert api.reached.is_set()
    assert (api.pacing.streams, api.pacing.updating) == (0, 0)
