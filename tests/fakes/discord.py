"""A Discord on loopback: real WebSocket and HTTP, strict by the vendor's own rules.

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


# resources/guild and topics/permissions: what an object has beside what matters here.
_ROLE: Json = {"name": "a role", "position": 0, "color": 0, "hoist": False, "managed": False}
_ROLE |= {"mentionable": False, "flags": 0, "icon": None, "unicode_emoji": None}
_GUILD: Json = {"verification_level": 0, "default_message_notifications": 0, "afk_timeout": 60}
_GUILD |= {"explicit_content_filter": 0, "mfa_level": 0, "nsfw_level": 0, "premium_tier": 0}
_GUILD |= {"features": [], "emojis": [], "stickers": [], "voice_states": [], "presences": []}
_GUILD |= {"member_count": 4, "large": False, "icon": None, "splash": None, "banner": None}
_GUILD |= {"discovery_splash": None, "system_channel_id": None, "system_channel_flags": 0}


@dataclass(slots=True)
class Channel:
    """`kind` as resources/channel#channel-object-channel-types numbers them."""

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
        drawn: Json = {"id": self.id, "type": self.kind, "name": name, "flags": 0}
        if self.kind == 1:
            drawn["recipients"] = [{"id": member} for member in self.members]
        if self.guild:
            overwrite = {"id": self.guild, "type": 0, "allow": "0", "deny": str(self.denied)}
            drawn |= {"guild_id": self.guild, "position": int(self.id) % 1000, "nsfw": self.nsfw}
            drawn |= {"parent_id": self.parent, "permission_overwrites": [overwrite]}
            drawn |= {"topic": None, "rate_limit_per_user": 0, "last_message_id": None}
        return drawn


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
    """What Discord holds of a command, click or form that waits for its answer."""

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
    """The state of the fake; tests set its fields, look at them, and plan faults."""

    def __init__(self) -> None:
        self.gateway = Gateway(self._reads_content)
        self.flags: int | None = CONTENT_FLAG
        self.is_public = True
        self.is_for_users = False
        """Whether the page Installation lets people add the application to their account."""
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

    # People and places

    @property
    def token(self) -> str:
        return self.gateway.token

    def add_user(self, user: str, **facts: object) -> None:
        known = {"id": user, "username": f"name-{user}", "discriminator": "0", "avatar": None}
        self.users[user] = {**known, "global_name": None, **facts}

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
        """The channel of somebody and the bot; its id goes with the person's."""
        channel = f"7{user}"
        if channel not in self.channels:
            self.channels[channel] = Channel(channel, None, 1, members={user})
        return channel

    def open_thread(self, channel: str, message: str, *, kind: int = 11, name: str = "") -> str:
        """topics/threads: one that begins with a message bears its id."""
        parent = self.channels[channel]
        self.channels[message] = Channel(
            message, parent.guild, kind, parent=channel, denied=parent.denied, name=name
        )
        self.gateway.dispatch("THREAD_CREATE", self.channels[message].described())
        return message

    # What people do

    def say(self, user: str, channel: str, text: str, **more: Any) -> str:
        message = self.put(user, channel, text, **more)
        self.gateway.dispatch("MESSAGE_CREATE", self.told(channel, message))
        return message

    def mention(self, user: str, channel: str, text: str, **more: Any) -> str:
        return self.say(user, channel, f"<@{BOT}> {text}", **more)

    def put(
        self, user: str, channel: str, text: str, *, answers: str | None = None, **more: Any
    ) -> str:
        """A message of which the bot hears nothing."""
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
        """As the gateway tells it: with the guild and the author's membership."""
        where = self.channels[channel]
        found = dict(where.messages[message])
        if where.guild:
            found["guild_id"] = where.guild
            found["member"] = self.member(where.guild, found["author"]["id"], whole=False)
        return found

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
        found = self.channels[channel].messages[message]
        found |= {"content": text, "edited_timestamp": f"2026-11-22T00:00:{next(self._count)}"}
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
        """`/tune words`, its options as Discord parses them; an option `file` is (name, bytes)."""
        resolved: Json = {}
        given = [self._option(name, value, resolved) for name, value in options.items()]
        nested: list[Json] = given
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
        """A message's menu hands over the message itself, whatever the intents."""
        found = self.channels[channel].messages[message]
        data = {"name": name, "type": 3, "target_id": message}
        return self._interact(
            2, user, channel, {**data, "resolved": {"messages": {message: found}}}
        )

    def click(self, user: str, message: Json, label: str) -> Interaction:
        """A button, or the choice of a menu, by its label."""
        for row in message["components"]:
            for one in row["components"]:
                if one.get("label") == label:
                    data: Json = {"custom_id": one["custom_id"], "component_type": 2}
                    return self._interact(3, user, message["channel_id"], data, message)
                for option in one.get("options") or ():
                    if option["label"] == label:
                        data = {"custom_id": one["custom_id"], "component_type": 3}
                        data["values"] = [option["value"]]
                        return self._interact(3, user, message["channel_id"], data, message)
        raise AssertionError(f"no {label!r} in {message['components']}")

    def submit(self, user: str, opened: Interaction, **values: Any) -> Interaction:
        """A form comes back; what is not given keeps what the form was opened with."""
        assert opened.response is not None
        assert opened.response["type"] == 9, opened.response
        form = opened.response["data"]
        resolved: Json = {}
        parts = []
        for number, part in enumerate(form["components"]):
            if part["type"] == 18:
                inner = part["component"]
                answer = self._typed(
                    inner, values.get(inner["custom_id"].partition("#")[0]), resolved
                )
                parts.append({"type": 18, "id": number, "component": answer})
        data = {"custom_id": form["custom_id"], "components": parts, "resolved": resolved}
        return self._interact(5, user, opened.channel, data, opened.message)

    def join(self, guild: str) -> None:
        """The bot is invited into a guild that it did not know."""
        self.add_guild(guild, joined_at=f"2026-11-22T00:00:{next(self._count)}+00:00")
        self.add_channel(f"{guild}20", guild)
        self.gateway.dispatch("GUILD_CREATE", self.described_guild(guild))

    def leave(self, user: str, guild: str) -> None:
        """Bots without the intent for members are not told."""
        self.guilds[guild].members.pop(user, None)
        gone = {"guild_id": guild, "user": self.users[user]}
        self.gateway.dispatch("GUILD_MEMBER_REMOVE", gone)

    def come_back(self, user: str, guild: str) -> None:
        self.guilds[guild].members[user] = []
        self.guilds[guild].joined[user] = datetime.now(UTC).isoformat()

    def rename(self, guild: str, name: str) -> None:
        self.guilds[guild].name = name
        self.gateway.dispatch("GUILD_UPDATE", self.described_guild(guild))

    def remove(self, guild: str) -> None:
        del self.guilds[guild]
        self.gateway.dispatch("GUILD_DELETE", {"id": guild})

    # What it all looks like

    def own(self, channel: str) -> list[Json]:
        """The bot's messages in a channel, oldest first."""
        messages = self.channels[channel].messages.values()
        return [one for one in messages if one["author"]["id"] == BOT]

    def texts(self, channel: str) -> list[str]:
        return [shown(one) for one in self.own(channel)]

    def read(self, channel: str) -> list[Json]:
        """The bot's messages in a channel with what it told one person alone, oldest first."""
        alone = [one for one in self.ephemerals if one["channel_id"] == channel]
        return sorted([*self.own(channel), *alone], key=lambda one: int(one["id"]))

    def called(self, route: str) -> list[Json]:
        """The bodies of calls of a route, like `POST /channels/{channel}/messages`."""
        return [call.body for call in self.calls if call.route == route]

    # What Discord tells

    def snowflake(self) -> str:
        at = self._start + next(self._count)
        return str((at << 22) | 1)

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
        known = self.guilds[guild]
        tags = {"bot_id": BOT}
        roles = [
            {**_ROLE, "id": guild, "name": "@everyone", "permissions": str(_EVERYBODY)},
            {**_ROLE, "id": BOT_ROLE, "permissions": str(known.bot_permissions), "tags": tags},
            {**_ROLE, "id": ADMIN_ROLE, "permissions": str(MANAGE_GUILD)},
            *({**_ROLE, "id": one, "name": n, "permissions": "0"} for one, n in self.roles.items()),
        ]
        inside = [one for one in self.channels.values() if one.guild == guild]
        return {
            **_GUILD,
            "id": guild,
            "name": known.name,
            "owner_id": known.owner,
            "preferred_locale": known.locale,
            "joined_at": known.joined_at,
            "roles": roles,
            "members": [self.member(guild, BOT)],
            "channels": [one.described() for one in inside if one.kind not in (10, 11, 12)],
            "threads": [one.described() for one in inside if one.kind in (10, 11, 12)],
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
        """events/gateway#message-content-intent: what is meant for the bot is told all the same."""
        is_direct = not message.get("guild_id")
        is_own = (message.get("author") or {}).get("id") == BOT
        called = any(user["id"] == BOT for user in message.get("mentions") or ())
        return is_direct or is_own or called

    def _interact(
        self, kind: int, user: str, channel: str, data: Json, message: Json | None = None
    ) -> Interaction:
        where = self.channels[channel]
        number = self.snowflake()
        held = Interaction(
            number, f"token-{number}", kind, user, channel, time.monotonic(), message
        )
        self.interactions[held.token] = held
        told: Json = {"id": number, "application_id": BOT, "type": kind, "token": held.token}
        told |= {
            "version": 1,
            "channel_id": channel,
            "locale": self.users[user].get("locale", "en-US"),
        }
        told |= {"data": data, "entitlements": [], "attachment_size_limit": 10 << 20}
        told["channel"] = {"id": channel, "type": where.kind, "parent_id": where.parent}
        if where.guild and where.guild not in self.guilds:
            # interactions/receiving-and-responding: the app is on the person's account alone.
            told |= {"guild_id": where.guild, "context": 0, "app_permissions": "0"}
            told["member"] = {"user": self.users[user], "roles": [], "permissions": "8"}
            told["authorizing_integration_owners"] = {"1": user}
        elif where.guild:
            allowed = {"permissions": str(self.permissions(where.guild, user))}
            told["authorizing_integration_owners"] = {"0": where.guild}
            told["guild_id"] = where.guild
            told |= {"member": {**self.member(where.guild, user), **allowed}, "context": 0}
            told["app_permissions"] = str(self.guilds[where.guild].bot_permissions)
        else:
            told |= {"user": self.users[user], "context": 1}
        if message is not None:
            told["message"] = message
        self.gateway.dispatch("INTERACTION_CREATE", told)
        return held

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
        told = {
            "id": number,
            "filename": name,
            "size": len(data),
            "url": f"{self.url}/cdn/{number}",
        }
        resolved.setdefault("attachments", {})[number] = told
        return number

    def _typed(self, inner: Json, given: Any, resolved: Json) -> Json:
        answer: Json = {"type": inner["type"], "custom_id": inner["custom_id"]}
        match inner["type"]:
            case 3:
                chosen = [one["value"] for one in inner["options"] if one.get("default")]
                several = given if isinstance(given, list) else [given]
                return {**answer, "values": several if given is not None else chosen}
            case 19:
                return {**answer, "values": [self._upload(given, resolved)] if given else []}
            case 23:
                return {**answer, "value": bool(given)}
            case _:
                is_part = "#" in inner["custom_id"]
                kept = inner.get("value", "") if given is None or is_part else given
                # Clients cut off the white space around what was typed.
                return {**answer, "value": kept.strip()}


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
    held = site._server
    assert held is not None
    number = held.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    discord.url = f"http://127.0.0.1:{number}"
    discord.gateway.url = f"ws://127.0.0.1:{number}/gw"
    try:
        yield discord
    finally:
        await discord.gateway.close()
        await runner.cleanup()


__all__ = ["ADMIN", "ANN", "BEN", "BOT", "GENERAL", "GUILD", "FakeDiscord"]
