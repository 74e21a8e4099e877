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
from typing import TYPE_CHECKING

from attune.import_speed import pause_garbage_collection
from attune.service import running_app
from attune.settings import Settings
from bot.errors import SettingsError

if TYPE_CHECKING:
    import uvicorn

    from attune.bootstrap import App

log = logging.getLogger(__name__)


async def serve(settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT. Raises SettingsError for a port in use or no password."""
    _refuse_open_door(settings)
    with _listening(settings) as listener:
        await _serve(settings, listener)


async def _serve(settings: Settings, listener: socket.socket) -> None:
    async with running_app(settings) as built, asyncio.TaskGroup() as group:
        group.create_task(_rehearse(built), name="rehearsal")
        # Not at the top: the embedded tuner starts beside it, and the health check needs nothing.
        # All must be frozen before the server is made: NiceGUI looks for it among the rest, and
        # what openai loads on demand would be loaded by the look, which takes a second.
        with pause_garbage_collection():
            from attune.http_server import http_server
        server = http_server(built, settings)
        with _stop_on_signals(server):
            await server.serve([listener])


async def _rehearse(built: App) -> None:
    """A courtesy to whoever asks first; without it they wait a little longer."""
    try:
        await built.dispatch.warm_up()
    except Exception:
        log.exception("A rehearsal failed")
    # What stands by now stays; to look through all of it for garbage takes a tenth of a second,
    # in the middle of somebody's answer: https://docs.python.org/3/library/gc.html#gc.freeze
    gc.freeze()


def is_healthy(settings: Settings) -> bool:
    """Asked by the container's own health check."""
    url = f"http://127.0.0.1:{settings.studio_port}/healthz"
    try:
        with urllib.request.urlopen(url, timeout=4) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, TimeoutError):
        return False


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
