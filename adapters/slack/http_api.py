"""Calls to Slack's Web API, with retries and this project's own errors."""

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

from adapters.slack.api import Access, Before, Json, is_response_url, is_slack, proxy_for
from adapters.slack.pacing import Pacing
from bot.errors import MessageGone, PlaceClosed, SurfaceBusy, SurfaceError

log = logging.getLogger(__name__)

_CALL_SECONDS = 30
_LONGEST_WAIT_SECONDS = 60.0
_BLOCK = 64 * 1024
_WORD = re.compile(r"[\w.:-]{1,80}")

_GONE = ("message_not_found", "thread_not_found", "cant_update_message", "edit_window_closed")
_CLOSED = (
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
REVOKED = ("token_revoked", "account_inactive")
REFUSED = ("invalid_auth", "not_authed", "token_expired", "not_allowed_token_type")
_PASSING = ("internal_error", "fatal_error", "service_unavailable", "request_timeout")
# As the library's own methods ask: reading takes no JSON, and these two write without.
# https://docs.slack.dev/apis/web-api#post-bodies
_READING = (
    "conversations.history",
    "conversations.info",
    "conversations.replies",
    "files.info",
    "auth.teams.list",
    "usergroups.list",
    "users.info",
    "users.list",
)
_IN_FORMS = (
    "auth.test",
    "conversations.open",
    "files.completeUploadExternal",
    "files.getUploadURLExternal",
    "reactions.add",
)


class HttpApi:
    """Calls with Slack's patience built in; implements `adapters.slack.api.Api`."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self.proxy = proxy_for(access.api_url)
        self.pacing = Pacing(time.monotonic, asyncio.sleep)
        self.on_revoked: Callable[[], None] = _nothing
        self._client: AsyncWebClient | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        session = self.client.session
        assert session is not None
        return session

    @property
    def client(self) -> AsyncWebClient:
        """Made when first used, inside the running loop."""
        if self._client is None:
            session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=_CALL_SECONDS),
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
            )
            self._client = self._made(self._access.bot_token, session)
        return self._client

    def bare_client(self) -> AsyncWebClient:
        """For bolt, which must not find a token to check."""
        return self._made(None, None)

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
        before: Before | None = None,
    ) -> Json:
        tries = 0
        while True:
            await self._turn(method, channel, patience)
            if before is not None:
                await before()
            try:
                return await self._once(method, args, channel)
            except SurfaceBusy:
                tries += 1
                if tries > patience:
                    raise
            except SurfaceError as error:
                tries += 1
                if not error.details.get("is_unknown") or not is_repeatable or tries > patience:
                    raise
                await asyncio.sleep(min(8.0, 0.25 * 2**tries))

    async def _turn(self, method: str, channel: str | None, patience: int) -> None:
        """Who has no patience is told at once that there is nothing to wait for."""
        if not patience and self.pacing.budget(method).wait_seconds > 0:
            raise SurfaceBusy(code="ratelimited")
        await self.pacing.turn(method, channel)

    async def respond(self, url: str, payload: Mapping[str, object]) -> None:
        """Only at Slack's own hosts, wherever these may want to send it on."""
        if not is_response_url(url, self._access.api_url):
            raise SurfaceError(message="the address is not at Slack", code="foreign_host")
        session = self.session
        with _as_surface_error():
            async with session.post(
                url, json=payload, proxy=self.proxy, allow_redirects=False
            ) as answer:
                if answer.status >= 300:
                    raise MessageGone(code=f"http_{answer.status}")

    async def upload(
        self, channel: str, name: str, data: bytes, *, comment: str, thread: str | None, alt: str
    ) -> None:
        args = {"filename": name, "length": len(data), "alt_txt": alt[:1000]}
        begun = await self.call("files.getUploadURLExternal", args)
        await self._send_bytes(str(begun["upload_url"]), data)
        done: dict[str, object] = {
            "files": [{"id": begun["file_id"], "title": name}],
            "channel_id": channel,
        }
        if comment:
            done["initial_comment"] = comment
        if thread is not None:
            done["thread_ts"] = thread
        await self.call("files.completeUploadExternal", done, is_repeatable=False)

    async def download(self, url: str) -> AsyncIterator[bytes]:
        """The token goes to Slack's own hosts alone, and to no other by a redirect."""
        if not is_slack(url, self._access.api_url):
            raise SurfaceError(message="the file is not at Slack", code="foreign_host")
        session = self.session
        headers = {"Authorization": f"Bearer {self._access.bot_token}"}
        with _as_surface_error():
            async with session.get(
                url, headers=headers, proxy=self.proxy, allow_redirects=False
            ) as answer:
                if answer.status != 200:
                    raise SurfaceError(
                        message=f"the file cannot be read ({answer.status})", code="no_file"
                    )
                async for block in answer.content.iter_chunked(_BLOCK):
                    yield block

    async def scopes(self) -> tuple[Json, frozenset[str]]:
        """Who we are and what we may, by the header of `auth.test`."""
        with _as_surface_error():
            answer = await self.client.api_call("auth.test")
        held = str(answer.headers.get("x-oauth-scopes", ""))
        data: Json = dict(answer.data) if isinstance(answer.data, dict) else {}
        return data, frozenset(scope.strip() for scope in held.split(",") if scope.strip())

    async def socket_url(self) -> str:
        """A ticket for one connection; here the app's token counts, not the bot's."""
        with _as_surface_error():
            answer = await self.client.apps_connections_open(app_token=self._access.app_token)
            url = answer.get("url")
        if not url:
            raise SurfaceError(message="Slack names no address", code="no_url")
        return str(url)

    async def _once(self, method: str, args: Mapping[str, object], channel: str | None) -> Json:
        wanted = {name: value for name, value in args.items() if value is not None}
        verb = "GET" if method in _READING else "POST"
        is_form = method in _IN_FORMS or verb == "GET"
        body: Json = {"params": _form(wanted)} if is_form else {"json": wanted}
        try:
            with _as_surface_error():
                answer = await self.client.api_call(method, http_verb=verb, **body)
        except PlaceClosed as error:
            if error.details.get("code") in REVOKED:
                self.on_revoked()
            raise
        except SurfaceBusy as error:
            seconds = _seconds(error.details.get("retry_after"))
            self.pacing.on_rate_limited(method, min(_LONGEST_WAIT_SECONDS, seconds), channel)
            raise
        return dict(answer.data) if isinstance(answer.data, dict) else {}

    async def _send_bytes(self, url: str, data: bytes) -> None:
        session = self.session
        with _as_surface_error():
            async with session.post(
                url, data=data, proxy=self.proxy, allow_redirects=False
            ) as answer:
                if answer.status != 200:
                    raise SurfaceError(
                        message=f"the upload was refused ({answer.status})", code="upload"
                    )

    def _made(self, token: str | None, session: aiohttp.ClientSession | None) -> AsyncWebClient:
        client = AsyncWebClient(
            token=token,
            base_url=self._access.api_url,
            timeout=_CALL_SECONDS,
            session=session,
            logger=library_log(),
            retry_handlers=[],
        )
        client.proxy = self.proxy
        return client


@contextlib.contextmanager
def _as_surface_error() -> Iterator[None]:
    try:
        yield
    except SlackApiError as error:
        raise _translated(error) from error
    except (SlackClientError, aiohttp.ClientError, TimeoutError, OSError) as error:
        name = type(error).__name__
        raise SurfaceError(message=name, code="unreachable", is_unknown=True) from error


def _translated(error: SlackApiError) -> SurfaceError:
    response: Any = error.response
    status = int(getattr(response, "status_code", 0) or getattr(response, "status", 0) or 0)
    data = response.data if isinstance(getattr(response, "data", None), dict) else {}
    said = str(data.get("error") or "")
    # It is logged, so it must be a word and no sentence.
    problem = said if _WORD.fullmatch(said) else f"http_{status}"
    if status == 429 or problem == "ratelimited":
        headers: Mapping[str, Any] = getattr(response, "headers", None) or {}
        after = headers.get("Retry-After") or headers.get("retry-after") or 1
        return SurfaceBusy(code="ratelimited", retry_after=after)
    if (status >= 500 and status != 501) or problem in _PASSING:
        return SurfaceError(message=problem, code=problem, is_unknown=True)
    if problem in _GONE:
        return MessageGone(code=problem)
    if problem in _CLOSED or problem in REVOKED:
        return PlaceClosed(code=problem)
    if problem in REFUSED:
        log.error("Slack refuses a token; attune doctor says which", extra={"why": problem})
    if problem == "missing_scope":
        needed = str(data.get("needed", "?"))
        return SurfaceError(message=f"the scope {needed} is missing", code=problem, needed=needed)
    return SurfaceError(message=problem, code=problem)


def _nothing() -> None:
    """Until somebody wants to know."""


def _seconds(said: object) -> float:
    try:
        return max(0.0, float(str(said)))
    except ValueError:
        return 1.0


def _form(args: Mapping[str, object]) -> dict[str, object]:
    """Form fields know no booleans and no nesting."""

    def flat(value: object) -> object:
        if isinstance(value, bool):
            return "true" if value else "false"
        return value if isinstance(value, str | int) else json.dumps(value)

    return {name: flat(value) for name, value in args.items()}


def library_log() -> logging.Logger:
    """Silent at every level, since the libraries log whole payloads; what fails is logged by us.

    Bolt copies `disabled`, `level` and the filters to its own loggers, and some of the libraries'
    guards read `level` alone.
    """
    silent = logging.getLogger("attune.slack_libraries")
    silent.setLevel(logging.CRITICAL)
    silent.disabled = True
    if not silent.filters:
        silent.addFilter(_nothing_passes)
    return silent


def _nothing_passes(record: logging.LogRecord) -> bool:
    return False
