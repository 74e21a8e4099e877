"""All use of discord.py: gateway connections and REST calls."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

import aiohttp
import discord
import yarl
from discord.errors import ConnectionClosed, DiscordServerError, HTTPException, LoginFailure
from discord.gateway import DiscordWebSocket, ReconnectWebSocket
from discord.http import HTTPClient, Ratelimit, Route

from adapters.discord.api_port import (
    Access,
    File,
    Ids,
    Json,
    api_base_url,
    is_discord_url,
    proxy_for,
)
from adapters.discord.gateway_events import (
    GatewayClosed,
    GatewayConnection,
    GatewayEvent,
    GatewayRefused,
)
from adapters.discord.rate_limits import Pacing, Priority
from adapters.discord.session_file import GatewaySession
from bot.errors import MessageGone, PlaceClosed, SurfaceBusy, SurfaceError

log = logging.getLogger(__name__)

_CALL_SECONDS = 60
_HELLO_SECONDS = 30.0
_MAX_WAIT_SECONDS = 60.0
_CHUNK_BYTES = 64 * 1024

# https://docs.discord.com/developers/topics/opcodes-and-status-codes#json
_GONE = (10008, 10015, 10062, 50027)
_CLOSED = (10003, 10004, 40333, 50001, 50007, 50013, 50024, 50083, 160005)
# Close codes after which the library does not reconnect. After other codes it may.
_REFUSALS = (4004, 4010, 4011, 4012, 4013, 4014)

_PRIORITY: ContextVar[Priority | None] = ContextVar("priority", default=Priority.PLAIN)


class RateLimitBucket(Ratelimit):
    """A rate limit bucket that waits before a call and never after one.

    The library sleeps on the last call that a window allows until that window ends, and only then
    returns the response.
    """

    __slots__ = ("_is_learned", "_pacing")

    def __init__(self, pacing: Pacing) -> None:
        super().__init__(None)
        self._pacing = pacing
        self._is_learned = False

    def update(self, response: aiohttp.ClientResponse, *, use_clock: bool = False) -> None:
        """Reads the rate limit headers; they do not count the calls that are in flight."""
        counted = self.remaining
        super().update(response, use_clock=use_clock)
        if self._is_learned:
            self.remaining = min(counted, self.remaining)
        self._is_learned = True

    async def acquire(self) -> None:
        self._last_request = self._loop.time()
        while self.calls_left() <= 0:
            await self._wait()
        self.remaining -= 1
        self.outgoing += 1
        priority = _PRIORITY.get()
        try:
            if priority is not None:
                await self._pacing.turn(priority)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise

    async def __aexit__(self, *raised: object) -> None:
        self.outgoing -= 1
        if self.expires is None and self.outgoing == 0:
            # The response had no rate limit headers, or the call was aborted.
            self.remaining = max(1, self.remaining)
        self._wake(max(1, self.remaining))

    def calls_left(self) -> int:
        if self.is_expired():
            reset: Callable[[], None] = self.reset
            reset()
        return self.remaining

    async def _wait(self) -> None:
        wakeup = self._loop.create_future()
        self._pending_requests.append(wakeup)
        until = None if self.expires is None else self.expires + 0.005
        try:
            async with asyncio.timeout_at(until):
                await wakeup
        except TimeoutError:
            return
        finally:
            with contextlib.suppress(ValueError):
                self._pending_requests.remove(wakeup)


class DiscordHttpClient(HTTPClient):
    """The library's REST client at the configured base URL, with our buckets and timeout."""

    def __init__(self, base: str, pacing: Pacing) -> None:
        super().__init__(asyncio.get_running_loop(), proxy=proxy_for(base))
        self._base = base
        self._pacing = pacing

    def get_ratelimit(self, key: str) -> Ratelimit:
        if key not in self._buckets:
            self._buckets[key] = RateLimitBucket(self._pacing)
            self._try_clear_expired_ratelimits()
        return self._buckets[key]

    async def request(
        self,
        route: Route,
        *,
        files: Sequence[discord.File] | None = None,
        form: Iterable[dict[str, Any]] | None = None,
        **kwargs: Any,
    ) -> Any:
        route.url = self._base + route.url.removeprefix(Route.BASE)
        kwargs.setdefault("timeout", aiohttp.ClientTimeout(total=_CALL_SECONDS))
        answer = await super().request(route, files=files, form=form, **kwargs)
        # The library parses JSON only if the content type is exactly application/json.
        return _parse_json(answer) if isinstance(answer, str) else answer

    def calls_left(self, route: Route) -> int | None:
        bucket_hash = self._bucket_hashes.get(route.key)
        key = f"{bucket_hash}:{route.major_parameters}"
        bucket = self._buckets.get(key) if bucket_hash else None
        return bucket.calls_left() if isinstance(bucket, RateLimitBucket) else None


