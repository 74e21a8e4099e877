"""One HTTP connection with limits: how long a request may take to arrive, and how many there are.

uvicorn by itself waits for ever for a request that has begun and for one that never begins:
https://en.wikipedia.org/wiki/Slowloris_(cyber_attack).
"""

import asyncio
import json
from typing import ClassVar

import h11
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from tuner.errors import ApiError, Busy, RequestTimeout
from tuner.pending_connections import PendingConnections

HEAD_SECONDS = 5.0
"""For the line and the headers of a request, from the first byte that could belong to it."""
MOST_CONNECTIONS = 512
MOST_WAITING = 64
"""Connections of one address whose first request has not come in: the oldest make room."""
MOST_HEAD_BYTES = 64 * 1024


class Connection(H11Protocol):
    """Refuses in the protocol's words what is no HTTP, comes too slowly or is one too many."""

    _head_timer: asyncio.TimerHandle | None = None
    _pending: ClassVar = PendingConnections(MOST_WAITING)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        super().connection_made(transport)
        self._pending.add(self._address, self._give_up)
        if len(self.connections) > MOST_CONNECTIONS:
            self._refuse(Busy())
        else:
            self._await_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None:
            self._stop_pending()
        self._await_head()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._stop_pending()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        self._refuse(ApiError("This is no HTTP request, or its headers are too long."))

    def _await_head(self) -> None:
        """Only while a request is on its way in; one that is answered has its own limits."""
        is_answering = self.cycle is not None and not self.cycle.response_complete
        is_idle = self.timeout_keep_alive_task is not None
        if is_answering or is_idle or self.transport.is_closing():
            self._stop_waiting()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        timer, self._head_timer = self._head_timer, None
        if timer is not None:
            timer.cancel()

    @property
    def _address(self) -> str:
        return self.client[0] if self.client else ""

    def _stop_pending(self) -> None:
        self._pending.remove(self._address, self._give_up)

    def _give_up(self) -> None:
        self._stop_waiting()
        self._stop_pending()
        if not self.transport.is_closing():
            self._refuse(RequestTimeout())

    def _refuse(self, refusal: ApiError) -> None:
        """Written past h11, whose state may be broken or not begun."""
        body = json.dumps(refusal.body()).encode()
        phrase = STATUS_PHRASES[refusal.status].decode()
        head = (
            f"HTTP/1.1 {refusal.status} {phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        if self.conn.our_state in (h11.IDLE, h11.ERROR, h11.SEND_RESPONSE):
            self.transport.write(head.encode() + body)
        self.transport.close()
        # The loop tells of the end in its next turn; those that come in this one may have the room.
        self.connections.discard(self)
