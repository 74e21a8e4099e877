"""The command `attune run`: runs the app and its HTTP server until SIGTERM or SIGINT."""

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

from attune.background_loops import running_app
from attune.import_speed import pause_garbage_collection
from attune.settings import Settings
from bot.errors import SettingsError

if TYPE_CHECKING:
    import uvicorn

    from attune.bootstrap import App

log = logging.getLogger(__name__)


async def run_service(settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT. Raises SettingsError for a port in use or no password."""
    _require_password_or_loopback(settings)
    with _listen(settings) as listener:
        await _serve(settings, listener)


async def _serve(settings: Settings, listener: socket.socket) -> None:
    async with running_app(settings) as built, asyncio.TaskGroup() as group:
        group.create_task(_warm_up(built), name="warmup")
        # Imported here, so that the embedded tuner starts meanwhile and `attune health` is fast.
        # The objects must be frozen before the server is constructed: NiceGUI searches all tracked
        # objects for the server, and this search makes openai import its lazy modules, which takes
        # a second.
        with pause_garbage_collection():
            from attune.http_server import http_server
        server = http_server(built, settings)
        with _stop_on_signals(server):
            await server.serve([listener])


async def _warm_up(built: App) -> None:
    """Loads what the first question needs; without it, that question only takes longer."""
    try:
        await built.dispatch.warm_up()
    except Exception:
        log.exception("A warmup failed")
    # Frozen objects are not collected any more; a collection of all of them takes a tenth of a
    # second, possibly during an answer: https://docs.python.org/3/library/gc.html#gc.freeze
    gc.freeze()


def is_healthy(settings: Settings) -> bool:
    """Whether the service answers on this machine, for the health check of the container."""
    url = f"http://127.0.0.1:{settings.studio_port}/healthz"
    try:
        with urllib.request.urlopen(url, timeout=4) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, TimeoutError):
        return False


@contextmanager
def _listen(settings: Settings) -> Iterator[socket.socket]:
    """Listens on the studio's address. Raises SettingsError if the address cannot be used."""
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


def _require_password_or_loopback(settings: Settings) -> None:
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
    for number in signals:
        loop.add_signal_handler(number, setattr, server, "should_exit", True)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
