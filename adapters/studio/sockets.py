"""Websockets that live no longer than the session they were opened with."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.studio.sessions import Sessions

_POLICY_VIOLATION = 1008
# What a person does comes as this event of Socket.IO; the rest a window sends by itself:
# https://github.com/socketio/socket.io-protocol#packet-encoding
_ACTION = '["event"'


async def hold_socket(
    app: ASGIApp, sessions: Sessions, cookie: str, scope: Scope, receive: Receive, send: Send
) -> None:
    """Run the application on a websocket; close it when the session ends."""
    socket = _Socket(sessions, cookie, receive, send)
    try:
        await app(scope, socket.receive, socket.send)
    finally:
        socket.release()


class _Socket:
    def __init__(self, sessions: Sessions, cookie: str, receive: Receive, send: Send) -> None:
        self._sessions = sessions
        self._cookie = cookie
        self._receive = receive
        self._send = send
        self._end = asyncio.ensure_future(sessions.wait_for_end(cookie))
        self._next: asyncio.Future[Message] | None = None
        self._is_closed = False

    async def receive(self) -> Message:
        """What the browser sends; a disconnection once the session has ended."""
        if self._next is None:
            self._next = asyncio.ensure_future(self._receive())
        either: set[asyncio.Future[Message] | asyncio.Future[None]] = {self._next, self._end}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if self._end.done():
            await self._close()
            return {"type": "websocket.disconnect", "code": _POLICY_VIOLATION}
        message = self._next.result()
        self._next = None
        if _ACTION in (message.get("text") or "")[:32]:
            self._sessions.is_valid(self._cookie)
        return message

    async def send(self, message: Message) -> None:
        """Nothing more goes out once the session has ended."""
        if self._end.done():
            await self._close()
        elif not self._is_closed:
            await self._send(message)

    async def _close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            await self._send({"type": "websocket.close", "code": _POLICY_VIOLATION})

    def release(self) -> None:
        self._end.cancel()
        if self._next is not None:
            self._next.cancel()
