"""Runs the bot on Discord: listens to the gateway, stores each event, then handles it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from adapters.discord import inbound, manifest
from adapters.discord.api import Access, Json, error_code
from adapters.discord.autocomplete import choices, choices_query, parse_autocomplete, suggest
from adapters.discord.direct_guild_choices import DirectGuildChoices
from adapters.discord.direct_messages import DirectMessages, PayloadInGuild
from adapters.discord.directory import Directory
from adapters.discord.gateway import HttpApi
from adapters.discord.gateway_events import GatewayConnection, GatewayEvent
from adapters.discord.inbound import COMPLETION, Bot, EventContext, PayloadWithContext, handle_of
from adapters.discord.interactions import InteractionContext
from adapters.discord.members import Members
from adapters.discord.session_file import SessionFile
from adapters.discord.shard_connections import (
    CONTENT,
    MEMBERS,
    GatewayPlan,
    IdentifyQueue,
    Shard,
    ShardingRequired,
    bad_token,
)
from adapters.discord.surface import DiscordSurface
from bot.commands import Catalogue
from bot.domain import ChannelId, Place, User, UserId
from bot.errors import SurfaceError
from bot.events import (
    ButtonClicked,
    Event,
    FormSubmitted,
    MessageReceived,
    PersonLeft,
    PlaceDeleted,
    WorkspaceLeft,
)
from bot.keyed_order import KeyedOrder, QueueTicket
from bot.ports.dependencies import App
from bot.ports.store import Clock, Store
from bot.replies import Refused as Denied
from bot.replies import Text

log = logging.getLogger(__name__)

# https://docs.discord.com/developers/events/gateway#list-of-intents
_GUILDS, _MESSAGES, _REACTIONS = 1 << 0, 1 << 9, 1 << 10
_DIRECT_MESSAGES, _DIRECT_REACTIONS = 1 << 12, 1 << 13
INTENTS = _GUILDS | _MESSAGES | _REACTIONS | _DIRECT_MESSAGES | _DIRECT_REACTIONS
# https://docs.discord.com/developers/resources/application#application-object-application-flags
CONTENT_FLAGS = (1 << 18) | (1 << 19)
_MEMBERS_FLAGS = (1 << 14) | (1 << 15)
_PUBLIC_GATEWAY = "wss://gateway.discord.gg/"

_DEFER_SECONDS, _PUBLIC_DEFER_SECONDS = 2.0, 0.6
_COMPLETION_SECONDS = 2.3
_KEEP_EVERY_SECONDS = 0.2
_TRIES_TO_KEEP, _LONGEST_WAIT_SECONDS = 8, 60.0
_LONGEST_REGISTER_WAIT_SECONDS = 600.0
_RESHARD_SECONDS = 5.0
_MOST_MARKS = 5000
_LAST_WORDS_SECONDS = 11.0
_INTERACTION = "INTERACTION_CREATE"
_PLACES_GONE = ("CHANNEL_DELETE", "THREAD_DELETE")
_CHANGES = ("MESSAGE_UPDATE", "MESSAGE_DELETE", "MESSAGE_DELETE_BULK")


class Discord:
    """`run` until cancelled, `surface` for the core to speak through."""

    def __init__(
        self,
        access: Access,
        catalogue: Catalogue,
        clock: Clock,
        say: Callable[..., str],
        *,
        store: Store,
        folder: Path,
    ) -> None:
        self._access, self._catalogue = access, catalogue
        self._clock, self._say = clock, say
        self._folder, self._store = folder, store
        self._memory = SessionFile(folder / "discord.json")
        self._app: App | None = None
        self._me: Bot | None = None
        self._is_for_users = False
        self._directory: Directory | None = None
        self._talks: DirectMessages | None = None
        self._is_ready = asyncio.Event()
        self._waits: set[asyncio.Task[object]] = set()
        self._working: set[asyncio.Task[None]] = set()
        self._marks: OrderedDict[tuple[str, ...], tuple[str, str]] = OrderedDict()
        self.shards: list[Shard] = []
        self._order = KeyedOrder()
        self.api = HttpApi(access)
        self._members = Members(self.api)
        self.surface = DiscordSurface(
            self.api,
            self._bot,
            say,
            ready=self._ready,
            note=self._workspace_note,
            is_direct=self._is_direct,
            locate=self._locate,
            missing_permissions=self._missing_permissions,
            owner=lambda guild: self._known().owner_of(guild),
            names=lambda: self._bot().names,
            members=self._members,
        )

    async def run(self, app: App) -> None:
        """Raises SettingsError for what Discord refuses; outlives everything else."""
        self._app = app
        try:
            flags = await self._identify()
            self._is_ready.set()
            log.info("Discord knows us")
            self._later(self._register())
            self._later(self._keep_place())
            await self._listen(_intents(flags))
        finally:
            await self._hang_up()

    async def _hang_up(self) -> None:
        """Nothing more is heard; what is being answered may come to its end."""
        for waiting in self._waits:
            waiting.cancel()
        await asyncio.gather(*self._waits, return_exceptions=True)
        self._keep_sessions()
        if self._working:
            await asyncio.wait(set(self._working), timeout=_LAST_WORDS_SECONDS)
        await self.surface.close()
        await self.api.close()

    async def _identify(self) -> int | None:
        """Who we are; waits for a Discord that cannot be reached. The application's flags."""
        wait = 1.0
        while True:
            try:
                me = await self.api.log_in()
                application = await self._application()
                break
            except SurfaceError as error:
                if error_code(error) == 401:
                    raise bad_token() from error
                log.warning("Discord cannot be reached yet", extra={"why": error.key})
            await self._clock.sleep(timedelta(seconds=wait))
            wait = min(_LONGEST_WAIT_SECONDS, wait * 2)
        number = str(me["id"])
        self._me = Bot(number, str(application.get("id") or number))
        self._directory = Directory(self.api, number)
        directs = DirectGuildChoices(self._store, self._directory, self._members)
        self._talks = DirectMessages(self.surface, self._directory, directs, self._say)
        # Discord refuses what is not switched on at the page Installation.
        self._is_for_users = "1" in (application.get("integration_types_config") or {})
        flags = application.get("flags")
        return int(flags) if flags is not None else None

    async def _application(self) -> Json:
        for path in ("/applications/@me", "/oauth2/applications/@me"):
            with contextlib.suppress(SurfaceError):
                return await self.api.call("GET", path, patience=1)
        return {}

    async def _register(self) -> None:
        """Tells Discord of our commands, where it has not heard of just these."""
        drawn = manifest.commands(self._catalogue, self._say, is_for_users=self._is_for_users)
        guild, application = self._access.development_guild, self._bot().application
        path, at = "/applications/{application_id}/commands", {"application_id": application}
        if guild:
            path, at = (
                "/applications/{application_id}/guilds/{guild_id}/commands",
                {
                    "application_id": application,
                    "guild_id": guild,
                },
            )
        known = manifest.fingerprint(drawn, self.api.base, application, guild)
        wait = 1.0
        while self._memory.kept.commands != known:
            try:
                await self.api.call("PUT", path, at, body=drawn)
            except SurfaceError as error:
                log.error(self._say("discord.no_commands", why=str(error)))
                await self._clock.sleep(timedelta(seconds=wait))
                wait = min(_LONGEST_REGISTER_WAIT_SECONDS, wait * 4)
                continue
            self._memory.keep(replace(self._memory.kept, commands=known))

    async def _listen(self, intents: int) -> None:
        """All shards until cancelled; where Discord wants more of them, all begin anew."""
        while True:
            plan = await self._plan()
            identifies = IdentifyQueue(plan)
            self.shards = [self._shard(number, plan, identifies) for number in range(plan.shards)]
            try:
                async with asyncio.TaskGroup() as group:
                    for number, shard in enumerate(self.shards):
                        group.create_task(shard.listen(intents), name=f"discord shard {number}")
            except* ShardingRequired:
                log.warning("Discord wants more shards", extra={"shards": plan.shards})
                await self._clock.sleep(timedelta(seconds=_RESHARD_SECONDS))

    def _shard(self, number: int, plan: GatewayPlan, identifies: IdentifyQueue) -> Shard:
        file = SessionFile(self._folder / f"discord-{number}.json") if number else self._memory
        return Shard(
            number,
            plan,
            file,
            gateway=self.api,
            clock=self._clock,
            identifies=identifies,
            guilds=lambda: self._known().guilds,
            on_event=self._heard,
            on_no_content=lambda: log.warning(self._say("discord.no_content_intent")),
        )

    async def _plan(self) -> GatewayPlan:
        """https://docs.discord.com/developers/events/gateway#get-gateway-bot."""
        own = self._access.gateway_url
        try:
            answer = await self.api.call("GET", "/gateway/bot")
        except SurfaceError as error:
            log.warning("Discord does not say how many shards it wants", extra={"why": error.key})
            return GatewayPlan(own or _PUBLIC_GATEWAY, is_fixed=bool(own))
        limits = answer.get("session_start_limit") or {}
        return GatewayPlan(
            own or str(answer.get("url") or _PUBLIC_GATEWAY),
            max(1, int(answer.get("shards") or 1)),
            max(1, int(limits.get("max_concurrency") or 1)),
            is_fixed=bool(own),
        )

    def _heard(self, connection: GatewayConnection, heard: GatewayEvent) -> None:
        """Called for every event of a shard, in order; what takes time is done in a task."""
        self._later(self._receive(connection, heard), name=f"discord {heard.name.lower()}")

    async def _receive(self, connection: GatewayConnection, heard: GatewayEvent) -> None:
        """Only what is in the inbox, or means nothing, counts as heard."""
        # Tasks begin in the order they were made in, so this is the order of arrival.
        ticket = self._order.enqueue(inbound.messages_of(heard.name, heard.data))
        try:
            await self._patiently(connection, heard, ticket)
        except Exception as error:
            log.exception("A payload was not taken", extra={"kind": heard.name})
            if isinstance(error, SurfaceError):
                await self._say_unknown(heard)
        finally:
            ticket.leave()
        connection.mark_stored(heard.sequence)

    async def _patiently(
        self, connection: GatewayConnection, heard: GatewayEvent, ticket: QueueTicket
    ) -> None:
        for attempt in range(_TRIES_TO_KEEP):
            try:
                await self._keep(connection, heard, ticket)
                return
            except (KeyError, ValueError, TypeError, AttributeError):
                raise
            except Exception:
                if attempt + 1 == _TRIES_TO_KEEP:
                    raise
                log.warning("An event could not be kept yet", extra={"kind": heard.name})
            await asyncio.sleep(min(10.0, 0.1 * 2**attempt))

    async def _keep(
        self, connection: GatewayConnection, heard: GatewayEvent, ticket: QueueTicket
    ) -> None:
        directory = self._known()
        directory.update_from_event(heard.name, heard.data)
        self._members.invalidate_on_event(heard.name, heard.data)
        if heard.name == "READY":
            await self._greet_ready(connection, heard.data)
        if heard.name not in inbound.TAKEN:
            return
        data = self._with_answered(heard.data)
        if inbound.means_nothing(heard.name, data, self._bot()):
            return
        if heard.name == _INTERACTION:
            await self._take_interaction(data)
            return
        mark = self._mark(heard.name, data, f"{connection.session_id}:{heard.sequence}")
        found = await self._found(heard.name, data)
        # Some had to be looked up and others had not: handed in as they arrived.
        await ticket.wait_turn()
        for one in found:
            told = PayloadWithContext(
                heard.name, one.data, self._bot(), one.context, self._clock.now(), mark
            )
            await self._take_event(inbound.read(told))

    async def _take_event(self, event: Event) -> None:
        what = event.what
        if isinstance(what, MessageReceived):
            self.surface.remember_message(what.message)
            if not what.is_addressed and not what.message.text:
                return
        elif isinstance(what, PlaceDeleted):
            self.surface.forget_place(event.place)
        else:
            self._forget_changed(what)
        self.surface.remember(event, None)
        await self._handle(event)

    async def _handle(self, event: Event) -> asyncio.Task[None] | None:
        task = await self._app_().handle(event)
        if task is not None:
            self._working.add(task)
            task.add_done_callback(self._working.discard)
        return task

    async def _take_interaction(self, data: Json) -> None:
        """The clock of an interaction runs from now, whatever else has to be waited for."""
        if int(data["type"]) == COMPLETION:
            await self._complete(data)
            return
        handle = handle_of(data)
        context = self.surface.begin_interaction(handle)
        if context is not None:
            self._later(self._guard(context), name="discord three seconds")
        task: asyncio.Task[None] | None = None
        try:
            if context is not None and await self._is_late_form(context, data):
                return
            found = await self._found_interaction(context, data)
            if found is None:
                return
            data, around = found.data, found.context
            event = inbound.read(
                PayloadWithContext(_INTERACTION, data, self._bot(), around, self._clock.now())
            )
            self.surface.remember(event, handle)
            if isinstance(event.what, FormSubmitted):
                sent = event.place, event.key, event.user.id, data.get("data") or {}
                self.surface.drafts.remember_submitted_form(*sent)
            task = await self._handle(event)
        finally:
            if context is not None:
                self._later(self._finish(context, task), name="discord interaction")

    async def _guard(self, context: InteractionContext) -> None:
        """https://docs.discord.com/developers/interactions: three seconds to say something."""
        assert context.interaction is not None
        await asyncio.sleep(
            _PUBLIC_DEFER_SECONDS if context.interaction.has_public_response else _DEFER_SECONDS
        )
        await self.surface.interactions.defer(context)

    async def _finish(self, context: InteractionContext, task: asyncio.Task[None] | None) -> None:
        if task is not None:
            await asyncio.wait({task})
        await self.surface.interactions.finish(context)

    async def _is_late_form(self, context: InteractionContext, data: Json) -> bool:
        """Buttons that open what is in memory: a form that came late, or one that was refused."""
        action = str((data.get("data") or {}).get("custom_id") or "")
        return await self.surface.open_draft_form(context, action, _user_of(data) or "")

    async def _complete(self, data: Json) -> None:
        """Nothing to choose from is better than an answer that comes too late."""
        handle, asked = handle_of(data), parse_autocomplete(data, self._catalogue)
        found = suggest(asked) if asked else []
        what = choices_query(asked) if asked and not found else None
        try:
            async with asyncio.timeout(_COMPLETION_SECONDS):
                (one,) = await self._found(_INTERACTION, data) or (None,)
                if asked is not None and what is not None and one is not None:
                    event = _asking(one.data, self._bot(), one.context, self._clock)
                    reply = await self._app_().query(replace(event, what=what))
                    found = [] if isinstance(reply, Denied) else choices(asked, reply)
        except (TimeoutError, SurfaceError):
            log.info("A completion took too long")
        with contextlib.suppress(SurfaceError):
            await self.surface.interactions.send_choices(handle, found)

    async def _around(self, name: str, data: Json) -> EventContext | None:
        directory, user = self._known(), _user_of(data)
        if name in ("GUILD_CREATE", "GUILD_DELETE"):
            guild = str(data["id"])
            channel = directory.welcome_channel(guild) if name == "GUILD_CREATE" else ""
            if channel is None:
                return None
            locale = str(data.get("preferred_locale") or "en")
            return EventContext(Place(inbound.workspace(guild), ChannelId(channel)), locale=locale)
        if name in _PLACES_GONE:
            return EventContext(inbound.deleted_place(name, data)) if data.get("guild_id") else None
        return await directory.event_context(data, user)

    async def _found(self, name: str, data: Json) -> Sequence[PayloadInGuild]:
        """Where it belongs: to one place, or a direct message's change to all that may hold it."""
        if name.startswith("GUILD_") or name in _PLACES_GONE or data.get("guild_id"):
            around = await self._around(name, data)
            return [] if around is None else [PayloadInGuild(data, around)]
        user = _user_of(data) or await self._known().person_of(str(data.get("channel_id") or ""))
        if user is None:
            return []
        if name in _CHANGES:
            return await self._talks_().resolve_for_all_guilds(data, user)
        found = await self._talks_().resolve_message(name, data, user)
        await self._note_departure(found.former_guild, user)
        return [] if found.found is None else [found.found]

    async def _found_interaction(
        self, context: InteractionContext | None, data: Json
    ) -> PayloadInGuild | None:
        """None where the person was told what is missing instead."""
        user = _user_of(data)
        if inbound.is_user_install(data):
            # A server that is none of ours: the asker's own one answers.
            data = {key: value for key, value in data.items() if key != "guild_id"}
        if data.get("guild_id"):
            around = await self._around(_INTERACTION, data)
            return None if around is None else PayloadInGuild(data, around)
        if context is None or user is None:
            return None
        answered = await self._talks_().resolve_interaction(context, data, user)
        await self._note_departure(answered.former_guild, user)
        for waiting in answered.waiting:
            for one in await self._found("MESSAGE_CREATE", waiting):
                told = PayloadWithContext(
                    "MESSAGE_CREATE", one.data, self._bot(), one.context, self._clock.now()
                )
                await self._take_event(inbound.read(told))
        return answered.found

    async def _note_departure(self, guild: str | None, user: str) -> None:
        """Somebody who has left a guild has no role there any more."""
        if guild is None or guild not in await self._known().own_guilds():
            return
        place = Place(inbound.workspace(guild), ChannelId(""))
        key = f"{place.workspace}/person_left/{user}/{self._clock.now().isoformat()}"
        person = User(UserId(user), user)
        await self._handle(Event(key, place, person, self._clock.now(), PersonLeft()))

    async def _say_unknown(self, heard: GatewayEvent) -> None:
        """Nobody who writes to us alone is left without a word."""
        is_nothing = inbound.means_nothing(heard.name, heard.data, self._bot())
        if heard.name == "MESSAGE_CREATE" and not heard.data.get("guild_id") and not is_nothing:
            with contextlib.suppress(SurfaceError):
                await self._talks_().say_unknown(heard.data)

    async def _workspace_note(self, event: Event) -> Text | None:
        return await self._talks_().answering_guild_note(event)

    async def _locate(self, place: Place) -> Place:
        return await self._known().locate(place)

    async def _missing_permissions(self, place: Place, wanted: int) -> int:
        return await self._known().missing_permissions(place, wanted)

    async def _is_direct(self, channel: str) -> bool:
        return await self._known().is_direct(channel)

    def _talks_(self) -> DirectMessages:
        assert self._talks is not None
        return self._talks

    async def _greet_ready(self, connection: GatewayConnection, data: Json) -> None:
        """Guilds that we left meanwhile are reported; the app asks Discord for itself."""
        guilds = list(data.get("guilds") or ())
        here = tuple(str(one["id"]) for one in guilds)
        memory = self.shards[connection.shard_id or 0].memory
        for gone in set(memory.kept.guilds) - set(here):
            self._known().update_from_event("GUILD_DELETE", {"id": gone})
            place = Place(inbound.workspace(gone), ChannelId(""))
            key = f"{place.workspace}/left/{connection.session_id}"
            nobody = User(UserId("discord"), "discord")
            await self._handle(Event(key, place, nobody, self._clock.now(), WorkspaceLeft()))
        for guild in guilds:
            if guild.get("channels") is not None:
                whole = GatewayEvent("GUILD_CREATE", guild, 0)
                await self._keep(connection, whole, self._order.enqueue(()))
        memory.keep(replace(memory.kept, guilds=here))

    def _with_answered(self, data: Json) -> Json:
        """An answer to us counts, also where Discord does not say whom it answers."""
        answered = inbound.replied_message_id(data) if "content" in data else None
        if answered is None or not self.surface.is_own_message(answered):
            return data
        return {**data, "referenced_message": {"author": {"id": self._bot().id}}}

    def _mark(self, name: str, data: Json, mark: str) -> str:
        """A reaction told twice is one; put again after it was taken off it is another."""
        if not name.startswith("MESSAGE_REACTION"):
            return mark
        key = inbound.reaction_key(data)
        side, known = self._marks.get(key, ("", mark))
        if side != name:
            known = mark
        self._marks[key] = (name, known)
        self._marks.move_to_end(key)
        while len(self._marks) > _MOST_MARKS:
            self._marks.popitem(last=False)
        return known

    def _forget_changed(self, what: object) -> None:
        for message in (*getattr(what, "messages", ()), getattr(what, "message", None)):
            if isinstance(message, str) and not isinstance(what, ButtonClicked):
                self.surface.forget(message)

    async def _keep_place(self) -> None:
        while True:
            await asyncio.sleep(_KEEP_EVERY_SECONDS)
            self._keep_sessions()

    def _keep_sessions(self) -> None:
        for shard in self.shards:
            shard.keep_session()

    def _later(self, work: Coroutine[Any, Any, object], *, name: str = "discord") -> None:
        task = asyncio.create_task(work, name=name)
        self._waits.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[object]) -> None:
        self._waits.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("A Discord task failed", exc_info=error)

    async def _ready(self) -> None:
        await self._is_ready.wait()

    def _bot(self) -> Bot:
        assert self._me is not None
        if self._directory is None:
            return self._me
        return replace(self._me, roles=self._directory.bot_roles, names=self._directory.names)

    def _known(self) -> Directory:
        assert self._directory is not None
        return self._directory

    def _app_(self) -> App:
        assert self._app is not None
        return self._app


def _intents(flags: int | None) -> int:
    """The words of messages unless Discord says that we may not have them; members if we may."""
    may_read = flags is None or bool(flags & CONTENT_FLAGS)
    hears_members = flags is not None and bool(flags & _MEMBERS_FLAGS)
    return INTENTS | (CONTENT if may_read else 0) | (MEMBERS if hears_members else 0)


def _user_of(data: Json) -> str | None:
    member = data.get("member") or {}
    for holder in (data.get("author"), member.get("user"), data.get("user")):
        if holder and holder.get("id"):
            return str(holder["id"])
    return str(data["user_id"]) if data.get("user_id") else None


def _asking(data: Json, bot: Bot, around: EventContext, clock: Clock) -> Event:
    whole = {**data, "type": inbound.SLASH}
    return inbound.read(PayloadWithContext(_INTERACTION, whole, bot, around, clock.now()))
