"""Nothing that people or hosts write reaches a log, whichever library writes it, at any level."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from attune.logs import JsonFormatter, configure_logging
from attune.settings import child_environment
from tests.fakes.faults import says
from tests.fakes.faulty_host import faulty_host
from tuner.__main__ import LocationFormatter

MARKER = "Zanzibar"
# Every logger, whenever it is made, writes everything that it can.
LOUD = """
import logging, runpy, sys, warnings
logging.Logger.isEnabledFor = lambda self, level: True
logging.Logger.getEffectiveLevel = lambda self: 1
logging.raiseExceptions = True
runpy.run_module("attune", run_name="__main__", alter_sys=True)
"""


class Program:
    """A command of Attune in a process of its own that logs all there is."""

    def __init__(self, folder: Path, *words: str, **settings: str) -> None:
        self._words = words
        self._settings = {
            **child_environment(),
            "ATTUNE_DATA_DIR": str(folder / "data"),
            "ATTUNE_STUDIO_PORT": "0",
            "ATTUNE_LOG_LEVEL": "debug",
            "PYTHONASYNCIODEBUG": "1",
            **settings,
        }

    async def start(self) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", LOUD, *self._words),
            stdin=pipe,
            stdout=pipe,
            stderr=asyncio.subprocess.PIPE,
            env=self._settings,
            limit=2**24,
        )
        return self.process

    async def end(self, said: bytes | None = None) -> str:
        """What it logged from its start to its end."""
        async with asyncio.timeout(90):
            _, logged = await self.process.communicate(said)
        return logged.decode()


def without(logged: str, *markers: str) -> None:
    assert "A library reports something" in logged
    assert [line for line in logged.splitlines() if any(one in line for one in markers)] == []


async def test_a_conversation_leaves_no_words_in_the_log(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(f"question,answer\n{MARKER}?,{MARKER}!\n{MARKER},\n", encoding="utf-8")
    script = f"""@attune {MARKER}?
/tune teach
/fill question {MARKER}?
/fill answer {MARKER}.
/submit
/tune import {file} yes
/tune assistant edit name:attune chat_host:default base:base instructions:"{MARKER}"
@attune {MARKER} again
@attune {MARKER} and again
/tune start host:default base:base
/tune {MARKER}
"""
    async with faulty_host() as host:
        host.pieces = [MARKER, " is an island."]
        host.fail("POST /chat/completions", says(f'{{"error": "{MARKER}"}}'), says(MARKER))
        settings = {"OPENAI_BASE_URL": host.url, "OPENAI_API_KEY": f"{host.key}"}
        program = Program(tmp_path, "chat", ATTUNE_BASE_MODEL="base", **settings)
        await program.start()

        logged = await program.end(script.encode())

    without(logged, MARKER, host.key)


async def test_a_visit_of_the_studio_leaves_none_either(tmp_path: Path) -> None:
    program = Program(
        tmp_path, "run", ATTUNE_STUDIO_PASSWORD=f"{MARKER}-password", ATTUNE_SECRET_KEY=MARKER * 8
    )
    process = await program.start()
    assert process.stdout is not None
    async with asyncio.timeout(60):
        address = (await process.stdout.readline()).decode().split()[-1]
    draining = asyncio.create_task(_drain(process))
    async with httpx.AsyncClient(base_url=address, headers={"origin": address}) as client:
        await client.post("/login", data={"password": f"{MARKER}-wrong"})
        await client.post("/login", data={"password": f"{MARKER}-password"})
        for path in ("/examples", f"/examples?state={MARKER}", f"/room/{MARKER}", f"/{MARKER}"):
            await client.get(path, headers={"x-note": MARKER})
        await client.post(f"/write/{MARKER}", data={"question": MARKER, "answer": MARKER})
        await client.post("/_nicegui/client/1/upload/2", content=MARKER.encode() * 100)
        await client.post("/_nicegui_ws/socket.io/?EIO=4&transport=polling", content=MARKER)
        await client.get("/", headers={"cookie": f"attune-session={MARKER}"})
    await _sent_raw(address, f"GET /{MARKER} {MARKER}\r\n\r\n".encode())
    process.terminate()
    logged = await draining
    await process.wait()

    without(logged, MARKER)


async def _drain(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    return (await process.stderr.read()).decode()


async def _sent_raw(address: str, data: bytes) -> None:
    host, _, port = address.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(data)
    async with asyncio.timeout(20):
        await reader.read()
    writer.close()


def test_the_tuner_tells_places_only() -> None:
    record = logging.LogRecord(
        "asyncio", logging.ERROR, __file__, 7, f"{MARKER} %s", (MARKER,), None
    )

    assert LocationFormatter().format(record) == f"ERROR asyncio {__file__}:7"


@pytest.mark.parametrize("name", ["nicegui", "uvicorn.error", "asyncio", "sqlalchemy.engine", "x"])
def test_a_librarys_words_stay_out_but_its_place_is_told(name: str) -> None:
    extra: Mapping[str, object] = {"color_message": MARKER}
    try:
        raise ValueError(MARKER)
    except ValueError:
        raised = sys.exc_info()
    record = logging.LogRecord(name, logging.ERROR, __file__, 7, f"{MARKER} %s", (MARKER,), raised)
    vars(record).update(extra)

    line = JsonFormatter().format(record)

    assert MARKER not in line
    assert json.loads(line)["at"] == f"{__file__}:7"
    assert json.loads(line)["error"][0] == "ValueError"
    assert os.sep in line


LIBRARIES = (
    *("sqlalchemy.engine.Engine", "aiosqlite", "openai._base_client", "httpx2", "httpcore2.http11"),
    *("slack_bolt.App", "slack_sdk.web.async_client", "discord.http", "discord.gateway"),
)


@pytest.mark.parametrize("name", LIBRARIES)
def test_at_debug_level_no_library_tells_a_text_or_a_secret(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, root = io.StringIO(), logging.getLogger()
    monkeypatch.setattr(root, "handlers", [*root.handlers])
    # A test before this one may have opened a gateway, which silences its library for good.
    monkeypatch.setattr(logging.getLogger(name), "filters", [])
    for changed in ("", "attune", "adapters", "bot", "storage", "tuner"):
        monkeypatch.setattr(logging.getLogger(changed), "level", logging.getLogger(changed).level)
    configure_logging("debug", stream)
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        logging.getLogger(name).log(level, "Zanzibar %s", MARKER, extra={"body": MARKER})
    logging.getLogger("bot.x").debug("We say this")

    assert MARKER not in stream.getvalue()
    assert "We say this" in stream.getvalue()
    assert "A library reports something" in stream.getvalue()
