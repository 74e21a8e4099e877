"""What the studio's server takes in is bounded in size and time, and it says so with a 4xx."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import PlainTextResponse

from adapters.studio.request_body_limits import MAX_BODY_BYTES, RequestBodyLimits
from attune.connection_limits import MAX_HEAD_BYTES, BoundedConnection
from tests.program import entrance, served
from tests.waiting import until

UPLOAD = "/_nicegui/client/1/upload/2"
PIECE = b"x" * 65_536


class Server:
    """The studio's server before an application that counts what reaches it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.reached = 0

    async def raw(self, *pieces: bytes) -> bytes:
        """What comes back until the server closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            async with asyncio.timeout(20):
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()

    async def status(self, *pieces: bytes) -> int:
        """Of the answer; 0 for a connection that was closed without one."""
        answer = await self.raw(*pieces)
        return int(answer.split()[1]) if answer else 0


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    app = FastAPI()
    app.add_middleware(RequestBodyLimits)
    made = Server(0)

    @app.api_route("/{path:path}", methods=["GET", "POST"])
    async def read(request: Request, path: str) -> PlainTextResponse:
        async for piece in request.stream():
            made.reached += len(piece)
        return PlainTextResponse(str(len(request.query_params)))

    @app.websocket("/")
    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_text(text)

    config = uvicorn.Config(
        app, http=BoundedConnection, port=0, log_config=None, limit_concurrency=500
    )
    running = uvicorn.Server(config)
    task = asyncio.create_task(running.serve())
    await until(lambda: running.started)
    made.port = running.servers[0].sockets[0].getsockname()[1]
    yield made
    running.should_exit = True
    await task


HEADS = {
    "one long value": b"GET / HTTP/1.1\r\nhost: x\r\na: " + b"x" * 1_000_000 + b"\r\n\r\n",
    "one long name": b"GET / HTTP/1.1\r\nhost: x\r\n" + b"x" * 1_000_000 + b": a\r\n\r\n",
    "many": b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 100_000 + b"\r\n",
    "a long address": b"GET /?" + b"a=b&" * 100_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    "no end": b"GET / HTTP/1.1\r\nhost: x\r\na: " + b"x" * 1_000_000,
    "just over": b"GET / HTTP/1.1\r\nhost: x\r\na: " + b"x" * MAX_HEAD_BYTES + b"\r\n\r\n",
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
async def test_a_head_that_is_too_large_is_refused(server: Server, head: bytes) -> None:
    # A server that closes with unread bytes in its hands may take its answer along.
    assert await server.status(head) in (431, 0)


async def test_a_head_that_is_nearly_too_large_is_answered_in_words(server: Server) -> None:
    head = b"GET / HTTP/1.1\r\nhost: x\r\na: " + b"x" * MAX_HEAD_BYTES

    assert await server.status(head, b"\r\n\r\n") == 431


async def test_an_ordinary_request_comes_in(server: Server) -> None:
    body = b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 4\r\n\r\nabcd"

    assert await server.status(body) == 200
    assert server.reached == 4


SLOW = {
    "nothing": (),
    "blank lines": (b"\r\n\r\n",),
    "half a line": (b"GET / HT",),
    "half a head": (b"GET / HTTP/1.1\r\nhost: x\r\n",),
}


@pytest.mark.parametrize("pieces", SLOW.values(), ids=SLOW)
async def test_a_head_that_does_not_come_is_not_waited_for(
    server: Server, pieces: tuple[bytes, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attune.connection_limits.MAX_HEAD_SECONDS", 0.05)

    assert b"408 Request Timeout" in await server.raw(*pieces)


async def test_a_websocket_outlives_the_time_for_a_head(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attune.connection_limits.MAX_HEAD_SECONDS", 0.5)
    address = f"ws://127.0.0.1:{server.port}/"
    async with aiohttp.ClientSession() as session, session.ws_connect(address) as socket:
        # A head that began after it is given up, so the time of an earlier one is over too.
        assert b"408 Request Timeout" in await server.raw(b"GET / HT")

        await socket.send_str("still here")

        assert await socket.receive_str() == "still here"


async def test_a_body_that_stops_coming_is_not_waited_for(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.studio.request_body_limits.MAX_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr("attune.connection_limits.MAX_LINGERING_SECONDS", 0.05)
    head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nabc"

    assert await server.status(head) == 408


@pytest.mark.parametrize("length", [b"1048577", b"209715200", b"9" * 5000])
async def test_a_body_that_says_it_is_too_large_is_refused_unread(
    server: Server, length: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attune.connection_limits.MAX_LINGERING_SECONDS", 0.05)
    head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: " + length + b"\r\n\r\nabc"

    assert await server.status(head) in (400, 413)
    assert server.reached == 0


async def _many(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield PIECE


async def test_a_body_of_unknown_length_is_read_up_to_the_limit(server: Server) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        answer = await client.post("/", content=_many(3200))

    assert answer.status_code == 413
    assert server.reached <= MAX_BODY_BYTES


async def test_a_file_may_be_larger_than_anything_else(server: Server) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        answer = await client.post(UPLOAD, content=_many(160))

    assert answer.status_code == 200
    assert server.reached == 160 * len(PIECE)


# The whole program


FIELDS = {f"f{number}": "x" for number in range(20_000)}
ODD = [
    "/examples?state=nonsense",
    "/jobs/" + "9" * 5000,
    "/jobs/%00",
    "/room/%ff",
    "/examples?" + "&".join(f"tag={number}" for number in range(5000)),
    "/download/../../etc/passwd",
]


async def test_the_program_answers_whatever_is_asked(tmp_path: Path) -> None:
    others = {"ATTUNE_TRUSTED_PROXIES": "10.0.0.0/8"}
    async with served(tmp_path, **others) as address, httpx.AsyncClient(base_url=address) as client:
        origin = {"origin": address}
        strange = [
            await client.post("/login", data=FIELDS, headers=origin),
            await client.post("/login", content=_many(400), headers=origin),
            await client.post("/login?next=" + "[" * 5000, data={"password": "x"}, headers=origin),
            await client.post("/write/" + "x" * 20_000, content=_many(400), headers=origin),
            await client.post("/slack/events", content=_many(400)),
            await client.get("/", headers={"host": "a" * 5000}),
        ]
        assert "secure" not in await cookie_of(client, address)
        inside = [await client.get(path) for path in ODD]
        sockets = "/_nicegui_ws/socket.io/?EIO=4&transport=polling"
        sent = await client.post(sockets, content=_many(400), headers=origin)

        assert [one.status_code for one in strange if not 400 <= one.status_code < 500] == []
        assert [one.status_code for one in inside if one.status_code >= 500] == []
        assert sent.status_code in (400, 413)
        assert (await client.get("/healthz")).status_code == 200


async def test_a_trusted_proxy_is_believed_about_where_a_request_comes_from(tmp_path: Path) -> None:
    """The test above asks the same of a service that trusts another."""
    settings = {"ATTUNE_TRUSTED_PROXIES": "127.0.0.1"}
    async with served(tmp_path, **settings) as address, httpx.AsyncClient() as client:
        assert "secure" in await cookie_of(client, address)


async def cookie_of(client: httpx.AsyncClient, address: str) -> str:
    """What is set where a proxy says that somebody came by HTTPS."""
    forged = {"x-forwarded-for": "10.9.9.9", "x-forwarded-proto": "https"}
    answer = await client.get(entrance(address), headers=forged)
    return answer.headers["set-cookie"].lower()


@pytest.mark.parametrize("sent", SLOW.values(), ids=SLOW)
async def test_half_open_connections_of_one_address_keep_nobody_out(
    server: Server, sent: tuple[bytes, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of them is waited for: the oldest make room at once."""
    monkeypatch.setattr("attune.connection_limits.MAX_HEAD_SECONDS", 60.0)
    opened = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(600)]
    try:
        for _, writer in opened:
            for piece in sent:
                writer.write(piece)

        answer = await server.status(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")

        assert answer == 200
    finally:
        for _, writer in opened:
            writer.close()
