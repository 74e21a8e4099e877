"""Closes websockets when the session that opened them ends."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.studio.login_sessions import Sessions

_POLICY_VIOLATION = 1008
# Actions of a person arrive as this Socket.IO event; a window sends other packets by itself:
# https://github.com/socketio/socket.io-protocol#packet-encoding
_ACTION = '["event"'


async def run_until_session_ends(
    app: ASGIApp, sessions: Sessions, cookie: str, scope: Scope, receive: Receive, send: Send
) -> None:
    """Runs the application on a websocket, and closes the websocket when the session ends."""
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
        self._session_end = asyncio.ensure_future(sessions.wait_for_end(cookie))
        self._pending_message: asyncio.Future[Message] | None = None
        self._is_closed = False

    async def receive(self) -> Message:
        """Returns the next message of the browser; a disconnect after the end of the session."""
        if self._pending_message is None:
            self._pending_message = asyncio.ensure_future(self._receive())
        either: set[asyncio.Future[Message] | asyncio.Future[None]] = {
            self._pending_message,
            self._session_end,
        }
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if self._session_end.done():
            await self._close()
            return {"type": "websocket.disconnect", "code": _POLICY_VIOLATION}
        message = self._pending_message.result()
        self._pending_message = None
        if _ACTION in (message.get("text") or "")[:32]:
            self._sessions.is_valid(self._cookie)
        return message

    async def send(self, message: Message) -> None:
        """Sends a message to the browser; drops it after the end of the session."""
        if self._session_end.done():
            await self._close()
        elif not self._is_closed:
            await self._send(message)

    async def _close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            await self._send({"type": "websocket.close", "code": _POLICY_VIOLATION})

    def release(self) -> None:
        self._session_end.cancel()
        if self._pending_message is not None:
            self._pending_message.cancel()
