"""The embedded tuner: a child process that is always there and never outlives us."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from attune.settings import environment
from bot.errors import SettingsError

log = logging.getLogger(__name__)

KEY_VARIABLE = "the embedded tuner's key"
_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where the tuner listens, and the key that only we know."""

    url: str
    key: str


class EmbeddedTuner:
    """Starts the tuner, and starts it again at the same address should it die."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._key = secrets.token_urlsafe(24)
        self._process: asyncio.subprocess.Process | None = None
        self._port = 0

    async def start(self) -> None:
        """Does not wait until it stands; `address` does."""
        await self._spawn()

    async def address(self) -> Address:
        """To be asked once. Raises SettingsError if it does not come up."""
        try:
            url = await self._announced()
        except SettingsError:
            if not await self._was_killed():
                raise
            await self._spawn()
            url = await self._announced()
        self._port = int(url.rpartition(":")[2])
        return Address(url, self._key)

    async def keep(self) -> None:
        """Runs until cancelled."""
        while True:
            assert self._process is not None
            code = await self._process.wait()
            log.warning("The embedded tuner ended and is started again", extra={"code": code})
            await asyncio.sleep(_PAUSE_SECONDS)
            with contextlib.suppress(SettingsError):
                await self._spawn()
                await self._announced()

    async def stop(self) -> None:
        """Its stdin ends, and so does it; a deaf one is killed."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _spawn(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tuner",
            "--announce",
            "--die-with-parent",
            "--port",
            str(self._port),
            "--data",
            str(self._data),
            env={**environment(), "ATTUNE_TUNER_KEY": self._key},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )

    async def _was_killed(self) -> bool:
        """From outside, so that it says nothing about the folder."""
        assert self._process is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PAUSE_SECONDS):
                return await self._process.wait() < 0
        return False

    async def _announced(self) -> str:
        """Where it listens, as soon as it does."""
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(_START_SECONDS):
                line = await self._process.stdout.readline()
            return str(json.loads(line)["url"])
        except (TimeoutError, ValueError, KeyError) as error:
            raise SettingsError(
                variable="ATTUNE_DATA_DIR",
                problem="the embedded tuner does not start on it",
                remedy=f"Look at what it says above, and whether {self._data} can be written.",
            ) from error


@asynccontextmanager
async def embedded_tuner(data: Path) -> AsyncIterator[EmbeddedTuner]:
    """Standing up when the block begins, gone when it ends."""
    tuner = EmbeddedTuner(data)
    try:
        await tuner.start()
        yield tuner
    finally:
        await tuner.stop()
