"""The port for calls of Discord's REST API with its paths, and the checks of URLs."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from adapters.discord.rate_limits import Pacing, Priority
from bot.errors import SurfaceError

Json = dict[str, Any]
Ids = Mapping[str, str]

PUBLIC_API_URL = "https://discord.com/api/v10"

MESSAGES_PATH = "/channels/{channel_id}/messages"
MESSAGE_PATH = "/channels/{channel_id}/messages/{message_id}"
TYPING_PATH = "/channels/{channel_id}/typing"
CALLBACK_PATH = "/interactions/{interaction_id}/{interaction_token}/callback"
FOLLOW_UP_PATH = "/webhooks/{webhook_id}/{webhook_token}"
FOLLOW_UP_MESSAGE_PATH = "/webhooks/{webhook_id}/{webhook_token}/messages/{message_id}"
THREADS_PATH = "/channels/{channel_id}/messages/{message_id}/threads"
OWN_REACTION_PATH = "/channels/{channel_id}/messages/{message_id}/reactions/{emoji}/@me"
DIRECT_CHANNELS_PATH = "/users/@me/channels"

_VERSIONED = re.compile(r"/v\d+$")
_HOSTS = ("discord.com", "discordapp.com", "discordapp.net", "discord.gg")


@dataclass(frozen=True, slots=True)
class Access:
    """Credentials and addresses of the bot; `token` is left out of the repr."""

    token: str = field(repr=False)
    api_url: str = PUBLIC_API_URL
    gateway_url: str = ""
    development_guild: str = ""


@dataclass(frozen=True, slots=True)
class File:
    """A file that is attached to a message, with its alternative text in `description`."""

    name: str
    data: bytes = field(repr=False)
    content_type: str = "application/octet-stream"
    description: str = ""


class Api(Protocol):
    """Calls Discord's REST API.

    Methods raise only SurfaceError and its subclasses; `details["code"]` is Discord's error code or
    the HTTP status.
    """

    base: str
    pacing: Pacing

    async def call(
        self,
        verb: str,
        path: str,
        at: Ids | None = None,
        *,
        body: object = None,
        query: Mapping[str, object] | None = None,
        files: Sequence[File] = (),
        priority: Priority | None = Priority.PLAIN,
        patience: int = 4,
    ) -> Json:
        """Calls an endpoint, with retries, and returns its JSON object.

        `priority` is None for endpoints outside the global rate limit; `patience` is the number of
        retries.
        """
        ...

    async def get_list(
        self, path: str, at: Ids | None = None, *, query: Mapping[str, object] | None = None
    ) -> list[Json]:
        """Returns the JSON array of a GET endpoint, with four retries."""
        ...

    def calls_left(self, verb: str, path: str, at: Ids) -> int | None:
        """Returns how many calls the route's bucket allows; None before a response."""
        ...

    def download(self, url: str) -> AsyncIterator[bytes]: ...


def error_code(error: SurfaceError) -> int:
    """Returns Discord's error code of an error, 0 if it has none."""
    value = error.details.get("code")
    return value if isinstance(value, int) else 0


def api_base_url(url: str) -> str:
    """Returns the base URL of version 10 for a URL with or without `/api/v10`."""
    bare = url.strip().rstrip("/") or PUBLIC_API_URL
    if _VERSIONED.search(bare):
        return bare
    return f"{bare}/v10" if bare.endswith("/api") else f"{bare}/api/v10"


def proxy_for(url: str) -> str | None:
    """Returns the proxy from HTTPS_PROXY or HTTP_PROXY; None if NO_PROXY names the host."""
    if urllib.request.proxy_bypass(urlsplit(url).hostname or ""):
        return None
    proxies = urllib.request.getproxies()
    return proxies.get("https") or proxies.get("http") or None


def is_discord_url(url: str, api_url: str) -> bool:
    """Whether files may be downloaded from a URL: from the API's host, or from Discord by HTTPS."""
    host = urlsplit(url).hostname or ""
    if host == urlsplit(api_url).hostname:
        return True
    is_known = any(host == suffix or host.endswith(f".{suffix}") for suffix in _HOSTS)
    return url.startswith("https://") and is_known