class GatewaySocket(DiscordWebSocket):
    """A gateway connection whose sequence is the last event stored in the inbox.

    Heartbeats and resumes name that sequence, so that Discord sends later events again.
    """

    on_event: Callable[[GatewayEvent], object] = staticmethod(lambda event: None)

    def __init__(
        self, socket: aiohttp.ClientWebSocketResponse, *, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._last: int | None = None
        self._unstored: set[int] = set()
        super().__init__(socket, loop=loop)

    @property
    def sequence(self) -> int | None:
        return min(self._unstored) - 1 if self._unstored else self._last

    @sequence.setter
    def sequence(self, value: int | None) -> None:
        self._last = value
        if value is None:
            self._unstored.clear()

    @property
    def address(self) -> str:
        return str(self.gateway)

    def mark_stored(self, sequence: int) -> None:
        """Marks an event as stored in the inbox or as ignored."""
        self._unstored.discard(sequence)

    async def received_message(self, msg: Any, /) -> None:
        text = self._decompressor.decompress(msg) if isinstance(msg, bytes) else msg
        if text is not None:
            self._discord_parsers = _Parsers(self)
            await super().received_message(_with_resume_url(text, str(self.gateway)))

    def pass_on(self, name: str, data: Any) -> None:
        sequence = self._last or 0
        self._unstored.add(sequence)
        self.on_event(GatewayEvent(name, data if isinstance(data, dict) else {}, sequence))


class _Parsers(dict[str, Callable[[Any], None]]):
    """Replaces the library's parsers, which cache whole guilds and fail on missing fields."""

    def __init__(self, socket: GatewaySocket) -> None:
        super().__init__()
        self._socket = socket

    def __getitem__(self, name: str) -> Callable[[Any], None]:
        return lambda data: self._socket.pass_on(name, data)


class HttpApi:
    """Calls Discord's REST API and runs gateway connections; an `adapters.discord.api_port.Api`."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self.base = api_base_url(access.api_url)
        self.pacing = Pacing()
        self._client: discord.AutoShardedClient | None = None
        self._http: DiscordHttpClient | None = None
        _silence_libraries()

    async def log_in(self) -> Json:
        """Logs in and returns the bot's user. Raises SurfaceError, code 401 for a bad token."""
        await self.close()
        self._http = DiscordHttpClient(self.base, self.pacing)
        self._client = discord.AutoShardedClient(
            intents=discord.Intents.none(), max_messages=None, shard_count=1
        )
        await self._client._async_setup_hook()
        self._client.http = self._http
        try:
            with _as_surface_error():
                me = await self._http.static_login(self._access.token.strip())
        except LoginFailure as error:
            raise SurfaceError(message="401", code=401) from error
        return dict(me)

    async def close(self) -> None:
        self.pacing.close()
        if self._http is not None:
            await self._http.close()

    async def call(
        self,
        verb: str,
        path: str,
        at: Ids | None = None,
        *,
        body: object = None,
        query: Mapping[str, object] | None = None,
        files: Sequence[File] = (),
        priority: Priority | None = Priority.PLAIN,
        patience: int = 4,
    ) -> Json:
        answer = await self._call_with_retries(
            verb, path, at or {}, body, query, files, priority, patience
        )
        return answer if isinstance(answer, dict) else {}

    async def get_list(
        self, path: str, at: Ids | None = None, *, query: Mapping[str, object] | None = None
    ) -> list[Json]:
        answer = await self._call_with_retries(
            "GET", path, at or {}, None, query, (), Priority.PLAIN, 4
        )
        return answer if isinstance(answer, list) else []

    def calls_left(self, verb: str, path: str, at: Ids) -> int | None:
        return self._http.calls_left(Route(verb, path, **at)) if self._http else None

    async def download(self, url: str) -> AsyncIterator[bytes]:
        """Downloads a file without the bot token, and only from Discord's hosts."""
        if not is_discord_url(url, self.base):
            raise SurfaceError(message="the file is not at Discord")
        with _as_surface_error():
            async with (
                aiohttp.ClientSession() as session,
                session.get(url, proxy=proxy_for(url), allow_redirects=False) as response,
            ):
                if response.status != 200:
                    raise SurfaceError(message=f"the file cannot be read ({response.status})")
                async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                    yield chunk

    async def run_shard(
        self,
        kept: GatewaySession,
        *,
        intents: int,
        gateway: str,
        shard: tuple[int, int],
        heard: Callable[[GatewayConnection, GatewayEvent], object],
    ) -> GatewayClosed:
        """Runs one connection of a shard to its end; returns whether the session can be resumed.

        `shard` is the shard's number and the number of shards. Raises GatewayRefused for close
        codes after which Discord does not accept another try.
        """
        assert self._client is not None
        number, self._client._connection.shard_count = shard
        self._client._connection._intents = discord.Intents._from_value(intents)
        socket: GatewaySocket | None = None
        try:
            socket = connected = await self._connect(kept, gateway, number)
            connected.on_event = lambda event: heard(connected, event)
            while True:
                await socket.poll_event()
        except ReconnectWebSocket as error:
            return GatewayClosed(can_resume=error.resume)
        except ConnectionClosed as error:
            if error.code in _REFUSALS:
                raise GatewayRefused(int(error.code)) from error
            return GatewayClosed(can_resume=True)
        except (OSError, aiohttp.ClientError, TimeoutError) as error:
            log.info("The gateway cannot be reached", extra={"why": type(error).__name__})
            return GatewayClosed(can_resume=True)
        finally:
            if socket is not None:
                with contextlib.suppress(OSError, aiohttp.ClientError, TimeoutError):
                    # Close codes other than 1000 and 1001 keep the session resumable.
                    async with asyncio.timeout(2):
                        await socket.close(4000)

    async def _connect(self, kept: GatewaySession, gateway: str, shard: int) -> GatewaySocket:
        assert self._client is not None
        is_resumed = kept.session is not None
        async with asyncio.timeout(_HELLO_SECONDS):
            return await GatewaySocket.from_client(
                self._client,
                initial=True,
                shard_id=shard,
                gateway=yarl.URL(kept.gateway if is_resumed and kept.gateway else gateway),
                session=kept.session,
                sequence=kept.sequence,
                resume=is_resumed,
            )

    async def _call_with_retries(
        self,
        verb: str,
        path: str,
        at: Ids,
        body: object,
        query: Mapping[str, object] | None,
        files: Sequence[File],
        priority: Priority | None,
        patience: int,
    ) -> object:
        attempts = 0
        while True:
            try:
                return await self._call_once(Route(verb, path, **at), body, query, files, priority)
            except SurfaceError as error:
                attempts += 1
                is_temporary = isinstance(error, SurfaceBusy) or error.details.get("is_unknown")
                if not is_temporary or attempts > patience:
                    raise
                seconds = float(str(error.details.get("retry_after") or 0.25 * 2**attempts))
                await asyncio.sleep(min(_MAX_WAIT_SECONDS, seconds))

    async def _call_once(
        self,
        route: Route,
        body: object,
        query: Mapping[str, object] | None,
        files: Sequence[File],
        priority: Priority | None,
    ) -> object:
        if self._http is None:
            raise SurfaceError(message="not connected", is_unknown=True)
        arguments: dict[str, Any] = {"params": dict(query)} if query else {}
        if files:
            arguments["form"] = _multipart(body, files)
        elif body is not None:
            arguments["json"] = body
        token = _PRIORITY.set(priority)
        try:
            with _as_surface_error():
                return await self._http.request(route, **arguments)
        finally:
            _PRIORITY.reset(token)


def _silence_libraries() -> None:
    """Filters out all log records of discord.py and aiohttp, which contain whole payloads."""
    for name in list(logging.Logger.manager.loggerDict):
        if name.partition(".")[0] in ("discord", "aiohttp"):
            logging.getLogger(name).addFilter(_drop_record)


def _drop_record(record: logging.LogRecord) -> bool:
    return False


@contextlib.contextmanager
def _as_surface_error() -> Iterator[None]:
    try:
        yield
    except HTTPException as error:
        raise _to_surface_error(error) from error
    except (aiohttp.ClientError, TimeoutError, OSError, RuntimeError) as error:
        name = type(error).__name__
        raise SurfaceError(message=name, is_unknown=True) from error


def _to_surface_error(error: HTTPException) -> SurfaceError:
    status, number = int(error.status), int(error.code or 0)
    if isinstance(error, DiscordServerError) or status >= 500:
        return SurfaceError(message=f"http {status}", is_unknown=True)
    if status == 429:
        return SurfaceBusy(code=429, retry_after=_retry_after(error))
    if number in _GONE:
        return MessageGone(code=number)
    if number in _CLOSED or (status == 403 and not number):
        return PlaceClosed(code=number or 50001)
    if status == 404 and not number:
        return MessageGone(code=10008)
    return SurfaceError(message=f"Discord said no ({number or status})", code=number or status)


def _retry_after(error: HTTPException) -> float:
    """Returns the seconds to wait from the body, or from the Retry-After header of a proxy."""
    body = _parse_json(error.text) if isinstance(error.text, str) else {}
    seconds = body.get("retry_after") if isinstance(body, dict) else None
    headers = getattr(error.response, "headers", {})
    with contextlib.suppress(TypeError, ValueError):
        return float(seconds if seconds is not None else headers.get("Retry-After", 1))
    return 1.0


def _parse_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return {}


def _with_resume_url(text: str, gateway: str) -> str:
    """Adds to READY and RESUMED what the library requires: resume_gateway_url and an object `d`."""
    if '"READY"' not in text and '"RESUMED"' not in text:
        return text
    frame = json.loads(text)
    if frame.get("t") in ("READY", "RESUMED"):
        frame["d"] = {"resume_gateway_url": gateway, **(frame.get("d") or {})}
    return json.dumps(frame)


def _multipart(body: object, files: Sequence[File]) -> list[dict[str, Any]]:
    """Returns the parts of a multipart request.

    https://docs.discord.com/developers/reference#uploading-files
    """
    parts: list[dict[str, Any]] = [{"name": "payload_json", "value": json.dumps(body)}]
    for number, file in enumerate(files):
        parts.append(
            {
                "name": f"files[{number}]",
                "value": file.data,
                "filename": file.name,
                "content_type": file.content_type,
            }
        )
    return parts
