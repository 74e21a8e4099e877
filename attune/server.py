"""`attune run`: the app with its HTTP server, until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import logging
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from adapters.slack.manifest import PATH as SLACK_PATH
from adapters.studio import AccessPolicy, Studio, open_studio
from attune.bootstrap import App
from attune.connections import BoundedConnection
from attune.metrics import Metrics
from attune.service import running_app
from attune.settings import Settings
from attune.studio_access import sessions, with_token
from bot.catalogue import CATALOGUE
from bot.errors import AttuneError, SettingsError

log = logging.getLogger(__name__)

_MOST_CONNECTIONS = 500
_MOST_MESSAGE_BYTES = 1024 * 1024


async def serve(settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT. Raises SettingsError for a port in use or no password."""
    _refuse_open_door(settings)
    with _listening(settings) as listener:
        await _serve(settings, listener)
    # Else Python looks through everything once more before it ends, for seconds.
    gc.freeze()


async def _serve(settings: Settings, listener: socket.socket) -> None:
    async with running_app(settings) as built, asyncio.TaskGroup() as group:
        group.create_task(_rehearse(built), name="rehearsal")
        app = health_routes(built)
        open_studio(app, _studio(built, settings), _door(built, settings))
        server = _Server(_server_config(app, settings), settings)
        with _stop_on_signals(server):
            await server.serve([listener])


def _server_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """Nothing about whom a request comes from is believed but of the proxies that are named."""
    return uvicorn.Config(
        app,
        http=BoundedConnection,
        ws_max_size=_MOST_MESSAGE_BYTES,
        limit_concurrency=_MOST_CONNECTIONS,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )


async def _rehearse(built: App) -> None:
    """A courtesy to whoever asks first; without it they wait a little longer."""
    try:
        await built.dispatch.warm_up()
    except Exception:
        log.exception("A rehearsal failed")
    # What stands by now stays; to look through all of it for garbage takes a tenth of a second,
    # in the middle of somebody's answer: https://docs.python.org/3/library/gc.html#gc.freeze
    gc.freeze()


def health_routes(built: App) -> FastAPI:
    """What machines ask: is it alive, is it ready, and its numbers."""
    app = FastAPI(title="Attune", openapi_url=None)
    measures = Metrics(built)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz")
    async def readyz(response: Response) -> dict[str, str]:
        try:
            async with built.store.reading() as records:
                await records.workspaces.page(limit=1)
        except AttuneError as error:
            response.status_code = 503
            return {"status": error.sentence}
        return {"status": "ready"}

    @app.get("/metrics")
    async def metrics() -> Response:
        async with built.store.reading() as records:
            measures.workspaces.set(await records.workspaces.count())
            measures.open_jobs.set(await records.jobs.count_open())
        return Response(generate_latest(measures.registry), media_type=CONTENT_TYPE_LATEST)

    _let_slack_in(app, built)
    return app


def _let_slack_in(app: FastAPI, built: App) -> None:
    """HTTP mode alone: Slack signs what it sends, so this stands outside any password."""
    slack = built.slack
    if slack is None or not slack.is_http:
        return

    @app.post(SLACK_PATH)
    async def from_slack(request: Request) -> Response:
        return await slack.handle_http(request)


def is_healthy(settings: Settings) -> bool:
    """Asked by the container's own health check."""
    url = f"http://127.0.0.1:{settings.studio_port}/healthz"
    try:
        with urllib.request.urlopen(url, timeout=4) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, TimeoutError):
        return False


def _studio(built: App, settings: Settings) -> Studio:
    return Studio(
        app=built,
        room=built.room,
        catalogue=CATALOGUE,
        clock=built.clock,
        links=built.links,
        has_password=settings.studio_password is not None,
    )


def _door(built: App, settings: Settings) -> AccessPolicy:
    is_signed = built.slack is not None and built.slack.is_http
    return AccessPolicy(
        settings.studio_host,
        settings.public_url,
        sessions(settings, built.clock),
        signed_path=SLACK_PATH if is_signed else "",
    )


class _Server(uvicorn.Server):
    """A server whose signals are ours, and that says where it is once it is there."""

    def __init__(self, config: uvicorn.Config, settings: Settings) -> None:
        super().__init__(config)
        self._settings = settings

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and not self.should_exit:
            shown = with_token(self._address(), self._settings)
            print(f"Attune is ready: {shown}", flush=True)  # noqa: T201

    def _address(self) -> str:
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104
        return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    """The address is taken before anything else starts. Raises SettingsError where it is not."""
    family = socket.AF_INET6 if ":" in settings.studio_host else socket.AF_INET
    address = (settings.studio_host, settings.studio_port)
    try:
        listener = socket.create_server(address, family=family)
    except OSError as error:
        raise SettingsError(
            variable="ATTUNE_STUDIO_PORT",
            problem=f"{address[0]}:{address[1]} cannot be had ({error.strerror})",
            remedy="Stop what listens there, or choose another port; 0 takes a free one.",
        ) from error
    with listener:
        yield listener


def _refuse_open_door(settings: Settings) -> None:
    if settings.studio_password is not None or _is_loopback(settings.studio_host):
        return
    raise SettingsError(
        variable="ATTUNE_STUDIO_HOST",
        problem=f"{settings.studio_host} can be reached by others and there is no password",
        remedy="Set ATTUNE_STUDIO_PASSWORD, or ATTUNE_STUDIO_HOST=127.0.0.1.",
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextmanager
def _stop_on_signals(server: uvicorn.Server) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)
    for each in signals:
        loop.add_signal_handler(each, setattr, server, "should_exit", True)
    try:
        yield
    finally:
        for each in signals:
            loop.remove_signal_handler(each)
