"""All use of Slack's libraries: sockets and HTTP in, Web API calls out."""

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

from adapters.slack import inbound, origin
from adapters.slack.agent_view import AgentView, is_opening, opened_by
from adapters.slack.api import Access, Json, error_code, is_response_url
from adapters.slack.event_order import EventOrder
from adapters.slack.http_api import REFUSED, REVOKED, HttpApi, library_log
from adapters.slack.inbound import HOME, Bot
from adapters.slack.listeners import FORM_ANSWER, IS_KEPT, add_listeners
from adapters.slack.people import People, Person
from adapters.slack.request_signature import RequestRefused, signed_body
from adapters.slack.sockets import Sockets
from adapters.slack.submissions import Submission
from adapters.slack.surface import InteractionContext, SlackSurface
from bot.commands import Catalogue
from bot.domain import ChannelKind, Place, User, UserId, WorkspaceId
from bot.errors import PlaceClosed, SettingsError, SurfaceError
from bot.events import (
    ButtonClicked,
    CommandInvoked,
    Event,
    MessageEdited,
    MessageReceived,
    MessagesDeleted,
    PersonLeft,
    PlaceDeleted,
    ShortcutUsed,
    WorkspaceLeft,
)
from bot.keyed_order import KeyedOrder
from bot.ports.dependencies import App
from bot.ports.store import Clock

log = logging.getLogger(__name__)

_ACK_SECONDS = 2.5
_FORM_SECONDS = 2.0
"""How long a form that was sent waits for its outcome; Slack itself waits three seconds."""
_ANSWER_SECONDS = 10.0
_FORM_PATIENCE_SECONDS = 0.8
_KEPT_LOOK_UPS = 50


