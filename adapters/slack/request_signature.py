"""Reads requests of HTTP mode up to a limit, and only with a valid signature of Slack.

https://docs.slack.dev/authentication/verifying-requests-from-slack
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import time

from starlette.requests import ClientDisconnect, Request

MAX_BODY_BYTES = 1024 * 1024
_OLDEST_SECONDS = 300
_BODY_SECONDS = 10.0
_TIMESTAMP = re.compile(r"[0-9]{1,15}")


class RequestRefused(Exception):
    """A request without a valid signature, or one that is too long; `status` is the response."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(status)


async def read_signed_body(request: Request, secret: str) -> bytes:
    """Returns the body of a request after its signature has been checked. Raises RequestRefused."""
    timestamp = request.headers.get("x-slack-request-timestamp", "")
    signature = request.headers.get("x-slack-signature", "")
    if not secret or not signature or not _is_recent(timestamp):
        raise RequestRefused(401)
    body = await _body(request)
    expected = hmac.new(secret.encode(), b"v0:%s:%s" % (timestamp.encode(), body), hashlib.sha256)
    if not hmac.compare_digest(f"v0={expected.hexdigest()}".encode(), signature.encode("latin-1")):
        raise RequestRefused(401)
    return body


def _is_recent(timestamp: str) -> bool:
    if _TIMESTAMP.fullmatch(timestamp) is None:
        return False
    return abs(time.time() - int(timestamp)) <= _OLDEST_SECONDS


async def _body(request: Request) -> bytes:
    """Returns the body; reads at most MAX_BODY_BYTES, whatever the Content-Length header says."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > MAX_BODY_BYTES:
        raise RequestRefused(413)
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise RequestRefused(413)
    except TimeoutError:
        raise RequestRefused(408) from None
    except ClientDisconnect:
        raise RequestRefused(400) from None
    return bytes(body)
