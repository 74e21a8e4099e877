"""The tuner's server: locks its folder, serves HTTP, and shuts down."""

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

from tuner.api import ApiDependencies, build
from tuner.connection import MOST_HEAD_BYTES, Connection
from tuner.engines import Engines
from tuner.errors import CannotStart, NotFound
from tuner.runner import PLAIN_LAUNCH, Runner
from tuner.sandbox_engine import Sandbox
from tuner.store.database import Database
from tuner.store.files import Files
from tuner.store.jobs import Jobs
from tuner.store.models import Models
from tuner.store.progress import Progress

_UMASK = 0o077
"""Rows and models are nobody else's to read, on this machine too."""


@dataclass(frozen=True, slots=True)
class Settings:
    """`port` 0 takes a free one; `parent_pipe` ends the server when its stdin ends.

    `listener` is the descriptor of a socket that listens already: who asks while one server makes
    way for the next waits there.

    `bases` are folders or names of a hub, `NAME=` before them if they shall be called otherwise;
    the sandbox serves beside them. `launch` starts a training worker: `{python}` and `{job}` are
    filled in. `aliases` are other names for models, as NAME=MODEL; pages of `cors_origins` may ask
    from a browser.
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
    launch: str = PLAIN_LAUNCH
    longest_queue: int = 64
    aliases: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    listener: int | None = None


async def serve(settings: Settings, *, on_ready: Callable[[str], None]) -> None:
    """Until cancelled or told by SIGTERM or SIGINT; `on_ready` gets the address once it answers.

    When it returns, no worker is left and every job waits for the next start.
    """
    if not settings.api_keys or not all(settings.api_keys):
        raise CannotStart("The tuner needs at least one key: --api-key KEY.")
    os.umask(_UMASK)
    with _data_lock(settings.data), _listening(settings) as listener, _place(settings) as place:
        server = _Server(place, lambda: on_ready(_url_of(listener)))
        with _stop_on_signals(server), _stop_with_parent(server, settings):
            await _run(server, listener, place)


async def _run(server: "_Server", listener: socket.socket, place: ApiDependencies) -> None:
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(place.runner.run(), name="runner"),
            tasks.create_task(place.engines.run(), name="engines"),
        ]
        try:
            await _until_stopped(server, tasks.create_task(server.serve([listener]), name="web"))
        finally:
            for task in running:
                task.cancel()


async def _until_stopped(server: "_Server", web: asyncio.Task[None]) -> None:
    """Cancelled, the web side first finishes what it is answering."""
    try:
        await asyncio.shield(web)
    except asyncio.CancelledError:
        server.should_exit = True
        await web
        raise


class _Server(uvicorn.Server):
    """A server whose signals are ours, and which says when it is up."""

    def __init__(self, place: ApiDependencies, on_started: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                build(place),
                loop="asyncio",
                http=Connection,
                h11_max_incomplete_event_size=MOST_HEAD_BYTES,
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
def _place(settings: Settings) -> Iterator[ApiDependencies]:
    """Everything that the routes work on; what a crash left half done is swept first."""
    engines = _engines(settings)
    folders = {name: settings.data / name for name in ("files", "jobs", "drafts")}
    for folder in folders.values():
        folder.mkdir(exist_ok=True)
    for draft in folders["drafts"].iterdir():
        draft.unlink()
    database = Database(settings.data / "tuner.db")
    files, jobs, models = Files(database, folders["files"]), Jobs(database), Models(database)
    files.sweep()
    runner = Runner(
        folders["jobs"],
        jobs=jobs,
        files=files,
        models=models,
        progress=Progress(jobs, files, folders["drafts"]),
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


def _engines(settings: Settings) -> Engines:
    """The sandbox, and models of our own where bases are named."""
    if not settings.bases:
        return Engines([Sandbox()])
    with _explained_absence():
        # Here and not at the top: the base program starts without torch, and may not have it.
        from tuner.local import Local

        local = Local.of(settings.bases, longest_queue=settings.longest_queue)
        return Engines([local, Sandbox()])


def _aliases(said: Iterable[str], engines: Engines, models: Models) -> dict[str, str]:
    """Each as NAME=MODEL. Raises CannotStart for a model that is not here."""
    found: dict[str, str] = {}
    for each in said:
        name, _, model = each.partition("=")
        if not name or not model:
            raise CannotStart(f"'{each}' is no alias: write --alias NAME=MODEL.")
        if name in engines.bases or name in found:
            raise CannotStart(f"'{name}' is the name of a model already; take another alias.")
        if model not in engines.bases:
            try:
                models.get(model)
            except NotFound as error:
                raise CannotStart(f"There is no model '{model}' for --alias {each}.") from error
        found[name] = model
    return found


def make_tiny_base(place: Path, *, tell: Callable[[int, int, float], None]) -> None:
    """A model to try the local engine with; raises CannotStart where something is there."""
    if place.exists():
        raise CannotStart(f"{place} is there already; give the name of a new folder.")
    with _explained_absence():
        from tuner.local.omp_wait import set_passive_omp_wait

        set_passive_omp_wait()
        from tuner.local.tiny import make

        make(place, tell=tell)


@contextmanager
def _explained_absence() -> Iterator[None]:
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
def _listening(settings: Settings) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = (
            socket.create_server((settings.host, settings.port), family=family)
            if settings.listener is None
            else socket.socket(fileno=settings.listener)
        )
    except (OSError, OverflowError) as error:
        where = f"{settings.host}:{settings.port}"
        raise CannotStart(f"Cannot listen on {where}: {error}.") from error
    with listener:
        # asyncio sets this only on sockets that name their protocol, which this one does not;
        # without it each answer waits 40 ms for the client's delayed acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield listener


def _url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def _stop_on_signals(server: _Server) -> Iterator[None]:
    """Only where signals are ours to take: in a thread, the owner cancels instead."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)
    for each in signals:
        loop.add_signal_handler(each, _stop, server)
    try:
        yield
    finally:
        for each in signals:
            loop.remove_signal_handler(each)


def _stop(server: _Server) -> None:
    server.should_exit = True


@contextmanager
def _stop_with_parent(server: _Server, settings: Settings) -> Iterator[None]:
    """Our stdin is a pipe that our parent holds open; the kernel closes it however it dies."""
    if settings.parent_pipe:
        watch = threading.Thread(target=_await_end, args=(server,), name="parent", daemon=True)
        watch.start()
    yield


def _await_end(server: _Server) -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    _stop(server)
