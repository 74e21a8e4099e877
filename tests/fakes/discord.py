"""A fake Discord on loopback with real WebSocket and HTTP, strict about the vendor's rules.

async with fake_discord() as discord:
    discord.mention("101", "20", "hello")
    ...
    assert discord.texts("20")
"""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from tests.fakes.discord_gateway import Gateway, Session
from tests.fakes.discord_rest import Rest, shown
from tests.fakes.discord_rules import (
    ADD_REACTIONS,
    ATTACH,
    CONTENT_FLAG,
    EMBED,
    HISTORY,
    MANAGE_GUILD,
    SEND,
    VIEW,
    Json,
)

BOT, GUILD, GENERAL = "900", "10", "20"
BOT_ROLE = "990"
ADMIN_ROLE = "991"
_EVERYBODY = VIEW | SEND | HISTORY | EMBED | ATTACH | ADD_REACTIONS | (1 << 38) | (1 << 35)
_EPOCH = 1_420_070_400_000
_JOINED = "2026-01-01T10:00:00+00:00"
ADMIN, ANN, BEN = "101", "102", "103"


# resources/guild and topics/permissions: fields of objects that no test depends on.
_ROLE: Json = {"name": "a role", "position": 0, "color": 0, "hoist": False, "managed": False}
_ROLE |= {"mentionable": False, "flags": 0, "icon": None, "unicode_emoji": None}
_GUILD: Json = {"verification_level": 0, "default_message_notifications": 0, "afk_timeout": 60}
_GUILD |= {"explicit_content_filter": 0, "mfa_level": 0, "nsfw_level": 0, "premium_tier": 0}
_GUILD |= {"features": [], "emojis": [], "stickers": [], "voice_states": [], "presences": []}
_GUILD |= {"member_count": 4, "large": False, "icon": None, "splash": None, "banner": None}
_GUILD |= {"discovery_splash": None, "system_channel_id": None, "system_channel_flags": 0}


@dataclass(slots=True)
class Channel:
    """A channel; `kind` is numbered as in resources/channel#channel-object-channel-types."""

    id: str
    guild: str | None
    kind: int = 0
    parent: str | None = None
    nsfw: bool = False
    denied: int = 0
    name: str = ""
    messages: dict[str, Json] = field(default_factory=dict)
    members: set[str] = field(default_factory=set)

    def described(self) -> Json:
        name = self.name or f"channel-{self.id}"
        payload: Json = {"id": self.id, "type": self.kind, "name": name, "flags": 0}
        if self.kind == 1:
            payload["recipients"] = [{"id": member} for member in self.members]
        if self.guild:
            overwrite = {"id": self.guild, "type": 0, "allow": "0", "deny": str(self.denied)}
            payload |= {"guild_id": self.guild, "position": int(self.id) % 1000, "nsfw": self.nsfw}
            payload |= {"parent_id": self.parent, "permission_overwrites": [overwrite]}
            payload |= {"topic": None, "rate_limit_per_user": 0, "last_message_id": None}
        return payload


@dataclass(slots=True)
class Guild:
    id: str
    name: str = "Guild"
    owner: str = "100"
    locale: str = "en-US"
    joined_at: str = "2026-11-01T10:00:00+00:00"
    members: dict[str, list[str]] = field(default_factory=dict)
    joined: dict[str, str] = field(default_factory=dict)
    bot_permissions: int = _EVERYBODY


@dataclass(slots=True)
class Interaction:
    """A command, click or form, and the response to it; times are monotonic seconds."""

    id: str
    token: str
    kind: int
    user: str
    channel: str
    at: float
    message: Json | None = None
    response: Json | None = None
    original: str | None = None
    took: float | None = None
    choices: list[Json] | None = None


