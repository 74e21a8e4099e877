"""A model host that streams twenty words, 30 ms apart; runs as a process of its own.

It uses bare sockets, so that it is not the bottleneck with a hundred concurrent clients.
"""

from __future__ import annotations

import asyncio
import contextlib
import json

PIECES = 20
SECONDS_APART = 0.03

_HEAD = (
    b"HTTP/1.1 200 OK\r\n"
    b"content-type: text/event-stream\r\n"
    b"transfer-encoding: chunked\r\n"
    b"connection: keep-alive\r\n\r\n"
)


async def _serve() -> None:
    server = await asyncio.start_server(_serve_connection, "127.0.0.1", 0, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    print(f"http://127.0.0.1:{port}/v1", flush=True)
    await server.serve_forever()


async def _serve_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(_content_length(head))
            await _answer(writer)
    writer.close()


async def _answer(writer: asyncio.StreamWriter) -> None:
    writer.write(_HEAD + _chunk({"role": "assistant", "content": ""}))
    for number in range(PIECES):
        await asyncio.sleep(SECONDS_APART)
        writer.write(_chunk({"content": f"word{number} "}))
    writer.write(_encoded("[DONE]") + b"0\r\n\r\n")
    await writer.drain()


def _chunk(delta: dict[str, str]) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    body = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "base"}
    return _encoded(json.dumps({**body, "choices": [choice]}))


def _encoded(data: str) -> bytes:
    event = f"data: {data}\n\n".encode()
    return b"%x\r\n%s\r\n" % (len(event), event)


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


if __name__ == "__main__":
    asyncio.run(_serve())
