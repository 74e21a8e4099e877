"""Runs the bot on Discord: receives gateway events, stores each one and handles it."""

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

from adapters.bounded_cache import store_bounded
from adapters.discord import payload_parsing
from adapters.discord.api_port import Access, Json, error_code
from adapters.discord.autocomplete import (
    choices_of_reply,
    choices_query,
    parse_autocomplete,
    suggested_choices,
)
from adapters.discord.command_registration import commands_of, register_commands
from adapters.discord.direct_guild_choices import DirectGuildChoices
from adapters.discord.direct_messages import DirectMessages, PayloadInGuild
from adapters.discord.gateway import HttpApi
from adapters.discord.gateway_events import GatewayConnection, GatewayEvent
from adapters.discord.guild_cache import GuildCache
from adapters.discord.interaction_responses import InteractionContext
from adapters.discord.member_cache import MemberCache
from adapters.discord.payload_parsing import (
    APPLICATION_COMMAND_AUTOCOMPLETE,
    Bot,
    EventContext,
    PayloadWithContext,
    interaction_handle_of,
)
from adapters.discord.session_file import SessionFile
from adapters.discord.shard_connections import (
    CONTENT,
    MEMBERS,
    GatewayPlan,
    IdentifyQueue,
    Shard,
    ShardingRequired,
    bad_token_error,
)
from adapters.discord.surface import DiscordSurface
from bot.commands import Catalogue
from bot.domain import ChannelId, Place, User, UserId
from bot.errors import SurfaceError
from bot.events import (
    ButtonClicked,
    ChannelDeleted,
    Event,
    FormSubmitted,
    MessageReceived,
    PersonLeft,
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
CONTENT_INTENT_FLAGS = (1 << 18) | (1 << 19)
_MEMBERS_FLAGS = (1 << 14) | (1 << 15)
_PUBLIC_GATEWAY = "wss://gateway.discord.gg/"

_DEFER_SECONDS, _PUBLIC_DEFER_SECONDS = 2.0, 0.6
_COMPLETION_SECONDS = 2.3
_KEEP_EVERY_SECONDS = 0.2
_STORE_ATTEMPTS, _MAX_WAIT_SECONDS = 8, 60.0
_RESHARD_SECONDS = 5.0
_MAX_REACTIONS = 5000
_SHUTDOWN_SECONDS = 11.0
_INTERACTION = "INTERACTION_CREATE"
_PLACE_DELETIONS = ("CHANNEL_DELETE", "THREAD_DELETE")
_CHANGES = ("MESSAGE_UPDATE", "MESSAGE_DELETE", "MESSAGE_DELETE_BULK")


class Discord:
    """The Discord adapter: `run` receives events, and `surface` sends messages."""

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
        self._directory: GuildCache | None = None
        self._direct_messages: DirectMessages | None = None
        self._is_ready = asyncio.Event()
        self._waits: set[asyncio.Task[object]] = set()
        self._working: set[asyncio.Task[None]] = set()
        self._key_suffixes: OrderedDict[tuple[str, ...], tuple[str, str]] = OrderedDict()
        self.shards: list[Shard] = []
        self._order = KeyedOrder()
        self.api = HttpApi(access)
        self._members = MemberCache(self.api)
        self.surface = DiscordSurface(
            self.api,
            self._bot,
            say,
            ready=self._ready,
            note=self._workspace_note,
            is_direct=self._is_direct,
            locate=self._locate,
            missing_permissions=self._missing_permissions,
            owner=lambda guild: self._directory_or_fail().owner_of(guild),
            names=lambda: self._bot().names,
            members=self._members,
        )

    async def run(self, app: App) -> None:
        """Runs until cancelled. Raises SettingsError for settings that Discord rejects."""
        self._app = app
        try:
            flags = await self._identify()
            self._is_ready.set()
            log.info("Discord knows us")
            self._start(self._register())
            self._start(self._store_sessions_often())
            await self._listen(_intents(flags))
        finally:
            await self._close()

    async def _close(self) -> None:
        """Stops receiving events; answers in progress get some seconds to finish."""
        for waiting in self._waits:
            waiting.cancel()
        await asyncio.gather(*self._waits, return_exceptions=True)
        self._store_sessions()
        if self._working:
            await asyncio.wait(set(self._working), timeout=_SHUTDOWN_SECONDS)
        await self.surface.close()
        await self.api.close()

    async def _identify(self) -> int | None:
        """Logs in, with retries; returns the application's flags, None if unknown."""
        wait = 1.0
        while True:
            try:
                me = await self.api.log_in()
                application = await self._application()
                break
            except SurfaceError as error:
                if error_code(error) == 401:
                    raise bad_token_error() from error
                log.warning("Discord cannot be reached yet", extra={"why": error.key})
            await self._clock.sleep(timedelta(seconds=wait))
            wait = min(_MAX_WAIT_SECONDS, wait * 2)
        bot_id = str(me["id"])
        self._me = Bot(bot_id, str(application.get("id") or bot_id))
        self._directory = GuildCache(self.api, bot_id)
        directs = DirectGuildChoices(self._store, self._directory, self._members)
        self._direct_messages = DirectMessages(self.surface, self._directory, directs, self._say)
        # Discord rejects commands for users if user installation is off at the page Installation.
        self._is_for_users = "1" in (application.get("integration_types_config") or {})
        flags = application.get("flags")
        return int(flags) if flags is not None else None

    async def _application(self) -> Json:
        for path in ("/applications/@me", "/oauth2/applications/@me"):
            with contextlib.suppress(SurfaceError):
                return await self.api.call("GET", path, patience=1)
        return {}

    async def _register(self) -> None:
        await register_commands(
            commands_of(self._catalogue, self._say, is_for_users=self._is_for_users),
            api=self.api,
            application=self._bot().application,
            guild=self._access.development_guild,
            file=self._memory,
            clock=self._clock,
            say=self._say,
        )

    async def _listen(self, intents: int) -> None:
        """Runs all shards until cancelled; starts again if Discord requires more shards."""
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
            guilds=lambda: self._directory_or_fail().guilds,
            on_event=self._on_event,
            on_no_content=lambda: log.warning(self._say("discord.no_content_intent")),
        )

    async def _plan(self) -> GatewayPlan:
        """Returns the gateway's URL and the number of shards.

        https://docs.discord.com/developers/events/gateway#get-gateway-bot
        """
        own_url = self._access.gateway_url
        try:
            response = await self.api.call("GET", "/gateway/bot")
        except SurfaceError as error:
            log.warning("Discord does not say how many shards it wants", extra={"why": error.key})
            return GatewayPlan(own_url or _PUBLIC_GATEWAY, is_fixed=bool(own_url))
        limits = response.get("session_start_limit") or {}
        return GatewayPlan(
            own_url or str(response.get("url") or _PUBLIC_GATEWAY),
            max(1, int(response.get("shards") or 1)),
            max(1, int(limits.get("max_concurrency") or 1)),
            is_fixed=bool(own_url),
        )

    def _on_event(self, connection: GatewayConnection, event: GatewayEvent) -> None:
        """Starts a task for an event of a shard; called in order of arrival."""
        self._start(self._receive(connection, event), name=f"discord {event.name.lower()}")

    async def _receive(self, connection: GatewayConnection, event: GatewayEvent) -> None:
        """Handles an event and marks the event as stored, also if it is invalid or ignored."""
        # Tasks start in the order of their creation, so tickets are in the order of arrival.
        ticket = self._order.enqueue(payload_parsing.message_keys_of(event.name, event.data))
        try:
            await self._store_with_retries(connection, event, ticket)
        except Exception as error:
            log.exception("A payload was not taken", extra={"kind": event.name})
            if isinstance(error, SurfaceError):
                await self._reply_unknown(event)
        finally:
            ticket.leave()
        connection.mark_stored(event.sequence)

    async def _store_with_retries(
        self, connection: GatewayConnection, event: GatewayEvent, ticket: QueueTicket
    ) -> None:
        for attempt in range(_STORE_ATTEMPTS):
            try:
                await self._store_event(connection, event, ticket)
                return
            except (KeyError, ValueError, TypeError, AttributeError):
                raise
            except Exception:
                if attempt + 1 == _STORE_ATTEMPTS:
                    raise
                log.warning("An event could not be kept yet", extra={"kind": event.name})
            await asyncio.sleep(min(10.0, 0.1 * 2**attempt))

    async def _store_event(
        self, connection: GatewayConnection, event: GatewayEvent, ticket: QueueTicket
    ) -> None:
        directory = self._directory_or_fail()
        directory.update_from_event(event.name, event.data)
        self._members.invalidate_on_event(event.name, event.data)
        if event.name == "READY":
            await self._on_ready(connection, event.data)
        if event.name not in payload_parsing.HANDLED_EVENTS:
            return
        data = self._with_replied_author(event.data)
        if payload_parsing.is_ignored(event.name, data, self._bot()):
            return
        if event.name == _INTERACTION:
            await self._handle_interaction(data)
            return
        key_suffix = self._key_suffix(event.name, data, f"{connection.session_id}:{event.sequence}")
        resolved = await self._resolve(event.name, data)
        # Look-ups take longer for one event than for another, but events are handled in order.
        await ticket.wait_turn()
        for resolved_payload in resolved:
            payload = PayloadWithContext(
                event.name,
                resolved_payload.data,
                self._bot(),
                resolved_payload.context,
                self._clock.now(),
                key_suffix,
            )
            await self._handle_event(payload_parsing.read_event(payload))

    async def _handle_event(self, event: Event) -> None:
        what = event.what
        if isinstance(what, MessageReceived):
            self.surface.remember_message(what.message)
            if not what.is_addressed and not what.message.text:
                return
        elif isinstance(what, ChannelDeleted):
            self.surface.forget_place(event.place)
        else:
            self._forget_changed(what)
        self.surface.remember(event, None)
        await self._handle(event)

    async def _handle(self, event: Event) -> asyncio.Task[None] | None:
        task = await self._app_or_fail().handle(event)
        if task is not None:
            self._working.add(task)
            task.add_done_callback(self._working.discard)
        return task

    async def _handle_interaction(self, data: Json) -> None:
        """Handles an interaction; the response is deferred in time whatever else takes long."""
        if int(data["type"]) == APPLICATION_COMMAND_AUTOCOMPLETE:
            await self._send_completions(data)
            return
        handle = interaction_handle_of(data)
        context = self.surface.begin_interaction(handle)
        if context is not None:
            self._start(self._defer_in_time(context), name="discord three seconds")
        task: asyncio.Task[None] | None = None
        try:
            if context is not None and await self._is_late_form(context, data):
                return
            resolved = await self._resolve_interaction(context, data)
            if resolved is None:
                return
            data, context_of_event = resolved.data, resolved.context
            event = payload_parsing.read_event(
                PayloadWithContext(
                    _INTERACTION, data, self._bot(), context_of_event, self._clock.now()
                )
            )
            self.surface.remember(event, handle)
            if isinstance(event.what, FormSubmitted):
                draft = event.place, event.key, event.user.id, data.get("data") or {}
                self.surface.drafts.remember_submitted_form(*draft)
            task = await self._handle(event)
        finally:
            if context is not None:
                self._start(self._finish(context, task), name="discord interaction")

    async def _defer_in_time(self, context: InteractionContext) -> None:
        """Defers the response before Discord's limit of three seconds.

        https://docs.discord.com/developers/interactions
        """
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
        """Opens the stored form behind a button; returns False for other buttons."""
        action = str((data.get("data") or {}).get("custom_id") or "")
        return await self.surface.open_draft_form(context, action, _user_of(data) or "")

    async def _send_completions(self, data: Json) -> None:
        """Sends the choices of an option; sends none rather than too late."""
        handle, request = interaction_handle_of(data), parse_autocomplete(data, self._catalogue)
        options = suggested_choices(request) if request else []
        what = choices_query(request) if request and not options else None
        try:
            async with asyncio.timeout(_COMPLETION_SECONDS):
                (resolved,) = await self._resolve(_INTERACTION, data) or (None,)
                if request is not None and what is not None and resolved is not None:
                    event = _as_command(resolved.data, self._bot(), resolved.context, self._clock)
                    reply = await self._app_or_fail().handle_read_only(replace(event, what=what))
                    options = [] if isinstance(reply, Denied) else choices_of_reply(request, reply)
        except (TimeoutError, SurfaceError):
            log.info("A completion took too long")
        with contextlib.suppress(SurfaceError):
            await self.surface.interactions.send_choices(handle, options)

    async def _guild_context(self, name: str, data: Json) -> EventContext | None:
        directory, user = self._directory_or_fail(), _user_of(data)
        if name in ("GUILD_CREATE", "GUILD_DELETE"):
            guild = str(data["id"])
            channel = directory.welcome_channel(guild) if name == "GUILD_CREATE" else ""
            if channel is None:
                return None
            locale = str(data.get("preferred_locale") or "en")
            return EventContext(
                Place(payload_parsing.workspace_of_guild(guild), ChannelId(channel)), locale=locale
            )
        if name in _PLACE_DELETIONS:
            return (
                EventContext(payload_parsing.deleted_place(name, data))
                if data.get("guild_id")
                else None
            )
        return await directory.event_context(data, user)

    async def _resolve(self, name: str, data: Json) -> Sequence[PayloadInGuild]:
        """Returns the payload with its context; a change in direct messages for each guild."""
        if name.startswith("GUILD_") or name in _PLACE_DELETIONS or data.get("guild_id"):
            context = await self._guild_context(name, data)
            return [] if context is None else [PayloadInGuild(data, context)]
        user = _user_of(data) or await self._directory_or_fail().person_of(
            str(data.get("channel_id") or "")
        )
        if user is None:
            return []
        if name in _CHANGES:
            return await self._direct_messages_or_fail().resolve_for_all_guilds(data, user)
        resolved = await self._direct_messages_or_fail().resolve_message(name, data, user)
        await self._note_departure(resolved.former_guild, user)
        return [] if resolved.found is None else [resolved.found]

    async def _resolve_interaction(
        self, context: InteractionContext | None, data: Json
    ) -> PayloadInGuild | None:
        """Returns an interaction with its context; None after an error was sent instead."""
        user = _user_of(data)
        if payload_parsing.is_user_install(data):
            # The server does not have the bot, so the guild of the person's direct messages
            # answers.
            data = {key: value for key, value in data.items() if key != "guild_id"}
        if data.get("guild_id"):
            guild_context = await self._guild_context(_INTERACTION, data)
            return None if guild_context is None else PayloadInGuild(data, guild_context)
        if context is None or user is None:
            return None
        resolved = await self._direct_messages_or_fail().resolve_interaction(context, data, user)
        await self._note_departure(resolved.former_guild, user)
        for message in resolved.waiting:
            for payload_in_guild in await self._resolve("MESSAGE_CREATE", message):
                payload = PayloadWithContext(
                    "MESSAGE_CREATE",
                    payload_in_guild.data,
                    self._bot(),
                    payload_in_guild.context,
                    self._clock.now(),
                )
                await self._handle_event(payload_parsing.read_event(payload))
        return resolved.found

    async def _note_departure(self, guild: str | None, user: str) -> None:
        """Hands a PersonLeft event to the app for a guild that the person has left."""
        if guild is None or guild not in await self._directory_or_fail().own_guilds():
            return
        place = Place(payload_parsing.workspace_of_guild(guild), ChannelId(""))
        key = f"{place.workspace}/person_left/{user}/{self._clock.now().isoformat()}"
        person = User(UserId(user), user)
        await self._handle(Event(key, place, person, self._clock.now(), PersonLeft()))

    async def _reply_unknown(self, event: GatewayEvent) -> None:
        """Replies to a direct message that cannot be handled."""
        is_ignored = payload_parsing.is_ignored(event.name, event.data, self._bot())
        if event.name == "MESSAGE_CREATE" and not event.data.get("guild_id") and not is_ignored:
            with contextlib.suppress(SurfaceError):
                await self._direct_messages_or_fail().explain_unknown_guild(event.data)

    async def _workspace_note(self, event: Event) -> Text | None:
        return await self._direct_messages_or_fail().answering_guild_note(event)

    async def _locate(self, place: Place) -> Place:
        return await self._directory_or_fail().with_channel_kind(place)

    async def _missing_permissions(self, place: Place, wanted: int) -> int:
        return await self._directory_or_fail().missing_permissions(place, wanted)

    async def _is_direct(self, channel: str) -> bool:
        return await self._directory_or_fail().is_direct(channel)

    def _direct_messages_or_fail(self) -> DirectMessages:
        assert self._direct_messages is not None
        return self._direct_messages

    async def _on_ready(self, connection: GatewayConnection, data: Json) -> None:
        """Reports the guilds that the bot left while disconnected; the app checks with Discord."""
        guilds = list(data.get("guilds") or ())
        guild_ids = tuple(str(guild["id"]) for guild in guilds)
        memory = self.shards[connection.shard_id or 0].memory
        for left_guild in set(memory.kept.guilds) - set(guild_ids):
            self._directory_or_fail().update_from_event("GUILD_DELETE", {"id": left_guild})
            place = Place(payload_parsing.workspace_of_guild(left_guild), ChannelId(""))
            key = f"{place.workspace}/left/{connection.session_id}"
            system_user = User(UserId("discord"), "discord")
            await self._handle(Event(key, place, system_user, self._clock.now(), WorkspaceLeft()))
        for guild in guilds:
            if guild.get("channels") is not None:
                guild_create = GatewayEvent("GUILD_CREATE", guild, 0)
                await self._store_event(connection, guild_create, self._order.enqueue(()))
        memory.keep(replace(memory.kept, guilds=guild_ids))

    def _with_replied_author(self, data: Json) -> Json:
        """Adds the bot as author of the replied message if Discord leaves that message out."""
        replied_id = payload_parsing.replied_message_id(data) if "content" in data else None
        if replied_id is None or not self.surface.is_own_message(replied_id):
            return data
        return {**data, "referenced_message": {"author": {"id": self._bot().id}}}

    def _key_suffix(self, name: str, data: Json, key_suffix: str) -> str:
        """Returns the key suffix of an event.

        A reaction that is sent twice keeps its suffix; one added again after its removal gets a new
        one.
        """
        if not name.startswith("MESSAGE_REACTION"):
            return key_suffix
        key = payload_parsing.reaction_key(data)
        last_name, known_suffix = self._key_suffixes.get(key, ("", key_suffix))
        if last_name != name:
            known_suffix = key_suffix
        store_bounded(self._key_suffixes, key, (name, known_suffix), _MAX_REACTIONS)
        return known_suffix

    def _forget_changed(self, what: object) -> None:
        for message in (*getattr(what, "messages", ()), getattr(what, "message", None)):
            if isinstance(message, str) and not isinstance(what, ButtonClicked):
                self.surface.forget(message)

    async def _store_sessions_often(self) -> None:
        while True:
            await asyncio.sleep(_KEEP_EVERY_SECONDS)
            self._store_sessions()

    def _store_sessions(self) -> None:
        for shard in self.shards:
            shard.keep_session()

    def _start(self, work: Coroutine[Any, Any, object], *, name: str = "discord") -> None:
        task = asyncio.create_task(work, name=name)
        self._waits.add(task)
        task.add_done_callback(self._log_failure)

    def _log_failure(self, task: asyncio.Task[object]) -> None:
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

    def _directory_or_fail(self) -> GuildCache:
        assert self._directory is not None
        return self._directory

    def _app_or_fail(self) -> App:
        assert self._app is not None
        return self._app


def _intents(flags: int | None) -> int:
    """Returns the intents: message content unless the flags forbid it, members if they allow it."""
    may_read = flags is None or bool(flags & CONTENT_INTENT_FLAGS)
    may_list_members = flags is not None and bool(flags & _MEMBERS_FLAGS)
    return INTENTS | (CONTENT if may_read else 0) | (MEMBERS if may_list_members else 0)


def _user_of(data: Json) -> str | None:
    member = data.get("member") or {}
    for holder in (data.get("author"), member.get("user"), data.get("user")):
        if holder and holder.get("id"):
            return str(holder["id"])
    return str(data["user_id"]) if data.get("user_id") else None


def _as_command(data: Json, bot: Bot, context: EventContext, clock: Clock) -> Event:
    command = {**data, "type": payload_parsing.APPLICATION_COMMAND}
    return payload_parsing.read_event(
        PayloadWithContext(_INTERACTION, command, bot, context, clock.now())
    )
