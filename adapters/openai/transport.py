"""The HTTP client under the openai package, and what it does not leave to the package."""

from __future__ import annotations

from functools import cache
from ssl import SSLContext

import httpx2
from openai import DefaultAsyncHttpx2Client

from adapters.openai.errors import RedirectedRequest, retry_after_seconds

LONGEST_SILENT_WAIT = 2.0


def http_client() -> httpx2.AsyncClient:
    hooks = {"response": [_disable_long_retries, _refuse_redirect]}
    return DefaultAsyncHttpx2Client(verify=_trusted(), event_hooks=hooks)


@cache
def _trusted() -> SSLContext:
    """The system's certificates, read once for all hosts: it takes 25 ms."""
    return httpx2.create_ssl_context()


async def _refuse_redirect(response: httpx2.Response) -> None:
    """Followed, what is sent would become a question, and the answer be taken for a job.

    Together sends a file on in this way, and says which one.
    """
    is_sent = response.request.method == "POST" and response.status_code in (301, 302, 303)
    if is_sent and "x-together-file-id" not in response.headers:
        raise RedirectedRequest(response.headers.get("location", "another address"))


async def _disable_long_retries(response: httpx2.Response) -> None:
    """The package would sleep for up to two minutes on Retry-After while a person waits."""
    if (retry_after_seconds(response.headers) or 0.0) > LONGEST_SILENT_WAIT:
        response.headers["x-should-retry"] = "false"
