"""The HTTP server of `attune run`: the studio, health checks, metrics and Slack's requests."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from adapters.slack.manifest import EVENTS_PATH as SLACK_PATH
from adapters.studio import AccessPolicy, Studio, open_studio
from attune.bootstrap import App
from attune.connection_limits import BoundedConnection
from attune.metrics import Metrics
from attune.settings import Settings
from attune.studio_access import address_with_token, studio_sessions
from bot.command_catalogue import CATALOGUE
from bot.errors import AttuneError

_MAX_CONNECTIONS = 500
_MAX_MESSAGE_BYTES = 1024 * 1024


def http_server(built: App, settings: Settings) -> uvicorn.Server:
    """Returns the server with the studio and all other routes; `serve` gets its sockets."""
    app = health_routes(built)
    open_studio(app, _studio(built, settings), _access_policy(built, settings))
    return _Server(_server_config(app, settings), settings)


def health_routes(built: App) -> FastAPI:
    """Returns a FastAPI app with `/healthz`, `/readyz`, `/metrics` and Slack's route."""
    app = FastAPI(title="Attune", openapi_url=None)
    registered = Metrics(built)

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
            registered.workspaces.set(await records.workspaces.count())
            registered.open_jobs.set(await records.jobs.count_open())
        return Response(generate_latest(registered.registry), media_type=CONTENT_TYPE_LATEST)

    _add_slack_route(app, built)
    return app


def _add_slack_route(app: FastAPI, built: App) -> None:
    """Adds the route for Slack's HTTP mode, which needs no password as requests are signed."""
    slack = built.slack
    if slack is None or not slack.is_http:
        return

    @app.post(SLACK_PATH)
    async def from_slack(request: Request) -> Response:
        return await slack.handle_http(request)


def _server_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """Returns uvicorn's configuration; forwarded headers count only from the trusted proxies."""
    return uvicorn.Config(
        app,
        http=BoundedConnection,
        ws_max_size=_MAX_MESSAGE_BYTES,
        limit_concurrency=_MAX_CONNECTIONS,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )


def _studio(built: App, settings: Settings) -> Studio:
    return Studio(
        app=built,
        room=built.room,
        catalogue=CATALOGUE,
        clock=built.clock,
        links=built.links,
        has_password=settings.studio_password is not None,
    )


def _access_policy(built: App, settings: Settings) -> AccessPolicy:
    is_signed = built.slack is not None and built.slack.is_http
    return AccessPolicy(
        settings.studio_host,
        settings.public_url,
        studio_sessions(settings, built.clock),
        signed_path=SLACK_PATH if is_signed else "",
    )


class _Server(uvicorn.Server):
    """A uvicorn server that prints its address and leaves signals to `attune.run_command`."""

    def __init__(self, config: uvicorn.Config, settings: Settings) -> None:
        super().__init__(config)
        self._settings = settings

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and not self.should_exit:
            address = address_with_token(self._address(), self._settings)
            print(f"Attune is ready: {address}", flush=True)  # noqa: T201

    def _address(self) -> str:
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        shown_host = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104
        return (
            f"http://[{shown_host}]:{port}" if ":" in shown_host else f"http://{shown_host}:{port}"
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
