"""Middleware that limits the size of request bodies and the time between their parts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MEBIBYTE = 1024 * 1024
MAX_BODY_BYTES = MEBIBYTE
MAX_UPLOAD_BYTES = 1024 * MEBIBYTE
MAX_PAUSE_SECONDS = 30.0

# The path of NiceGUI's uploads: https://nicegui.io/documentation/upload
_CLIENTS, _UPLOAD = "/_nicegui/client/", "/upload/"


class RequestBodyLimits:
    """ASGI middleware; status 413 for a body that is too large, 408 for one that stalls."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(receive, _most_bytes(scope["path"]))
        try:
            body.check_content_length(dict(scope["headers"]))
            await self._app(scope, body.receive, body.watch(send))
        except HTTPException as error:
            if body.is_response_started:
                raise
            response = PlainTextResponse(error.detail, status_code=error.status_code)
            await response(scope, receive, send)


class _Body:
    def __init__(self, receive: Receive, most: int) -> None:
        self._receive = receive
        self._most = most
        self._received = 0
        self._is_whole = False
        self.is_response_started = False

    def check_content_length(self, headers: Mapping[bytes, bytes]) -> None:
        content_length = headers.get(b"content-length", b"0")
        # Longer values are not valid lengths, and int() is slow for very long ones.
        if len(content_length) > 18 or (
            content_length.isdigit() and int(content_length) > self._most
        ):
            raise HTTPException(413, "This is too large.")

    async def receive(self) -> Message:
        if self._is_whole:
            return await self._receive()
        try:
            async with asyncio.timeout(MAX_PAUSE_SECONDS):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(408, "The rest did not come.") from None
        self._is_whole = not message.get("more_body", False)
        self._received += len(message.get("body", b""))
        if self._received > self._most:
            raise HTTPException(413, "This is too large.")
        return message

    def watch(self, send: Send) -> Send:
        async def send_and_record(message: Message) -> None:
            self.is_response_started = True
            await send(message)

        return send_and_record


def _most_bytes(path: str) -> int:
    is_upload = path.startswith(_CLIENTS) and _UPLOAD in path
    return MAX_UPLOAD_BYTES + MEBIBYTE if is_upload else MAX_BODY_BYTES
