"""The HTTP client for the openai package, with own rules for redirects and retries."""

from __future__ import annotations

from functools import cache
from ssl import SSLContext

import httpx2
from openai import DefaultAsyncHttpx2Client

from adapters.openai.errors import RedirectedRequest, retry_after_seconds

MAX_SILENT_RETRY_SECONDS = 2.0


def http_client() -> httpx2.AsyncClient:
    hooks = {"response": [_disable_long_retries, _refuse_redirect]}
    return DefaultAsyncHttpx2Client(verify=_ssl_context(), event_hooks=hooks)


@cache
def _ssl_context() -> SSLContext:
    """Returns the system's certificates, loaded once for all hosts as this takes 25 ms."""
    return httpx2.create_ssl_context()


async def _refuse_redirect(response: httpx2.Response) -> None:
    """Raises RedirectedRequest for a redirected POST request.

    The client would follow it with a GET request, whose response could be taken for a new job.
    Together's redirect of an upload, which has a header of its own, is handled by `TogetherHost`.
    """
    is_post = response.request.method == "POST" and response.status_code in (301, 302, 303)
    if is_post and "x-together-file-id" not in response.headers:
        raise RedirectedRequest(response.headers.get("location", "another address"))


async def _disable_long_retries(response: httpx2.Response) -> None:
    """Disables the package's retry after a long Retry-After, as a person waits for the answer."""
    if (retry_after_seconds(response.headers) or 0.0) > MAX_SILENT_RETRY_SECONDS:
        response.headers["x-should-retry"] = "false"
