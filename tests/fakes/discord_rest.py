"""The REST side of the fake Discord: routes, limits, error codes, interactions."""

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
    """A call as it came in and was let through."""

    route: str
    args: Json
    body: Json
    at: float


@dataclass(frozen=True, slots=True)
class Fault:
    """What a call gets in place of its answer; `is_done` does it all the same."""

    status: int = 500
    code: int = 0
    retry_after: float = 0.0
    is_global: bool = False
    has_via: bool = True
    is_done: bool = False
    is_cut: bool = False


class Rest:
    """Everything below /api/v10."""

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
        """A fault for the call of that number from now, counted from 0, whatever its route."""
        self._nonces: dict[tuple[str, str], tuple[float, str]] = {}
        self._routes = [
            (method, _pattern(path), f"{method} {path}", handler)
            for (method, path), handler in self._table().items()
        ]

    def fail(self, route: str, *faults: Fault) -> None:
        """The next calls of the route go wrong like this."""
        self._faults[route].extend(faults)

    def mend(self, route: str) -> None:
        """What was still to go wrong with the route goes well."""
        self._faults[route].clear()

    async def take(self, request: web.Request) -> web.StreamResponse:
        path = "/" + request.match_info["path"]
        found = self._find(request.method, path)
        if found is None:
            return _answer({"message": "404: Not Found", "code": 0}, 404)
        route, args, handler = found
        if self.delay_seconds:
            await asyncio.sleep(self.delay_seconds)
        fault = self._next_fault(route)
        if fault is not None and not fault.is_done:
            return _failed(request, fault)
        headers: Json = {}
        try:
            self._authenticate(request, route)
            headers = self._pace(route, args)
            body, files = await _body(request)
            self._describe(request.method, path, body)
            self.calls.append(Call(route, args, body, time.monotonic()))
            answer = handler(args, body, files, dict(request.query))
            if inspect.isawaitable(answer):
                answer = await answer
        except RefusedError as error:
            self.refusals.append((route, error.code))
            return _answer({"message": error.message, "code": error.code}, error.status, headers)
        except _BusyError as busy:
            self.refusals.append((route, 429))
            return busy.answer()
        if fault is not None:
            return _failed(request, fault)
        return _answer(answer, 204 if answer is None else 200, headers)

    def _next_fault(self, route: str) -> Fault | None:
        if self._faults[route]:
            return self._faults[route].popleft()
        number, fault = self.planned_fault or (0, None)
        self.planned_fault = (number - 1, fault) if fault and number else None
        return None if number else fault

    async def cdn(self, request: web.Request) -> web.Response:
        return web.Response(body=self.discord.files_at[request.match_info["file"]])

    def _find(self, method: str, path: str) -> tuple[str, Json, Callable[..., Any]] | None:
        for known, pattern, route, handler in self._routes:
            match = pattern.fullmatch(path)
            if known == method and match:
                return route, match.groupdict(), handler
        return None

    def _authenticate(self, request: web.Request, route: str) -> None:
        """reference#authentication; interactions and webhooks are authenticated by their token."""
        if "/interactions/" in route or "/webhooks/" in route:
            return
        if request.headers.get("Authorization") != f"Bot {self.discord.token}":
            raise RefusedError(401, 0, "401: Unauthorized")
        if not request.headers.get("User-Agent", "").startswith("DiscordBot ("):
            # reference#user-agent
            raise RefusedError(403, 40333, "internal network error")

    def _pace(self, route: str, args: Json) -> Json:
        """topics/rate-limits; interaction endpoints are not bound to the global limit."""
        if "/interactions/" in route or "/webhooks/" in route:
            return {}
        after = self.limits.over()
        if after:
            raise _BusyError(after, is_global=True)
        headers, after = self.limits.take(
            route, str(args.get("channel") or args.get("guild") or "")
        )
        if after:
            raise _BusyError(after, headers=headers)
        return headers

    def _describe(self, method: str, path: str, body: Json) -> None:
        """The vendor's own description, where it lies beside this checkout."""
        known = published() if self.checks_bodies else None
        if known is not None and body:
            problems = known.problems(method, path, body)
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
            ("GET", "/channels/{channel}"): lambda args, *_: self._seen(args).described(),
            ("GET", messages): self._history,
            ("POST", messages): self._post,
            ("GET", messages + "/{message}"): self._get,
            ("PATCH", messages + "/{message}"): self._edit,
            ("POST", messages + "/{message}/threads"): self._open_thread,
            ("PUT", messages + "/{message}/reactions/{emoji}/@me"): self._react,
            ("POST", "/channels/{channel}/typing"): self._type,
            ("POST", "/interactions/{interaction}/{token}/callback"): self._callback,
            ("POST", hook): self._follow_up,
            ("GET", hook + "/messages/{message}"): self._followed,
            ("PATCH", hook + "/messages/{message}"): self._change,
            ("DELETE", hook + "/messages/{message}"): self._drop,
        }

    # Who and where

    def _application(self, *_: Any) -> Json:
        known: Json = {
            "id": "900",
            "name": "Attune",
            "description": "",
            "bot_public": self.discord.is_public,
        }
        known |= {"icon": None, "bot_require_code_grant": False, "verify_key": "00", "tags": []}
        known |= {"owner": self.discord.users["101"], "team": None, "rpc_origins": []}
        if self.discord.is_for_users:
            known["integration_types_config"] = {"0": {}, "1": {}}
        return known if self.discord.flags is None else {**known, "flags": self.discord.flags}

    def _gateway(self, *_: Any) -> Json:
        start = {"total": 1000, "remaining": 999, "reset_after": 1, "max_concurrency": 1}
        gateway = self.discord.gateway
        return {"url": gateway.url, "shards": gateway.shards, "session_start_limit": start}

    def _own_guilds(self, *_: Any) -> list[Json]:
        return [
            {"id": one.id, "name": one.name, "permissions": str(one.bot_permissions)}
            for one in self.discord.guilds.values()
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
        return [{**one, "id": str(5000 + number)} for number, one in enumerate(body)]

    def _open_direct(self, args: Json, body: Json, *_: Any) -> Json:
        user = str(body["recipient_id"])
        if user not in self.discord.users:
            raise RefusedError(400, 50033, "Invalid Recipient(s)")
        return {"id": self.discord.direct(user), "type": 1}

    def _seen(self, args: Json) -> Channel:
        """topics/permissions: a channel that a bot cannot view is missing access."""
        channel = self.discord.channels.get(args["channel"])
        if channel is None:
            raise RefusedError(404, 10003, "Unknown Channel")
        if channel.guild and channel.guild not in self.discord.guilds:
            raise RefusedError(403, 50001, "Missing Access")
        if not self._allowed(channel) & (1 << 10):
            raise RefusedError(403, 50001, "Missing Access")
        return channel

    def _allowed(self, channel: Channel) -> int:
        if channel.guild is None:
            return ~0
        held: int = self.discord.guilds[channel.guild].bot_permissions
        return held & ~channel.denied

    def _need(self, channel: Channel, bit: int) -> None:
        if not self._allowed(channel) & bit:
            raise RefusedError(403, 50013, "Missing Permissions")

    # Messages

    def _post(self, args: Json, body: Json, files: list[Json], query: Json) -> Json:
        channel = self._seen(args)
        if channel.members & self.discord.direct_closed:
            raise RefusedError(403, 50007, "Cannot send messages to this user")
        self._need(channel, 1 << 38 if channel.kind in (10, 11, 12) else 1 << 11)
        if body.get("embeds"):
            self._need(channel, 1 << 14)
        if files:
            self._need(channel, 1 << 15)
        check_message(body, has_files=bool(files))
        known = self._known_nonce(channel.id, body)
        if known is not None:
            return known
        answered = self._answered(channel, body)
        message = self._drawn(channel.id, body, files)
        if answered is not None:
            reference = {"message_id": answered, "channel_id": channel.id, "type": 0}
            message |= {"type": 19, "message_reference": reference}
            message["referenced_message"] = channel.messages.get(answered)
        self._wake(body, channel.messages.get(answered or ""))
        channel.messages[message["id"]] = message
        if body.get("nonce"):
            self._nonces[channel.id, str(body["nonce"])] = (time.monotonic(), message["id"])
        self.discord.gateway.dispatch(
            "MESSAGE_CREATE", self.discord.told(channel.id, message["id"])
        )
        return message

    def _open_thread(self, args: Json, body: Json, *_: Any) -> Json:
        """resources/channel#start-thread-from-message."""
        channel = self._seen(args)
        if channel.kind not in (0, 5):
            raise RefusedError(400, 50024, "Cannot execute action on this channel type")
        if args["message"] not in channel.messages:
            raise RefusedError(404, 10008, "Unknown Message")
        self._need(channel, 1 << 35)
        if not 1 <= len(str(body.get("name") or "").encode("utf-16-le")) // 2 <= 100:
            raise RefusedError(400, 50035, "name: Must be between 1 and 100 in length.")
        if args["message"] in self.discord.channels:
            raise RefusedError(400, 160004, "A thread has already been created for this message")
        self.discord.open_thread(channel.id, args["message"], name=str(body["name"]))
        return self.discord.channels[args["message"]].described()

    def _known_nonce(self, channel: str, body: Json) -> Json | None:
        """resources/message#create-message: enforce_nonce gives back what was made before."""
        if not body.get("enforce_nonce"):
            return None
        at, message = self._nonces.get((channel, str(body.get("nonce"))), (0.0, ""))
        if time.monotonic() - at > NONCE_SECONDS:
            return None
        found: Json | None = self.discord.channels[channel].messages.get(message)
        return found

    def _answered(self, channel: Channel, body: Json) -> str | None:
        reference = body.get("message_reference")
        if reference is None:
            return None
        if str(reference["message_id"]) in channel.messages:
            return str(reference["message_id"])
        if reference.get("fail_if_not_exists", True):
            raise RefusedError(400, 50035, "message_reference: Unknown message")
        return None

    def _drawn(self, channel: str, body: Json, files: list[Json]) -> Json:
        described = body.get("attachments") or []
        if len(described) != len(files):
            raise RefusedError(400, 50035, "attachments and files differ")
        attachments = [
            {"id": str(n), "filename": one["filename"], "size": len(one["data"])}
            for n, one in enumerate(files)
        ]
        self.discord.files += [{**one, "channel": channel} for one in files]
        message: Json = {"id": self.discord.snowflake(), "channel_id": channel, "type": 0}
        message |= {"author": self.discord.users["900"], "content": str(body.get("content") or "")}
        message["content"] = message["content"].strip()
        message |= {"embeds": body.get("embeds") or [], "components": body.get("components") or []}
        message |= {"attachments": attachments, "flags": body.get("flags") or 0, "mentions": []}
        message |= {"pinned": False, "mention_everyone": False, "mention_roles": [], "tts": False}
        message |= {"edited_timestamp": None, "timestamp": "2026-11-22T00:00:00+00:00"}
        return message

    def _wake(self, body: Json, answered: Json | None = None) -> None:
        author = str(answered["author"]["id"]) if answered else None
        self.discord.pings += pings(body, answers=author)

    def _edit(self, args: Json, body: Json, files: list[Json], query: Json) -> Json:
        channel = self._seen(args)
        message = channel.messages.get(args["message"])
        if message is None:
            raise RefusedError(404, 10008, "Unknown Message")
        if message["author"]["id"] != "900":
            raise RefusedError(403, 50005, "Cannot edit a message authored by another user")
        if body.get("embeds"):
            self._need(channel, 1 << 14)
        return self._changed(message, body, files)

    def _changed(self, message: Json, body: Json, files: list[Json]) -> Json:
        check_message(body, has_files=bool(files), is_edit=True)
        self._wake(body)
        for name in ("content", "embeds", "components", "flags"):
            if name in body:
                message[name] = body[name] if body[name] is not None else type(message[name])()
        message["content"] = str(message["content"]).strip()
        if files:
            message["attachments"] = [{"filename": one["filename"]} for one in files]
            self.discord.files += [{**one, "channel": message["channel_id"]} for one in files]
        message["edited_timestamp"] = f"2026-11-22T00:00:{self.discord.snowflake()}"
        return message

    def _get(self, args: Json, *_: Any) -> Json:
        channel = self._seen(args)
        self._need(channel, 1 << 16)
        message = channel.messages.get(args["message"])
        if message is None:
            raise RefusedError(404, 10008, "Unknown Message")
        return self._read(channel, message)

    def _history(self, args: Json, body: Json, files: list[Json], query: Json) -> list[Json]:
        """resources/message#get-channel-messages: newest first, at most a hundred."""
        channel = self._seen(args)
        self._need(channel, 1 << 16)
        limit = int(query.get("limit", 50))
        if not 1 <= limit <= 100:
            raise RefusedError(400, 50035, "limit: 1 to 100")
        before = int(query.get("before") or 1 << 63)
        after = int(query.get("after") or 0)
        found = [one for number, one in channel.messages.items() if after < int(number) < before]
        shown = found[:limit] if after else found[-limit:]
        return [self._read(channel, one) for one in reversed(shown)]

    def _read(self, channel: Channel, message: Json) -> Json:
        """events/gateway#message-content-intent holds for REST as well."""
        whole = {**message, "guild_id": channel.guild} if channel.guild else message
        if self.discord.flags or self.discord._reads_content(whole):
            return message
        return without_content(message)

    def _react(self, args: Json, *_: Any) -> None:
        channel = self._seen(args)
        self._need(channel, 1 << 6)
        message = channel.messages.get(args["message"])
        if message is None:
            raise RefusedError(404, 10008, "Unknown Message")
        reactions = message.setdefault("reactions", [])
        if args["emoji"] not in reactions:
            reactions.append(args["emoji"])

    def _type(self, args: Json, *_: Any) -> None:
        self._need(self._seen(args), 1 << 11)
        self.discord.typed.append(args["channel"])

    # Interactions

    def _callback(self, args: Json, body: Json, files: list[Json], query: Json) -> Json | None:
        held = self._held(args)
        if held.response is not None:
            raise RefusedError(400, 40060, "Interaction has already been acknowledged.")
        took = time.monotonic() - held.at
        if took > FIRST_SECONDS or args["interaction"] != held.id:
            raise RefusedError(404, 10062, "Unknown interaction")
        kind = body["type"]
        self._check_kind(held, kind)
        message = self._respond(held, kind, body.get("data") or {}, files)
        held.response, held.took = body, took
        if message is not None:
            held.original = message["id"]
        if query.get("with_response") != "true" or not self.tells_responses:
            return None
        inner = {"id": held.id, "type": held.kind}
        return {"interaction": inner, "resource": {"type": kind, "message": message}}

    def _respond(self, held: Interaction, kind: int, data: Json, files: list[Json]) -> Json | None:
        if kind == 4:
            check_message(data, has_files=bool(files))
            return self._told(held, data, files)
        if kind == 7 and held.message is not None:
            return self._changed(self._clicked(held), data, files)
        if kind == 8:
            self._check_choices(data)
            held.choices = data["choices"]
        if kind == 9:
            check_modal(data)
        return None

    def _check_kind(self, held: Interaction, kind: int) -> None:
        """interactions/receiving-and-responding: which responses fit which interactions."""
        fits = {
            2: (4, 5, 9),
            3: (4, 5, 6, 7, 9),
            4: (8,),
            5: (4, 5, 6, 7) if held.message is not None else (4, 5),
        }
        if kind not in fits[held.kind]:
            raise RefusedError(400, 50035, f"type {kind} does not answer {held.kind}")

    def _check_choices(self, data: Json) -> None:
        choices = data["choices"]
        if len(choices) > 25 or any(not 1 <= len(one["name"]) <= 100 for one in choices):
            raise RefusedError(400, 50035, "choices")

    def _follow_up(self, args: Json, body: Json, files: list[Json], query: Json) -> Json:
        held = self._living(args)
        if held.response is None:
            raise RefusedError(404, 10015, "Unknown Webhook")
        check_message(body, has_files=bool(files))
        return self._told(held, body, files)

    def _followed(self, args: Json, *_: Any) -> Json:
        return self._found(self._living(args), args["message"])

    def _change(self, args: Json, body: Json, files: list[Json], query: Json) -> Json:
        held = self._living(args)
        response = held.response or {}
        if args["message"] == "@original" and held.original is None and response.get("type") == 5:
            message = self._told(held, {**(response.get("data") or {}), **body}, files)
            held.original = message["id"]
            return message
        return self._changed(self._found(held, args["message"]), body, files)

    def _drop(self, args: Json, *_: Any) -> None:
        held = self._living(args)
        response = held.response or {}
        if args["message"] == "@original" and held.original is None and response.get("type") == 5:
            held.original = "gone"
            return
        message = self._found(held, args["message"])
        self.discord.channels[held.channel].messages.pop(message["id"], None)

    def _held(self, args: Json) -> Interaction:
        held = self.discord.interactions.get(args["token"])
        if held is None:
            raise RefusedError(404, 10062, "Unknown interaction")
        return held

    def _living(self, args: Json) -> Interaction:
        held = self.discord.interactions.get(args["token"])
        if held is None or time.monotonic() - held.at > TOKEN_SECONDS:
            raise RefusedError(401, 50027, "Invalid Webhook Token")
        return held

    def _found(self, held: Interaction, number: str) -> Json:
        if number == "@original" and (held.response or {}).get("type") in (6, 7):
            return self._clicked(held)
        wanted = held.original if number == "@original" else number
        for message in self.discord.ephemerals:
            if message["id"] == wanted:
                return message
        found = self.discord.channels[held.channel].messages.get(str(wanted))
        if found is None:
            raise RefusedError(404, 10008, "Unknown Message")
        return found

    def _clicked(self, held: Interaction) -> Json:
        assert held.message is not None
        return held.message

    def _told(self, held: Interaction, body: Json, files: list[Json]) -> Json:
        """Seen by one person alone, or by all like any other message."""
        message = self._drawn(held.channel, body, files)
        message["user"] = held.user
        # resources/message#message-interaction-metadata-object
        message["interaction_metadata"] = {"id": held.id, "type": held.kind}
        if held.message is not None:
            message["interaction_metadata"]["interacted_message_id"] = held.message["id"]
        self._wake(body)
        if message["flags"] & _EPHEMERAL:
            self.discord.ephemerals.append(message)
        else:
            self.discord.channels[held.channel].messages[message["id"]] = message
        return message


class _BusyError(Exception):
    """429, as Discord itself says it: with `Via`, and the seconds in body and header."""

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
        return _answer({**body, "global": self.is_global}, 429, headers)


def shown(message: Json) -> str:
    """What a person reads in a message."""
    parts = [message.get("content") or ""]
    for embed in message.get("embeds") or []:
        parts += [embed.get("title") or "", embed.get("description") or ""]
        parts += [f"{one['name']}: {one['value']}" for one in embed.get("fields") or []]
        parts.append((embed.get("footer") or {}).get("text") or "")
    return re.sub(r"\\([^\w\s])", r"\1", "\n".join(part for part in parts if part))


def labels(message: Json) -> list[str]:
    """What can be clicked in it."""
    return [one.get("label", "…") for row in message["components"] for one in row["components"]]


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path)))


