"""HTTP connections with limits on the size and time of request heads and of refused bodies."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import ClassVar, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tuner.connection_limits import PendingConnections

MAX_HEAD_BYTES = 64 * 1024
MAX_HEAD_SECONDS = 5.0
MAX_PENDING_PER_ADDRESS = 32
"""Maximum connections of one address that wait for a request head; the oldest are closed.

A browser opens six, and a proxy forwards a request only after its whole head.
"""
# Time to go on reading the body of a refused request; a reset would discard the response.
MAX_LINGERING_SECONDS = 30.0


class BoundedConnection(HttpToolsProtocol):
    """Responds with 431 to a request head that is too large, and with 408 to one that is late.

    uvicorn with httptools has no such limits, and an application gets a request only after its
    head.
    """

    _awaits_head = True
    _awaits_body = False
    _messages = 0
    _unread_bytes = 0
    _field_bytes = 0
    _deadline: asyncio.TimerHandle | None = None
    _pending: ClassVar = PendingConnections(MAX_PENDING_PER_ADDRESS)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast("asyncio.Transport", transport))
        self._set_deadline(MAX_HEAD_SECONDS)
        self._pending.add(self._address, self._close_unfinished)

    def connection_lost(self, exc: Exception | None) -> None:
        self._set_deadline(None)
        self._stop_pending()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        is_of_head, before = self._awaits_head, self._messages
        super().data_received(data)
        if self.transport.is_closing() or not (is_of_head and self._awaits_head):
            return
        if self.transport.get_protocol() is not self:
            # The connection has become a WebSocket, which has no further heads.
            return
        if self._messages == before:
            self._unread_bytes += len(data)
        if self._unread_bytes > MAX_HEAD_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif self._deadline is None and not self._is_answering:
            self._set_deadline(MAX_HEAD_SECONDS)

    def on_url(self, url: bytes) -> None:
        self._field_bytes += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        # Called for trailers too, after the head.
        self._field_bytes += len(name) + len(value)
        self._check_fields()
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._check_fields()
        self._awaits_head, self._awaits_body = False, True
        self._set_deadline(None)
        self._stop_pending()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._awaits_head, self._awaits_body = True, False
        self._messages += 1
        self._unread_bytes = self._field_bytes = 0
        self._set_deadline(None)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._awaits_body:
            self._set_deadline(MAX_LINGERING_SECONDS)

    def handle_websocket_upgrade(self) -> None:
        self._set_deadline(None)
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        if not self.transport.is_closing():
            super().send_400_response(msg)

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _check_fields(self) -> None:
        if self._field_bytes > MAX_HEAD_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            raise ValueError("the head of the request is too large")

    def _set_deadline(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None
        if seconds is not None:
            self._deadline = self.loop.call_later(seconds, self._close_unfinished)

    @property
    def _address(self) -> str:
        return self.client[0] if self.client else ""

    def _stop_pending(self) -> None:
        self._pending.remove(self._address, self._close_unfinished)

    def _close_unfinished(self) -> None:
        self._stop_pending()
        if self._awaits_head and not self._is_answering:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        self.transport.close()

    def _refuse(self, status: HTTPStatus) -> None:
        if self.transport.is_closing():
            return
        text = status.phrase.encode()
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\nconnection: close\r\n"
        kind = f"content-type: text/plain\r\ncontent-length: {len(text)}\r\n\r\n"
        self.transport.write(f"{head}{kind}".encode() + text)
        self.transport.close()
