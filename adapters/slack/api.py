"""The calls that Slack is asked with, and where they may go; the gateway makes them."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from adapters.slack.pacing import Pacing
from bot.errors import SurfaceError

Json = dict[str, Any]

_DOMAINS = ("slack.com", "slack-gov.com")
_HOOKS = ("hooks.slack.com", "hooks.slack-gov.com")
_PLAIN_ADDRESS = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(?:[/?][!-\[\]-~]*)?")


@dataclass(frozen=True, slots=True)
class Access:
    """What lets us in; the tokens are never shown."""

    bot_token: str
    app_token: str = ""
    signing_secret: str = ""
    api_url: str = "https://slack.com/api/"
    is_http: bool = False


Before = Callable[[], Awaitable[None]]


class Api(Protocol):
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


def error_code(error: SurfaceError) -> str:
    """Slack's own word for what went wrong."""
    return str(error.details.get("code", ""))


def is_unknown_method(error: SurfaceError) -> bool:
    """Not every Slack knows every method; the others may still serve."""
    return error_code(error) in ("unknown_method", "http_404", "http_405", "http_501")


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
    """Whether an address is at Slack itself, so that the token may go there."""
    return _is_at(url, api_url, _DOMAINS, with_subdomains=True)


def is_response_url(url: str, api_url: str) -> bool:
    """Whether an address is one at which Slack takes answers to an interaction."""
    return _is_at(url, api_url, _HOOKS, with_subdomains=False)


def _is_at(url: str, api_url: str, hosts: tuple[str, ...], *, with_subdomains: bool) -> bool:
    """At the host of the API, with its scheme, or by https at one of `hosts`.

    What two parsers might read differently (backslashes, blanks, a name before the host) is
    at none of them.
    """
    if _PLAIN_ADDRESS.fullmatch(url) is None:
        return False
    try:
        parts, api = urlsplit(url), urlsplit(api_url)
    except ValueError:
        return False
    if (parts.scheme, parts.hostname) == (api.scheme, api.hostname):
        return True
    host = parts.hostname or ""
    above = tuple(f".{one}" for one in hosts) if with_subdomains else ()
    is_known = host in hosts or host.endswith(above)
    return parts.scheme == "https" and parts.netloc.lower() == host and is_known
