"""A fake Slack on loopback with real WebSocket and HTTP, strict about the vendor's rules.

async with fake_slack() as slack:
    slack.mention("U1", "C1", "hello")
    ...
    assert slack.texts("C1")
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from tests.fakes.slack_rules import (
    ACK_SECONDS,
    EVENT_SCOPES,
    FORM_ONLY,
    MARKDOWN,
    RESPONSES,
    SCOPES,
    SOCKETS,
    STREAM_SECONDS,
    TEXT,
    TRIGGER_SECONDS,
    Json,
    RefusedError,
    Tiers,
    check_blocks,
    check_view,
    live,
)

BOT, BOT_ID, TEAM, APP = "UBOT", "BBOT", "T1", "A1"
ALL_SCOPES = frozenset(
    scope for scopes in (*SCOPES.values(), *EVENT_SCOPES.values()) for scope in scopes
) - {"connections:write"} | {"commands"}


@dataclass(slots=True)
class Channel:
    """A channel; `kind` is public, private, shared, im or mpim."""

    id: str
    kind: str = "public"
    members: set[str] = field(default_factory=set)
    messages: list[Json] = field(default_factory=list)
    is_archived: bool = False

    def find(self, ts: object) -> Json | None:
        return next((message for message in self.messages if message["ts"] == ts), None)


@dataclass(slots=True)
class Call:
    """A call of the Web API that was accepted; `at` is in monotonic seconds."""

    method: str
    args: Json
    at: float


@dataclass(slots=True)
class Delivery:
    """An envelope and its deliveries.

    `acks` holds the seconds until each acknowledgement, `ack_processor` those that this process
    worked meanwhile, which other programs on the machine do not lengthen.
    """

    envelope: Json
    sent: int = 0
    acked: asyncio.Event = field(default_factory=asyncio.Event)
    acks: list[float] = field(default_factory=list)
    ack_processor: list[float] = field(default_factory=list)
    response: Json | None = None


@dataclass(slots=True)
class Stream:
    began: float
    text: str = ""
    state: str = "streaming"


@dataclass(frozen=True, slots=True)
class Fault:
    """The answer to a call in place of the normal one; with `is_done`, the call takes effect."""

    status: int = 200
    error: str = "internal_error"
    retry_after: int | None = None
    is_done: bool = False
    is_cut: bool = False


class FakeSlack:
    """State of the fake Slack, which tests change, inspect and plan faults in."""

    def __init__(self) -> None:
        self.bot_token, self.app_token = "xoxb-fake", "xapp-fake"
        self.scopes = set(ALL_SCOPES)
        self.is_revoked = False
        self.users: dict[str, Json] = {}
        self.channels: dict[str, Channel] = {}
        self.calls: list[Call] = []
        self.ephemerals: list[Json] = []
        self.views: dict[str, Json] = {}
        self.homes: dict[str, Json] = {}
        self.files: dict[str, Json] = {}
        self.responses: defaultdict[str, list[Json]] = defaultdict(list)
        self.statuses: list[Json] = []
        self.prompts: list[Json] = []
        self.titles: dict[tuple[str, str], str] = {}
        self.groups: dict[str, Json] = {}
        self.enterprise_of_team: str | None = None
        """Id of the organisation that TEAM belongs to."""
        self.enterprise: str | None = None
        """Id of the organisation if the app is installed org-wide; TEAM belongs to it."""
        self.streams: dict[tuple[str, str], Stream] = {}
        self.refusals: list[tuple[str, str]] = []
        self.pings: list[str] = []
        self.tiers = Tiers()
        self.deliveries: list[Delivery] = []
        self.retry_waits: tuple[float, ...] = (0.05, 0.2, 0.4)
        self.ack_seconds = ACK_SECONDS
        self.stream_seconds = STREAM_SECONDS
        self.url = ""
        self.sockets: list[web.WebSocketResponse] = []
        self._faults: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self.planned_fault: tuple[int, Fault] | None = None
        """A fault of the n-th next call of any method, counted from 0."""
        self._triggers: dict[str, float] = {}
        self._count = itertools.count(1)
        self._turn = itertools.count()
        self._waiting: dict[str, tuple[Delivery, float, float]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._tickets: set[str] = set()
        self._start = time.time()
        for user in ("U1", "U2", "U3"):
            self.add_user(user)
        self.add_channel("C1")

    @property
    def settings(self) -> dict[str, str]:
        """Environment variables that connect a bot to this fake."""
        return {
            "SLACK_BOT_TOKEN": self.bot_token,
            "SLACK_APP_TOKEN": self.app_token,
            "SLACK_API_URL": f"{self.url}/api/",
        }

    # Users and channels

    def add_user(self, user: str, **facts: object) -> None:
        profile = {"display_name": f"name-{user}"}
        defaults = {"id": user, "team_id": TEAM, "name": user.lower(), "profile": profile}
        self.users[user] = {**defaults, "locale": "en-US", **facts}

    def add_channel(self, channel: str, kind: str = "public", *, has_bot: bool = True) -> Channel:
        members = set(self.users) | ({BOT} if has_bot else set())
        self.channels[channel] = Channel(channel, kind, members)
        return self.channels[channel]

    def fail(self, method: str, *faults: Fault) -> None:
        """Plans faults for the next calls of a method."""
        self._faults[method].extend(faults)

    # User actions

    def say(self, user: str, channel: str, text: str, *, thread: str | None = None) -> str:
        """Posts a user's message; a mention is also sent as `app_mention`, as Slack does."""
        ts = self.put(user, channel, text, thread=thread)
        kinds = {"im": "im", "private": "group", "mpim": "mpim"}
        kind = kinds.get(self.channels[channel].kind, "channel")
        event = {"type": "message", "channel": channel, "user": user, "text": text, "ts": ts}
        event |= {"event_ts": ts, "channel_type": kind}
        if thread:
            event["thread_ts"] = thread
        if f"<@{BOT}>" in text and kind != "im":
            self.event({**event, "type": "app_mention"})
        self.event(event)
        return ts

    def mention(self, user: str, channel: str, text: str, *, thread: str | None = None) -> str:
        return self.say(user, channel, f"<@{BOT}> {text}", thread=thread)

    def put(self, user: str, channel: str, text: str, *, thread: str | None = None) -> str:
        """Adds a message without sending an event to the bot."""
        ts = self._ts()
        message: Json = {"type": "message", "user": user, "text": text, "ts": ts}
        if thread:
            message["thread_ts"] = thread
            root = self.channels[channel].find(thread)
            if root is not None:
                root["thread_ts"] = thread
        self.channels[channel].messages.append(message)
        return ts

    def react(self, user: str, channel: str, ts: str, name: str, *, removed: bool = False) -> None:
        item = {"type": "message", "channel": channel, "ts": ts}
        kind = "reaction_removed" if removed else "reaction_added"
        self.event(
            {"type": kind, "user": user, "reaction": name, "item": item, "event_ts": self._ts()}
        )

    def edit(self, user: str, channel: str, ts: str, text: str) -> None:
        message = self.channels[channel].find(ts)
        assert message is not None
        before = dict(message)
        message["text"] = text
        event = {"type": "message", "subtype": "message_changed", "channel": channel}
        event["event_ts"] = self._ts()
        self.event({**event, "message": dict(message), "previous_message": before, "hidden": True})

    def delete(self, channel: str, ts: str) -> None:
        message = self.channels[channel].find(ts)
        assert message is not None
        self.channels[channel].messages.remove(message)
        event = {"type": "message", "subtype": "message_deleted", "channel": channel}
        self.event({**event, "deleted_ts": ts, "previous_message": message, "hidden": True})

    def command(self, user: str, channel: str, text: str) -> Delivery:
        trigger = self.trigger()
        payload = {"command": "/tune", "text": text, "user_id": user, "user_name": user.lower()}
        payload |= {"team_id": TEAM, "channel_id": channel, "channel_name": "somewhere"}
        payload |= {"enterprise_id": self.enterprise} if self.enterprise else {}
        payload |= {"trigger_id": trigger, "response_url": self._response_url(user, channel)}
        return self.send("slash_commands", payload, accepts_response=True)

    def click(self, user: str, message: Json, label: str) -> Delivery:
        """Clicks a button of a posted, ephemeral or home message by its label."""
        block, element = _element(message["blocks"], label)
        action = {"action_ts": self._ts(), "block_id": block.get("block_id", "b"), **element}
        channel = message.get("channel")
        payload = self._interaction("block_actions", user)
        is_ephemeral = message.get("is_ephemeral", False)
        if message.get("type") == "home":
            payload["container"] = {"type": "view", "view_id": message["id"]}
        else:
            container = {"type": "message", "message_ts": message["ts"], "channel_id": channel}
            payload["container"] = {**container, "is_ephemeral": is_ephemeral}
            payload["channel"] = {"id": channel}
            payload["message"] = {k: v for k, v in message.items() if k in ("ts", "thread_ts")}
            payload["response_url"] = self._response_url(user, str(channel), message)
        return self.send("interactive", {**payload, "actions": [action]})

    def shortcut(self, user: str, callback: str, channel: str, ts: str) -> Delivery:
        message = self.channels[channel].find(ts)
        payload = self._interaction("message_action", user)
        payload |= {"callback_id": callback, "channel": {"id": channel}, "message": message}
        payload["response_url"] = self._response_url(user, channel)
        return self.send("interactive", payload)

    def global_shortcut(self, user: str, callback: str) -> Delivery:
        return self.send(
            "interactive", {**self._interaction("shortcut", user), "callback_id": callback}
        )

    def submit(self, user: str, view: Json, **values: object) -> Delivery:
        """Submits a modal; inputs without a value keep their initial value."""
        state: Json = {}
        for block in view["blocks"]:
            if block["type"] == "input":
                given = values.get(block["block_id"].partition("#")[0])
                if given is None or "#" in block["block_id"]:
                    option = block["element"].get("initial_option") or {}
                    given = block["element"].get("initial_value") or option.get("value", "")
                element = block["element"]
                state[block["block_id"]] = {element["action_id"]: _input_value(element, given)}
        payload = self._interaction("view_submission", user)
        payload["view"] = {**view, "state": {"values": state}}
        return self.send("interactive", payload, accepts_response=True)

    def visit(self, user: str) -> None:
        self.event({"type": "app_home_opened", "user": user, "channel": "D0", "tab": "home"})

    def press_stop(self, user: str, channel: str, ts: str) -> None:
        """Stops a stream as a user and sends the event."""
        stream = self.streams[channel, ts]
        stream.state = "stopped_by_user"
        event = {"type": "agent_session_stopped", "channel": channel, "user": user}
        self.event({**event, "streaming_message_ts": [ts], "event_ts": self._ts()})

    def uninstall(self) -> None:
        self.is_revoked = True
        self.event({"type": "app_uninstalled"})

    def join(self, channel: str) -> None:
        self.channels[channel].members.add(BOT)
        event = {"type": "member_joined_channel", "user": BOT, "channel": channel, "team": TEAM}
        self.event({**event, "inviter": "U1", "event_ts": self._ts()})

    # Inspection

    def texts(self, channel: str) -> list[str]:
        """Returns the texts of the bot's messages in a channel, oldest first."""
        return [shown(message) for message in self.own(channel)]

    def own(self, channel: str) -> list[Json]:
        return [
            {**message, "channel": channel}
            for message in self.channels[channel].messages
            if message["user"] == BOT and "files" not in message
        ]

    def read(self, channel: str) -> list[Json]:
        """Returns the bot's messages in a channel, including ephemeral ones, oldest first."""
        ephemeral = [message for message in self.ephemerals if message["channel"] == channel]
        return sorted([*self.own(channel), *ephemeral], key=lambda message: float(message["ts"]))

    def called(self, method: str) -> list[Json]:
        return [call.args for call in self.calls if call.method == method]

    # Deliveries

    def event(self, event: Json, **outer: object) -> Delivery:
        """Sends an event, with up to three retries until it is acknowledged (apis/events-api)."""
        payload = {
            "type": "event_callback",
            "team_id": TEAM,
            "api_app_id": APP,
            "event_id": f"Ev{next(self._count)}",
            "event_time": int(time.time()),
            "authorizations": [
                {"team_id": TEAM, "user_id": BOT, "is_bot": True, "enterprise_id": None}
            ],
            **self._org_fields(),
            "event": event,
            **outer,
        }
        scopes = EVENT_SCOPES.get(str(event["type"]), ())
        if scopes and not self.scopes & set(scopes):
            return Delivery(payload)
        return self.send("events_api", payload)

    def _org_fields(self) -> Json:
        """Returns the fields of an event of an org-wide installation.

        enterprise/organization-ready-apps
        """
        if self.enterprise is None:
            return {}
        authorization = {
            "enterprise_id": self.enterprise,
            "team_id": None,
            "is_enterprise_install": True,
        }
        return {
            "enterprise_id": self.enterprise,
            "authorizations": [{**authorization, "user_id": BOT, "is_bot": True}],
        }

    def open_messages(self, user: str, channel: str, **more: object) -> None:
        """Opens the app's messages tab as a user."""
        event = {"type": "app_home_opened", "user": user, "channel": channel, "tab": "messages"}
        self.event({**event, **more, "event_ts": self._ts()})

    def look_at(self, user: str, channel: str) -> None:
        """Sends the event of a user who views a channel (reference/events/app_context_changed)."""
        entity = {"type": "slack#/types/channel_id", "value": channel, "team_id": TEAM}
        event = {"type": "app_context_changed", "user": user, "context": {"entities": [entity]}}
        self.event({**event, "event_ts": self._ts()})

    def send(self, kind: str, payload: Json, *, accepts_response: bool = False) -> Delivery:
        envelope = {
            "type": kind,
            "envelope_id": f"env-{next(self._count)}",
            "payload": payload,
            "accepts_response_payload": accepts_response,
        }
        delivery = Delivery(envelope)
        self.deliveries.append(delivery)
        self._spawn(self._deliver(delivery))
        return delivery

    async def refresh(self) -> None:
        """Requests a new connection (apis/events-api/using-socket-mode)."""
        for socket in self.sockets[:1]:
            await socket.send_json({"type": "disconnect", "reason": "refresh_requested"})

    async def cut(self) -> None:
        """Aborts all connections without a close frame."""
        for socket in list(self.sockets):
            if socket._req is not None and socket._req.transport is not None:
                socket._req.transport.abort()

    def trigger(self) -> str:
        trigger = f"trigger-{next(self._count)}"
        self._triggers[trigger] = time.monotonic()
        return trigger

    async def _deliver(self, delivery: Delivery) -> None:
        is_event = delivery.envelope["type"] == "events_api"
        for attempt, wait in enumerate((0.0, *(self.retry_waits if is_event else ()))):
            await asyncio.sleep(wait)
            envelope = dict(delivery.envelope)
            if attempt:
                envelope |= {"retry_attempt": attempt, "retry_reason": "timeout"}
                envelope["envelope_id"] = f"{delivery.envelope['envelope_id']}-{attempt}"
            socket = await self._next_socket()
            delivery.sent += 1
            self._waiting[envelope["envelope_id"]] = (
                delivery,
                time.monotonic(),
                time.process_time(),
            )
            try:
                await socket.send_json(envelope)
            except ConnectionError:
                continue
            try:
                async with asyncio.timeout(self.ack_seconds):
                    await delivery.acked.wait()
                return
            except TimeoutError:
                continue

    async def _next_socket(self) -> web.WebSocketResponse:
        while not self.sockets:
            await asyncio.sleep(0.01)
        return self.sockets[next(self._turn) % len(self.sockets)]

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            raise web.HTTPForbidden
        self._tickets.discard(ticket)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        if len(self.sockets) >= SOCKETS:
            await socket.send_json({"type": "disconnect", "reason": "too_many_websockets"})
            await socket.close()
            return socket
        await socket.send_json(
            {
                "type": "hello",
                "num_connections": len(self.sockets) + 1,
                "connection_info": {"app_id": APP},
                "debug_info": {"host": "fake", "approximate_connection_time": 3600},
            }
        )
        self.sockets.append(socket)
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._on_acknowledgement(json.loads(message.data))
        finally:
            self.sockets.remove(socket)
        return socket

    def _on_acknowledgement(self, answer: Json) -> None:
        waiting = self._waiting.pop(str(answer.get("envelope_id")), None)
        if waiting is None:
            return
        delivery, sent_at, processor_at = waiting
        delivery.acks.append(time.monotonic() - sent_at)
        delivery.ack_processor.append(time.process_time() - processor_at)
        delivery.response = answer.get("payload")
        self._respond_to_form(delivery)
        delivery.acked.set()

    def _respond_to_form(self, delivery: Delivery) -> None:
        """Applies the response to a modal: an update, or errors of its inputs (surfaces/modals)."""
        response, view = delivery.response or {}, delivery.envelope["payload"].get("view") or {}
        if response.get("response_action") == "update":
            check_view(response["view"], "modal")
            self.views[view["id"]] = {**response["view"], "id": view["id"], "hash": self._ts()}
        if response.get("response_action") == "errors":
            inputs = {block["block_id"] for block in view["blocks"] if block["type"] == "input"}
            assert response["errors"]
            assert set(response["errors"]) <= inputs

    # The Web API

    async def api(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        args, is_json = await _arguments(request)
        fault = self._next_fault(method)
        if fault is not None and not fault.is_done:
            return _fault_response(request, fault)
        try:
            self._allow(method, request, is_json=is_json)
            seconds = self.tiers.retry_after(method, args.get("channel"))
            if seconds:
                raise RefusedError("ratelimited", seconds=seconds)
            self.calls.append(Call(method, args, time.monotonic()))
            handler: Callable[[Json], Json] = getattr(self, "_" + method.replace(".", "_"))
            answer = {"ok": True, **handler(args)}
        except RefusedError as error:
            self.refusals.append((method, error.code))
            if error.code == "ratelimited":
                after = {"Retry-After": str(error.more["seconds"])}
                return web.json_response(
                    {"ok": False, "error": error.code}, status=429, headers=after
                )
            return web.json_response({"ok": False, "error": error.code, **error.more})
        if fault is not None:
            return _fault_response(request, fault)
        return web.json_response(answer, headers={"x-oauth-scopes": ",".join(sorted(self.scopes))})

    def _next_fault(self, method: str) -> Fault | None:
        if self._faults[method]:
            return self._faults[method].popleft()
        number, fault = self.planned_fault or (0, None)
        self.planned_fault = (number - 1, fault) if fault and number else None
        return None if number else fault

    def _allow(self, method: str, request: web.Request, *, is_json: bool) -> None:
        """Checks the token's kind and scopes (authentication/tokens)."""
        if method not in SCOPES:
            raise RefusedError("unknown_method")
        self._authenticate(method, request)
        needed = SCOPES[method]
        is_app = method == "apps.connections.open"
        if needed and not is_app and not self.scopes & set(needed):
            raise RefusedError("missing_scope", needed=needed[0])
        if is_json and method in FORM_ONLY:
            raise RefusedError("invalid_arguments")

    def _authenticate(self, method: str, request: web.Request) -> None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not token:
            raise RefusedError("not_authed")
        if method == "apps.connections.open":
            if token != self.app_token:
                code = "not_allowed_token_type" if token.startswith("xoxb") else "invalid_auth"
                raise RefusedError(code)
            return
        if token == self.app_token:
            raise RefusedError("not_allowed_token_type")
        if token != self.bot_token:
            raise RefusedError("invalid_auth")
        if self.is_revoked:
            raise RefusedError("token_revoked")

    def _auth_test(self, args: Json) -> Json:
        identity = {
            "team_id": TEAM,
            "team": "Team",
            "user_id": BOT,
            "bot_id": BOT_ID,
            "user": "attune",
        }
        if self.enterprise_of_team is not None:
            identity["enterprise_id"] = self.enterprise_of_team
        if self.enterprise is not None:
            # enterprise/organization-ready-apps
            identity |= {"team_id": self.enterprise, "enterprise_id": self.enterprise}
            identity["is_enterprise_install"] = True  # type: ignore[assignment]
        return {**identity, "url": "https://team.example/"}

    def _apps_connections_open(self, args: Json) -> Json:
        ticket = f"ticket-{next(self._count)}"
        self._tickets.add(ticket)
        return {"url": f"{self.url.replace('http', 'ws', 1)}/link?ticket={ticket}"}

    def _chat_postMessage(self, args: Json) -> Json:  # noqa: N802
        channel = self._joined_channel(args)
        message = self._checked_content(args)
        if args.get("thread_ts"):
            if channel.find(args["thread_ts"]) is None:
                raise RefusedError("thread_not_found")
            message["thread_ts"] = args["thread_ts"]
        if args.get("metadata"):
            message["metadata"] = args["metadata"]
        message |= {"ts": self._ts(), "user": BOT, "bot_id": BOT_ID, "type": "message"}
        message["unfurl"] = args.get("unfurl_links") is not False
        message["unfurl"] |= args.get("unfurl_media") is not False
        channel.messages.append(message)
        return {"channel": channel.id, "ts": message["ts"], "message": message}

    def _chat_update(self, args: Json) -> Json:
        channel = self._joined_channel(args)
        message = channel.find(args.get("ts"))
        if message is None:
            raise RefusedError("message_not_found")
        if message["user"] != BOT:
            raise RefusedError("cant_update_message")
        stream = self.streams.get((channel.id, message["ts"]))
        if stream is not None and self._state(stream) == "streaming":
            # reference/methods/chat.update: a message that is being streamed cannot be changed.
            raise RefusedError("streaming_state_conflict")
        content = self._checked_content(args)
        # reference/methods/chat.update: text without blocks removes the blocks.
        message.pop("blocks", None)
        message.update(content)
        if args.get("metadata"):
            message["metadata"] = args["metadata"]
        return {"channel": channel.id, "ts": message["ts"]}

    def _chat_postEphemeral(self, args: Json) -> Json:  # noqa: N802
        channel = self._joined_channel(args)
        if args.get("user") not in channel.members:
            raise RefusedError("user_not_in_channel")
        ts = self._ts()
        message = {
            **self._checked_content(args),
            "channel": channel.id,
            "user": args["user"],
            "ts": ts,
        }
        if args.get("thread_ts"):
            message["thread_ts"] = args["thread_ts"]
        self.ephemerals.append({**message, "is_ephemeral": True})
        return {"message_ts": ts}

    def _chat_startStream(self, args: Json) -> Json:  # noqa: N802
        channel = self._joined_channel(args)
        if not args.get("thread_ts"):
            raise RefusedError("invalid_arguments")
        if channel.find(args["thread_ts"]) is None:
            raise RefusedError("thread_not_found")
        if channel.kind != "im" and not (
            args.get("recipient_user_id") and args.get("recipient_team_id")
        ):
            raise RefusedError("missing_recipient_user_id")
        ts = self._ts()
        text = _streamed_text(args)
        message: Json = {"ts": ts, "user": BOT, "bot_id": BOT_ID, "type": "message"}
        message |= {"thread_ts": args["thread_ts"], "text": text, "unfurl": False}
        channel.messages.append(message)
        self.streams[channel.id, ts] = Stream(time.monotonic(), text)
        self._record_pings(message)
        return {"channel": channel.id, "ts": ts}

    def _chat_appendStream(self, args: Json) -> Json:  # noqa: N802
        channel, message, stream = self._streaming(args)
        text = _streamed_text(args)
        if not text:
            raise RefusedError("no_text")
        self._append_to_stream(message, stream, text)
        return {"channel": channel.id, "ts": message["ts"]}

    def _chat_stopStream(self, args: Json) -> Json:  # noqa: N802
        channel, message, stream = self._streaming(args)
        check_blocks(args.get("blocks"))
        self._append_to_stream(message, stream, _streamed_text(args))
        stream.state = "stopped"
        message["blocks"] = [
            {"type": "markdown", "text": stream.text or "…"},
            *(args.get("blocks") or ()),
        ]
        if args.get("metadata"):
            message["metadata"] = args["metadata"]
        return {"channel": channel.id, "ts": message["ts"], "message": message}

    def _streaming(self, args: Json) -> tuple[Channel, Json, Stream]:
        channel = self._joined_channel(args)
        message = channel.find(args.get("ts"))
        stream = self.streams.get((channel.id, str(args.get("ts"))))
        if message is None:
            raise RefusedError("message_not_found")
        state = self._state(stream) if stream else "stopped"
        if stream is None or state in ("stopped", "expired"):
            raise RefusedError("message_not_in_streaming_state")
        if state == "stopped_by_user":
            raise RefusedError("stopped_by_user")
        return channel, message, stream

    def _state(self, stream: Stream) -> str:
        if stream.state == "streaming" and time.monotonic() - stream.began > self.stream_seconds:
            stream.state = "expired"
        return stream.state

    def _append_to_stream(self, message: Json, stream: Stream, text: str) -> None:
        if len(stream.text) + len(text) > MARKDOWN:
            raise RefusedError("msg_too_long")
        stream.text += text
        message["text"] = stream.text
        self._record_pings(message)

    def _assistant_threads_setStatus(self, args: Json) -> Json:  # noqa: N802
        self.statuses.append(args)
        return {}

    def _assistant_threads_setSuggestedPrompts(self, args: Json) -> Json:  # noqa: N802
        """Requires 1 to 4 prompts with title and message.

        reference/methods/assistant.threads.setSuggestedPrompts
        """
        prompts = args.get("prompts")
        if not isinstance(prompts, list) or not 1 <= len(prompts) <= 4:
            raise RefusedError("invalid_arguments")
        if not all(prompt.get("title") and prompt.get("message") for prompt in prompts):
            raise RefusedError("invalid_arguments")
        self._joined_channel({"channel": args.get("channel_id")}, code="channel_not_found")
        self.prompts.append(args)
        return {}

    def _assistant_threads_setTitle(self, args: Json) -> Json:  # noqa: N802
        channel = self._joined_channel(
            {"channel": args.get("channel_id")}, code="channel_not_found"
        )
        if channel.find(args.get("thread_ts")) is None:
            raise RefusedError("invalid_thread_ts")
        if not args.get("title"):
            raise RefusedError("invalid_arguments")
        self.titles[channel.id, str(args["thread_ts"])] = args["title"]
        return {}

    def _auth_teams_list(self, args: Json) -> Json:
        return {"teams": [{"id": TEAM, "name": "Team"}]}

    def _usergroups_list(self, args: Json) -> Json:
        """Lists groups, with members only if requested (reference/methods/usergroups.list)."""
        self._require_team(args)
        include_users = str(args.get("include_users", "")).lower() in ("true", "1")
        groups = [dict(group) for group in self.groups.values()]
        for group in groups:
            if not include_users:
                group.pop("users", None)
        return {"usergroups": groups}

    def _users_list(self, args: Json) -> Json:
        self._require_team(args)
        return {"members": list(self.users.values()), "response_metadata": {"next_cursor": ""}}

    def _require_team(self, args: Json) -> None:
        """Requires a workspace from an org-wide token (enterprise/organization-ready-apps)."""
        if self.enterprise is not None and args.get("team_id") != TEAM:
            raise RefusedError("missing_argument")

    def _conversations_history(self, args: Json) -> Json:
        channel = self._joined_channel(args, code="not_in_channel")
        roots = [
            message
            for message in channel.messages
            if message.get("thread_ts") in (None, message["ts"])
        ]
        return self._page(list(reversed(_between(roots, args))), args)

    def _conversations_replies(self, args: Json) -> Json:
        """Returns the thread of a root message, or only the reply of a reply's timestamp."""
        channel = self._joined_channel(args, code="not_in_channel")
        message = channel.find(args.get("ts"))
        if message is None:
            raise RefusedError("thread_not_found")
        if message.get("thread_ts") not in (None, message["ts"]):
            return {"messages": [_copy(message, args)], "has_more": False}
        replies = [
            m for m in channel.messages if m.get("thread_ts") == message["ts"] and m is not message
        ]
        return self._page([message, *_between(replies, args)], args)

    def _page(self, messages: list[Json], args: Json) -> Json:
        limit, start = int(args.get("limit", 100)), int(args.get("cursor") or 0)
        if limit > 1000:
            raise RefusedError("invalid_limit")
        page = [_copy(message, args) for message in messages[start : start + limit]]
        has_more = start + limit < len(messages)
        cursor = {"next_cursor": str(start + limit) if has_more else ""}
        return {"messages": page, "has_more": has_more, "response_metadata": cursor}

    def _conversations_info(self, args: Json) -> Json:
        channel = self.channels.get(str(args.get("channel")))
        if channel is None or (channel.kind == "private" and BOT not in channel.members):
            raise RefusedError("channel_not_found")
        return {
            "channel": {
                "id": channel.id,
                **({} if channel.kind in ("im", "mpim") else {"name": f"name-{channel.id}"}),
                "is_private": channel.kind == "private",
                "is_ext_shared": channel.kind == "shared",
                "is_im": channel.kind == "im",
                "is_mpim": channel.kind == "mpim",
            }
        }

    def _conversations_open(self, args: Json) -> Json:
        user = str(args.get("users"))
        if user not in self.users:
            raise RefusedError("user_not_found")
        channel = f"D{user}"
        if channel not in self.channels:
            self.channels[channel] = Channel(channel, "im", {user, BOT})
        return {"channel": {"id": channel}}

    def _users_info(self, args: Json) -> Json:
        user = self.users.get(str(args.get("user")))
        if user is None:
            raise RefusedError("user_not_found")
        return {"user": user}

    def _reactions_add(self, args: Json) -> Json:
        message = self._joined_channel(args).find(args.get("timestamp"))
        if message is None:
            raise RefusedError("message_not_found")
        reactions = message.setdefault("reactions", [])
        if args["name"] in reactions:
            raise RefusedError("already_reacted")
        reactions.append(args["name"])
        return {}

    def _views_open(self, args: Json) -> Json:
        created_at = self._triggers.pop(str(args.get("trigger_id")), None)
        if created_at is None:
            raise RefusedError("exchanged_trigger_id")
        if time.monotonic() - created_at > TRIGGER_SECONDS:
            raise RefusedError("expired_trigger_id")
        check_view(args.get("view"), "modal")
        view = {**args["view"], "id": f"V{next(self._count)}", "hash": self._ts()}
        self.views[view["id"]] = view
        return {"view": view}

    def _views_update(self, args: Json) -> Json:
        if args.get("view_id") not in self.views:
            raise RefusedError("not_found")
        check_view(args.get("view"), "modal")
        view = {**args["view"], "id": args["view_id"], "hash": self._ts()}
        self.views[view["id"]] = view
        return {"view": view}

    def _views_publish(self, args: Json) -> Json:
        check_view(args.get("view"), "home")
        view = {**args["view"], "id": f"V{next(self._count)}"}
        self.homes[str(args["user_id"])] = view
        return {"view": view}

    def _files_getUploadURLExternal(self, args: Json) -> Json:  # noqa: N802
        if not args.get("filename") or int(args.get("length") or 0) <= 0:
            raise RefusedError("invalid_arguments")
        file = f"F{next(self._count)}"
        self.files[file] = {"id": file, "name": args["filename"], "length": int(args["length"])}
        return {"file_id": file, "upload_url": f"{self.url}/upload/{file}"}

    def _files_completeUploadExternal(self, args: Json) -> Json:  # noqa: N802
        files = json.loads(args["files"]) if isinstance(args["files"], str) else args["files"]
        for file_fields in files:
            file = self.files.get(file_fields["id"])
            if file is None or "bytes" not in file or "channel" in file:
                raise RefusedError("file_not_found")
            if len(file["bytes"]) != file["length"]:
                raise RefusedError("posting_to_channel_denied")
            self._joined_channel({"channel": args.get("channel_id")})
            file |= {"channel": args.get("channel_id"), "thread": args.get("thread_ts")}
            file["comment"] = args.get("initial_comment")
            self._share(file)
        return {"files": files}

    def _share(self, file: Json) -> None:
        """Posts the message that shares a file, without metadata of the bot."""
        file_fields = {"id": file["id"], "name": file["name"]}
        message = {"type": "message", "user": BOT, "bot_id": BOT_ID, "files": [file_fields]}
        message |= {"ts": self._ts(), "text": file["comment"] or ""}
        if file["thread"]:
            message["thread_ts"] = file["thread"]
        self.channels[file["channel"]].messages.append(message)

    def _files_info(self, args: Json) -> Json:
        file = self.files.get(str(args.get("file")))
        if file is None:
            raise RefusedError("file_not_found")
        url = f"{self.url}/download/{file['id']}"
        return {"file": {"id": file["id"], "name": file["name"], "url_private_download": url}}

    def give_file(self, name: str, data: bytes) -> Json:
        """Adds a user's file and returns its fields in an event."""
        file = f"F{next(self._count)}"
        self.files[file] = {"id": file, "name": name, "bytes": data, "length": len(data)}
        return {"id": file, "name": name, "size": len(data)}

    async def upload(self, request: web.Request) -> web.Response:
        file = self.files.get(request.match_info["file"])
        if file is None:
            raise web.HTTPNotFound
        file["bytes"] = await request.read()
        return web.Response(text="OK")

    async def download(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {self.bot_token}":
            raise web.HTTPForbidden
        return web.Response(body=self.files[request.match_info["file"]]["bytes"])

    async def respond(self, request: web.Request) -> web.Response:
        """Accepts up to five responses, each a message or a replacement.

        interactivity/handling-user-interaction
        """
        number = request.match_info["number"]
        stored = self.responses[number]
        body = await request.json()
        if len(stored) > RESPONSES:
            return web.Response(status=404, text="used_url")
        check_blocks(body.get("blocks"))
        self.pings += live(body)
        stored.append(body)
        origin: Json = stored[0]
        if body.get("replace_original") and origin["message"]:
            origin["message"]["blocks"] = body["blocks"]
            origin["message"]["text"] = body.get("text")
        else:
            ephemeral = {**body, "user": origin["user"], "channel": origin["channel"]}
            self.ephemerals.append({**ephemeral, "ts": self._ts(), "is_ephemeral": True})
        return web.Response(text="ok")

    def _joined_channel(self, args: Json, code: str = "not_in_channel") -> Channel:
        channel = self.channels.get(str(args.get("channel")))
        if channel is None or (channel.kind == "private" and BOT not in channel.members):
            raise RefusedError("channel_not_found")
        if channel.is_archived:
            raise RefusedError("is_archived")
        if BOT not in channel.members:
            raise RefusedError(code)
        return channel

    def _checked_content(self, args: Json) -> Json:
        text = args.get("text")
        if not text and not args.get("blocks"):
            raise RefusedError("no_text")
        if text and len(text) > TEXT:
            raise RefusedError("msg_too_long")
        check_blocks(args.get("blocks"))
        content = {"text": text, **({"blocks": args["blocks"]} if args.get("blocks") else {})}
        self._record_pings({**args, **content})
        return content

    def _record_pings(self, message: Mapping[str, Any]) -> None:
        """Records whom a message notifies; a streamed text is parsed as markdown."""
        stream = [{"type": "markdown", "text": message.get("text") or ""}]
        has_stream = (message.get("ts"), "thread_ts" in message) != (None, False)
        blocks = message.get("blocks") or (stream if has_stream and "bot_id" in message else [])
        self.pings += live({**message, "blocks": blocks})

    def _interaction(self, kind: str, user: str) -> Json:
        user_fields = {"id": user, "username": user.lower(), "team_id": TEAM}
        payload: Json = {"type": kind, "user": user_fields, "team": {"id": TEAM}}
        if self.enterprise is not None:
            payload |= {"enterprise": {"id": self.enterprise}, "is_enterprise_install": True}
        return {**payload, "trigger_id": self.trigger()}

    def _response_url(self, user: str, channel: str, message: Json | None = None) -> str:
        number = str(next(self._count))
        origin = message if message and message.get("is_ephemeral") else None
        self.responses[number].append({"user": user, "channel": channel, "message": origin})
        return f"{self.url}/respond/{number}"

    def _ts(self) -> str:
        number = next(self._count)
        return f"{int(self._start) + number // 1000}.{number:06d}"

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        for socket in list(self.sockets):
            await socket.close()


@asynccontextmanager
async def fake_slack() -> AsyncIterator[FakeSlack]:
    slack = FakeSlack()
    app = web.Application()
    app.router.add_route("*", "/api/{method}", slack.api)
    app.router.add_get("/link", slack.socket)
    app.router.add_post("/upload/{file}", slack.upload)
    app.router.add_get("/download/{file}", slack.download)
    app.router.add_post("/respond/{number}", slack.respond)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    slack.url = f"http://127.0.0.1:{port}"
    try:
        yield slack
    finally:
        await slack.close()
        await runner.cleanup()


def shown(message: Mapping[str, Any]) -> str:
    """Returns the text of a message as a user sees it."""
    blocks = message.get("blocks")
    if not blocks:
        return str(message.get("text") or "")
    lines = []
    for block in blocks:
        text = block.get("text")
        lines.append(text if isinstance(text, str) else (text or {}).get("text", ""))
        lines += [part["text"] for part in block.get("fields") or ()]
        if block["type"] == "context":
            lines += [part["text"] for part in block["elements"]]
    return "\n".join(line for line in lines if line)


def labels(message: Mapping[str, Any]) -> list[str]:
    """Returns the labels of the buttons of a message."""
    return [label for _, _, label in _elements(message.get("blocks") or ())]


def _elements(blocks: Any) -> list[tuple[Json, Json, str]]:
    elements = []
    for block in blocks:
        for element in block.get("elements") or ():
            if element.get("type") == "button":
                fields = {"type": "button", "action_id": element["action_id"]}
                label = element["text"]["text"]
                elements.append((block, {**fields, "value": element.get("value")}, label))
            elif element.get("type") == "feedback_buttons":
                for name in ("positive_button", "negative_button"):
                    button = element[name]
                    fields = {"type": "feedback_buttons", "action_id": element["action_id"]}
                    elements.append(
                        (block, {**fields, "value": button["value"]}, button["text"]["text"])
                    )
    return elements


def _element(blocks: Any, label: str) -> tuple[Json, Json]:
    for block, element, element_label in _elements(blocks):
        if element_label == label:
            return block, element
    raise AssertionError(f"no button {label!r} in {[entry[2] for entry in _elements(blocks)]}")


def _input_value(element: Json, given: object) -> Json:
    match element["type"]:
        case "static_select":
            matching = [option for option in _options_of(element) if option["value"] == given]
            return {"type": "static_select", "selected_option": matching[0] if matching else None}
        case "file_input":
            return {"type": "file_input", "files": [given] if given else []}
        case "multi_static_select":
            names = given if isinstance(given, tuple) else ()
            picked = [option for option in _options_of(element) if option["value"] in names]
            return {"type": "multi_static_select", "selected_options": picked}
        case "checkboxes":
            names = given if isinstance(given, tuple) else ()
            ticked = [option for option in element["options"] if option["value"] in names]
            return {"type": "checkboxes", "selected_options": ticked}
        case kind:
            return {"type": kind, "value": given or None}


def _options_of(element: Json) -> list[Json]:
    groups = element.get("option_groups") or [{"options": element.get("options") or []}]
    return [option for group in groups for option in group["options"]]


async def _arguments(request: web.Request) -> tuple[Json, bool]:
    if request.content_type == "application/json":
        return await request.json(), True
    args: Json = dict(request.query)
    args.update({name: str(value) for name, value in (await request.post()).items()})
    return args, False


def _streamed_text(args: Json) -> str:
    text = "".join(
        chunk["text"] for chunk in args.get("chunks") or () if chunk["type"] == "markdown_text"
    )
    text += args.get("markdown_text") or ""
    if len(text) > MARKDOWN:
        raise RefusedError("msg_too_long")
    return text


def _between(messages: list[Json], args: Json) -> list[Json]:
    """Filters by `latest` and `oldest`, which are exclusive unless `inclusive` is set."""
    is_inclusive = str(args.get("inclusive", "")).lower() in ("true", "1")
    latest, oldest = float(args.get("latest") or "inf"), float(args.get("oldest") or 0)
    return [
        message
        for message in messages
        if oldest < float(message["ts"]) < latest
        or (is_inclusive and float(message["ts"]) in (latest, oldest))
    ]


def _copy(message: Json, args: Json) -> Json:
    """Copies a message, with metadata only if requested."""
    include_metadata = str(args.get("include_all_metadata", "")).lower() in ("true", "1")
    return {
        name: value for name, value in message.items() if name != "metadata" or include_metadata
    }


def _fault_response(request: web.Request, fault: Fault) -> web.StreamResponse:
    if fault.is_cut:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()
    if fault.status != 200:
        after = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
        return web.Response(status=fault.status, text="out of order", headers=after)
    return web.json_response({"ok": False, "error": fault.error})
