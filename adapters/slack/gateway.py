"""The one door to Slack's libraries: sockets and HTTP in, Web API calls out."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import aiohttp
from slack_bolt import BoltResponse
from slack_bolt.adapter.fastapi.async_handler import AsyncSlackRequestHandler
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient
from starlette.requests import Request
from starlette.responses import Response

from adapters.slack import inbound
from adapters.slack.inbound import HOME, Bot
from adapters.slack.pacing import Pacing
from adapters.slack.people import People
from adapters.slack.surface import Grip, SlackSurface
from adapters.slack.wire import Access, Json, is_slack, proxy_for
from bot.commands import Catalogue
from bot.errors import MessageGone, PlaceClosed, SettingsError, SurfaceBusy, SurfaceError
from bot.events import Clicked, Commanded, Deleted, Edited, Event, Left, Marked, Spoken
from bot.model import Place
from bot.ports.store import Clock
from bot.ports.world import House

log = logging.getLogger(__name__)

_SOCKETS = 2
_PING_SECONDS = 5.0
_ACK_SECONDS = 2.5
_FORM_PATIENCE_SECONDS = 0.8
_CALL_SECONDS = 30
_LONGEST_WAIT_SECONDS = 60.0
_BLOCK = 64 * 1024

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
_REVOKED = ("token_revoked", "account_inactive", "invalid_auth", "not_authed", "token_expired")
_PASSING = ("internal_error", "fatal_error", "service_unavailable", "request_timeout")
# These take form fields alone: https://docs.slack.dev/apis/web-api#post-bodies
_FORM_ONLY = (
    "conversations.history",
    "conversations.info",
    "conversations.replies",
    "files.info",
    "users.info",
)


class Slack:
    """One workspace of Slack: `run` until cancelled, `surface` for the core to speak through."""

    def __init__(
        self, access: Access, catalogue: Catalogue, clock: Clock, say: Callable[..., str]
    ) -> None:
        self._access = access
        self._catalogue = catalogue
        self._clock = clock
        self._house: House | None = None
        self._bot: Bot | None = None
        self._is_ready = asyncio.Event()
        self._is_closed = asyncio.Event()
        self._waits: set[asyncio.Task[object]] = set()
        self.wire = ApiWire(access)
        self._people = People(self.wire, self._whoami, time.monotonic)
        self.surface = SlackSurface(self.wire, self._people, self._whoami, say, ready=self._ready)
        self._app: AsyncApp | None = None

    async def run(self, house: House) -> None:
        """Raises SettingsError for tokens that Slack refuses; outlives everything else."""
        self._house = house
        try:
            self._bot = await self._identified()
            self._app = self._built_app()
            self._is_ready.set()
            if self._access.is_http:
                await self._is_closed.wait()
            else:
                await self._listen(self._app)
        finally:
            for task in self._waits:
                task.cancel()
            await self.wire.close()

    async def handle_http(self, request: Request) -> Response:
        """Events, commands and clicks of HTTP mode; bolt checks signature and age."""
        if self._app is None:
            return Response(status_code=503, content="starting")
        answer: Response = await AsyncSlackRequestHandler(self._app).handle(request)
        return answer

    async def _listen(self, app: AsyncApp) -> None:
        """Two sockets, so that one can be renewed while the other listens."""
        await self._check_app_token()
        handlers = [self._socket(app) for _ in range(_SOCKETS)]
        try:
            for handler in handlers:
                await _connected(handler)
            await self._is_closed.wait()
        finally:
            for handler in handlers:
                with contextlib.suppress(aiohttp.ClientError, OSError):
                    await _closed(handler)

    def _socket(self, app: AsyncApp) -> AsyncSocketModeHandler:
        handler = AsyncSocketModeHandler(
            app,
            self._access.app_token,
            logger=_library_log(),
            web_client=self.wire.client,
            ping_interval=_PING_SECONDS,
        )
        # The library takes proxies from the environment without asking NO_PROXY.
        handler.client.proxy = self.wire.proxy
        return handler

    async def _identified(self) -> Bot:
        """Waits for a Slack that cannot be reached; a refused token ends the start."""
        wait = 1.0
        while True:
            try:
                answer = await self.wire.call("auth.test", {})
                return Bot(
                    str(answer["team_id"]),
                    str(answer["user_id"]),
                    str(answer.get("bot_id") or ""),
                    str(answer.get("user") or ""),
                    str(answer.get("url") or ""),
                )
            except SurfaceError as error:
                problem = str(error.details.get("code", ""))
                if problem in (*_REVOKED, "not_allowed_token_type"):
                    raise SettingsError(
                        variable="SLACK_BOT_TOKEN",
                        problem=f"Slack refuses it ({problem})",
                        remedy="Copy the Bot User OAuth Token (xoxb-…) of the installed app.",
                    ) from error
                log.warning("Slack cannot be reached yet", extra={"why": problem})
            await self._clock.sleep(timedelta(seconds=wait))
            wait = min(60.0, wait * 2)

    async def _check_app_token(self) -> None:
        problem = await self.wire.app_token_problem()
        if problem in (*_REVOKED, "not_allowed_token_type", "missing_scope"):
            raise SettingsError(
                variable="SLACK_APP_TOKEN",
                problem=f"Slack refuses it ({problem})",
                remedy="Make an app-level token (xapp-…) with the scope connections:write.",
            )

    def _built_app(self) -> AsyncApp:
        bot = self._whoami()

        async def authorize() -> AuthorizeResult:
            return AuthorizeResult(
                enterprise_id=None,
                team_id=bot.team,
                bot_user_id=bot.user,
                bot_id=bot.bot,
                bot_token=self._access.bot_token,
            )

        # Without a token of its own bolt asks no auth.test for every event.
        app = AsyncApp(
            client=self.wire.bare_client(),
            authorize=authorize,
            signing_secret=self._access.signing_secret,
            logger=_library_log(),
            request_verification_enabled=self._access.is_http,
        )
        app.middleware(self._promise)
        return app

    async def _promise(self, body: Json, next: object) -> BoltResponse:  # noqa: A002
        """Everything is committed before it is acknowledged; what means nothing is just that."""
        is_event = body.get("type") == "event_callback"
        work = asyncio.ensure_future(self._take(body))
        self._waits.add(work)
        work.add_done_callback(self._waits.discard)
        done, _ = await asyncio.wait({work}, timeout=_ACK_SECONDS)
        if not done:
            # Slack delivers an unacknowledged event again and we know it then; a click
            # is never delivered again, so to refuse it would only alarm.
            return BoltResponse(status=503 if is_event else 200, body="")
        if work.exception() is not None:
            log.error("A payload was not taken", exc_info=work.exception())
            return BoltResponse(status=500 if is_event else 200, body="")
        return BoltResponse(status=200, body="")

    async def _take(self, body: Json) -> None:
        bot, handle = self._whoami(), inbound.handle_of(body)
        for event in inbound.read(body, bot, self._clock.now()):
            grip = self.surface.take(event, handle)
            if self._catalogue.may_open_form(event.what) and handle.trigger:
                self._later(self._open_waiting(grip))
            described = await self._described(event)
            grip.event = described
            await self._handle(described)

    async def _handle(self, event: Event) -> None:
        assert self._house is not None
        task = await self._house.handle(event)
        if isinstance(event.what, Left):
            self._later(self._leave(task))
        is_click = isinstance(event.what, Clicked)
        if is_click and str(event.place.channel) == event.user.id and task is not None:
            self._later(self._show_home(event, task))

    async def _described(self, event: Event) -> Event:
        """With the person's role and the channel's kind, where they decide anything."""
        what = event.what
        if isinstance(what, Deleted | Edited | Left):
            return event
        if isinstance(what, Spoken):
            # A question does not wait for a profile; the next one will have it.
            known = self._people.known(event.user)
            if known is None and what.is_addressed:
                self._later(self._people.person(event.user))
            return replace(event, user=known.user, locale=known.locale) if known else event
        person, place = await asyncio.gather(self._people.person(event.user), self._kind(event))
        event = replace(event, user=person.user, locale=person.locale, place=place)
        if isinstance(what, Marked):
            (marked,) = await self._people.described([what.message])
            message = replace(marked, place=replace(marked.place, kind=place.kind))
            event = replace(event, what=replace(what, message=message))
        return event

    async def _kind(self, event: Event) -> Place:
        needs = not isinstance(event.what, Commanded) and not event.place.channel.startswith(HOME)
        return await self._people.place(event.place) if needs else event.place

    async def _open_waiting(self, grip: Grip) -> None:
        await asyncio.sleep(_FORM_PATIENCE_SECONDS)
        await self.surface.open_waiting(grip)

    async def _show_home(self, event: Event, task: asyncio.Task[None]) -> None:
        """A click in the home tab may have changed what it shows."""
        await asyncio.wait({task})
        assert self._house is not None
        key = f"{event.key}/home"
        visit = inbound.visit(self._whoami(), event.user.id, self._clock.now(), key=key)
        visit = replace(visit, user=event.user, locale=event.locale)
        self.surface.take(visit, inbound.Handle())
        await self._house.handle(visit)

    async def _leave(self, task: asyncio.Task[None] | None) -> None:
        """Uninstalled: once everything is erased there is nobody left to listen to."""
        if task is not None:
            await asyncio.wait({task})
        log.warning("Slack has removed the app; its data is erased and its door is closed")
        self._is_closed.set()

    def _later(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._waits.add(task)
        task.add_done_callback(self._waits.discard)

    async def _ready(self) -> None:
        await self._is_ready.wait()
        if self._is_closed.is_set():
            raise PlaceClosed(code="account_inactive")

    def _whoami(self) -> Bot:
        assert self._bot is not None
        return self._bot


class ApiWire:
    """Calls with Slack's patience built in; implements `adapters.slack.wire.Wire`."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self.proxy = proxy_for(access.api_url)
        self.pacing = Pacing(time.monotonic, asyncio.sleep)
        self._client: AsyncWebClient | None = None

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
    ) -> Json:
        tries = 0
        while True:
            if patience:
                await self.pacing.turn(method, channel)
            elif self.pacing.budget(method).wait > 0:
                raise SurfaceBusy(code="ratelimited")
            else:
                await self.pacing.turn(method, channel)
            try:
                return await self._once(method, args)
            except SurfaceBusy:
                tries += 1
                if tries > patience:
                    raise
            except SurfaceError as error:
                tries += 1
                if not error.details.get("is_unknown") or not is_repeatable or tries > patience:
                    raise
                await asyncio.sleep(min(8.0, 0.25 * 2**tries))

    async def respond(self, url: str, payload: Mapping[str, object]) -> None:
        session = self.client.session
        assert session is not None
        with _as_surface_error():
            async with session.post(url, json=payload, proxy=self.proxy) as answer:
                if answer.status >= 400:
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
        session = self.client.session
        assert session is not None
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

    async def app_token_problem(self) -> str | None:
        """Slack's word for what is wrong with the app token; None when a socket could be opened."""
        try:
            with _as_surface_error():
                await self.client.apps_connections_open(app_token=self._access.app_token)
        except SurfaceError as error:
            return str(error.details.get("code") or "unreachable")
        return None

    async def _once(self, method: str, args: Mapping[str, object]) -> Json:
        wanted = {name: value for name, value in args.items() if value is not None}
        is_form = method in _FORM_ONLY or method == "files.getUploadURLExternal"
        body: Json = {"params": _form(wanted)} if is_form else {"json": wanted}
        try:
            with _as_surface_error():
                answer = await self.client.api_call(method, **body)
        except SurfaceBusy as error:
            seconds = float(str(error.details.get("retry_after", 1)))
            self.pacing.refused(method, min(_LONGEST_WAIT_SECONDS, seconds))
            raise
        return dict(answer.data) if isinstance(answer.data, dict) else {}

    async def _send_bytes(self, url: str, data: bytes) -> None:
        session = self.client.session
        assert session is not None
        with _as_surface_error():
            async with session.post(url, data=data, proxy=self.proxy) as answer:
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
            logger=_library_log(),
            retry_handlers=[],
        )
        client.proxy = self.proxy
        return client


