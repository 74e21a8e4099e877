"""Middleware that adds an id and the processing time to every answer, and a body to a 500."""

import asyncio
import logging
import secrets
import time
import traceback

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tuner.errors import RequestTimeout

log = logging.getLogger(__name__)

MAX_BODY_SECONDS = 60.0
"""Time limit for a complete JSON body, and for the next chunk of an upload."""
MAX_UPLOAD_SECONDS = 3600.0
UPLOAD_ROUTE = ("POST", "/v1/files")
MAX_DRAIN_SECONDS = 20.0
MAX_DRAIN_BYTES = 2 << 30


class ResponseMiddleware:
    """The outermost middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        exchange = _Exchange(scope, receive, send)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Exception as error:
            # The error's message and values are not logged: they may contain a client's data.
            fields = (exchange.request_id, type(error).__name__, _location(error))
            log.error("Request %s failed: %s at %s", *fields)
            if exchange.has_begun:
                raise
            await _server_error()(scope, exchange.receive, exchange.send)


class _Exchange:
    """A request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.request_id = f"req_{secrets.token_hex(16)}"
        self.has_begun = False
        self._receive = receive
        self._send = send
        self._started_at = time.monotonic()
        names = {name for name, _ in scope["headers"]}
        self._has_body = bool(names & {b"content-length", b"transfer-encoding"})
        self._is_waiting = b"expect" in names
        self._must_close = False
        is_upload = (scope["method"], scope["path"]) == UPLOAD_ROUTE
        self._deadline = self._started_at + (MAX_UPLOAD_SECONDS if is_upload else MAX_BODY_SECONDS)

    async def receive(self) -> Message:
        """Receives the next message. Raises RequestTimeout if the body is late."""
        message = await (self._receive_chunk() if self._has_body else self._receive())
        self._is_waiting = False
        if not message.get("more_body", False):
            self._has_body = False
        return message

    async def _receive_chunk(self) -> Message:
        seconds = min(MAX_BODY_SECONDS, self._deadline - time.monotonic())
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                return await self._receive()
        except TimeoutError as error:
            # The rest of the body is not read, so the connection cannot be used again.
            self._has_body, self._must_close = False, True
            raise RequestTimeout from error

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._drain()
            self.has_begun = True
            elapsed_ms = round((time.monotonic() - self._started_at) * 1000)
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self.request_id
            headers["openai-processing-ms"] = str(elapsed_ms)
            if self._has_body or self._must_close:
                headers["connection"] = "close"
        await self._send(message)

    async def _drain(self) -> None:
        """Reads the rest of a refused upload.

        Closing at once would reset the connection, and the client would report that instead of
        the error.
        """
        remaining = MAX_DRAIN_BYTES
        try:
            async with asyncio.timeout(MAX_DRAIN_SECONDS):
                while self._has_body and not self._is_waiting and remaining > 0:
                    message = await self.receive()
                    remaining -= len(message.get("body", b""))
        except TimeoutError:
            return


def _location(error: BaseException) -> str:
    """Returns the file and line where an error was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "an unknown place"


def _server_error() -> JSONResponse:
    error = {
        "message": "The server had an error while processing your request.",
        "type": "server_error",
        "param": None,
        "code": None,
    }
    return JSONResponse({"error": error}, status_code=500)