async def _body(request: web.Request) -> tuple[Any, list[Json]]:
    """reference#uploading-files: JSON alone, or a part `payload_json` beside `files[n]`."""
    if request.content_type != "multipart/form-data":
        text = await request.text()
        return (json.loads(text) if text else {}), []
    form = await request.post()
    body = json.loads(str(form["payload_json"]))
    files = []
    for name, part in form.items():
        if name.startswith("files[") and isinstance(part, web.FileField):
            files.append({"filename": part.filename, "data": part.file.read()})
    # The response of an interaction carries its message one level deeper.
    return body, files


def _answer(body: Any, status: int, headers: Json | None = None) -> web.Response:
    # The library reads JSON only where the header says so to the letter.
    kind = {"Content-Type": "application/json"} if status != 204 else {}
    text = "" if status == 204 else json.dumps(body)
    return web.Response(body=text.encode(), status=status, headers={**(headers or {}), **kind})


def _failed(request: web.Request, fault: Fault) -> web.StreamResponse:
    if fault.is_cut:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()
    headers: Json = {"Via": "1.1 google"} if fault.has_via else {}
    body: Json = {"message": "out of order", "code": fault.code}
    if fault.status == 429:
        headers["Retry-After"] = str(fault.retry_after)
        body = {"message": "slow", "retry_after": fault.retry_after, "global": fault.is_global}
    return _answer(body, fault.status, headers)
