"""The port for calls of Slack's Web API, and the checks of URLs."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from adapters.slack.rate_limits import Pacing
from bot.errors import SurfaceError

Json = dict[str, Any]

_DOMAINS = ("slack.com", "slack-gov.com")
_RESPONSE_HOSTS = ("hooks.slack.com", "hooks.slack-gov.com")
_PLAIN_URL = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(?:[/?][!-\[\]-~]*)?")


@dataclass(frozen=True, slots=True)
class Access:
    """Tokens, URL and mode of the Slack app."""

    bot_token: str
    app_token: str = ""
    signing_secret: str = ""
    api_url: str = "https://slack.com/api/"
    is_http: bool = False


BeforeCall = Callable[[], Awaitable[None]]


class Api(Protocol):
    """Calls Slack's Web API.

    Methods raise only SurfaceError and its subclasses; `details["code"]` is Slack's error code.
    """

    pacing: Pacing

    async def call(
        self,
        method: str,
        args: Mapping[str, object],
        *,
        channel: str | None = None,
        is_repeatable: bool = True,
        patience: int = 6,
        before: BeforeCall | None = None,
    ) -> Json:
        """Calls a method, with retries, and returns its response.

        A call that is not repeatable is made only once if its outcome is unknown. `patience` is the
        number of retries. `before` runs when the rate limit lets the call proceed.
        """
        ...

    async def respond(self, url: str, payload: Mapping[str, object]) -> None:
        """Posts a payload to a `response_url`."""
        ...

    async def upload(
        self, channel: str, name: str, data: bytes, *, comment: str, thread: str | None, alt: str
    ) -> None: ...

    def download(self, url: str) -> AsyncIterator[bytes]: ...


def error_code(error: SurfaceError) -> str:
    """Returns Slack's error code of an error, empty if it has none."""
    return str(error.details.get("code", ""))


def is_unknown_method(error: SurfaceError) -> bool:
    """Whether a Slack-compatible server does not implement the method."""
    return error_code(error) in ("unknown_method", "http_404", "http_405", "http_501")


def posted_ts(response: Json) -> str:
    """Returns the ts of the message that a call posted. Raises SurfaceError if it is missing."""
    ts = response.get("ts") or (response.get("message") or {}).get("ts")
    if not ts:
        raise SurfaceError(message="Slack does not say which message it is", code="no_ts")
    return str(ts)


def proxy_for(url: str) -> str | None:
    """Returns the proxy from HTTPS_PROXY or HTTP_PROXY; None if NO_PROXY names the host."""
    host = urlsplit(url).hostname or ""
    if urllib.request.proxy_bypass(host):
        return None
    proxies = urllib.request.getproxies()
    return proxies.get("https") or proxies.get("http") or None


def is_slack_url(url: str, api_url: str) -> bool:
    """Whether a URL is Slack's own, so that the bot token may be sent there."""
    return _is_at(url, api_url, _DOMAINS, with_subdomains=True)


def is_response_url(url: str, api_url: str) -> bool:
    """Whether a URL is a `response_url` of Slack."""
    return _is_at(url, api_url, _RESPONSE_HOSTS, with_subdomains=False)


def _is_at(url: str, api_url: str, hosts: tuple[str, ...], *, with_subdomains: bool) -> bool:
    """Whether a URL has the host and scheme of the API, or is HTTPS at one of `hosts`.

    URLs that two parsers might read differently (backslashes, blanks, user info) never match.
    """
    if _PLAIN_URL.fullmatch(url) is None:
        return False
    try:
        parts, api = urlsplit(url), urlsplit(api_url)
    except ValueError:
        return False
    if (parts.scheme, parts.hostname) == (api.scheme, api.hostname):
        return True
    host = parts.hostname or ""
    suffixes = tuple(f".{domain}" for domain in hosts) if with_subdomains else ()
    is_known = host in hosts or host.endswith(suffixes)
    return parts.scheme == "https" and parts.netloc.lower() == host and is_known
