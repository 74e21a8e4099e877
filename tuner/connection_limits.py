"""An HTTP connection with limits on the number of connections and the time a request may take.

uvicorn alone waits without limit for a request that has begun and for one that never begins:
https://en.wikipedia.org/wiki/Slowloris_(cyber_attack).
"""

import asyncio
import json
from collections.abc import Callable
from typing import ClassVar

import h11
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from tuner.errors import ApiError, RequestTimeout, ServerBusy

MAX_HEAD_SECONDS = 5.0
"""Time limit for the request line and headers, from the first byte of the request."""
MAX_CONNECTIONS = 512
MAX_PENDING_PER_ADDRESS = 64
"""Connections of one address without a complete first request; more than that close the oldest."""
MAX_HEAD_BYTES = 64 * 1024


class PendingConnections:
    """Pending connections by address, oldest first; a connection's key is its close function."""

    def __init__(self, limit_per_address: int) -> None:
        self._limit = limit_per_address
        self._by_address: dict[str, dict[Callable[[], None], None]] = {}

    def add(self, address: str, close: Callable[[], None]) -> None:
        """Adds a connection, and closes the oldest one of the address if it now has too many."""
        pending = self._by_address.setdefault(address, {})
        pending[close] = None
        if len(pending) > self._limit:
            next(iter(pending))()

    def remove(self, address: str, close: Callable[[], None]) -> None:
        """Removes a connection whose request is complete or that is closed."""
        pending = self._by_address.get(address, {})
        pending.pop(close, None)
        if not pending:
            self._by_address.pop(address, None)


class BoundedConnection(H11Protocol):
    """HTTP connection that refuses invalid, slow and surplus requests in the protocol's form."""

    _head_timer: asyncio.TimerHandle | None = None
    _pending: ClassVar = PendingConnections(MAX_PENDING_PER_ADDRESS)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        super().connection_made(transport)
        self._pending.add(self._address, self._time_out)
        if len(self.connections) > MAX_CONNECTIONS:
            self._refuse(ServerBusy())
        else:
            self._update_head_timer()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None:
            self._remove_pending()
        self._update_head_timer()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._update_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_head_timer()
        self._remove_pending()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        self._refuse(ApiError("This is no HTTP request, or its headers are too long."))

    def _update_head_timer(self) -> None:
        """Starts or stops the timer, which runs only while a request is arriving."""
        is_answering = self.cycle is not None and not self.cycle.response_complete
        is_idle = self.timeout_keep_alive_task is not None
        if is_answering or is_idle or self.transport.is_closing():
            self._cancel_head_timer()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(MAX_HEAD_SECONDS, self._time_out)

    def _cancel_head_timer(self) -> None:
        timer, self._head_timer = self._head_timer, None
        if timer is not None:
            timer.cancel()

    @property
    def _address(self) -> str:
        return self.client[0] if self.client else ""

    def _remove_pending(self) -> None:
        self._pending.remove(self._address, self._time_out)

    def _time_out(self) -> None:
        self._cancel_head_timer()
        self._remove_pending()
        if not self.transport.is_closing():
            self._refuse(RequestTimeout())

    def _refuse(self, refusal: ApiError) -> None:
        """Writes the error without h11, whose state may be invalid."""
        body = json.dumps(refusal.body()).encode()
        phrase = STATUS_PHRASES[refusal.status].decode()
        head = (
            f"HTTP/1.1 {refusal.status} {phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        if self.conn.our_state in (h11.IDLE, h11.ERROR, h11.SEND_RESPONSE):
            self.transport.write(head.encode() + body)
        self.transport.close()
        # `connection_lost` only runs in the next iteration of the event loop; this counts at once.
        self.connections.discard(self)
