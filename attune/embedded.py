"""The embedded tuner: a supervised child process that ends with the service.

It runs in the environment of the language models where there is one, and serves these beside the
sandbox.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from attune.engine.folder import EngineFolder
from attune.engine.steps import write_pth_file
from attune.settings import environment
from bot.errors import SettingsError

log = logging.getLogger(__name__)

KEY_VARIABLE = "the embedded tuner's key"
_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_PAUSE_SECONDS = 1.0
_WAITING = 128
"""Connections that may wait while one tuner makes way for the next."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the tuner listens, and the key that only we know."""

    url: str
    key: str


@dataclass(frozen=True, slots=True)
class Program:
    """What the tuner is run with: an interpreter, and the bases that it serves, by name."""

    python: Path
    bases: Mapping[str, Path]

    @property
    def options(self) -> Iterator[str]:
        for name, folder in self.bases.items():
            yield from ("--base", f"{name}={folder}")


PLAIN = Program(Path(sys.executable), {})
"""The sandbox alone, which needs no more than the bot itself."""


def program_of(engine: EngineFolder) -> Program:
    """What is installed now."""
    bases = {model.name: engine.model(model.name) for model in engine.models()}
    if engine.python is None or not bases:
        return PLAIN
    return Program(engine.python, bases)


class EmbeddedTuner:
    """Starts the tuner, and starts it again at the same address should it die.

    The socket is ours: who asks between two starts waits, and is answered by the next.
    """

    def __init__(self, data: Path, engine: EngineFolder) -> None:
        self._data = data
        self._engine = engine
        self._key = secrets.token_urlsafe(24)
        self._process: asyncio.subprocess.Process | None = None
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=_WAITING)
        self._is_restarting = False
        self._broken: Program | None = None
        self.program = PLAIN

    async def start(self) -> None:
        """Does not wait until it stands; `address` does."""
        await self._spawn()

    async def address(self) -> Address:
        """To be asked once. Raises SettingsError if it does not come up."""
        try:
            await self._announced()
        except SettingsError:
            if not self.program.bases and not await self._was_killed():
                raise
            await self._without_engine()
            await self._announced()
        return Address(f"http://127.0.0.1:{self._listener.getsockname()[1]}", self._key)

    @property
    def is_broken(self) -> bool:
        """Whether what is installed does not start."""
        return self._broken is not None and self._broken == program_of(self._engine)

    @property
    def has_changed(self) -> bool:
        """Whether other bases are installed than those that are served."""
        return not self.is_broken and self.program != program_of(self._engine)

    async def restart(self) -> None:
        """The running one ends; `keep` starts the next with what is installed now."""
        self._is_restarting = True
        await self._end()

    async def supervise(self) -> None:
        """Runs until cancelled."""
        while True:
            assert self._process is not None
            code = await self._process.wait()
            if not self._is_restarting:
                log.warning("The embedded tuner ended and is started again", extra={"code": code})
                await asyncio.sleep(_PAUSE_SECONDS)
            self._is_restarting = False
            with contextlib.suppress(SettingsError):
                await self._spawn()
                await self._announced_or_plain()

    async def _announced_or_plain(self) -> None:
        try:
            await self._announced()
        except SettingsError:
            if not self.program.bases:
                raise
            await self._without_engine()
            await self._announced()

    async def _without_engine(self) -> None:
        """A language model that cannot be served must not take the sandbox along."""
        await self._end()
        if self.program.bases:
            log.error("The engine for language models does not start; the sandbox goes on alone")
            self._broken = self.program
        await self._spawn()

    async def stop(self) -> None:
        await self._end()
        self._listener.close()

    async def _end(self) -> None:
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
        wanted = await asyncio.to_thread(program_of, self._engine)
        self.program = PLAIN if wanted == self._broken else wanted
        if self.program.bases:
            write_pth_file(self.program.python.parent.parent)
        descriptor = self._listener.fileno()
        self._process = await asyncio.create_subprocess_exec(
            *(str(self.program.python), "-m", "tuner"),
            *("--announce", "--die-with-parent", "--listener", str(descriptor)),
            *("--data", str(self._data)),
            *self.program.options,
            env={**environment(), "ATTUNE_TUNER_KEY": self._key},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
            pass_fds=(descriptor,),
        )

    async def _was_killed(self) -> bool:
        """From outside, so that it says nothing about the folder."""
        assert self._process is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PAUSE_SECONDS):
                return await self._process.wait() < 0
        return False

    async def _announced(self) -> None:
        """Returns as soon as it answers."""
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(_START_SECONDS):
                line = await self._process.stdout.readline()
            json.loads(line)["url"]
        except (TimeoutError, ValueError, KeyError) as error:
            raise SettingsError(
                variable="ATTUNE_DATA_DIR",
                problem="the embedded tuner does not start on it",
                remedy=f"Look at what it says above, and whether {self._data} can be written.",
            ) from error


@asynccontextmanager
async def embedded_tuner(data: Path) -> AsyncIterator[EmbeddedTuner]:
    """The one of this data folder: standing up when the block begins, gone when it ends."""
    tuner = EmbeddedTuner(data / "tuner", EngineFolder(data))
    try:
        await tuner.start()
        yield tuner
    finally:
        await tuner.stop()
