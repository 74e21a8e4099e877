"""The REST API of the fake Discord: routes, rate limits, error codes and interactions."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.fakes.discord_rules import (
    FIRST_SECONDS,
    NONCE_SECONDS,
    TOKEN_SECONDS,
    Json,
    Limits,
    RefusedError,
    check_commands,
    check_message,
    check_modal,
    pings,
    without_content,
)
from tests.fakes.discord_spec import published

if TYPE_CHECKING:
    from tests.fakes.discord import Channel, FakeDiscord, Interaction

_EPHEMERAL = 1 << 6


@dataclass(slots=True)
class Call:
    """A call that was accepted; `at` is in monotonic seconds."""

    route: str
    args: Json
    body: Json
    at: float


@dataclass(frozen=True, slots=True)
class Fault:
    """The answer to a call in place of the normal one; with `is_done`, the call takes effect."""

    status: int = 500
    code: int = 0
    retry_after: float = 0.0
    is_global: bool = False
    has_via: bool = True
    is_done: bool = False
    is_cut: bool = False


class Rest:
    """All routes below /api/v10."""

    def __init__(self, discord: FakeDiscord) -> None:
        self.discord = discord
        self.limits = Limits()
        self.calls: list[Call] = []
        self.refusals: list[tuple[str, int]] = []
        self.delay_seconds = 0.0
        self.checks_bodies = True
        self.tells_responses = True
        self._faults: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self.planned_fault: tuple[int, Fault] | None = None
        """A fault of the n-th next call of any route, counted from 0."""
        self._nonces: dict[tuple[str, str], tuple[float, str]] = {}
        self._routes = [
            (method, _pattern(path), f"{method} {path}", handler)
            for (method, path), handler in self._table().items()
        ]

    def fail(self, route: str, *faults: Fault) -> None:
        """Plans faults for the next calls of a route."""
        self._faults[route].extend(faults)

    def mend(self, route: str) -> None:
        """Cancels the planned faults of a route."""
        self._faults[route].clear()

    async def take(self, request: web.Request) -> web.StreamResponse:
        path = "/" + request.match_info["path"]
        match = self._find(request.method, path)
        if match is None:
            return _json_response({"message": "404: Not Found", "code": 0}, 404)
        route, args, handler = match
        if self.delay_seconds:
            await asyncio.sleep(self.delay_seconds)
        fault = self._next_fault(route)
        if fault is not None and not fault.is_done:
            return _fault_response(request, fault)
        headers: Json = {}
        try:
            self._authenticate(request, route)
            headers = self._apply_limits(route, args)
            body, files = await _body(request)
            self._validate_body(request.method, path, body)
            self.calls.append(Call(route, args, body, time.monotonic()))
            answer = handler(args, body, files, dict(request.query))
            if inspect.isawaitable(answer):
                answer = await answer
        except RefusedError as error:
            self.refusals.append((route, error.code))
            return _json_response(
                {"message": error.message, "code": error.code}, error.status, headers
            )
        except _RateLimitedError as busy:
            self.refusals.append((route, 429))
            return busy.answer()
        if fault is not None:
            return _fault_response(request, fault)
        return _json_response(answer, 204 if answer is None else 200, headers)

    def _next_fault(self, route: str) -> Fault | None:
        if self._faults[route]:
            return self._faults[route].popleft()
        number, fault = self.planned_fault or (0, None)
        self.planned_fault = (number - 1, fault) if fault and number else None
        return None if number else fault

    async def cdn(self, request: web.Request) -> web.Response:
        return web.Response(body=self.discord.files_at[request.match_info["file"]])

    def _find(self, method: str, path: str) -> tuple[str, Json, Callable[..., Any]] | None:
        for known_method, pattern, route, handler in self._routes:
            match = pattern.fullmatch(path)
            if known_method == method and match:
                return route, match.groupdict(), handler
        return None

    def _authenticate(self, request: web.Request, route: str) -> None:
        """Checks the token (reference#authentication); interactions and webhooks have their own."""
        if "/interactions/" in route or "/webhooks/" in route:
            return
        if request.headers.get("Authorization") != f"Bot {self.discord.token}":
            raise RefusedError(401, 0, "401: Unauthorized")
        if not request.headers.get("User-Agent", "").startswith("DiscordBot ("):
            # reference#user-agent
            raise RefusedError(403, 40333, "internal network error")

    def _apply_limits(self, route: str, args: Json) -> Json:
        """Applies topics/rate-limits; the global limit does not apply to interaction endpoints."""
        if "/interactions/" in route or "/webhooks/" in route:
            return {}
        after = self.limits.over()
        if after:
            raise _RateLimitedError(after, is_global=True)
        headers, after = self.limits.take(
            route, str(args.get("channel") or args.get("guild") or "")
        )
        if after:
            raise _RateLimitedError(after, headers=headers)
        return headers

    def _validate_body(self, method: str, path: str, body: Json) -> None:
        """Validates the body by Discord's OpenAPI description, if that file exists."""
        description = published() if self.checks_bodies else None
        if description is not None and body:
            problems = description.problems(method, path, body)
            if problems:
                raise RefusedError(400, 50035, "; ".join(problems))

    def _table(self) -> dict[tuple[str, str], Callable[..., Any]]:
        messages = "/channels/{channel}/messages"
        hook = "/webhooks/{application}/{token}"
        return {
            ("GET", "/users/@me"): lambda *_: self.discord.users["900"],
            ("GET", "/users/@me/guilds"): self._own_guilds,
            ("POST", "/users/@me/channels"): self._open_direct,
            ("GET", "/applications/@me"): self._application,
            ("GET", "/oauth2/applications/@me"): self._application,
            ("PUT", "/applications/{application}/commands"): self._commands,
            ("PUT", "/applications/{application}/guilds/{guild}/commands"): self._commands,
            ("GET", "/gateway/bot"): self._gateway,
            ("GET", "/guilds/{guild}"): self._guild,
            ("GET", "/guilds/{guild}/members/{user}"): self._member,
            ("GET", "/guilds/{guild}/roles"): lambda args, *_: self._guild(args)["roles"],
            ("GET", "/channels/{channel}"): lambda args, *_: self._visible_channel(
                args
            ).described(),
            ("GET", messages): self._history,
            ("POST", messages): self._post,
            ("GET", messages + "/{message}"): self._get,
            ("PATCH", messages + "/{message}"): self._edit,
            ("POST", messages + "/{message}/threads"): self._open_thread,
            ("PUT", messages + "/{message}/reactions/{emoji}/@me"): self._react,
            ("POST", "/channels/{channel}/typing"): self._type,
            ("POST", "/interactions/{interaction}/{token}/callback"): self._callback,
            ("POST", hook): self._follow_up,
            ("GET", hook + "/messages/{message}"): self._get_follow_up,
            ("PATCH", hook + "/messages/{message}"): self._edit_follow_up,
            ("DELETE", hook + "/messages/{message}"): self._delete_follow_up,
        }

    # Guilds, channels and users

    def _application(self, *_: Any) -> Json:
        application: Json = {
            "id": "900",
            "name": "Attune",
            "description": "",
            "bot_public": self.discord.is_public,
        }
        application |= {
            "icon": None,
            "bot_require_code_grant": False,
            "verify_key": "00",
            "tags": [],
        }
        application |= {"owner": self.discord.users["101"], "team": None, "rpc_origins": []}
        if self.discord.is_for_users:
            application["integration_types_config"] = {"0": {}, "1": {}}
        return (
            application
            if self.discord.flags is None
            else {**application, "flags": self.discord.flags}
        )

    def _gateway(self, *_: Any) -> Json:
        start = {"total": 1000, "remaining": 999, "reset_after": 1, "max_concurrency": 1}
        gateway = self.discord.gateway
        return {"url": gateway.url, "shards": gateway.shards, "session_start_limit": start}

    def _own_guilds(self, *_: Any) -> list[Json]:
        return [
            {"id": guild.id, "name": guild.name, "permissions": str(guild.bot_permissions)}
            for guild in self.discord.guilds.values()
        ]

    def _guild(self, args: Json, *_: Any) -> Json:
        if args["guild"] not in self.discord.guilds:
            raise RefusedError(404, 10004, "Unknown Guild")
        return self.discord.described_guild(args["guild"])

    def _member(self, args: Json, *_: Any) -> Json:
        guild = self.discord.guilds.get(args["guild"])
        if guild is None or args["user"] not in guild.members:
            raise RefusedError(404, 10007, "Unknown Member")
        return self.discord.member(args["guild"], args["user"])

    def _commands(self, args: Json, body: Any, *_: Any) -> list[Json]:
        check_commands(body)
        self.discord.commands[args.get("guild", "")] = body
        return [{**command, "id": str(5000 + number)} for number, command in enumerate(body)]

    def _open_direct(self, args: Json, body: Json, *_: Any) -> Json:
        user = str(body["recipient_id"])
        if user not in self.discord.users:
            raise RefusedError(400, 50033, "Invalid Recipient(s)")
        return {"id": self.discord.direct(user), "type": 1}

    def _visible_channel(self, args: Json) -> Channel:
        """Returns a channel that the bot can view, else refuses (topics/permissions)."""
        channel = self.discord.channels.get(args["channel"])
        if channel is None:
            raise RefusedError(404, 10003, "Unknown Channel")
        if channel.guild and channel.guild not in self.discord.guilds:
            raise RefusedError(403, 50001, "Missing Access")
        if not self._permissions(channel) & (1 << 10):
            raise RefusedError(403, 50001, "Missing Access")
        return channel

    def _permissions(self, channel: Channel) -> int:
        if channel.guild is None:
            return ~0
        permissions: int = self.discord.guilds[channel.guild].bot_permissions
        return permissions & ~channel.denied

    def _require(self, channel: Channel, bit: int) -> None:
        if not self._permissions(channel) & bit:
            raise RefusedError(403, 50013, "Missing Permissions")

    # Messages

    def _post(self, args: Json, body: Json, files: list[Json], query: Json) -> Json:
        channel = self._visible_channel(args)
        if channel.members & self.discord.direct_closed:
            raise RefusedError(403, 50007, "Cannot send messages to this user")
        self._require(channel, 1 << 38 if channel.kind in (10, 11, 12) else 1 << 11)
        if body.get("embeds"):
            self._require(channel, 1 << 14)
        if files:
            self._require(channel, 1 << 15)
        check_message(body, has_files=bool(files))
        earlier = self._message_with_nonce(channel.id, body)
        if earlier is not None:
            return earlier
        answered_id = self._referenced_message(channel, body)
        message = self._new_message(channel.id, body, files)
        if answered_id is not None:
            reference = {"message_id": answered_id, "channel_id": channel.id, "type": 0}
            message |= {"type": 19, "message_reference": reference}
            message["referenced_message"] = channel.messages.get(answered_id)
        self._record_pings(body, channel.messages.get(answered_id or ""))
        channel.messages[message["id"]] = message
        if body.get("nonce"):
            self._nonces[channel.id, str(body["nonce"])] = (time.monotonic(), message["id"])
        self.discord.gateway.dispatch(
            "MESSAGE_CREATE", self.discord.told(channel.id, message["id"])
        )
        return message

    def _open_thread(self, args: Json, body: Json, *_: Any) -> Json:
        """Opens a thread (resources/channel#start-thread-from-message)."""
        channel = self._visible_channel(args)
        if channel.kind not in (0, 5):
            raise RefusedError(400, 50024, "Cannot execute action on this channel type")
        if args["message"] not in channel.messages:
            raise RefusedError(404, 10008, "Unknown Message")
        self._require(channel, 1 << 35)
        if not 1 <= len(str(body.get("name") or "").encode("utf-16-le")) // 2 <= 100:
            raise RefusedError(400, 50035, "name: Must be between 1 and 100 in length.")
        if args["message"] in self.discord.channels:
            raise RefusedError(400, 160004, "A thread has already been created for this message")
        self.discord.open_thread(channel.id, args["message"], name=str(body["name"]))
        return self.discord.channels[args["message"]].described()

    def _message_with_nonce(self, channel: str, body: Json) -> Json | None:
        """Returns the earlier message with this enforced nonce.

        resources/message#create-message
        """
        if not body.get("enforce_nonce"):
            return None
        at, message = self._nonces.get((channel, str(body.get("nonce"))), (0.0, ""))
        if time.monotonic() - at > NONCE_SECONDS:
            return None
        stored: Json | None = self.discord.channels[channel].messages.get(message)
        return stored

    def _referenced_message(self, channel: Channel, body: Json) -> str | None:
        reference = body.get("message_reference")
        if reference is None:
            return None
        if str(reference["message_id"]) in channel.messages:
            return str(reference["message_id"])
        if reference.get("fail_if_not_exists", True):
            raise RefusedError(400, 50035, "message_reference: Unknown message")
        return None

    def _new_message(self, channel: str, body: Json, files: list[Json]) -> Json:
        attachment_fields = body.get("attachments") or []
        if len(attachment_fields) != len(files):
            raise RefusedError(400, 50035, "attachments and files differ")
        attachments = [
            {"id": str(n), "filename": file["filename"], "size": len(file["data"])}
            for n, file in enumerate(files)
        ]
        self.discord.files += [{**file, "channel": channel} for file in files]
        message: Json = {"id": self.discord.snowflake(), "channel_id": channel, "type": 0}
        message |= {"author": self.discord.users["900"], "content": str(body.get("content") or "")}
        message["content"] = message["content"].strip()
        message |= {"embeds": body.get("embeds") or [], "components": body.get("components") or []}
        message |= {"attachments": attachments, "flags": body.get("flags") or 0, "mentions": []}
        message |= {"pinned": False, "mention_everyone": False, "mention_roles": [], "tts": False}
        message |= {"edited_timestamp": None, "timestamp": "2026-11-22T00:00:00+00:00"}
        return message

    def _record_pings(self, body: Json, answered: Json | None = None) -> None:
        author = str(answered["author"]["id"]) if answered else None
        self.discord.pings += pings(body, answers=author)

    def _edit(self, args: Json, body: Json, files: list[Json], query: Json) -> Json:
        channel = self._visible_channel(args)
        message = channel.messages.get(args["message"])
        if message is None:
            raise RefusedError(404, 10008, "Unknown Message")
        if message["author"]["id"] != "900":
            raise RefusedError(403, 50005, "Cannot edit a message authored by another user")
        if body.get("embeds"):
            self._require(channel, 1 << 14)
        return self._edit_message(message, body, files)

    def _edit_message(self, message: Json, body: Json, files: list[Json]) -> Json:
        check_message(body, has_files=bool(files), is_edit=True)
        self._record_pings(body)
        for name in ("content", "embeds", "components", "flags"):
            if name in body:
                message[name] = body[name] if body[name] is not None else type(message[name])()
        message["content"] = str(message["content"]).strip()
        if files:
            message["attachments"] = [{"filename": file["filename"]} for file in files]
            self.discord.files += [{**file, "channel": message["channel_id"]} for file in files]
        message["edited_timestamp"] = f"2026-11-22T00:00:{self.discord.snowflake()}"
        return message

    def _get(self, args: Json, *_: Any) -> Json:
        channel = self._visible_channel(args)
        self._require(channel, 1 << 16)
        message = channel.messages.get(args["message"])
        if message is None:
            raise RefusedError(404, 10008, "Unknown Message")
        return self._without_hidden_content(channel, message)

    def _history(self, args: Json, body: Json, files: list[Json], query: Json) -> list[Json]:
        """Lists messages newest first, at most 100 (resources/message#get-channel-messages)."""
        channel = self._visible_channel(args)
        self._require(channel, 1 << 16)
        limit = int(query.get("limit", 50))
        if not 1 <= limit <= 100:
            raise RefusedError(400, 50035, "limit: 1 to 100")
        before = int(query.get("before") or 1 << 63)
        after = int(query.get("after") or 0)
        matching = [
            message for number, message in channel.messages.items() if after < int(number) < before
        ]
        page = matching[:limit] if after else matching[-limit:]
        return [self._without_hidden_content(channel, message) for message in reversed(page)]

    def _without_hidden_content(self, channel: Channel, message: Json) -> Json:
        """Removes the content if the bot lacks the intent, which applies to REST too.

        events/gateway#message-content-intent
        """
        in_guild = {**message, "guild_id": channel.guild} if channel.guild else message
        if self.discord.flags or self.discord._reads_content(in_guild):
            return message
        return without_content(message)

    def _react(self, args: Json, *_: Any) -> None:
        channel = self._visible_channel(args)
        self._require(channel, 1 << 6)
        message = channel.messages.get(args["message"])
        if message is None:
            raise RefusedError(404, 10008, "Unknown Message")
        reactions = message.setdefault("reactions", [])
        if args["emoji"] not in reactions:
            reactions.append(args["emoji"])

    def _type(self, args: Json, *_: Any) -> None:
        self._require(self._visible_channel(args), 1 << 11)
        self.discord.typed.append(args["channel"])

    # Interactions

    def _callback(self, args: Json, body: Json, files: list[Json], query: Json) -> Json | None:
        interaction = self._interaction(args)
        if interaction.response is not None:
            raise RefusedError(400, 40060, "Interaction has already been acknowledged.")
        elapsed = time.monotonic() - interaction.at
        if elapsed > FIRST_SECONDS or args["interaction"] != interaction.id:
            raise RefusedError(404, 10062, "Unknown interaction")
        kind = body["type"]
        self._check_kind(interaction, kind)
        message = self._respond(interaction, kind, body.get("data") or {}, files)
        interaction.response, interaction.took = body, elapsed
        if message is not None:
            interaction.original = message["id"]
        if query.get("with_response") != "true" or not self.tells_responses:
            return None
        inner = {"id": interaction.id, "type": interaction.kind}
        return {"interaction": inner, "resource": {"type": kind, "message": message}}

    def _respond(
        self, interaction: Interaction, kind: int, data: Json, files: list[Json]
    ) -> Json | None:
        if kind == 4:
            check_message(data, has_files=bool(files))
            return self._store_response(interaction, data, files)
        if kind == 7 and interaction.message is not None:
            return self._edit_message(self._clicked(interaction), data, files)
        if kind == 8:
            self._check_choices(data)
            interaction.choices = data["choices"]
        if kind == 9:
            check_modal(data)
        return None

    def _check_kind(self, interaction: Interaction, kind: int) -> None:
        """Checks that the response type fits the interaction.

        interactions/receiving-and-responding
        """
        allowed = {
            2: (4, 5, 9),
            3: (4, 5, 6, 7, 9),
            4: (8,),
            5: (4, 5, 6, 7) if interaction.message is not None else (4, 5),
        }
        if kind not in allowed[interaction.kind]:
            raise RefusedError(400, 50035, f"type {kind} does not answer {interaction.kind}")

    def _check_choices(self, data: Json) -> None:
        choices = data["choices"]
        if len(choices) > 25 or any(not 1 <= len(choice["name"]) <= 100 for choice in choices):
            raise RefusedError(400, 50035, "choices")

    def _follow_up(self, args: Json, body: Json, files: list[Json], query: Json) -> Json:
        interaction = self._valid_interaction(args)
        if interaction.response is None:
            raise RefusedError(404, 10015, "Unknown Webhook")
        check_message(body, has_files=bool(files))
        return self._store_response(interaction, body, files)

    def _get_follow_up(self, args: Json, *_: Any) -> Json:
        return self._find_message(self._valid_interaction(args), args["message"])

    def _edit_follow_up(self, args: Json, body: Json, files: list[Json], query: Json) -> Json:
        interaction = self._valid_interaction(args)
        if _is_deferred_original(interaction, args):
            response = interaction.response or {}
            message = self._store_response(
                interaction, {**(response.get("data") or {}), **body}, files
            )
            interaction.original = message["id"]
            return message
        return self._edit_message(self._find_message(interaction, args["message"]), body, files)

    def _delete_follow_up(self, args: Json, *_: Any) -> None:
        interaction = self._valid_interaction(args)
        if _is_deferred_original(interaction, args):
            interaction.original = "gone"
            return
        message = self._find_message(interaction, args["message"])
        self.discord.channels[interaction.channel].messages.pop(message["id"], None)

    def _interaction(self, args: Json) -> Interaction:
        interaction = self.discord.interactions.get(args["token"])
        if interaction is None:
            raise RefusedError(404, 10062, "Unknown interaction")
        return interaction

    def _valid_interaction(self, args: Json) -> Interaction:
        interaction = self.discord.interactions.get(args["token"])
        if interaction is None or time.monotonic() - interaction.at > TOKEN_SECONDS:
            raise RefusedError(401, 50027, "Invalid Webhook Token")
        return interaction

    def _find_message(self, interaction: Interaction, number: str) -> Json:
        if number == "@original" and (interaction.response or {}).get("type") in (6, 7):
            return self._clicked(interaction)
        message_id = interaction.original if number == "@original" else number
        for message in self.discord.ephemerals:
            if message["id"] == message_id:
                return message
        stored = self.discord.channels[interaction.channel].messages.get(str(message_id))
        if stored is None:
            raise RefusedError(404, 10008, "Unknown Message")
        return stored

    def _clicked(self, interaction: Interaction) -> Json:
        assert interaction.message is not None
        return interaction.message

    def _store_response(self, interaction: Interaction, body: Json, files: list[Json]) -> Json:
        """Stores the message of a response, visible to one user or to all."""
        message = self._new_message(interaction.channel, body, files)
        message["user"] = interaction.user
        # resources/message#message-interaction-metadata-object
        message["interaction_metadata"] = {"id": interaction.id, "type": interaction.kind}
        if interaction.message is not None:
            message["interaction_metadata"]["interacted_message_id"] = interaction.message["id"]
        self._record_pings(body)
        if message["flags"] & _EPHEMERAL:
            self.discord.ephemerals.append(message)
        else:
            self.discord.channels[interaction.channel].messages[message["id"]] = message
        return message


class _RateLimitedError(Exception):
    """A 429 as Discord sends it: with `Via`, and the seconds in body and header."""

    def __init__(
        self, after: float, *, headers: Json | None = None, is_global: bool = False
    ) -> None:
        self.after = after
        self.headers = headers or {}
        self.is_global = is_global

    def answer(self) -> web.Response:
        scope = "global" if self.is_global else "user"
        headers = {**self.headers, "Via": "1.1 google", "Retry-After": str(int(self.after) + 1)}
        headers["X-RateLimit-Scope"] = scope
        body = {"message": "You are being rate limited.", "retry_after": self.after}
        return _json_response({**body, "global": self.is_global}, 429, headers)


def _is_deferred_original(interaction: Interaction, args: Json) -> bool:
    """Whether the call names the response of an interaction that is deferred and has no message."""
    return bool(
        args["message"] == "@original"
        and interaction.original is None
        and (interaction.response or {}).get("type") == 5
    )


def shown(message: Json) -> str:
    """Returns the text of a message as a user sees it."""
    parts = [message.get("content") or ""]
    for embed in message.get("embeds") or []:
        parts += [embed.get("title") or "", embed.get("description") or ""]
        parts += [f"{field['name']}: {field['value']}" for field in embed.get("fields") or []]
        parts.append((embed.get("footer") or {}).get("text") or "")
    return re.sub(r"\\([^\w\s])", r"\1", "\n".join(part for part in parts if part))


def labels(message: Json) -> list[str]:
    """Returns the labels of the components of a message."""
    return [
        component.get("label", "…")
        for row in message["components"]
        for component in row["components"]
    ]


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path)))