class Slack:
    """One workspace of Slack: `run` until cancelled, `surface` for the core to speak through."""

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
        self._is_asking = False
        self._agent = AgentView(self.api, say)
        self.api.on_revoked = self._ask_whether_revoked

    async def run(self, app: App) -> None:
        """Raises SettingsError for tokens that Slack refuses; outlives everything else."""
        self._app = app
        try:
            bot = await self._identified_unless_removed(app)
            if bot is None:
                return
            self._bot = bot
            self._bolt = self._built_app()
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
        """Whether Slack calls us; else we listen at its sockets and take no requests."""
        return self._access.is_http

    async def handle_http(self, request: Request) -> Response:
        """Events, commands and clicks of HTTP mode; only what Slack has signed is looked at."""
        if not self._access.is_http:
            return Response(status_code=404)
        try:
            body = await signed_body(request, self._access.signing_secret)
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
                # What cannot be read will not be read better when it comes again.
                log.exception("Slack sent something that cannot be read")
                return {}
            if response.status != 200:
                return None
            return dict(json.loads(response.body)) if response.body else {}

        sockets = Sockets(self._socket_url, receive, session=self.api.session, proxy=self.api.proxy)
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
        """A refused app token ends the start, but not what has been running well."""
        try:
            url = await self.api.socket_url()
        except SurfaceError as error:
            problem = error_code(error)
            if not self._has_listened and problem in (*REVOKED, *REFUSED, "missing_scope"):
                raise _app_token_refused(problem) from error
            raise
        self._has_listened = True
        return url

    async def is_installed(self, workspace: WorkspaceId) -> bool | None:
        """By `auth.test` with the token of today; None where Slack does not answer."""
        if self._is_closed.is_set():
            return False
        if self._bot is None:
            return None
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                answer = await self.api.call("auth.test", {}, patience=1)
        except TimeoutError:
            return None
        except SurfaceError as error:
            return False if error_code(error) in (*REVOKED, "invalid_auth") else None
        return workspace == _bot(answer).workspace

    async def _identified_unless_removed(self, app: App) -> Bot | None:
        """After the app was removed its token is refused; what else runs here runs on without."""
        try:
            return await self._identified()
        except SettingsError:
            if not await app.has_closed("slack"):
                raise
        log.warning("Slack refuses the token of a workspace that removed the app")
        self._is_closed.set()
        self._is_ready.set()
        return None

    async def _identified(self) -> Bot:
        """Waits for a Slack that cannot be reached; a refused token ends the start."""
        wait = 1.0
        while True:
            try:
                answer = await self.api.call("auth.test", {}, is_repeatable=False)
                return _bot(answer)
            except SurfaceError as error:
                problem = error_code(error)
                if problem in (*REVOKED, *REFUSED):
                    raise SettingsError(
                        variable="SLACK_BOT_TOKEN",
                        problem=f"Slack refuses it ({problem})",
                        remedy="Copy the Bot User OAuth Token (xoxb-…) of the installed app.",
                    ) from error
                log.warning("Slack cannot be reached yet", extra={"why": problem})
            await self._clock.sleep(timedelta(seconds=wait))
            wait = min(60.0, wait * 2)

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
            # Else bolt reads the source of every frame on the stack to name itself after one.
            name="attune",
            client=self.api.bare_client(),
            authorize=authorize,
            signing_secret=self._access.signing_secret,
            logger=library_log(),
            # What comes by HTTP is verified before it is read, see `signed_body`.
            request_verification_enabled=False,
            # Listeners only acknowledge, so the response need not wait for a task of theirs.
            process_before_response=True,
            raise_error_for_unhandled_request=True,
        )
        app.middleware(self._persist)
        add_listeners(app)
        return app

    async def _persist(
        self,
        body: Json,
        context: AsyncBoltContext,
        next: Callable[[], Awaitable[None]],  # noqa: A002
    ) -> BoltResponse | None:
        """Commits every payload before a listener acknowledges it."""
        if not self._is_for_us(body):
            # Acknowledged, for Slack would only send it again.
            log.warning("Slack sent what is for another workspace")
            return BoltResponse(status=200, body="")
        is_event = body.get("type") == "event_callback"
        is_form = body.get("type") == "view_submission"
        sent = Submission(body.get("view") or {}) if is_form else None
        work = asyncio.ensure_future(self._receive(body, sent))
        self._waits.add(work)
        work.add_done_callback(self._waits.discard)
        work.add_done_callback(_told_if_failed)
        done, _ = await asyncio.wait({work}, timeout=_FORM_SECONDS if is_form else _ACK_SECONDS)
        is_failed = bool(done) and work.exception() is not None
        if is_failed or (is_event and not done):
            # Slack delivers an event again, and we know it then; a click is never delivered
            # again, so to refuse it would only alarm.
            status = (500 if done else 503) if is_event else 200
            return BoltResponse(status=status, body="")
        if sent is not None:
            waiting = None if done else self.surface.waiting_view(sent)
            context[FORM_ANSWER] = sent.answer(waiting)
        context[IS_KEPT] = True
        await next()
        return None

    def _is_for_us(self, body: Json) -> bool:
        bot = self._whoami()
        return origin.is_for(body, bot.team, bot.enterprise, must_say=self._access.is_http)

    def _handle_of(self, body: Json) -> inbound.InteractionHandle:
        """Without an address for answers that is none of Slack's."""
        handle = inbound.handle_of(body)
        if handle.response_url and not is_response_url(handle.response_url, self._access.api_url):
            log.warning("A response_url does not lead to Slack")
            return replace(handle, response_url=None)
        return handle

    async def _receive(self, body: Json, sent: Submission | None = None) -> None:
        self._note(body)
        if self._event_order.is_outdated(body):
            return
        if sent is not None and not self.surface.is_first_submission(sent):
            return
        bot, handle = self._whoami(), self._handle_of(body)
        for event in inbound.read(body, bot, self._clock.now()):
            context = self.surface.remember(event, handle, sent)
            may_open = self._catalogue.may_open_form(event.what) and bool(handle.trigger)
            if may_open:
                self._later(self._open_waiting(context))
            task = await self._in_order(context, event)
            if may_open or sent is not None:
                self._later(self._end_waiting(context, task))
            if sent is not None:
                await sent.wait_until_decided(task)

    async def _in_order(
        self, context: InteractionContext, event: Event
    ) -> asyncio.Task[None] | None:
        """Handed in as it arrived, though some have to be looked up and others have not."""
        ticket = self._order.enqueue(event.ordering_keys)
        try:
            described = await self._described(event)
            context.event = described
            if context.submission is not None:
                context.submission.locale = described.locale
            await ticket.wait_turn()
            return await self._handle(described)
        finally:
            ticket.leave()

    def _note(self, body: Json) -> None:
        """Events for the adapter alone: rate limits and caches."""
        if body.get("type") == "app_rate_limited":
            log.warning("Slack holds events back: there were too many within an hour")
        event = body.get("event") or {}
        if event.get("type") in inbound.CHANGING:
            self._people.forget_channel(str(event.get("channel") or ""))
        if str(event.get("type")).startswith("subteam_"):
            self._people.forget_groups()
        self._agent.note_viewed_channel(event)
        if is_opening(event):
            self._later(self._suggest(event))
        if event.get("type") == "user_change":
            self._people.forget_person(str((event.get("user") or {}).get("id") or ""))

    async def _suggest(self, event: Json) -> None:
        user = UserId(opened_by(event))
        person = await self._people.person(User(user, user))
        await self._agent.suggest(event, person.locale)

    async def _handle(self, event: Event) -> asyncio.Task[None] | None:
        assert self._app is not None
        task = await self._app.handle(event)
        if task is not None and isinstance(event.what, MessageReceived) and event.what.is_direct:
            said = event.what.message
            if said.place.thread is None:
                self._later(self._agent.set_title(said.place.channel, said.id, said.text))
        if isinstance(event.what, WorkspaceLeft):
            self._later(self._leave(task))
        is_click = isinstance(event.what, ButtonClicked)
        if is_click and str(event.place.channel) == event.user.id and task is not None:
            self._later(self._show_home(event, task))
        return task

    async def _described(self, event: Event) -> Event:
        """With the person's role and the channel's kind, where they decide anything."""
        what = event.what
        if isinstance(
            what, MessagesDeleted | MessageEdited | PersonLeft | PlaceDeleted | WorkspaceLeft
        ):
            return event
        if isinstance(what, MessageReceived):
            person = await self._speaker(event, is_asked=what.is_addressed)
            looks_at = self._agent.channel_of(event.user.id) if what.is_direct else None
            described = replace(event, user=person.user, locale=person.locale)
            return replace(described, looks_at=looks_at)
        is_shared = event.place.kind is ChannelKind.SHARED
        person, place, groups = await asyncio.gather(
            self._people.person(event.user, is_shared=is_shared),
            self._kind(event),
            self._people.groups_of(event.user.id),
        )
        user = replace(person.user, groups=groups)
        event = replace(event, user=user, locale=person.locale, place=place)
        if isinstance(what, ShortcutUsed):
            (marked,) = await self._people.with_authors([what.message])
            message = replace(marked, place=replace(marked.place, kind=place.kind))
            event = replace(event, what=replace(what, message=message))
        return event

    async def _speaker(self, event: Event, *, is_asked: bool) -> Person:
        """A question waits for the first look at its asker alone; later ones come beside it.

        What is said to others leaves some of the look-ups a minute for those who ask.
        """
        known = self._people.last_known(event.user)
        is_shared = event.place.kind is ChannelKind.SHARED
        if not is_asked and not self.api.pacing.has_calls_left(
            "users.info", reserve=_KEPT_LOOK_UPS
        ):
            return known or Person(event.user, event.locale)
        if known is None:
            return await self._people.person(event.user, is_shared=is_shared)
        if not self._people.is_fresh(event.user):
            self._later(self._people.person(event.user, is_shared=is_shared))
        return known

    async def _kind(self, event: Event) -> Place:
        needs = not isinstance(event.what, CommandInvoked) and not event.place.channel.startswith(
            HOME
        )
        return await self._people.with_channel_kind(event.place) if needs else event.place

    async def _open_waiting(self, context: InteractionContext) -> None:
        await asyncio.sleep(_FORM_PATIENCE_SECONDS)
        await self.surface.open_placeholder_form(context)

    async def _end_waiting(
        self, context: InteractionContext, task: asyncio.Task[None] | None
    ) -> None:
        if task is not None:
            await asyncio.wait({task})
        await self.surface.end_waiting(context)

    async def _show_home(self, event: Event, task: asyncio.Task[None]) -> None:
        """A click in the home tab may have changed what it shows."""
        await asyncio.wait({task})
        assert self._app is not None
        key = f"{event.key}/home"
        opened = inbound.home_opened(self._whoami(), event.user.id, self._clock.now(), key=key)
        opened = replace(opened, user=event.user, locale=event.locale)
        self.surface.remember(opened, inbound.InteractionHandle())
        await self._app.handle(opened)

    def _ask_whether_revoked(self) -> None:
        """Every call fails then; one of them is enough to ask."""
        if self._is_ready.is_set() and not self._is_asking and not self._is_closed.is_set():
            self._is_asking = True
            self._later(self._end_if_revoked())

    async def _end_if_revoked(self) -> None:
        """A report like any other: the app asks Slack before it closes anything."""
        try:
            bot, now = self._whoami(), self._clock.now()
            if await self.is_installed(bot.workspace) is False:
                key = f"{bot.workspace}/revoked/{now.timestamp()}"
                await self._handle(inbound.workspace_left_event(bot, key, now))
        finally:
            self._is_asking = False

    async def _leave(self, task: asyncio.Task[None] | None) -> None:
        """Where the app was really removed, there is nobody left to listen to."""
        if task is not None:
            await asyncio.wait({task})
        if await self.is_installed(self._whoami().workspace) is not False:
            return
        log.warning("Slack has removed the app; it is left alone until a start with a new token")
        self._is_closed.set()

    def _later(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._waits.add(task)
        task.add_done_callback(self._waits.discard)
        task.add_done_callback(_told_if_failed)

    async def _ready(self) -> None:
        await self._is_ready.wait()
        if self._is_closed.is_set():
            raise PlaceClosed(code="account_inactive")

    def _whoami(self) -> Bot:
        assert self._bot is not None
        return self._bot


def _bot(answer: Json) -> Bot:
    """https://docs.slack.dev/reference/methods/auth.test; an organisation is its own team."""
    enterprise = str(answer.get("enterprise_id") or "")
    team = str(answer.get("team_id") or answer.get("team") or "")
    return Bot(
        enterprise if answer.get("is_enterprise_install") and enterprise else team,
        str(answer.get("user_id") or ""),
        str(answer.get("bot_id") or ""),
        str(answer.get("url") or ""),
        enterprise,
    )


def _told_if_failed(task: asyncio.Task[Any]) -> None:
    """Else asyncio tells it at the end, with the words of the exception."""
    if not task.cancelled() and task.exception() is not None:
        log.error("A payload was not taken", exc_info=task.exception())


def _app_token_refused(problem: str) -> SettingsError:
    return SettingsError(
        variable="SLACK_APP_TOKEN",
        problem=f"Slack refuses it ({problem})",
        remedy="Make an app-level token (xapp-…) with the scope connections:write.",
    )
