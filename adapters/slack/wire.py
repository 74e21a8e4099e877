"""The calls that Slack is asked with, and where they may go; the gateway makes them."""

from __future__ import annotations

import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from adapters.slack.pacing import Pacing
from bot.errors import SurfaceError

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Access:
    """What lets us in; the tokens are never shown."""

    bot_token: str
    app_token: str = ""
    signing_secret: str = ""
    api_url: str = "https://slack.com/api/"
    is_http: bool = False


Before = Callable[[], Awaitable[None]]


class Wire(Protocol):
    """Raises only `bot.errors.SurfaceError`s; `details["code"]` is Slack's own word."""

    pacing: Pacing

    async def call(
        self,
        method: str,
        args: Mapping[str, object],
        *,
        channel: str | None = None,
        is_repeatable: bool = True,
        patience: int = 6,
        before: Before | None = None,
    ) -> Json:
        """What is not repeatable is tried once when its outcome is unknown; `patience` is
        how often a busy Slack is asked again; `before` is done when it is this call's turn."""
        ...

    async def respond(self, url: str, payload: Mapping[str, object]) -> None:
        """Answers through a `response_url`."""
        ...

    async def upload(
        self, channel: str, name: str, data: bytes, *, comment: str, thread: str | None, alt: str
    ) -> None: ...

    def download(self, url: str) -> AsyncIterator[bytes]: ...


def code(error: SurfaceError) -> str:
    """Slack's own word for what went wrong."""
    return str(error.details.get("code", ""))


def is_unknown_method(error: SurfaceError) -> bool:
    """Not every Slack knows every method; the others may still serve."""
    return code(error) in ("unknown_method", "http_404", "http_405", "http_501")


def ts_of(answer: Json) -> str:
    """Which message a call has made."""
    ts = answer.get("ts") or (answer.get("message") or {}).get("ts")
    if not ts:
        raise SurfaceError(message="Slack does not say which message it is", code="no_ts")
    return str(ts)


def proxy_for(url: str) -> str | None:
    """As curl does it: HTTPS_PROXY or HTTP_PROXY, but not for what NO_PROXY names."""
    host = urlsplit(url).hostname or ""
    if urllib.request.proxy_bypass(host):
        return None
    known = urllib.request.getproxies()
    return known.get("https") or known.get("http") or None


def is_slack(url: str, api_url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host == urlsplit(api_url).hostname or (
        url.startswith("https://") and (host == "slack.com" or host.endswith(".slack.com"))
    )
