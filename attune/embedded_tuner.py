"""The embedded tuner: a supervised child process that ends with the service.

If language models are installed, the tuner runs in their Python environment and serves them beside
the sandbox.
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

from attune.engine.engine_folder import EngineFolder
from attune.engine.installation_steps import write_pth_file
from attune.settings import child_environment
from bot.errors import SettingsError

log = logging.getLogger(__name__)

API_KEY_VARIABLE = "the embedded tuner's key"
_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_PAUSE_SECONDS = 1.0
_BACKLOG = 128
"""Maximum connections that wait while the tuner is restarted."""


@dataclass(frozen=True, slots=True)
class TunerAddress:
    """The URL of the tuner and its API key, a new one at each start of the service."""

    url: str
    key: str


@dataclass(frozen=True, slots=True)
class TunerProgram:
    """The Python interpreter of the tuner, and the folders of the bases that it serves by name."""

    python: Path
    bases: Mapping[str, Path]

    @property
    def options(self) -> Iterator[str]:
        for name, folder in self.bases.items():
            yield from ("--base", f"{name}={folder}")


SANDBOX_PROGRAM = TunerProgram(Path(sys.executable), {})
"""The tuner with only the sandbox, which runs in the bot's own environment."""


def program_of(engine: EngineFolder) -> TunerProgram:
    """Returns the interpreter and the bases that are installed now."""
    bases = {model.name: engine.model(model.name) for model in engine.models()}
    if engine.python is None or not bases:
        return SANDBOX_PROGRAM
    return TunerProgram(engine.python, bases)


class EmbeddedTuner:
    """Starts the tuner, and restarts it at the same address if it ends.

    The service owns the listening socket, so requests during a restart wait for the next process.
    """

    def __init__(self, data: Path, engine: EngineFolder) -> None:
        self._data = data
        self._engine = engine
        self._key = secrets.token_urlsafe(24)
        self._process: asyncio.subprocess.Process | None = None
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        self._is_restarting = False
        self._broken: TunerProgram | None = None
        self.program = SANDBOX_PROGRAM

    async def address(self) -> TunerAddress:
        """Waits until the tuner answers and returns its address; may be called only once.

        Raises SettingsError if the tuner does not start.
        """
        try:
            await self._wait_until_ready()
        except SettingsError:
            if not self.program.bases and not await self._was_killed():
                raise
            await self._restart_without_models()
            await self._wait_until_ready()
        return TunerAddress(f"http://127.0.0.1:{self._listener.getsockname()[1]}", self._key)

    @property
    def is_broken(self) -> bool:
        """Whether the tuner does not start with the models that are installed now."""
        return self._broken is not None and self._broken == program_of(self._engine)

    @property
    def has_changed(self) -> bool:
        """Whether the installed models differ from those that are served."""
        return not self.is_broken and self.program != program_of(self._engine)

    async def restart(self) -> None:
        """Ends the process; `supervise` starts the next one with the models installed now."""
        self._is_restarting = True
        await self._end()

    async def supervise(self) -> None:
        """Restarts the process whenever it ends; runs until cancelled."""
        while True:
            assert self._process is not None
            code = await self._process.wait()
            if not self._is_restarting:
                log.warning("The embedded tuner ended and is started again", extra={"code": code})
                await asyncio.sleep(_PAUSE_SECONDS)
            self._is_restarting = False
            with contextlib.suppress(SettingsError):
                await self.start()
                await self._wait_or_restart_plain()

    async def _wait_or_restart_plain(self) -> None:
        try:
            await self._wait_until_ready()
        except SettingsError:
            if not self.program.bases:
                raise
            await self._restart_without_models()
            await self._wait_until_ready()

    async def _restart_without_models(self) -> None:
        """Restarts the tuner with only the sandbox, as the models prevent its start."""
        await self._end()
        if self.program.bases:
            log.error("The engine for language models does not start; the sandbox goes on alone")
            self._broken = self.program
        await self.start()

    async def stop(self) -> None:
        await self._end()
        self._listener.close()

    async def _end(self) -> None:
        """Closes the process's stdin, at which it ends; kills it after ten seconds."""
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

    async def start(self) -> None:
        """Starts the process; `address` waits until it answers."""
        installed = await asyncio.to_thread(program_of, self._engine)
        self.program = SANDBOX_PROGRAM if installed == self._broken else installed
        if self.program.bases:
            write_pth_file(self.program.python.parent.parent)
        descriptor = self._listener.fileno()
        self._process = await asyncio.create_subprocess_exec(
            *(str(self.program.python), "-m", "tuner"),
            *("--announce", "--die-with-parent", "--listener", str(descriptor)),
            *("--data", str(self._data)),
            *self.program.options,
            env={**child_environment(), "ATTUNE_TUNER_KEY": self._key},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
            pass_fds=(descriptor,),
        )

    async def _was_killed(self) -> bool:
        """Whether the process was killed by a signal, which is no fault of its data folder."""
        assert self._process is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PAUSE_SECONDS):
                return await self._process.wait() < 0
        return False

    async def _wait_until_ready(self) -> None:
        """Waits for the line that the tuner prints once it answers. Raises SettingsError."""
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
    """Runs the tuner of a data folder while the block runs; it may not answer yet at the start."""
    tuner = EmbeddedTuner(data / "tuner", EngineFolder(data))
    try:
        await tuner.start()
        yield tuner
    finally:
        await tuner.stop()
