"""The ways in which a host can go wrong, one function each; for `FaultyHost.fail`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse
from starlette.types import Receive, Scope, Send


@dataclass(frozen=True, slots=True)
class Call:
    """A request, what the host would do about it, and what holds it until released."""

    request: Request
    act: Callable[[], Awaitable[Response]]
    released: Callable[[], Awaitable[object]]


Fault = Callable[[Call], Awaitable[Response]]


class Cut(Response):
    """No answer: the connection is torn down."""

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
    """An error in the host's own shape; nothing has been done."""

    async def fault(call: Call) -> Response:
        return refusal(status, message, code=code, headers=headers)

    return fault


def busy(seconds: float) -> Fault:
    return answers(429, "Slow down.", headers={"Retry-After": str(seconds)})


def training_closed() -> Fault:
    return answers(403, "Training is winding down.", code="training_not_available")


def html(status: int = 503) -> Fault:
    """What a proxy in front of the host says."""

    async def fault(call: Call) -> Response:
        return HTMLResponse("<html><h1>Bad gateway</h1></html>", status)

    return fault


def says(body: str, *, kind: str = "application/json") -> Fault:
    """A cheerful answer without sense."""

    async def fault(call: Call) -> Response:
        return Response(body, media_type=kind)

    return fault


def hangs() -> Fault:
    """No answer until `FaultyHost.release`; then as if nothing had been."""

    async def fault(call: Call) -> Response:
        await call.released()
        return await call.act()

    return fault


def late() -> Fault:
    """It is done at once, but the answer comes only with `FaultyHost.release`."""

    async def fault(call: Call) -> Response:
        response = await call.act()
        await call.released()
        return response

    return fault


def cut() -> Fault:
    """The connection is lost before anything is done."""

    async def fault(call: Call) -> Response:
        return Cut()

    return fault


def cut_after() -> Fault:
    """It is done, but the answer is lost."""

    async def fault(call: Call) -> Response:
        await call.act()
        return Cut()

    return fault


def half_upload() -> Fault:
    """The connection is lost while the body is still coming in."""

    async def fault(call: Call) -> Response:
        async for _ in call.request.stream():
            return Cut()
        return Cut()

    return fault


def reshaped(change: Callable[[dict[str, object]], object]) -> Fault:
    """It is done, and `change` rewrites the JSON of the answer."""

    async def fault(call: Call) -> Response:
        response = await call.act()
        return JSONResponse(change(json.loads(bytes(response.body))), response.status_code)

    return fault


def empty_stream() -> Fault:
    return _stream(after=0, then=b"data: [DONE]\n\n")


def short_stream(after: int) -> Fault:
    """The stream ends after some pieces as if it were over, as proxies do whose host has died."""
    return _stream(after=after, then=b"")


def broken_stream(after: int) -> Fault:
    """The connection is lost after some pieces."""
    return _stream(after=after, then=None)


def ends_for(reason: str) -> Fault:
    """The stream says after its first piece why there is no more of it."""
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
    return _stream(after=1, then=f"data: {json.dumps(end)}\n\ndata: [DONE]\n\n".encode())


def error_event(after: int, message: str = "The engine died.") -> Fault:
    """The stream itself says, after some pieces, that it failed."""
    error = {"error": {"message": message, "type": "server_error", "code": None}}
    return _stream(after=after, then=f"data: {json.dumps(error)}\n\n".encode())


def _stream(*, after: int, then: bytes | None) -> Fault:
    async def fault(call: Call) -> Response:
        whole = await call.act()
        assert isinstance(whole, StreamingResponse)
        return StreamingResponse(pieces(call, whole), media_type="text/event-stream")

    async def pieces(call: Call, whole: StreamingResponse) -> AsyncIterator[bytes]:
        left = after
        async for piece in whole.body_iterator:
            if left == 0:
                break
            left -= 1
            yield bytes(piece) if not isinstance(piece, str) else piece.encode()
        if then is None:
            call.request.scope["transport"].abort()
        else:
            yield then

    return fault