async def _body(request: web.Request) -> tuple[Any, list[Json]]:
    """Reads JSON, or multipart with `payload_json` and `files[n]` (reference#uploading-files)."""
    if request.content_type != "multipart/form-data":
        text = await request.text()
        return (json.loads(text) if text else {}), []
    form = await request.post()
    body = json.loads(str(form["payload_json"]))
    files = []
    for name, part in form.items():
        if name.startswith("files[") and isinstance(part, web.FileField):
            files.append({"filename": part.filename, "data": part.file.read()})
    return body, files


def _json_response(body: Any, status: int, headers: Json | None = None) -> web.Response:
    # discord.py parses JSON only if the header is exactly this.
    kind = {"Content-Type": "application/json"} if status != 204 else {}
    text = "" if status == 204 else json.dumps(body)
    return web.Response(body=text.encode(), status=status, headers={**(headers or {}), **kind})


def _fault_response(request: web.Request, fault: Fault) -> web.StreamResponse:
    if fault.is_cut:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()
    headers: Json = {"Via": "1.1 google"} if fault.has_via else {}
    body: Json = {"message": "out of order", "code": fault.code}
    if fault.status == 429:
        headers["Retry-After"] = str(fault.retry_after)
        body = {"message": "slow", "retry_after": fault.retry_after, "global": fault.is_global}
    return _json_response(body, fault.status, headers)
