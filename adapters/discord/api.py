"""The calls that Discord is asked with, and where they may go; the gateway makes them."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from adapters.discord.pacing import Pacing, Priority
from bot.errors import SurfaceError

Json = dict[str, Any]
Ids = Mapping[str, str]

PUBLIC_API = "https://discord.com/api/v10"

MESSAGES = "/channels/{channel_id}/messages"
MESSAGE = "/channels/{channel_id}/messages/{message_id}"
TYPING = "/channels/{channel_id}/typing"
CALLBACK = "/interactions/{interaction_id}/{interaction_token}/callback"
FOLLOW_UP = "/webhooks/{webhook_id}/{webhook_token}"
FOLLOWED = "/webhooks/{webhook_id}/{webhook_token}/messages/{message_id}"
THREADS = "/channels/{channel_id}/messages/{message_id}/threads"
OWN_REACTION = "/channels/{channel_id}/messages/{message_id}/reactions/{emoji}/@me"
DIRECT = "/users/@me/channels"

_VERSIONED = re.compile(r"/v\d+$")
_HOSTS = ("discord.com", "discordapp.com", "discordapp.net", "discord.gg")


@dataclass(frozen=True, slots=True)
class Access:
    """What lets us in; the token is never shown."""

    token: str = field(repr=False)
    api_url: str = PUBLIC_API
    gateway_url: str = ""
    development_guild: str = ""


@dataclass(frozen=True, slots=True)
class File:
    """A file that goes along with a message; `description` is read aloud to who cannot see it."""

    name: str
    data: bytes = field(repr=False)
    content_type: str = "application/octet-stream"
    description: str = ""


class Api(Protocol):
    """Raises only `bot.errors.SurfaceError`s; `details["code"]` is Discord's own number."""

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
        """`priority` is None for calls outside the limits; `patience` is the number of retries."""
        ...

    async def get_list(
        self, path: str, at: Ids | None = None, *, query: Mapping[str, object] | None = None
    ) -> list[Json]: ...

    def calls_left(self, verb: str, path: str, at: Ids) -> int | None:
        """How many such calls may be made right now; None where Discord has not told."""
        ...

    def download(self, url: str) -> AsyncIterator[bytes]: ...


def error_code(error: SurfaceError) -> int:
    """Discord's own number for what went wrong; 0 where there is none."""
    value = error.details.get("code")
    return value if isinstance(value, int) else 0


def api_base(url: str) -> str:
    """The address of version 10, however much of it was given."""
    bare = url.strip().rstrip("/") or PUBLIC_API
    if _VERSIONED.search(bare):
        return bare
    return f"{bare}/v10" if bare.endswith("/api") else f"{bare}/api/v10"


def proxy_for(url: str) -> str | None:
    """As curl does it: HTTPS_PROXY or HTTP_PROXY, but not for what NO_PROXY names."""
    if urllib.request.proxy_bypass(urlsplit(url).hostname or ""):
        return None
    known = urllib.request.getproxies()
    return known.get("https") or known.get("http") or None


def is_discord(url: str, api_url: str) -> bool:
    """Whether a file may be fetched from there."""
    host = urlsplit(url).hostname or ""
    if host == urlsplit(api_url).hostname:
        return True
    is_known = any(host == known or host.endswith(f".{known}") for known in _HOSTS)
    return url.startswith("https://") and is_known
