"""Chat with every kind of server that people point Attune at, each by the rules of its page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, chdir
from pathlib import Path
from typing import Any

import pytest

from adapters.openai import openai_host
from adapters.openai.hosts_file import ConfiguredHosts, HostConfig
from adapters.openai.openai_host import OpenAIHost
from attune.background_loops import data_lock
from attune.doctor import check_installation
from attune.settings import Settings
from bot.domain import HostName, ModelName, Sampling
from bot.errors import HostNotFound, HostRefused, TrainsNothing, WrongAddress
from bot.ports.model_hosts import Delta, Usage
from tests.fakes.chat_dialects import DIALECTS, ChatDialect, ScriptedHost, scripted_host
from tests.fakes.connected import connected, request
from tests.fakes.faults import Fault, answers, reshaped
from tests.fakes.faulty_host import faulty_host

ASKED = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Well?"}]
WANTED = Sampling(temperature=0.2, max_tokens=50, top_p=0.9, stop=("END",), reasoning_effort="low")


@asynccontextmanager
async def pointed_at(
    host: ScriptedHost, path: str = "/v1", **more: Any
) -> AsyncIterator[OpenAIHost]:
    url = f"{host.url}{path}"
    config = HostConfig(name="here", base_url=url, key_env="KEY", bases=("base",), **more)
    hosts = ConfiguredHosts([config], keys={"KEY": "sk-1"})
    try:
        yield hosts.get(HostName("here"))
    finally:
        await hosts.close()


async def ask(host: OpenAIHost, model: str = "base") -> list[Delta]:
    return [delta async for delta in host.chat(ModelName(model), ASKED, WANTED)]


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda one: one.name)
async def test_an_answer_comes_whole_and_the_host_is_learned_once(
    dialect: ChatDialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_host, "_LOADING_PAUSE", 0.01)
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)
    async with scripted_host(dialect) as server, pointed_at(server) as host:
        first = await ask(host)
        tries = len(server.bodies)
        again = await ask(host)

        assert "".join(delta.text for delta in first) == "Yes."
        assert any(delta.is_thinking for delta in first) is bool(dialect.thought)
        assert [delta.usage for delta in again if delta.usage] == [Usage(7, 3)] or (
            "stream_options" in dialect.refuses
        )
        assert len(server.bodies) == tries + 1
        kept = {"temperature", "top_p", "stop", "reasoning_effort"} - set(dialect.refuses)
        assert kept <= set(server.bodies[-1])
        assert {"max_tokens", "max_completion_tokens"} & set(server.bodies[-1])
        assert "Be kind." in str(server.bodies[-1]["messages"])

        with pytest.raises(HostRefused) as unknown:
            await ask(host, "gone")
        assert not isinstance(unknown.value, WrongAddress)
        async with pointed_at(server, "") as lost:
            with pytest.raises(WrongAddress, match=f"{server.url}/chat/completions"):
                await ask(lost)


async def test_what_an_operator_adds_goes_along_and_its_refusal_is_heard() -> None:
    more: dict[str, Any] = {
        "extra_body": {"top_k": 20},
        "headers": {"api-key": "{key}"},
        "query": {"api-version": "preview"},
    }
    refusing = ChatDialect("strict", "", refuses={"top_k": (400, "unknown field top_k")})
    async with scripted_host(DIALECTS[0]) as server, pointed_at(server, **more) as host:
        await ask(host)
    async with scripted_host(refusing) as strict, pointed_at(strict, **more) as host:
        with pytest.raises(HostRefused, match="top_k"):
            await ask(host)

    assert server.bodies[-1]["top_k"] == 20
    assert server.requests[-1].headers["api-key"] == "sk-1"
    assert server.requests[-1].query["api-version"] == "preview"


async def test_a_value_that_is_wrong_is_not_taken_for_a_parameter_that_is_unknown() -> None:
    words = "max_tokens is too large: 50. This model supports at most 20 tokens."
    strict = ChatDialect("strict", "", refuses={"max_tokens": (400, {"error": {"message": words}})})
    async with scripted_host(strict) as server, pointed_at(server) as host:
        with pytest.raises(HostRefused, match="too large"):
            await ask(host)

    assert len(server.bodies) == 1


@pytest.mark.parametrize("name", ["metadata", "seed", "suffix"])
async def test_a_job_does_without_what_its_host_does_not_take(name: str) -> None:
    async with faulty_host() as fake, connected(fake) as host:
        file = await host.upload("a.jsonl", [b'{"messages": []}'])
        fake.fail("POST /fine_tuning/jobs", answers(422, f"Unexpected field: {name}"))

        await host.create_job(request(file.id, seed=1, suffix="x"))

        assert name not in fake.last("POST /fine_tuning/jobs").body


async def test_a_file_is_waited_for_until_it_is_processed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_host, "_LOADING_PAUSE", 0.001)

    def with_status(status: str) -> Fault:
        return reshaped(lambda body: {**body, "status": status})

    async with faulty_host() as fake, connected(fake) as host:
        fake.fail("POST /files", with_status("pending"))
        fake.fail("GET /files/{id}", with_status("pending"), with_status("running"))
        file = await host.upload("a.jsonl", [b'{"messages": []}'])

        await host.create_job(request(file.id))

        routes = [asked.route for asked in fake.asked]
        assert routes == ["POST /files", *["GET /files/{id}"] * 3, "POST /fine_tuning/jobs"]


async def test_a_host_that_only_answers_says_that_it_does_not_train() -> None:
    async with scripted_host(DIALECTS[0]) as server, pointed_at(server) as host:
        with pytest.raises(TrainsNothing, match="/v1/files"):
            await host.upload("a.jsonl", [b'{"messages": []}'])
        with pytest.raises(HostNotFound) as missing:
            await host.job("job-1")

    assert not isinstance(missing.value, TrainsNothing)


async def test_the_doctor_says_what_is_wrong_with_each_host(tmp_path: Path) -> None:
    async with faulty_host() as fake, scripted_host(DIALECTS[0]) as server:
        hosts = {
            "well": (fake.url, "base", "trains; base answers"),
            "unnamed": (fake.url, "gone", "gone does not answer there"),
            "lost": (server.url, "base", "Nothing answers at"),
            "silent": (f"{server.url}/v1", "base", "lists no models; base answers"),
            "together": (f"{server.url}/nowhere", "base", "Nothing answers at"),
        }
        tables = [
            f'[[host]]\nname = "{name}"\nbase_url = "{url}"\nbases = ["{base}"]\nkey_env = "KEY"'
            f'\nprofile = "{name if name == "together" else "custom"}"'
            for name, (url, base, _) in hosts.items()
        ]
        (tmp_path / "hosts.toml").write_text("\n".join(tables))
        (tmp_path / ".env").write_text(f"KEY={fake.key}")
        settings = {"ATTUNE_DATA_DIR": tmp_path / "data", "ATTUNE_HOSTS": tmp_path / "hosts.toml"}
        with chdir(tmp_path), data_lock(tmp_path / "data"):
            found = [one async for one in check_installation(Settings.model_validate(settings))]

    for name, (_, _, expected) in hosts.items():
        (line,) = [f"{one.what} {one.remedy}" for one in found if f"Host {name} " in one.what]
        assert expected in line
    well = [one.is_well for one in found if "Host " in one.what]
    assert well == [True, False, False, True, False]