class FakeDiscord:
    """State of the fake Discord, which tests change, inspect and plan faults in."""

    def __init__(self) -> None:
        self.gateway = Gateway(self._reads_content)
        self.flags: int | None = CONTENT_FLAG
        self.is_public = True
        self.is_for_users = False
        """Whether people can install the application to their account (user install)."""
        self.roles: dict[str, str] = {}
        self.users: dict[str, Json] = {}
        self.guilds: dict[str, Guild] = {}
        self.channels: dict[str, Channel] = {}
        self.commands: dict[str, list[Json]] = {}
        self.interactions: dict[str, Interaction] = {}
        self.ephemerals: list[Json] = []
        self.files: list[Json] = []
        self.typed: list[str] = []
        self.pings: list[str] = []
        self.files_at: dict[str, bytes] = {}
        self.direct_closed: set[str] = set()
        self.url = ""
        self._count = itertools.count(1)
        self._start = int(time.time() * 1000) - _EPOCH
        self.rest = Rest(self)
        self.limits = self.rest.limits
        self.calls = self.rest.calls
        self.refusals = self.rest.refusals
        self.fail = self.rest.fail
        self.mend = self.rest.mend
        self.gateway.ready = self._ready
        self.gateway.after_ready = self._after_ready
        self.add_user(BOT, bot=True)
        for user in (ADMIN, ANN, BEN):
            self.add_user(user)
        self.add_guild(GUILD)
        self.add_channel(GENERAL)

    # Users and channels

    @property
    def token(self) -> str:
        return self.gateway.token

    def add_user(self, user: str, **facts: object) -> None:
        defaults = {"id": user, "username": f"name-{user}", "discriminator": "0", "avatar": None}
        self.users[user] = {**defaults, "global_name": None, **facts}

    def add_guild(self, guild: str, **facts: Any) -> Guild:
        members: dict[str, list[str]] = {user: [] for user in self.users}
        members[BOT] = [BOT_ROLE]
        members[ADMIN] = [ADMIN_ROLE]
        self.guilds[guild] = Guild(guild, members=members, **facts)
        return self.guilds[guild]

    def add_channel(self, channel: str, guild: str | None = GUILD, **facts: Any) -> Channel:
        self.channels[channel] = Channel(channel, guild, **facts)
        return self.channels[channel]

    def direct(self, user: str) -> str:
        """Returns the direct-message channel of a user, whose id contains the user's id."""
        channel = f"7{user}"
        if channel not in self.channels:
            self.channels[channel] = Channel(channel, None, 1, members={user})
        return channel

    def open_thread(self, channel: str, message: str, *, kind: int = 11, name: str = "") -> str:
        """Opens a thread from a message, which gets the message's id (topics/threads)."""
        parent = self.channels[channel]
        self.channels[message] = Channel(
            message, parent.guild, kind, parent=channel, denied=parent.denied, name=name
        )
        self.gateway.dispatch("THREAD_CREATE", self.channels[message].described())
        return message

    # User actions

    def say(self, user: str, channel: str, text: str, **more: Any) -> str:
        message = self.put(user, channel, text, **more)
        self.gateway.dispatch("MESSAGE_CREATE", self.told(channel, message))
        return message

    def mention(self, user: str, channel: str, text: str, **more: Any) -> str:
        return self.say(user, channel, f"<@{BOT}> {text}", **more)

    def put(
        self, user: str, channel: str, text: str, *, answers: str | None = None, **more: Any
    ) -> str:
        """Adds a message without sending an event to the bot."""
        where = self.channels[channel]
        number = self.snowflake()
        mentions = [self.users[BOT]] if f"<@{BOT}>" in text else []
        message: Json = {"id": number, "channel_id": channel, "author": self.users[user]}
        message |= {"content": text, "type": 0, "mentions": mentions, "embeds": [], "flags": 0}
        message |= {"attachments": [], "components": [], "mention_roles": [], "tts": False}
        message |= {"pinned": False, "mention_everyone": False}
        message |= {"timestamp": "2026-11-22T00:00:00+00:00", "edited_timestamp": None, **more}
        if answers is not None:
            message["type"] = 19
            message["message_reference"] = {"message_id": answers, "channel_id": channel}
            message["referenced_message"] = where.messages.get(answers)
            if (where.messages.get(answers) or {}).get("author", {}).get("id") == BOT:
                message["mentions"] = [self.users[BOT]]
        where.messages[number] = message
        return number

    def told(self, channel: str, message: str) -> Json:
        """Returns a message as an event has it: with the guild and the author's membership."""
        channel_ = self.channels[channel]
        payload = dict(channel_.messages[message])
        if channel_.guild:
            payload["guild_id"] = channel_.guild
            payload["member"] = self.member(channel_.guild, payload["author"]["id"], whole=False)
        return payload

    def react(
        self, user: str, channel: str, message: str, emoji: str, *, off: bool = False
    ) -> Json:
        where = self.channels[channel]
        data: Json = {"user_id": user, "channel_id": channel, "message_id": message}
        data |= {"emoji": {"id": None, "name": emoji}, "burst": False, "type": 0}
        if where.guild:
            data["guild_id"] = where.guild
        if not off and where.guild:
            data["member"] = self.member(where.guild, user)
        if not off and message in where.messages:
            data["message_author_id"] = where.messages[message]["author"]["id"]
        self.gateway.dispatch(f"MESSAGE_REACTION_{'REMOVE' if off else 'ADD'}", data)
        return data

    def edit(self, channel: str, message: str, text: str) -> None:
        stored = self.channels[channel].messages[message]
        stored |= {"content": text, "edited_timestamp": f"2026-11-22T00:00:{next(self._count)}"}
        self.gateway.dispatch("MESSAGE_UPDATE", self.told(channel, message))

    def delete(self, channel: str, *messages: str) -> None:
        where = self.channels[channel]
        for message in messages:
            where.messages.pop(message, None)
        data: Json = {"channel_id": channel, "guild_id": where.guild}
        if len(messages) == 1:
            self.gateway.dispatch("MESSAGE_DELETE", {**data, "id": messages[0]})
        else:
            self.gateway.dispatch("MESSAGE_DELETE_BULK", {**data, "ids": list(messages)})

    def command(self, user: str, channel: str, words: str, /, **options: Any) -> Interaction:
        """Sends a command like `/tune words` with options; a file option is (name, bytes)."""
        resolved: Json = {}
        parsed = [self._option(name, value, resolved) for name, value in options.items()]
        nested: list[Json] = parsed
        for depth, word in enumerate(reversed(words.split())):
            nested = [{"name": word, "type": 2 if depth else 1, "options": nested}]
        data = {"id": "5000", "name": "tune", "type": 1, "options": nested, "resolved": resolved}
        return self._interact(2, user, channel, data)

    def ask(self, user: str, channel: str, question: str) -> Interaction:
        option = {"name": "question", "type": 3, "value": question}
        return self._interact(2, user, channel, {"name": "ask", "type": 1, "options": [option]})

    def complete(self, user: str, channel: str, words: str, name: str, typed: str) -> Interaction:
        nested: list[Json] = [{"name": name, "type": 3, "value": typed, "focused": True}]
        for depth, word in enumerate(reversed(words.split())):
            nested = [{"name": word, "type": 2 if depth else 1, "options": nested}]
        return self._interact(4, user, channel, {"name": "tune", "type": 1, "options": nested})

    def menu(self, user: str, channel: str, name: str, message: str) -> Interaction:
        """Sends a message command; it includes the message, whatever the bot's intents are."""
        stored = self.channels[channel].messages[message]
        data = {"name": name, "type": 3, "target_id": message}
        return self._interact(
            2, user, channel, {**data, "resolved": {"messages": {message: stored}}}
        )

    def click(self, user: str, message: Json, label: str) -> Interaction:
        """Clicks a button, or chooses an option of a select menu, by its label."""
        for row in message["components"]:
            for component in row["components"]:
                if component.get("label") == label:
                    data: Json = {"custom_id": component["custom_id"], "component_type": 2}
                    return self._interact(3, user, message["channel_id"], data, message)
                for option in component.get("options") or ():
                    if option["label"] == label:
                        data = {"custom_id": component["custom_id"], "component_type": 3}
                        data["values"] = [option["value"]]
                        return self._interact(3, user, message["channel_id"], data, message)
        raise AssertionError(f"no {label!r} in {message['components']}")

    def submit(self, user: str, opened: Interaction, **values: Any) -> Interaction:
        """Submits an opened form; fields without a value keep the form's default."""
        assert opened.response is not None
        assert opened.response["type"] == 9, opened.response
        form = opened.response["data"]
        resolved: Json = {}
        parts = []
        for number, part in enumerate(form["components"]):
            if part["type"] == 18:
                inner = part["component"]
                answer = self._field_value(
                    inner, values.get(inner["custom_id"].partition("#")[0]), resolved
                )
                parts.append({"type": 18, "id": number, "component": answer})
        data = {"custom_id": form["custom_id"], "components": parts, "resolved": resolved}
        return self._interact(5, user, opened.channel, data, opened.message)

    def join(self, guild: str) -> None:
        """Invites the bot to a new guild."""
        self.add_guild(guild, joined_at=f"2026-11-22T00:00:{next(self._count)}+00:00")
        self.add_channel(f"{guild}20", guild)
        self.gateway.dispatch("GUILD_CREATE", self.described_guild(guild))

    def leave(self, user: str, guild: str) -> None:
        """Removes a member; only bots with the intent for members get the event."""
        self.guilds[guild].members.pop(user, None)
        data = {"guild_id": guild, "user": self.users[user]}
        self.gateway.dispatch("GUILD_MEMBER_REMOVE", data)

    def come_back(self, user: str, guild: str) -> None:
        self.guilds[guild].members[user] = []
        self.guilds[guild].joined[user] = datetime.now(UTC).isoformat()

    def rename(self, guild: str, name: str) -> None:
        self.guilds[guild].name = name
        self.gateway.dispatch("GUILD_UPDATE", self.described_guild(guild))

    def remove(self, guild: str) -> None:
        del self.guilds[guild]
        self.gateway.dispatch("GUILD_DELETE", {"id": guild})

    # Inspection

    def own(self, channel: str) -> list[Json]:
        """Returns the bot's messages in a channel, oldest first."""
        messages = self.channels[channel].messages.values()
        return [message for message in messages if message["author"]["id"] == BOT]

    def texts(self, channel: str) -> list[str]:
        return [shown(message) for message in self.own(channel)]

    def read(self, channel: str) -> list[Json]:
        """Returns the bot's messages in a channel, including ephemeral ones, oldest first."""
        ephemeral = [message for message in self.ephemerals if message["channel_id"] == channel]
        return sorted([*self.own(channel), *ephemeral], key=lambda message: int(message["id"]))

    def called(self, route: str) -> list[Json]:
        """Returns the bodies of calls of a route, such as `POST /channels/{channel}/messages`."""
        return [call.body for call in self.calls if call.route == route]

    # Gateway payloads

    def snowflake(self) -> str:
        timestamp = self._start + next(self._count)
        return str((timestamp << 22) | 1)

    def member(self, guild: str, user: str, *, whole: bool = True) -> Json:
        roles = self.guilds[guild].members.get(user, []) if guild in self.guilds else []
        joined = self.guilds[guild].joined.get(user, _JOINED) if guild in self.guilds else None
        member: Json = {"roles": roles, "nick": None, "joined_at": joined, "flags": 0}
        member |= {"deaf": False, "mute": False, "pending": False, "avatar": None}
        return {**member, "user": self.users[user]} if whole else member

    def permissions(self, guild: str, user: str) -> int:
        allowed = _EVERYBODY
        if ADMIN_ROLE in self.guilds[guild].members.get(user, []):
            allowed |= MANAGE_GUILD
        return allowed

    def described_guild(self, guild: str) -> Json:
        stored = self.guilds[guild]
        tags = {"bot_id": BOT}
        roles = [
            {**_ROLE, "id": guild, "name": "@everyone", "permissions": str(_EVERYBODY)},
            {**_ROLE, "id": BOT_ROLE, "permissions": str(stored.bot_permissions), "tags": tags},
            {**_ROLE, "id": ADMIN_ROLE, "permissions": str(MANAGE_GUILD)},
            *(
                {**_ROLE, "id": role, "name": role_name, "permissions": "0"}
                for role, role_name in self.roles.items()
            ),
        ]
        channels = [channel for channel in self.channels.values() if channel.guild == guild]
        return {
            **_GUILD,
            "id": guild,
            "name": stored.name,
            "owner_id": stored.owner,
            "preferred_locale": stored.locale,
            "joined_at": stored.joined_at,
            "roles": roles,
            "members": [self.member(guild, BOT)],
            "channels": [
                channel.described() for channel in channels if channel.kind not in (10, 11, 12)
            ],
            "threads": [
                channel.described() for channel in channels if channel.kind in (10, 11, 12)
            ],
            "unavailable": False,
        }

    def _ready(self, session: Session) -> Json:
        ready: Json = {"v": 10, "user": self.users[BOT], "session_id": session.id}
        ready["shard"] = list(session.shard)
        ready["guilds"] = [
            {"id": guild, "unavailable": True} for guild in self.guilds if session.has(guild)
        ]
        ready["application"] = {"id": BOT, "flags": self.flags or 0}
        if not self.gateway.lacks_resume_url:
            ready["resume_gateway_url"] = self.gateway.url
        return ready

    def _after_ready(self, session: Session) -> None:
        for guild in self.guilds:
            if session.has(guild):
                self.gateway.dispatch("GUILD_CREATE", self.described_guild(guild), only=session)

    def _reads_content(self, message: Json) -> bool:
        """Whether a message has content without the intent.

        events/gateway#message-content-intent
        """
        is_direct = not message.get("guild_id")
        is_own = (message.get("author") or {}).get("id") == BOT
        called = any(user["id"] == BOT for user in message.get("mentions") or ())
        return is_direct or is_own or called

    def _interact(
        self, kind: int, user: str, channel: str, data: Json, message: Json | None = None
    ) -> Interaction:
        where = self.channels[channel]
        number = self.snowflake()
        interaction = Interaction(
            number, f"token-{number}", kind, user, channel, time.monotonic(), message
        )
        self.interactions[interaction.token] = interaction
        payload: Json = {
            "id": number,
            "application_id": BOT,
            "type": kind,
            "token": interaction.token,
        }
        payload |= {
            "version": 1,
            "channel_id": channel,
            "locale": self.users[user].get("locale", "en-US"),
        }
        payload |= {"data": data, "entitlements": [], "attachment_size_limit": 10 << 20}
        payload["channel"] = {"id": channel, "type": where.kind, "parent_id": where.parent}
        if where.guild and where.guild not in self.guilds:
            # interactions/receiving-and-responding: a user install, without the guild.
            payload |= {"guild_id": where.guild, "context": 0, "app_permissions": "0"}
            payload["member"] = {"user": self.users[user], "roles": [], "permissions": "8"}
            payload["authorizing_integration_owners"] = {"1": user}
        elif where.guild:
            allowed = {"permissions": str(self.permissions(where.guild, user))}
            payload["authorizing_integration_owners"] = {"0": where.guild}
            payload["guild_id"] = where.guild
            payload |= {"member": {**self.member(where.guild, user), **allowed}, "context": 0}
            payload["app_permissions"] = str(self.guilds[where.guild].bot_permissions)
        else:
            payload |= {"user": self.users[user], "context": 1}
        if message is not None:
            payload["message"] = message
        self.gateway.dispatch("INTERACTION_CREATE", payload)
        return interaction

    def _option(self, name: str, value: Any, resolved: Json) -> Json:
        if isinstance(value, tuple):
            number = self._upload(value, resolved)
            return {"name": name, "type": 11, "value": number}
        if name == "user" and value in self.roles:
            resolved.setdefault("roles", {})[value] = {**_ROLE, "id": value}
            return {"name": name, "type": 9, "value": value}
        kinds = {bool: 5, int: 4, float: 10}
        return {"name": name, "type": kinds.get(type(value), 3), "value": value}

    def _upload(self, file: tuple[str, bytes], resolved: Json) -> str:
        name, data = file
        number = self.snowflake()
        self.files_at[number] = data
        attachment = {
            "id": number,
            "filename": name,
            "size": len(data),
            "url": f"{self.url}/cdn/{number}",
        }
        resolved.setdefault("attachments", {})[number] = attachment
        return number

    def _field_value(self, field: Json, given: Any, resolved: Json) -> Json:
        answer: Json = {"type": field["type"], "custom_id": field["custom_id"]}
        match field["type"]:
            case 3:
                defaults = [option["value"] for option in field["options"] if option.get("default")]
                values = given if isinstance(given, list) else [given]
                return {**answer, "values": values if given is not None else defaults}
            case 19:
                return {**answer, "values": [self._upload(given, resolved)] if given else []}
            case 23:
                return {**answer, "value": bool(given)}
            case _:
                is_part = "#" in field["custom_id"]
                value = field.get("value", "") if given is None or is_part else given
                # Discord's clients strip whitespace around typed text.
                return {**answer, "value": value.strip()}


@asynccontextmanager
async def fake_discord(port: int = 0) -> AsyncIterator[FakeDiscord]:
    discord = FakeDiscord()
    app = web.Application(client_max_size=32 << 20)
    app.router.add_get("/gw", discord.gateway.socket)
    app.router.add_get("/gw/", discord.gateway.socket)
    app.router.add_get("/cdn/{file}", discord.rest.cdn)
    app.router.add_route("*", "/api/v10/{path:.*}", discord.rest.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    server = site._server
    assert server is not None
    number = server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    discord.url = f"http://127.0.0.1:{number}"
    discord.gateway.url = f"ws://127.0.0.1:{number}/gw"
    try:
        yield discord
    finally:
        await discord.gateway.close()
        await runner.cleanup()


__all__ = ["ADMIN", "ANN", "BEN", "BOT", "GENERAL", "GUILD", "FakeDiscord"]
