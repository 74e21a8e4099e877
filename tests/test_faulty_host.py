"""The fake host takes what the real one takes, and answers in its shapes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import openai
import pytest

from tests.fakes.faulty_host import FaultyHost, faulty_host

ROWS = b'{"messages": []}\n'
JOB = {"model": "base", "training_file": "file-000001"}
CHAT = {"model": "base", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
async def fake() -> AsyncIterator[FaultyHost]:
    async with faulty_host() as host:
        yield host


@pytest.fixture
async def client(fake: FaultyHost) -> AsyncIterator[openai.AsyncOpenAI]:
    """The vendor's own client, which here checks every answer against its types."""
    async with openai.AsyncOpenAI(
        base_url=fake.url, api_key=fake.key, max_retries=0, _strict_response_validation=True
    ) as strict:
        yield strict


async def post(fake: FaultyHost, path: str, body: object) -> int:
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {fake.key}"}) as browser:
        return (await browser.post(fake.url + path, json=body)).status_code


async def test_a_whole_life_of_a_job_has_the_vendors_shapes(
    fake: FaultyHost, client: openai.AsyncOpenAI
) -> None:
    file = await client.files.create(file=("a.jsonl", ROWS), purpose="fine-tune")
    job = await client.fine_tuning.jobs.create(model="base", training_file=file.id)
    for _ in fake.life:
        job = await client.fine_tuning.jobs.retrieve(job.id)

    assert job.fine_tuned_model in [model.id for model in (await client.models.list()).data]
    assert [listed.id async for listed in client.fine_tuning.jobs.list()] == [job.id]
    assert [event async for event in client.fine_tuning.jobs.list_events(job.id)]
    assert [point async for point in client.fine_tuning.jobs.checkpoints.list(job.id)]
    assert [listed.id async for listed in client.files.list()] == [file.id]


async def test_an_answer_has_the_vendors_shapes(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="base",
        messages=[{"role": "user", "content": "Hi"}],
        stream=True,
        stream_options={"include_usage": True},
    )

    chunks = [chunk async for chunk in stream]

    assert chunks[0].choices[0].delta.content == "Hello"
    assert chunks[-1].usage


@pytest.mark.parametrize(
    "body",
    [
        {"model": "base"},
        {**JOB, "colour": "red"},
        {**JOB, "suffix": "x" * 65},
        {**JOB, "seed": -1},
        {**JOB, "seed": None},
        {**JOB, "training_file": "file-none"},
        {**JOB, "model": "unknown"},
        {**JOB, "metadata": {"k": 1}},
        {**JOB, "method": {"type": "magic"}},
        {**JOB, "method": {"type": "dpo", "supervised": {}}},
        {**JOB, "method": {"type": "dpo", "dpo": {"hyperparameters": {"beta": 3}}}},
        {**JOB, "hyperparameters": {"n_epochs": 51}},
    ],
)
async def test_a_wrong_job_is_refused(
    fake: FaultyHost, client: openai.AsyncOpenAI, body: object
) -> None:
    await client.files.create(file=("a.jsonl", ROWS), purpose="fine-tune")

    assert await post(fake, "/fine_tuning/jobs", body) == 400
    assert not fake.jobs


@pytest.mark.parametrize(
    "body",
    [
        {"model": "base", "messages": []},
        {"model": "base", "messages": [{"role": "wizard", "content": "Hi"}]},
        {"model": "base", "messages": [{"role": "user"}]},
        {**CHAT, "temperature": 3},
        {**CHAT, "max_tokens": None},
        {**CHAT, "stop": []},
        {**CHAT, "stream_options": {"include_usage": True}},
        {**CHAT, "instructions": "Be kind."},
    ],
)
async def test_a_wrong_chat_is_refused(fake: FaultyHost, body: object) -> None:
    assert await post(fake, "/chat/completions", body) == 400


@pytest.mark.parametrize(
    ("name", "content"), [("a.txt", ROWS), ("a.jsonl", b"[1]\n"), ("a.jsonl", b"words\n")]
)
async def test_a_wrong_file_is_refused(
    client: openai.AsyncOpenAI, name: str, content: bytes
) -> None:
    with pytest.raises(openai.BadRequestError):
        await client.files.create(file=(name, content), purpose="fine-tune")


async def test_a_file_for_another_purpose_is_refused(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="not one of"):
        await client.files.create(file=("a.jsonl", ROWS), purpose="batch")
