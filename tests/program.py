"""The whole program in processes of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Self

from attune.settings import child_environment

ROOT = Path(__file__).parent.parent


_tokens: dict[str, str] = {}
"""The token of each service that was started, by its address; empty where it has a password."""


def entrance(address: str) -> str:
    """The same page of a service, with the token that lets in."""
    token = _tokens.get("/".join(address.split("/")[:3]))
    if not token:
        return address
    return f"{address}{'&' if '?' in address else '?'}token={token}"


class Service:
    """`attune run` on one port through all its lives, with this environment and no other."""

    def __init__(self, settings: Mapping[str, str], *, folder: Path | None = None) -> None:
        self._settings = dict(settings)
        self._folder = folder
        self._log: Path | None = None
        self._process: asyncio.subprocess.Process | None = None

    def into(self, log: Path) -> Self:
        """What it logs goes into this file, not to where the tests' own errors go."""
        self._log = log
        return self

    async def start(self) -> str:
        """Where it says it is, without the token; `entrance` has it."""
        with self._log.open("ab") if self._log else nullcontext() as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "attune", "run"),
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=self._settings,
                cwd=self._folder,
            )
        assert self._process.stdout is not None
        async with asyncio.timeout(60):
            address = (await self._process.stdout.readline()).decode().split()[-1]
        base, _, token = address.partition("/?token=")
        self._settings["ATTUNE_STUDIO_PORT"] = base.rpartition(":")[2]
        _tokens[base] = token
        return base

    async def kill(self) -> None:
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        assert await self._end(signal.SIGTERM) == 0

    async def _end(self, by: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(by)
        async with asyncio.timeout(30):
            return await self._process.wait()


def service_in(folder: Path, **settings: str) -> Service:
    """One that keeps its data in `folder`, on a port that is free."""
    own = {"ATTUNE_DATA_DIR": str(folder), "ATTUNE_STUDIO_PORT": "0"}
    return Service({**child_environment(), **own, **settings})


@asynccontextmanager
async def served(folder: Path, **settings: str) -> AsyncIterator[str]:
    """A service for the length of a test, and where it is."""
    service = service_in(folder, **settings)
    try:
        yield await service.start()
    finally:
        await service.stop()


@asynccontextmanager
async def program(settings: Mapping[str, str], folder: Path) -> AsyncIterator[None]:
    """As somebody runs it in `folder` with these settings, and nothing else but a free port."""
    here = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    with socket.create_server(("127.0.0.1", 0)) as free:
        here["ATTUNE_STUDIO_PORT"] = str(free.getsockname()[1])
    service = Service({**here, **settings}, folder=folder)
    try:
        await service.start()
        yield
    finally:
        await service.stop()
