"""All use of Bolt: receives payloads over sockets or HTTP and hands their events to the app."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from slack_bolt import BoltResponse
from slack_bolt.adapter.socket_mode.async_internals import run_async_bolt_app
from slack_bolt.adapter.starlette.async_handler import (
    to_async_bolt_request,
    to_starlette_response,
)
from slack_bolt.async_app import AsyncApp, AsyncBoltContext
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.socket_mode.request import SocketModeRequest
from starlette.requests import Request
from starlette.responses import Response

from adapters.slack import payload_parsing, workspace_of_payload
from adapters.slack.agent_view import AgentView, is_conversation_opened, user_who_opened
from adapters.slack.api_port import Access, Json, error_code, is_response_url
from adapters.slack.event_order import EventOrder
from adapters.slack.http_api import (
    INVALID_TOKEN_ERRORS,
    REVOKED_TOKEN_ERRORS,
    HttpApi,
    silent_logger,
)
from adapters.slack.listeners import FORM_RESPONSE_KEY, IS_STORED_KEY, add_listeners
from adapters.slack.payload_parsing import HOME_CHANNEL_PREFIX, Bot
from adapters.slack.people import People, Person
from adapters.slack.request_signature import RequestRefused, read_signed_body
from adapters.slack.socket_mode import SocketModeConnections
from adapters.slack.submissions import Submission
from adapters.slack.surface import InteractionContext, SlackSurface
from bot.commands import Catalogue
from bot.domain import ChannelKind, Place, User, UserId, WorkspaceId
from bot.errors import PlaceClosed, SettingsError, SurfaceError
from bot.events import (
    ButtonClicked,
    ChannelDeleted,
    CommandInvoked,
    Event,
    MessageEdited,
    MessageReceived,
    MessagesDeleted,
    PersonLeft,
    ShortcutUsed,
    WorkspaceLeft,
)
from bot.keyed_order import KeyedOrder
from bot.ports.dependencies import App
from bot.ports.store import Clock

log = logging.getLogger(__name__)

_ACK_SECONDS = 2.5
_FORM_SECONDS = 2.0
"""Seconds that a submitted form waits for its outcome; Slack itself waits three seconds."""
_ANSWER_SECONDS = 10.0
_FORM_PATIENCE_SECONDS = 0.8
_RESERVED_LOOKUPS = 50


class Slack:
    """The Slack adapter of one workspace: `run` receives events, and `surface` sends messages."""

    def __init__(
        self, access: Access, catalogue: Catalogue, clock: Clock, say: Callable[..., str]
    ) -> None:
        self._access = access
        self._catalogue = catalogue
        self._clock = clock
        self._app: App | None = None
        self._bot: Bot | None = None
        self._is_ready = asyncio.Event()
        self._is_closed = asyncio.Event()
        self._waits: set[asyncio.Task[object]] = set()
        self.api = HttpApi(access)
        self._event_order = EventOrder()
        self._order = KeyedOrder()
        self._people = People(self.api, self._whoami, time.monotonic)
        self.surface = SlackSurface(
            self.api,
            self._people,
            self._whoami,
            say,
            ready=self._ready,
            installed=self.is_installed,
        )
        self._bolt: AsyncApp | None = None
        self._has_listened = False
        self._is_checking = False
        self._agent = AgentView(self.api, say)
        self.api.on_revoked = self._check_revoked

    async def run(self, app: App) -> None:
        """Runs until cancelled or the app is removed. Raises SettingsError for rejected tokens."""
        self._app = app
        try:
            bot = await self._identify_unless_removed(app)
            if bot is None:
                return
            self._bot = bot
            self._bolt = self._build_app()
            self._is_ready.set()
            log.info("Slack knows us", extra={"workspace": self._bot.team})
            if self._access.is_http:
                await self._is_closed.wait()
            else:
                await self._listen(self._bolt)
        finally:
            for task in self._waits:
                task.cancel()
            await self.api.close()

    @property
    def is_http(self) -> bool:
        """Whether Slack sends HTTP requests.

        Otherwise the app opens sockets and takes no requests.
        """
        return self._access.is_http

    async def handle_http(self, request: Request) -> Response:
        """Handles a request of HTTP mode; only signed requests are parsed."""
        if not self._access.is_http:
            return Response(status_code=404)
        try:
            body = await read_signed_body(request, self._access.signing_secret)
        except RequestRefused as refusal:
            log.warning("A request was refused", extra={"status": refusal.status})
            return Response(status_code=refusal.status)
        if self._bolt is None:
            return Response(status_code=503, content="starting")
        try:
            answer = await self._bolt.async_dispatch(to_async_bolt_request(request, body))
        except Exception:
            log.exception("Slack sent something that cannot be read")
            return Response(status_code=400)
        return to_starlette_response(answer)

    async def _listen(self, app: AsyncApp) -> None:
        async def receive(envelope: Json) -> Json | None:
            request = SocketModeRequest.from_dict(envelope)
            if request is None:
                return {}
            try:
                response = await run_async_bolt_app(app, request)
            except Exception:
                # A payload that cannot be read is acknowledged, as a second delivery would fail
                # too.
                log.exception("Slack sent something that cannot be read")
                return {}
            if response.status != 200:
                return None
            return dict(json.loads(response.body)) if response.body else {}

        sockets = SocketModeConnections(
            self._socket_url, receive, session=self.api.session, proxy=self.api.proxy
        )
        listening = asyncio.create_task(sockets.run(), name="slack sockets")
        closed = asyncio.create_task(self._is_closed.wait(), name="slack closed")
        try:
            await asyncio.wait({listening, closed}, return_when=asyncio.FIRST_COMPLETED)
            if listening.done():
                await listening
        finally:
            closed.cancel()
            listening.cancel()
            await asyncio.wait({listening})

    async def _socket_url(self) -> str:
        """Returns a socket URL.

        A rejected app token raises SettingsError only before the first URL.
        """
        try:
            url = await self.api.socket_url()
        except SurfaceError as error:
            problem = error_code(error)
            if not self._has_listened and problem in (
                *REVOKED_TOKEN_ERRORS,
                *INVALID_TOKEN_ERRORS,
                "missing_scope",
            ):
                raise _app_token_refused(problem) from error
            raise
        self._has_listened = True
        return url

    async def is_installed(self, workspace: WorkspaceId) -> bool | None:
        """Returns whether the app is installed, by `auth.test`; None if Slack does not answer."""
        if self._is_closed.is_set():
            return False
        if self._bot is None:
            return None
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                response = await self.api.call("auth.test", {}, patience=1)
        except TimeoutError:
            return None
        except SurfaceError as error:
            return False if error_code(error) in (*REVOKED_TOKEN_ERRORS, "invalid_auth") else None
        return workspace == _bot(response).workspace

    async def _identify_unless_removed(self, app: App) -> Bot | None:
        """Returns the bot's identity; None if the token is rejected after the app was removed.

        Other platforms of the same process then run on.
        """
        try:
            return await self._identify()
        except SettingsError:
            if not await app.has_closed_workspace("slack"):
                raise
        log.warning("Slack refuses the token of a workspace that removed the app")
        self._is_closed.set()
        self._is_ready.set()
        return None

    async def _identify(self) -> Bot:
        """Returns the bot's identity; retries while Slack is unreachable.

        Raises SettingsError for a rejected token.
        """
        wait = 1.0
        while True:
            try:
                response = await self.api.call("auth.test", {}, is_repeatable=False)
                return _bot(response)
            except SurfaceError as error:
                problem = error_code(error)
                if problem in (*REVOKED_TOKEN_ERRORS, *INVALID_TOKEN_ERRORS):
                    raise SettingsError(
                        variable="SLACK_BOT_TOKEN",
                        problem=f"Slack refuses it ({problem})",
                        remedy="Copy the Bot User OAuth Token (xoxb-…) of the installed app.",
                    ) from error
                log.warning("Slack cannot be reached yet", extra={"why": problem})
            await self._clock.sleep(timedelta(seconds=wait))
            wait = min(60.0, wait * 2)

    def _build_app(self) -> AsyncApp:
        bot = self._whoami()

        async def authorize() -> AuthorizeResult:
            return AuthorizeResult(
                enterprise_id=None,
                team_id=bot.team,
                bot_user_id=bot.user,
                bot_id=bot.bot,
                bot_token=self._access.bot_token,
            )

        # Without a token of its own, Bolt does not call auth.test for every event.
        app = AsyncApp(
            # Without a name, Bolt reads the source of every frame on the stack to find one.
            name="attune",
            client=self.api.tokenless_client(),
            authorize=authorize,
            signing_secret=self._access.signing_secret,
            logger=silent_logger(),
            # The signature of HTTP requests is checked before parsing, see `read_signed_body`.
            request_verification_enabled=False,
            # Listeners only acknowledge, so the response does not have to wait for a task.
            process_before_response=True,
            raise_error_for_unhandled_request=True,
        )
        app.middleware(self._store_payload)
        add_listeners(app)
        return app

    async def _store_payload(
        self,
        body: Json,
        context: AsyncBoltContext,
        next: Callable[[], Awaitable[None]],  # noqa: A002
    ) -> BoltResponse | None:
        """Stores a payload before a listener acknowledges it.

        A failed event gets an error status, as Slack delivers events again; other payloads get 200.
        """
        if not self._is_for_this_workspace(body):
            # The payload is acknowledged, as Slack would otherwise send it again.
            log.warning("Slack sent what is for another workspace")
            return BoltResponse(status=200, body="")
        is_event = body.get("type") == "event_callback"
        is_form = body.get("type") == "view_submission"
        submission = Submission(body.get("view") or {}) if is_form else None
        work = asyncio.ensure_future(self._receive(body, submission))
        self._waits.add(work)
        work.add_done_callback(self._waits.discard)
        work.add_done_callback(_log_failure)
        finished, _ = await asyncio.wait({work}, timeout=_FORM_SECONDS if is_form else _ACK_SECONDS)
        is_failed = bool(finished) and work.exception() is not None
        if is_failed or (is_event and not finished):
            # Slack delivers an event again, and its key then shows that it is stored. Slack never
            # delivers a click again, so an error status would only show a warning to the user.
            status = (500 if finished else 503) if is_event else 200
            return BoltResponse(status=status, body="")
        if submission is not None:
            waiting = None if finished else self.surface.waiting_view(submission)
            context[FORM_RESPONSE_KEY] = submission.answer(waiting)
        context[IS_STORED_KEY] = True
        await next()
        return None

    def _is_for_this_workspace(self, body: Json) -> bool:
        bot = self._whoami()
        return workspace_of_payload.is_for_workspace(
            body, bot.team, bot.enterprise, must_say=self._access.is_http
        )

    def _handle_of(self, body: Json) -> payload_parsing.InteractionHandle:
        """Returns the payload's handle, without a `response_url` that is not at Slack."""
        handle = payload_parsing.interaction_handle_of(body)
        if handle.response_url and not is_response_url(handle.response_url, self._access.api_url):
            log.warning("A response_url does not lead to Slack")
            return replace(handle, response_url=None)
        return handle

    async def _receive(self, body: Json, submission: Submission | None = None) -> None:
        self._update_caches(body)
        if self._event_order.is_outdated(body):
            return
        if submission is not None and not self.surface.is_first_submission(submission):
            return
        bot, handle = self._whoami(), self._handle_of(body)
        for event in payload_parsing.read_events(body, bot, self._clock.now()):
            context = self.surface.remember(event, handle, submission)
            may_open = self._catalogue.may_open_form(event.what) and bool(handle.trigger)
            if may_open:
                self._start(self._open_waiting(context))
            task = await self._handle_in_order(context, event)
            if may_open or submission is not None:
                self._start(self._end_waiting(context, task))
            if submission is not None:
                await submission.wait_until_decided(task)

    async def _handle_in_order(
        self, context: InteractionContext, event: Event
    ) -> asyncio.Task[None] | None:
        """Hands events about the same message to the app in order of arrival.

        Some of them need look-ups, which take longer for one than for another.
        """
        ticket = self._order.enqueue(event.ordering_keys)
        try:
            with_details = await self._with_user_and_place(event)
            context.event = with_details
            if context.submission is not None:
                context.submission.locale = with_details.locale
            await ticket.wait_turn()
            return await self._handle(with_details)
        finally:
            ticket.leave()

    def _update_caches(self, body: Json) -> None:
        """Updates caches from events and logs when Slack withholds events."""
        if body.get("type") == "app_rate_limited":
            log.warning("Slack holds events back: there were too many within an hour")
        event = body.get("event") or {}
        if event.get("type") in payload_parsing.CHANNEL_KIND_EVENTS:
            self._people.forget_channel(str(event.get("channel") or ""))
        if str(event.get("type")).startswith("subteam_"):
            self._people.forget_groups()
        self._agent.note_viewed_channel(event)
        if is_conversation_opened(event):
            self._start(self._suggest(event))
        if event.get("type") == "user_change":
            self._people.forget_person(str((event.get("user") or {}).get("id") or ""))

    async def _suggest(self, event: Json) -> None:
        user = UserId(user_who_opened(event))
        person = await self._people.person(User(user, user))
        await self._agent.suggest(event, person.locale)

    async def _handle(self, event: Event) -> asyncio.Task[None] | None:
        assert self._app is not None
        task = await self._app.handle(event)
        if task is not None and isinstance(event.what, MessageReceived) and event.what.is_direct:
            message = event.what.message
            if message.place.thread is None:
                self._start(self._agent.set_title(message.place.channel, message.id, message.text))
        if isinstance(event.what, WorkspaceLeft):
            self._start(self._close_after_removal(task))
        is_click = isinstance(event.what, ButtonClicked)
        if is_click and str(event.place.channel) == event.user.id and task is not None:
            self._start(self._show_home(event, task))
        return task

    async def _with_user_and_place(self, event: Event) -> Event:
        """Returns the event with the user's details and the kind of channel, where they matter."""
        what = event.what
        if isinstance(
            what, MessagesDeleted | MessageEdited | PersonLeft | ChannelDeleted | WorkspaceLeft
        ):
            return event
        if isinstance(what, MessageReceived):
            person = await self._author(event, is_asked=what.is_addressed)
            looks_at = self._agent.channel_of(event.user.id) if what.is_direct else None
            with_user = replace(event, user=person.user, locale=person.locale)
            return replace(with_user, looks_at=looks_at)
        is_shared = event.place.kind is ChannelKind.SHARED
        person, place, groups = await asyncio.gather(
            self._people.person(event.user, is_shared=is_shared),
            self._place_with_kind(event),
            self._people.groups_of(event.user.id),
        )
        user = replace(person.user, groups=groups)
        event = replace(event, user=user, locale=person.locale, place=place)
        if isinstance(what, ShortcutUsed):
            (with_author,) = await self._people.with_authors([what.message])
            message = replace(with_author, place=replace(with_author.place, kind=place.kind))
            event = replace(event, what=replace(what, message=message))
        return event

    async def _author(self, event: Event, *, is_asked: bool) -> Person:
        """Returns the author of a message from the cache, or looks the author up.

        A question waits for the first look-up of its author; later look-ups run beside the answer.
        Messages to others leave some look-ups of the minute to questions.
        """
        cached = self._people.last_known(event.user)
        is_shared = event.place.kind is ChannelKind.SHARED
        if not is_asked and not self.api.pacing.has_calls_left(
            "users.info", reserve=_RESERVED_LOOKUPS
        ):
            return cached or Person(event.user, event.locale)
        if cached is None:
            return await self._people.person(event.user, is_shared=is_shared)
        if not self._people.is_fresh(event.user):
            self._start(self._people.person(event.user, is_shared=is_shared))
        return cached

    async def _place_with_kind(self, event: Event) -> Place:
        needs_lookup = not isinstance(
            event.what, CommandInvoked
        ) and not event.place.channel.startswith(HOME_CHANNEL_PREFIX)
        return await self._people.with_channel_kind(event.place) if needs_lookup else event.place

    async def _open_waiting(self, context: InteractionContext) -> None:
        await asyncio.sleep(_FORM_PATIENCE_SECONDS)
        await self.surface.open_placeholder_form(context)

    async def _end_waiting(
        self, context: InteractionContext, task: asyncio.Task[None] | None
    ) -> None:
        if task is not None:
            await asyncio.wait({task})
        await self.surface.close_interaction(context)

    async def _show_home(self, event: Event, task: asyncio.Task[None]) -> None:
        """Publishes the home tab again after a click in the tab has been handled."""
        await asyncio.wait({task})
        assert self._app is not None
        key = f"{event.key}/home"
        opened = payload_parsing.home_opened_event(
            self._whoami(), event.user.id, self._clock.now(), key=key
        )
        opened = replace(opened, user=event.user, locale=event.locale)
        self.surface.remember(opened, payload_parsing.InteractionHandle())
        await self._app.handle(opened)

    def _check_revoked(self) -> None:
        """Checks once whether the token was revoked, as all calls fail then."""
        if self._is_ready.is_set() and not self._is_checking and not self._is_closed.is_set():
            self._is_checking = True
            self._start(self._end_if_revoked())

    async def _end_if_revoked(self) -> None:
        """Handles a revoked token as if Slack had sent an event; the app checks before closing."""
        try:
            bot, now = self._whoami(), self._clock.now()
            if await self.is_installed(bot.workspace) is False:
                key = f"{bot.workspace}/revoked/{now.timestamp()}"
                await self._handle(payload_parsing.workspace_left_event(bot, key, now))
        finally:
            self._is_checking = False

    async def _close_after_removal(self, task: asyncio.Task[None] | None) -> None:
        """Ends `run` if the app was really removed."""
        if task is not None:
            await asyncio.wait({task})
        if await self.is_installed(self._whoami().workspace) is not False:
            return
        log.warning("Slack has removed the app; it is left alone until a start with a new token")
        self._is_closed.set()

    def _start(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._waits.add(task)
        task.add_done_callback(self._waits.discard)
        task.add_done_callback(_log_failure)

    async def _ready(self) -> None:
        await self._is_ready.wait()
        if self._is_closed.is_set():
            raise PlaceClosed(code="account_inactive")

    def _whoami(self) -> Bot:
        assert self._bot is not None
        return self._bot


def _bot(response: Json) -> Bot:
    """Returns the bot of an `auth.test` response; an organisation is its own team.

    https://docs.slack.dev/reference/methods/auth.test
    """
    enterprise = str(response.get("enterprise_id") or "")
    team = str(response.get("team_id") or response.get("team") or "")
    return Bot(
        enterprise if response.get("is_enterprise_install") and enterprise else team,
        str(response.get("user_id") or ""),
        str(response.get("bot_id") or ""),
        str(response.get("url") or ""),
        enterprise,
    )


def _log_failure(task: asyncio.Task[Any]) -> None:
    """Logs the failure of a task; asyncio would log it late and with the exception's text."""
    if not task.cancelled() and task.exception() is not None:
        log.error("A payload was not taken", exc_info=task.exception())


def _app_token_refused(problem: str) -> SettingsError:
    return SettingsError(
        variable="SLACK_APP_TOKEN",
        problem=f"Slack refuses it ({problem})",
        remedy="Make an app-level token (xapp-…) with the scope connections:write.",
    )
