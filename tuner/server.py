"""The tuner's server: locks its data folder, serves HTTP, and shuts down."""

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from tuner.api import ApiDependencies, build_api
from tuner.connection_limits import MAX_HEAD_BYTES, BoundedConnection
from tuner.engine_registry import Engines
from tuner.errors import CannotStart, NotFound
from tuner.job_runner import DEFAULT_LAUNCH_COMMAND, JobRunner
from tuner.sandbox.engine import SandboxEngine
from tuner.store.database import Database
from tuner.store.files import Files
from tuner.store.jobs import Jobs
from tuner.store.models import Models
from tuner.store.progress import JobProgress

_UMASK = 0o077
"""Other users of the machine must not read rows and models."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Settings of the server.

    With `port` 0, a free port is used. `listener` is the descriptor of a listening socket, in
    whose queue clients wait while a new server replaces an old one. `parent_pipe` stops the
    server when its stdin ends.

    `bases` are folders or ids of a hub, with `NAME=` before them to rename them; the sandbox is
    always served too. `launch` is the command of a training worker with the placeholders
    `{python}` and `{job}`. `aliases` are further names of models, as NAME=MODEL. Pages of
    `cors_origins` may send requests from a browser.
    """

    host: str
    port: int
    data: Path
    api_keys: tuple[str, ...]
    min_examples: int = 10
    max_rows: int = 500_000
    parent_pipe: bool = False
    slots: int = 1
    bases: tuple[str, ...] = ()
    launch: str = DEFAULT_LAUNCH_COMMAND
    max_queued_answers: int = 64
    aliases: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    listener: int | None = None


async def serve(settings: ServerSettings, *, on_ready: Callable[[str], None]) -> None:
    """Serves until cancelled, SIGTERM or SIGINT; `on_ready` gets the URL once it answers.

    After it returns, no worker is running and unfinished jobs wait for the next start.
    """
    if not settings.api_keys or not all(settings.api_keys):
        raise CannotStart("The tuner needs at least one key: --api-key KEY.")
    os.umask(_UMASK)
    with (
        _data_lock(settings.data),
        _listening(settings) as listener,
        _dependencies(settings) as deps,
    ):
        server = _Server(deps, lambda: on_ready(_url_of(listener)))
        with _stop_on_signals(server), _stop_with_parent(server, settings):
            await _run(server, listener, deps)


async def _run(server: "_Server", listener: socket.socket, deps: ApiDependencies) -> None:
    async with asyncio.TaskGroup() as tasks:
        background = [
            tasks.create_task(deps.runner.run(), name="runner"),
            tasks.create_task(deps.engines.run(), name="engines"),
        ]
        try:
            await _wait_until_stopped(
                server, tasks.create_task(server.serve([listener]), name="web")
            )
        finally:
            for task in background:
                task.cancel()


async def _wait_until_stopped(server: "_Server", web_task: asyncio.Task[None]) -> None:
    """Waits for the web server; when cancelled, lets it finish its answers first."""
    try:
        await asyncio.shield(web_task)
    except asyncio.CancelledError:
        server.should_exit = True
        await web_task
        raise


class _Server(uvicorn.Server):
    """A uvicorn server without signal handlers that reports when it has started."""

    def __init__(self, deps: ApiDependencies, on_started: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                build_api(deps),
                loop="asyncio",
                http=BoundedConnection,
                h11_max_incomplete_event_size=MAX_HEAD_BYTES,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=5,
            )
        )
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextmanager
def _dependencies(settings: ServerSettings) -> Iterator[ApiDependencies]:
    """Yields the objects that the routes use, after deleting incomplete files of a crash."""
    engines = _engines(settings)
    folders = {name: settings.data / name for name in ("files", "jobs", "drafts")}
    for folder in folders.values():
        folder.mkdir(exist_ok=True)
    for draft in folders["drafts"].iterdir():
        draft.unlink()
    database = Database(settings.data / "tuner.db")
    files, jobs, models = Files(database, folders["files"]), Jobs(database), Models(database)
    files.sweep()
    runner = JobRunner(
        folders["jobs"],
        jobs=jobs,
        files=files,
        models=models,
        progress=JobProgress(jobs, files, folders["drafts"]),
        engines=engines,
        slots=settings.slots,
        launch=settings.launch,
    )
    try:
        yield ApiDependencies(
            keys=settings.api_keys,
            aliases=_aliases(settings.aliases, engines, models),
            cors_origins=settings.cors_origins,
            min_examples=settings.min_examples,
            max_rows=settings.max_rows,
            drafts=folders["drafts"],
            database=database,
            files=files,
            jobs=jobs,
            models=models,
            runner=runner,
            engines=engines,
        )
    finally:
        database.close()


