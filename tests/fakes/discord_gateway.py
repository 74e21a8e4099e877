"""The gateway of the fake Discord, with sessions that can be lost, resumed and refused."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from tests.fakes.discord_rules import (
    DIRECT_MESSAGES,
    DIRECT_REACTIONS,
    GATEWAY_SENDS,
    GUILDS,
    KNOWN_INTENTS,
    MEMBERS,
    MESSAGE_CONTENT,
    MESSAGES,
    REACTIONS,
    Json,
    without_content,
)

_NEEDED = {
    # events/gateway#list-of-intents: events that need an intent, in guilds and in direct messages.
    "MESSAGE_CREATE": (MESSAGES, DIRECT_MESSAGES),
    "MESSAGE_UPDATE": (MESSAGES, DIRECT_MESSAGES),
    "MESSAGE_DELETE": (MESSAGES, DIRECT_MESSAGES),
    "MESSAGE_DELETE_BULK": (MESSAGES, MESSAGES),
    "MESSAGE_REACTION_ADD": (REACTIONS, DIRECT_REACTIONS),
    "MESSAGE_REACTION_REMOVE": (REACTIONS, DIRECT_REACTIONS),
    "GUILD_CREATE": (GUILDS, GUILDS),
    "GUILD_DELETE": (GUILDS, GUILDS),
    "CHANNEL_CREATE": (GUILDS, GUILDS),
    "CHANNEL_UPDATE": (GUILDS, GUILDS),
    "CHANNEL_DELETE": (GUILDS, GUILDS),
    "THREAD_DELETE": (GUILDS, GUILDS),
    "THREAD_CREATE": (GUILDS, GUILDS),
    "GUILD_MEMBER_REMOVE": (MEMBERS, MEMBERS),
}


@dataclass(slots=True)
class Session:
    """A session of a client; `socket` is None while the client is disconnected."""

    id: str
    intents: int
    shard: tuple[int, int] = (0, 1)
    sequence: int = 0
    sent: deque[tuple[int, Json]] = field(default_factory=lambda: deque(maxlen=5000))
    socket: web.WebSocketResponse | None = None
    is_valid: bool = True

    def has(self, guild: str) -> bool:
        """Whether the session's shard has this guild; direct messages are on shard 0.

        events/gateway#sharding
        """
        number, count = self.shard
        return (int(guild or "0") >> 22) % count == number


class Gateway:
    """Hello, identify, heartbeat and resume as in events/gateway; each rule has its close code."""

    def __init__(self, reads_content: Callable[[Json], bool]) -> None:
        self.token = "fake.token.of-the-bot"
        self.may_read_content = True
        self.refused_intents = 0
        self.shards = 1
        """Number of shards that Discord requires."""
        self.heartbeat_seconds = 41.25
        self.sessions: dict[str, Session] = {}
        self.identifies: list[Json] = []
        self.resumes: list[Json] = []
        self.heartbeats: list[Any] = []
        self.closes: list[int] = []
        self.lacks_resume_url = False
        self.url = ""
        self.ready: Callable[[Session], Json] = lambda session: {}
        self.after_ready: Callable[[Session], None] = lambda session: None
        self._reads_content = reads_content
        self._count = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: set[web.WebSocketResponse] = set()

    @property
    def live(self) -> list[Session]:
        return [session for session in self.sessions.values() if session.socket is not None]

    def dispatch(self, name: str, data: Json, *, only: Session | None = None) -> None:
        """Sends an event to every valid session, or stores it for disconnected ones."""
        for session in [only] if only else list(self.sessions.values()):
            if session.is_valid and self._receives(session, name, data):
                self._send(session, name, self._visible_data(session, name, data))

    def repeat(self, name: str, data: Json) -> None:
        self.dispatch(name, data)

    async def cut(self) -> None:
        """Aborts all connections without a close frame."""
        for socket in list(self._connections):
            if socket._req is not None and socket._req.transport is not None:
                socket._req.transport.abort()

    async def ask_to_reconnect(self) -> None:
        """Sends opcode 7: the client should reconnect and resume."""
        for session in self.live:
            assert session.socket is not None
            await session.socket.send_json({"op": 7, "d": None})

    async def invalidate(self, *, is_resumable: bool) -> None:
        """Sends opcode 9: the session is over, unless it may be resumed."""
        for session in self.live:
            session.is_valid = is_resumable
            assert session.socket is not None
            await session.socket.send_json({"op": 9, "d": is_resumable})

    def forget_sessions(self) -> None:
        for session in self.sessions.values():
            session.is_valid = False

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.cut()

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._connections.add(socket)
        hello = {"heartbeat_interval": int(self.heartbeat_seconds * 1000)}
        await socket.send_json({"op": 10, "d": hello})
        session: Session | None = None
        sends: deque[float] = deque()
        try:
            async for message in socket:
                if message.type is not WSMsgType.TEXT:
                    continue
                if self._is_too_fast(sends) or len(message.data) > 4096:
                    await self._refuse(socket, 4008)
                    break
                session = await self._handle_frame(socket, session, json.loads(message.data))
        finally:
            self._connections.discard(socket)
            if session is not None and session.socket is socket:
                session.socket = None
            if session is not None and socket.close_code in (1000, 1001):
                # events/gateway#initiating-a-disconnect: codes 1000 and 1001 end the session.
                session.is_valid = False
        return socket

    async def _handle_frame(
        self, socket: web.WebSocketResponse, session: Session | None, frame: Json
    ) -> Session | None:
        match frame.get("op"):
            case 1:
                self.heartbeats.append(frame.get("d"))
                await socket.send_json({"op": 11})
                return session
            case 2 if session is not None:
                await self._refuse(socket, 4005)
            case 2:
                return await self._identify(socket, frame["d"])
            case 6:
                return await self._resume(socket, frame["d"])
            case _ if session is None:
                await self._refuse(socket, 4003)
            case _:
                await self._refuse(socket, 4001)
        return session

    async def _identify(self, socket: web.WebSocketResponse, data: Json) -> Session | None:
        self.identifies.append(data)
        intents = int(data.get("intents") or 0)
        if data.get("token") != self.token:
            await self._refuse(socket, 4004)
            return None
        if intents & ~KNOWN_INTENTS:
            await self._refuse(socket, 4013)
            return None
        if intents & self.refused_intents or (
            intents & MESSAGE_CONTENT and not self.may_read_content
        ):
            await self._refuse(socket, 4014)
            return None
        number, count = data.get("shard") or (0, 1)
        if count < self.shards:
            await self._refuse(socket, 4011)
            return None
        session = Session(f"session-{next(self._count)}", intents, (number, count), socket=socket)
        self.sessions[session.id] = session
        self._send(session, "READY", self.ready(session))
        self.after_ready(session)
        return session

    async def _resume(self, socket: web.WebSocketResponse, data: Json) -> Session | None:
        self.resumes.append(data)
        if data.get("token") != self.token:
            await self._refuse(socket, 4004)
            return None
        session = self.sessions.get(str(data.get("session_id")))
        sequence = data.get("seq")
        if session is None or not session.is_valid:
            await socket.send_json({"op": 9, "d": False})
            return None
        if not isinstance(sequence, int) or sequence > session.sequence:
            await self._refuse(socket, 4007)
            return None
        while missed_frames := [stored for stored in session.sent if stored[0] > sequence]:
            for _, frame in missed_frames:
                await socket.send_json(frame)
            sequence = missed_frames[-1][0]
        # Events that happen during the replay are sent after it, in order.
        session.socket = socket
        self._send(session, "RESUMED", {"_trace": []})
        return session

    async def _refuse(self, socket: web.WebSocketResponse, code: int) -> None:
        self.closes.append(code)
        await socket.close(code=code)

    def _is_too_fast(self, sends: deque[float]) -> bool:
        now = time.monotonic()
        sends.append(now)
        while sends[0] < now - 60:
            sends.popleft()
        return len(sends) > GATEWAY_SENDS

    def _send(self, session: Session, name: str, data: Json) -> None:
        session.sequence += 1
        frame = {"op": 0, "t": name, "s": session.sequence, "d": data}
        session.sent.append((session.sequence, frame))
        if session.socket is not None:
            task = asyncio.ensure_future(self._deliver(session.socket, frame))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _deliver(self, socket: web.WebSocketResponse, frame: Json) -> None:
        try:
            await socket.send_json(frame)
        except ConnectionError:
            return

    def _receives(self, session: Session, name: str, data: Json) -> bool:
        about_guild = name.startswith("GUILD_") and not data.get("guild_id")
        guild = str(data.get("guild_id") or (data["id"] if about_guild else "") or "")
        if not session.has(guild) and name not in ("READY", "RESUMED"):
            return False
        in_guild, alone = _NEEDED.get(name, (0, 0))
        needed = (
            in_guild if data.get("guild_id") or name.startswith(("GUILD", "CHANNEL")) else alone
        )
        return not needed or bool(session.intents & needed)

    def _visible_data(self, session: Session, name: str, data: Json) -> Json:
        """Returns a message without its content if the session lacks the intent for it.

        events/gateway#message-content-intent
        """
        is_message = name in ("MESSAGE_CREATE", "MESSAGE_UPDATE")
        if not is_message or session.intents & MESSAGE_CONTENT or self._reads_content(data):
            return data
        return without_content(data)
