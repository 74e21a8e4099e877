"""The real client connected to the fake host, and shorthands for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from adapters.openai.host_kinds import Dialect
from adapters.openai.openai_host import OpenAIHost
from adapters.openai.timeouts import Timeouts
from bot.domain import HostName, Hyperparameters, ModelName, Sampling
from bot.ports.model_hosts import Delta, HostProfile, JobRequest, PaidHost
from bot.rows import Method
from tests.fakes.faults import Fault, reshaped
from tests.fakes.faulty_host import FaultyHost

PLAIN = HostProfile("custom")
BASE = ModelName("base")
QUESTION = [{"role": "user", "content": "Hi"}]
ROW = b'{"messages": []}'
UPLOAD, CREATE = "POST /files", "POST /fine_tuning/jobs"
JOB, EVENTS = "GET /fine_tuning/jobs/{id}", "GET /fine_tuning/jobs/{id}/events"
CHAT = "POST /chat/completions"
SOON = Timeouts(connect=1.0, poll=0.1, upload=0.1, first_piece=0.1, piece=0.1)


@asynccontextmanager
async def connected(
    fake: FaultyHost,
    *,
    profile: HostProfile = PLAIN,
    dialect: Dialect | None = None,
    key: str | None = None,
    chat_base_url: str | None = None,
    retries: int = 0,
    patience: Timeouts | None = None,
) -> AsyncIterator[OpenAIHost]:
    """Yields a client of the fake host."""
    client = OpenAIHost(
        HostName("here"),
        profile=profile,
        dialect=dialect,
        base_url=fake.url,
        chat_base_url=chat_base_url,
        key=fake.key if key is None else key,
        key_variable="THE_KEY",
        retries=retries,
        patience=patience,
    )
    try:
        yield client
    finally:
        await client.close()


async def ask(host: PaidHost, sampling: Sampling | None = None) -> list[Delta]:
    return [delta async for delta in host.chat(BASE, QUESTION, sampling or Sampling())]


async def text(host: PaidHost) -> str:
    return "".join(delta.text for delta in await ask(host))


def request(
    training_file: str,
    *,
    validation_file: str | None = None,
    method: Method = Method.SUPERVISED,
    hyperparameters: Hyperparameters | None = None,
    suffix: str | None = None,
    seed: int | None = None,
) -> JobRequest:
    return JobRequest(
        idempotency_key="s1",
        base=BASE,
        training_file=training_file,
        validation_file=validation_file,
        method=method,
        hyperparameters=hyperparameters or Hyperparameters(),
        suffix=suffix,
        seed=seed,
    )


async def a_job(host: PaidHost) -> str:
    file = await host.upload("a.jsonl", [ROW])
    return (await host.create_job(request(file.id))).id


def with_(**fields: object) -> Fault:
    """Returns a fault that overrides fields of the correct answer."""
    return reshaped(lambda body: {**body, **fields})


def listing(*rows: dict[str, object]) -> Fault:
    """Returns a fault that answers with a page of these rows."""
    return reshaped(lambda body: {**body, "data": list(rows), "has_more": False})
