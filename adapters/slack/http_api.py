"""Calls of Slack's Web API, with retries and SurfaceErrors instead of the library's errors."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.api_port import (
    Access,
    BeforeCall,
    Json,
    is_response_url,
    is_slack_url,
    proxy_for,
)
from adapters.slack.rate_limits import Pacing
from bot.errors import MessageGone, PlaceClosed, SurfaceBusy, SurfaceError

log = logging.getLogger(__name__)

_CALL_SECONDS = 30
_MAX_WAIT_SECONDS = 60.0
_CHUNK_BYTES = 64 * 1024
_ERROR_CODE = re.compile(r"[\w.:-]{1,80}")

_MESSAGE_GONE = (
    "message_not_found",
    "thread_not_found",
    "cant_update_message",
    "edit_window_closed",
)
_PLACE_CLOSED = (
    "channel_not_found",
    "not_in_channel",
    "is_archived",
    "user_not_in_channel",
    "restricted_action",
    "restricted_action_read_only_channel",
    "restricted_action_thread_only_channel",
    "cannot_dm_bot",
    "user_disabled",
)
REVOKED_TOKEN_ERRORS = ("token_revoked", "account_inactive")
INVALID_TOKEN_ERRORS = ("invalid_auth", "not_authed", "token_expired", "not_allowed_token_type")
_TEMPORARY = ("internal_error", "fatal_error", "service_unavailable", "request_timeout")
# Reading methods take no JSON, and the second group is called with form fields, both as in the
# library's own methods: https://docs.slack.dev/apis/web-api#post-bodies
_GET_METHODS = (
    "conversations.history",
    "conversations.info",
    "conversations.replies",
    "files.info",
    "auth.teams.list",
    "usergroups.list",
    "users.info",
    "users.list",
)
_FORM_METHODS = (
    "auth.test",
    "conversations.open",
    "files.completeUploadExternal",
    "files.getUploadURLExternal",
    "reactions.add",
)


class HttpApi:
    """Calls Slack's Web API with retries; an `adapters.slack.api_port.Api`."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self.proxy = proxy_for(access.api_url)
        self.pacing = Pacing(time.monotonic, asyncio.sleep)
        self.on_revoked: Callable[[], None] = _do_nothing
        self._client: AsyncWebClient | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        session = self.client.session
        assert session is not None
        return session

    @property
    def client(self) -> AsyncWebClient:
        """The client with the bot token, created at first use in the running loop."""
        if self._client is None:
            session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=_CALL_SECONDS),
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
            )
            self._client = self._new_client(self._access.bot_token, session)
        return self._client

    def tokenless_client(self) -> AsyncWebClient:
        """Returns a client without token for Bolt, which would check a token."""
        return self._new_client(None, None)

    async def close(self) -> None:
        if self._client is not None and self._client.session is not None:
            await self._client.session.close()

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
        attempts = 0
        while True:
            await self._wait_turn(method, channel, patience)
            if before is not None:
                await before()
            try:
                return await self._call_once(method, args, channel)
            except SurfaceBusy:
                attempts += 1
                if attempts > patience:
                    raise
            except SurfaceError as error:
                attempts += 1
                if not error.details.get("is_unknown") or not is_repeatable or attempts > patience:
                    raise
                await asyncio.sleep(min(8.0, 0.25 * 2**attempts))

    async def _wait_turn(self, method: str, channel: str | None, patience: int) -> None:
        """Waits for the rate limit; without patience raises SurfaceBusy instead of waiting."""
        if not patience and self.pacing.budget(method).wait_seconds > 0:
            raise SurfaceBusy(code="ratelimited")
        await self.pacing.turn(method, channel)

    async def respond(self, url: str, payload: Mapping[str, object]) -> None:
        """Posts to a `response_url`, only at Slack's hosts and without redirects."""
        if not is_response_url(url, self._access.api_url):
            raise SurfaceError(message="the address is not at Slack", code="foreign_host")
        session = self.session
        with _as_surface_error():
            async with session.post(
                url, json=payload, proxy=self.proxy, allow_redirects=False
            ) as response:
                if response.status >= 300:
                    raise MessageGone(code=f"http_{response.status}")

    async def upload(
        self, channel: str, name: str, data: bytes, *, comment: str, thread: str | None, alt: str
    ) -> None:
        args = {"filename": name, "length": len(data), "alt_txt": alt[:1000]}
        ticket = await self.call("files.getUploadURLExternal", args)
        await self._send_bytes(str(ticket["upload_url"]), data)
        completion: dict[str, object] = {
            "files": [{"id": ticket["file_id"], "title": name}],
            "channel_id": channel,
        }
        if comment:
            completion["initial_comment"] = comment
        if thread is not None:
            completion["thread_ts"] = thread
        await self.call("files.completeUploadExternal", completion, is_repeatable=False)

    async def download(self, url: str) -> AsyncIterator[bytes]:
        """Yields a file of Slack.

        The token is sent only to Slack's hosts, never along a redirect.
        """
        if not is_slack_url(url, self._access.api_url):
            raise SurfaceError(message="the file is not at Slack", code="foreign_host")
        session = self.session
        headers = {"Authorization": f"Bearer {self._access.bot_token}"}
        with _as_surface_error():
            async with session.get(
                url, headers=headers, proxy=self.proxy, allow_redirects=False
            ) as response:
                if response.status != 200:
                    raise SurfaceError(
                        message=f"the file cannot be read ({response.status})", code="no_file"
                    )
                async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                    yield chunk

    async def scopes(self) -> tuple[Json, frozenset[str]]:
        """Returns the response of `auth.test`, and the granted scopes from its header."""
        with _as_surface_error():
            response = await self.client.api_call("auth.test")
        header = str(response.headers.get("x-oauth-scopes", ""))
        data: Json = dict(response.data) if isinstance(response.data, dict) else {}
        return data, frozenset(scope.strip() for scope in header.split(",") if scope.strip())

    async def socket_url(self) -> str:
        """Returns the URL of one Socket Mode connection, which the app token is needed for."""
        with _as_surface_error():
            response = await self.client.apps_connections_open(app_token=self._access.app_token)
            url = response.get("url")
        if not url:
            raise SurfaceError(message="Slack names no address", code="no_url")
        return str(url)

    async def _call_once(
        self, method: str, args: Mapping[str, object], channel: str | None
    ) -> Json:
        given = {name: value for name, value in args.items() if value is not None}
        verb = "GET" if method in _GET_METHODS else "POST"
        is_form = method in _FORM_METHODS or verb == "GET"
        body: Json = {"params": _form_fields(given)} if is_form else {"json": given}
        try:
            with _as_surface_error():
                response = await self.client.api_call(method, http_verb=verb, **body)
        except PlaceClosed as error:
            if error.details.get("code") in REVOKED_TOKEN_ERRORS:
                self.on_revoked()
            raise
        except SurfaceBusy as error:
            seconds = _seconds(error.details.get("retry_after"))
            self.pacing.on_rate_limited(method, min(_MAX_WAIT_SECONDS, seconds), channel)
            raise
        return dict(response.data) if isinstance(response.data, dict) else {}

    async def _send_bytes(self, url: str, data: bytes) -> None:
        session = self.session
        with _as_surface_error():
            async with session.post(
                url, data=data, proxy=self.proxy, allow_redirects=False
            ) as response:
                if response.status != 200:
                    raise SurfaceError(
                        message=f"the upload was refused ({response.status})", code="upload"
                    )

    def _new_client(
        self, token: str | None, session: aiohttp.ClientSession | None
    ) -> AsyncWebClient:
        client = AsyncWebClient(
            token=token,
            base_url=self._access.api_url,
            timeout=_CALL_SECONDS,
            session=session,
            logger=silent_logger(),
            retry_handlers=[],
        )
        client.proxy = self.proxy
        return client


