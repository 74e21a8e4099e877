"""Requests of HTTP mode: read up to a limit, and only with Slack's own signature.

https://docs.slack.dev/authentication/verifying-requests-from-slack
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import time

from starlette.requests import ClientDisconnect, Request

MOST_BYTES = 1024 * 1024
_OLDEST_SECONDS = 300
_BODY_SECONDS = 10.0
_TIMESTAMP = re.compile(r"[0-9]{1,15}")


class RequestRefused(Exception):
    """A request that is not Slack's, or too long; `status` is the answer to it."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(status)


async def signed_body(request: Request, secret: str) -> bytes:
    """The body, once its signature is checked. Raises RequestRefused."""
    timestamp = request.headers.get("x-slack-request-timestamp", "")
    signature = request.headers.get("x-slack-signature", "")
    if not secret or not signature or not _is_recent(timestamp):
        raise RequestRefused(401)
    body = await _body(request)
    wanted = hmac.new(secret.encode(), b"v0:%s:%s" % (timestamp.encode(), body), hashlib.sha256)
    if not hmac.compare_digest(f"v0={wanted.hexdigest()}".encode(), signature.encode("latin-1")):
        raise RequestRefused(401)
    return body


def _is_recent(timestamp: str) -> bool:
    if _TIMESTAMP.fullmatch(timestamp) is None:
        return False
    return abs(time.time() - int(timestamp)) <= _OLDEST_SECONDS


async def _body(request: Request) -> bytes:
    """No more of it is read than is taken, whatever length it names."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > MOST_BYTES:
        raise RequestRefused(413)
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for block in request.stream():
                body += block
                if len(body) > MOST_BYTES:
                    raise RequestRefused(413)
    except TimeoutError:
        raise RequestRefused(408) from None
    except ClientDisconnect:
        raise RequestRefused(400) from None
    return bytes(body)
