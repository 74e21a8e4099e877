"""Socket Mode: connections that are renewed before they end, and opened again after a failure.

The library's own client takes up to five seconds to notice a broken connection, closes the old
connection before it opens the next one, and tries a URL again that Slack accepts only once.
https://docs.slack.dev/apis/events-api/using-socket-mode
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Awaitable, Callable

import aiohttp

from adapters.slack.api_port import Json, error_code
from bot.errors import SurfaceError

log = logging.getLogger(__name__)

_COUNT = 2
"""Two connections, so that one receives while the other is renewed."""
_HEARTBEAT_SECONDS = 20.0
_LINGER_SECONDS = 10.0
"""Seconds for which an ending connection is still read; Slack warns about ten seconds before."""
_FIRST_WAIT_SECONDS = 0.1
_MAX_WAIT_SECONDS = 30.0

HandlePayload = Callable[[Json], Awaitable[Json | None]]


class SocketModeConnections:
    """Receives envelopes over sockets.

    Each envelope is passed to `receive` and acknowledged with the result, unless that is None.
    """

    def __init__(
        self,
        open_url: Callable[[], Awaitable[str]],
        receive: HandlePayload,
        *,
        session: aiohttp.ClientSession,
        proxy: str | None,
    ) -> None:
        self._open_url = open_url
        self._receive = receive
        self._session = session
        self._proxy = proxy

    async def run(self) -> None:
        """Runs until cancelled; passes on errors of `open_url` other than SurfaceError."""
        async with asyncio.TaskGroup() as group:
            for number in range(_COUNT):
                group.create_task(self._keep_open(group), name=f"slack socket {number}")

    async def _keep_open(self, group: asyncio.TaskGroup) -> None:
        wait = 0.0
        while True:
            await asyncio.sleep(wait)
            connection: _Connection | None = None
            try:
                connection = await self._open(group)
                reading = group.create_task(connection.read(), name="slack envelopes")
                await connection.is_ending.wait()
                if not reading.done():
                    group.create_task(connection.close_after_drain(), name="slack farewell")
            except (SurfaceError, aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                why = error_code(error) if isinstance(error, SurfaceError) else type(error).__name__
                log.warning("Slack cannot be listened to", extra={"why": why})
            if connection is not None and connection.has_delivered():
                wait = 0.0
            else:
                wait = min(_MAX_WAIT_SECONDS, 2 * wait or _FIRST_WAIT_SECONDS)

    async def _open(self, group: asyncio.TaskGroup) -> _Connection:
        url = await self._open_url()
        socket = await self._session.ws_connect(
            url,
            proxy=self._proxy,
            heartbeat=_HEARTBEAT_SECONDS,
            timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
            max_msg_size=0,
        )
        log.info("Slack is being listened to")
        return _Connection(socket, self._receive, group)


class _Connection:
    def __init__(
        self,
        socket: aiohttp.ClientWebSocketResponse,
        receive: HandlePayload,
        group: asyncio.TaskGroup,
    ) -> None:
        self._socket = socket
        self._receive = receive
        self._group = group
        self._opened_at = time.monotonic()
        self._has_delivered = False
        self.is_ending = asyncio.Event()

    def has_delivered(self) -> bool:
        """Whether the connection worked; Slack closes one connection too many at once."""
        return self._has_delivered or time.monotonic() - self._opened_at > _MAX_WAIT_SECONDS

    async def read(self) -> None:
        """Reads until the connection is closed by either side."""
        try:
            async for message in self._socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._handle_text(message.data)
        finally:
            if not self.is_ending.is_set():
                log.info("A connection to Slack was lost")
            self.is_ending.set()
            await self._close()

    async def close_after_drain(self) -> None:
        """Closes the connection after some seconds, in which Slack may still send here."""
        await asyncio.sleep(_LINGER_SECONDS)
        await self._close()

    def _handle_text(self, text: str) -> None:
        try:
            envelope = json.loads(text)
            kind = envelope.get("type")
        except (ValueError, AttributeError):
            log.warning("Slack sent something that is no envelope")
            return
        if kind == "disconnect":
            log.info("Slack renews a connection", extra={"why": str(envelope.get("reason"))})
            self.is_ending.set()
        elif envelope.get("envelope_id"):
            self._has_delivered = True
            self._group.create_task(self._acknowledge(envelope), name="slack envelope")

    async def _close(self) -> None:
        with contextlib.suppress(aiohttp.ClientError, OSError):
            await self._socket.close()

    async def _acknowledge(self, envelope: Json) -> None:
        try:
            response = await self._receive(envelope)
        except Exception:
            log.exception("An envelope was not taken")
            return
        if response is None:
            return
        acknowledgement = {"envelope_id": envelope["envelope_id"]}
        # A lost acknowledgement does no harm: Slack sends the envelope again, and its key is known.
        with contextlib.suppress(ConnectionError, aiohttp.ClientError):
            await self._socket.send_str(
                json.dumps(acknowledgement | ({"payload": response} if response else {}))
            )