def _engines(settings: ServerSettings) -> Engines:
    """Returns the sandbox, and the local engine if bases are named."""
    if not settings.bases:
        return Engines([SandboxEngine()])
    with _missing_module_as_cannot_start():
        # Imported here, since torch may not be installed.
        from tuner.local import LocalEngine

        local = LocalEngine.of(settings.bases, max_queued_answers=settings.max_queued_answers)
        return Engines([local, SandboxEngine()])


def _aliases(arguments: Iterable[str], engines: Engines, models: Models) -> dict[str, str]:
    """Parses aliases of the form NAME=MODEL. Raises CannotStart for an unknown model."""
    aliases: dict[str, str] = {}
    for argument in arguments:
        name, _, model = argument.partition("=")
        if not name or not model:
            raise CannotStart(f"'{argument}' is no alias: write --alias NAME=MODEL.")
        if name in engines.bases or name in aliases:
            raise CannotStart(f"'{name}' is the name of a model already; take another alias.")
        if model not in engines.bases:
            try:
                models.get(model)
            except NotFound as error:
                raise CannotStart(f"There is no model '{model}' for --alias {argument}.") from error
        aliases[name] = model
    return aliases


def make_tiny_base(place: Path, *, tell: Callable[[int, int, float], None]) -> None:
    """Creates a small model to try the local engine with. Raises CannotStart if the path exists."""
    if place.exists():
        raise CannotStart(f"{place} is there already; give the name of a new folder.")
    with _missing_module_as_cannot_start():
        from tuner.local.omp_wait import set_passive_omp_wait

        set_passive_omp_wait()
        from tuner.local.tiny_base import make_base

        make_base(place, tell=tell)


@contextmanager
def _missing_module_as_cannot_start() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise CannotStart(
            f"The engine 'local' needs {error.name}, which is not installed. Install torch, for a"
            " machine without a GPU its small build, and then: pip install 'attune-bot[local]'."
        ) from error


@contextmanager
def _data_lock(data: Path) -> Iterator[None]:
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        if data.stat().st_mode & _UMASK:
            data.chmod(0o700)
        file = (data / "lock").open("ab")
    except OSError as error:
        raise CannotStart(f"The data folder {data} cannot be used: {error.strerror}.") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CannotStart(
                f"Another tuner is using {data}. Stop it first, or give this one its own --data."
            ) from error
        yield


@contextmanager
def _listening(settings: ServerSettings) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = (
            socket.create_server((settings.host, settings.port), family=family)
            if settings.listener is None
            else socket.socket(fileno=settings.listener)
        )
    except (OSError, OverflowError) as error:
        address = f"{settings.host}:{settings.port}"
        raise CannotStart(f"Cannot listen on {address}: {error}.") from error
    with listener:
        # asyncio sets TCP_NODELAY only on sockets with a protocol number, which this one lacks.
        # Without it, each answer waits 40 ms for the client's delayed acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield listener


def _url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def _stop_on_signals(server: _Server) -> Iterator[None]:
    """Handles SIGTERM and SIGINT, except in a thread, which its owner cancels."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)
    for signal_number in signals:
        loop.add_signal_handler(signal_number, _stop, server)
    try:
        yield
    finally:
        for signal_number in signals:
            loop.remove_signal_handler(signal_number)


def _stop(server: _Server) -> None:
    server.should_exit = True


@contextmanager
def _stop_with_parent(server: _Server, settings: ServerSettings) -> Iterator[None]:
    """Stops the server when stdin ends, which it does however the parent process ends."""
    if settings.parent_pipe:
        watch = threading.Thread(
            target=_stop_at_stdin_end, args=(server,), name="parent", daemon=True
        )
        watch.start()
    yield


def _stop_at_stdin_end(server: _Server) -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    _stop(server)
