"""Chat with a host that goes wrong on loopback, and the way there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from adapters.openai.openai_host import OpenAIHost
from bot.domain import Sampling
from bot.errors import (
    EmptyAnswer,
    HostBusy,
    HostError,
    HostNotFound,
    HostRefused,
    HostServerError,
    HostTimeout,
    HostUnreachable,
    KeyRefused,
)
from bot.ports.model_hosts import Delta, Usage
from tests.fakes.connected import BASE, CHAT, QUESTION, ROW, SOON, UPLOAD, ask, connected, text
from tests.fakes.faults import (
    Fault,
    answers,
    broken_stream,
    busy,
    cut,
    empty_stream,
    error_event,
    hangs,
    html,
    says,
)
from tests.fakes.faulty_host import FaultyHost, faulty_host
from tests.waiting import until


@pytest.fixture
async def fake() -> AsyncIterator[FaultyHost]:
    async with faulty_host() as host:
        yield host


@pytest.fixture
async def host(fake: FaultyHost) -> AsyncIterator[OpenAIHost]:
    async with connected(fake) as client:
        yield client


async def test_an_answer_arrives_piece_by_piece_and_ends_with_its_usage(host: OpenAIHost) -> None:
    assert await ask(host) == [
        Delta("Hello"),
        Delta(" from"),
        Delta(" the model"),
        Delta(usage=Usage(7, 3)),
    ]


async def test_only_the_sampling_options_that_were_chosen_are_sent(
    fake: FaultyHost, host: OpenAIHost
) -> None:
    await ask(host, Sampling(temperature=0.0, stop=("END",)))

    body = dict(fake.last(CHAT).body)
    assert body.pop("temperature") == 0.0
    assert body.pop("stop") == ["END"]
    assert set(body) == {"model", "messages", "stream", "stream_options"}


async def test_a_host_that_refuses_stream_options_is_asked_without_from_then_on(
    fake: FaultyHost, host: OpenAIHost
) -> None:
    fake.refuses_stream_options = True

    assert await ask(host) == await ask(host)

    assert fake.count(CHAT) == 3


async def test_a_refusal_for_another_reason_is_not_asked_again(
    fake: FaultyHost, host: OpenAIHost
) -> None:
    fake.fail(CHAT, answers(400, "The prompt is too long."))

    with pytest.raises(HostRefused, match="too long"):
        await ask(host)

    assert fake.count(CHAT) == 1


async def test_closing_the_iterator_stops_the_model(fake: FaultyHost, host: OpenAIHost) -> None:
    fake.pieces, fake.piece_seconds = ["word "] * 10_000, 0.001

    answer = host.chat(BASE, QUESTION, Sampling())
    async with aclosing(answer):
        await anext(answer)

    await until(lambda: fake.stopped_streams == 1)


async def test_cancelling_the_listener_stops_the_model(fake: FaultyHost, host: OpenAIHost) -> None:
    fake.pieces, fake.piece_seconds = ["word "] * 10_000, 0.001
    listener = asyncio.create_task(text(host))
    await until(lambda: fake.count(CHAT) == 1)

    listener.cancel()

    with pytest.raises(asyncio.CancelledError):
        await listener
    await until(lambda: fake.stopped_streams == 1)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (empty_stream(), EmptyAnswer),
        (broken_stream(2), HostTimeout),
        (error_event(2), HostServerError),
        (says("data: {broken\n\n", kind="text/event-stream"), HostServerError),
        (says("<html>Welcome</html>", kind="text/html"), HostServerError),
        (html(503), HostServerError),
        (cut(), HostTimeout),
        (busy(7), HostBusy),
    ],
)
async def test_an_answer_that_goes_wrong_is_an_error(
    fake: FaultyHost, host: OpenAIHost, fault: Fault, expected: type[HostError]
) -> None:
    fake.fail(CHAT, fault)

    with pytest.raises(HostError) as raised:
        await ask(host)

    assert type(raised.value) is expected


async def test_the_pieces_before_a_break_are_still_heard(
    fake: FaultyHost, host: OpenAIHost
) -> None:
    fake.fail(CHAT, error_event(2, "The engine died."))
    answer = host.chat(BASE, QUESTION, Sampling())

    assert await anext(answer) == Delta("Hello")
    assert await anext(answer) == Delta(" from")
    with pytest.raises(HostServerError, match=r"The engine died\."):
        await anext(answer)


async def test_a_host_that_never_begins_to_answer_is_silent(fake: FaultyHost) -> None:
    fake.fail(CHAT, hangs())

    async with connected(fake, patience=SOON) as host:
        with pytest.raises(HostTimeout):
            await ask(host)


async def test_nobody_waits_for_a_silent_host_three_times(fake: FaultyHost) -> None:
    fake.fail_always(CHAT, hangs())

    async with connected(fake, retries=2, patience=SOON) as host:
        with pytest.raises(HostTimeout):
            await ask(host)

    assert fake.count(CHAT) == 1


async def test_a_host_that_falls_silent_between_two_pieces_is_silent(fake: FaultyHost) -> None:
    fake.piece_seconds = 30

    async with connected(fake, patience=SOON) as host:
        with pytest.raises(HostTimeout):
            await ask(host)


@pytest.mark.parametrize(("status", "expected"), [(404, HostNotFound), (429, HostBusy)])
async def test_a_model_that_is_still_loading_says_so(
    fake: FaultyHost, host: OpenAIHost, status: int, expected: type[HostError]
) -> None:
    fake.loading_calls, fake.loading_status = 1, status

    with pytest.raises(expected):
        await ask(host)

    assert await text(host) == "Hello from the model"


async def test_a_chat_that_has_not_begun_is_tried_again(fake: FaultyHost) -> None:
    fake.fail(CHAT, *[answers(503, headers={"retry-after-ms": "1"})] * 2)

    async with connected(fake, retries=2) as host:
        assert await text(host) == "Hello from the model"


async def test_nobody_waits_in_silence_for_a_long_retry_after(fake: FaultyHost) -> None:
    fake.fail(CHAT, busy(60))

    async with connected(fake, retries=2) as host:
        with pytest.raises(HostBusy) as raised:
            await ask(host)

    assert raised.value.retry_after == 60
    assert fake.count(CHAT) == 1


async def test_chat_may_live_at_another_address_than_training(fake: FaultyHost) -> None:
    async with (
        faulty_host() as chatting,
        connected(fake, chat_base_url=chatting.url) as host,
    ):
        await ask(host)
        await host.models()
        await host.upload("a.jsonl", [ROW])

    assert [asked.route for asked in fake.asked] == [UPLOAD]
    assert [asked.route for asked in chatting.asked] == [CHAT, "GET /models"]


async def test_a_wrong_key_names_its_variable(fake: FaultyHost) -> None:
    async with connected(fake, key="sk-wrong") as host:
        with pytest.raises(KeyRefused, match="must check THE_KEY"):
            await host.models()


async def test_a_host_that_does_not_run_is_unreachable() -> None:
    async with faulty_host() as gone:
        pass

    async with connected(gone, retries=0) as host:
        with pytest.raises(HostUnreachable, match="“here” cannot be reached"):
            await ask(host)