@contextlib.contextmanager
def _as_surface_error() -> Iterator[None]:
    try:
        yield
    except SlackApiError as error:
        raise _to_surface_error(error) from error
    except (SlackClientError, aiohttp.ClientError, TimeoutError, OSError) as error:
        name = type(error).__name__
        raise SurfaceError(message=name, code="unreachable", is_unknown=True) from error


def _to_surface_error(error: SlackApiError) -> SurfaceError:
    response: Any = error.response
    status = int(getattr(response, "status_code", 0) or getattr(response, "status", 0) or 0)
    data = response.data if isinstance(getattr(response, "data", None), dict) else {}
    code = str(data.get("error") or "")
    # The code is logged, so only a word is accepted, no sentence.
    problem = code if _ERROR_CODE.fullmatch(code) else f"http_{status}"
    if status == 429 or problem == "ratelimited":
        headers: Mapping[str, Any] = getattr(response, "headers", None) or {}
        retry_after = headers.get("Retry-After") or headers.get("retry-after") or 1
        return SurfaceBusy(code="ratelimited", retry_after=retry_after)
    if (status >= 500 and status != 501) or problem in _TEMPORARY:
        return SurfaceError(message=problem, code=problem, is_unknown=True)
    if problem in _MESSAGE_GONE:
        return MessageGone(code=problem)
    if problem in _PLACE_CLOSED or problem in REVOKED_TOKEN_ERRORS:
        return PlaceClosed(code=problem)
    if problem in INVALID_TOKEN_ERRORS:
        log.error("Slack refuses a token; attune doctor says which", extra={"why": problem})
    if problem == "missing_scope":
        needed = str(data.get("needed", "?"))
        return SurfaceError(message=f"the scope {needed} is missing", code=problem, needed=needed)
    return SurfaceError(message=problem, code=problem)


def _do_nothing() -> None:
    """The callback until the gateway sets one."""


def _seconds(retry_after: object) -> float:
    try:
        return max(0.0, float(str(retry_after)))
    except ValueError:
        return 1.0


def _form_fields(args: Mapping[str, object]) -> dict[str, object]:
    """Returns arguments as form fields, which have no booleans and no nesting."""

    def as_field(value: object) -> object:
        if isinstance(value, bool):
            return "true" if value else "false"
        return value if isinstance(value, str | int) else json.dumps(value)

    return {name: as_field(value) for name, value in args.items()}


def silent_logger() -> logging.Logger:
    """Returns a logger that logs nothing, as the libraries log whole payloads.

    Bolt copies `disabled`, `level` and the filters to its own loggers, and some checks in the
    libraries read `level` only.
    """
    silent = logging.getLogger("attune.slack_libraries")
    silent.setLevel(logging.CRITICAL)
    silent.disabled = True
    if not silent.filters:
        silent.addFilter(_drop_record)
    return silent


def _drop_record(record: logging.LogRecord) -> bool:
    return False
