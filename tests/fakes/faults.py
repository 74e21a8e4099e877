"""Faults of a host, one function each, for `FaultyHost.fail`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse
from starlette.types import Receive, Scope, Send


@dataclass(frozen=True, slots=True)
class Call:
    """A request, the normal way to answer it, and a wait for `FaultyHost.release`."""

    request: Request
    act: Callable[[], Awaitable[Response]]
    released: Callable[[], Awaitable[object]]


Fault = Callable[[Call], Awaitable[Response]]


class Cut(Response):
    """A response that aborts the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["transport"].abort()


def refusal(
    status: int,
    message: str,
    *,
    code: str | None = None,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    error = {"message": message, "type": "error", "param": param, "code": code}
    return JSONResponse({"error": error}, status, headers)


def answers(
    status: int,
    message: str = "Out of order.",
    *,
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Fault:
    """Answers with an error in the host's own form; the request has no effect."""

    async def fault(call: Call) -> Response:
        return refusal(status, message, code=code, headers=headers)

    return fault


def busy(seconds: float) -> Fault:
    return answers(429, "Slow down.", headers={"Retry-After": str(seconds)})


def training_closed() -> Fault:
    return answers(403, "Training is winding down.", code="training_not_available")


def html(status: int = 503) -> Fault:
    """Answers with an HTML page, as a proxy in front of the host does."""

    async def fault(call: Call) -> Response:
        return HTMLResponse("<html><h1>Bad gateway</h1></html>", status)

    return fault


def says(body: str, *, kind: str = "application/json") -> Fault:
    """Answers 200 with this body."""

    async def fault(call: Call) -> Response:
        return Response(body, media_type=kind)

    return fault


def hangs() -> Fault:
    """Waits for `FaultyHost.release`, then answers normally."""

    async def fault(call: Call) -> Response:
        await call.released()
        return await call.act()

    return fault


def late() -> Fault:
    """Does the request at once, but answers only after `FaultyHost.release`."""

    async def fault(call: Call) -> Response:
        response = await call.act()
        await call.released()
        return response

    return fault


def cut() -> Fault:
    """Aborts the connection before the request has an effect."""

    async def fault(call: Call) -> Response:
        return Cut()

    return fault


def cut_after() -> Fault:
    """Does the request, then aborts the connection instead of answering."""

    async def fault(call: Call) -> Response:
        await call.act()
        return Cut()

    return fault


def half_upload() -> Fault:
    """Aborts the connection while the body is being received."""

    async def fault(call: Call) -> Response:
        async for _ in call.request.stream():
            return Cut()
        return Cut()

    return fault


def reshaped(change: Callable[[dict[str, object]], object]) -> Fault:
    """Does the request and changes the JSON of the answer by `change`."""

    async def fault(call: Call) -> Response:
        response = await call.act()
        return JSONResponse(change(json.loads(bytes(response.body))), response.status_code)

    return fault


def empty_stream() -> Fault:
    return _stream(after=0, then=b"data: [DONE]\n\n")


def short_stream(after: int) -> Fault:
    """Ends the stream after some pieces without an error, as proxies do when the host fails."""
    return _stream(after=after, then=b"")


def broken_stream(after: int) -> Fault:
    """Aborts the connection after some pieces of the stream."""
    return _stream(after=after, then=None)


def ends_for(reason: str) -> Fault:
    """Ends the stream after the first piece with this finish reason."""
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
    return _stream(after=1, then=f"data: {json.dumps(end)}\n\ndata: [DONE]\n\n".encode())


def error_event(after: int, message: str = "The engine died.") -> Fault:
    """Sends an error event in the stream after some pieces."""
    error = {"error": {"message": message, "type": "server_error", "code": None}}
    return _stream(after=after, then=f"data: {json.dumps(error)}\n\n".encode())


def _stream(*, after: int, then: bytes | None) -> Fault:
    async def fault(call: Call) -> Response:
        normal = await call.act()
        assert isinstance(normal, StreamingResponse)
        return StreamingResponse(pieces(call, normal), media_type="text/event-stream")

    async def pieces(call: Call, normal: StreamingResponse) -> AsyncIterator[bytes]:
        remaining = after
        async for piece in normal.body_iterator:
            if remaining == 0:
                break
            remaining -= 1
            yield bytes(piece) if not isinstance(piece, str) else piece.encode()
        if then is None:
            call.request.scope["transport"].abort()
        else:
            yield then

    return fault