async def _connected(handler: AsyncSocketModeHandler) -> None:
    """Tries until Slack lets it in."""
    connect: Callable[[], Awaitable[None]] = handler.client.connect
    await connect()


async def _closed(handler: AsyncSocketModeHandler) -> None:
    close: Callable[[], Awaitable[None]] = handler.client.close
    await close()


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
    problem = str(data.get("error") or f"http_{status}")
    if status == 429 or problem == "ratelimited":
        headers: Mapping[str, Any] = getattr(response, "headers", None) or {}
        after = headers.get("Retry-After") or headers.get("retry-after") or 1
        return SurfaceBusy(code="ratelimited", retry_after=after)
    if status >= 500 or problem in _PASSING:
        return SurfaceError(message=problem, code=problem, is_unknown=True)
    if problem in _GONE:
        return MessageGone(code=problem)
    if problem in _CLOSED or problem in _REVOKED:
        if problem in _REVOKED:
            log.error("Slack refuses our token", extra={"why": problem})
        return PlaceClosed(code=problem)
    if problem == "missing_scope":
        needed = str(data.get("needed", "?"))
        return SurfaceError(message=f"the scope {needed} is missing", code=problem, needed=needed)
    return SurfaceError(message=problem, code=problem)


def _form(args: Mapping[str, object]) -> dict[str, object]:
    """Form fields know no booleans and no nesting."""

    def flat(value: object) -> object:
        if isinstance(value, bool):
            return "true" if value else "false"
        return value if isinstance(value, str | int) else json.dumps(value)

    return {name: flat(value) for name, value in args.items()}


def _library_log() -> logging.Logger:
    """Quiet: at lower levels the libraries log whole payloads, and their guards read `level`."""
    quiet = logging.getLogger("attune.slack_libraries")
    quiet.setLevel(logging.CRITICAL)
    return quiet
