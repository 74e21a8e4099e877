"""Stores concurrent events in one transaction, and starts their handlers one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from bot.events import Event, to_json
from bot.ports.store import Clock, Inbox, Store

T = TypeVar("T")
Mark = Callable[[Inbox], Awaitable[T]]
Spawn = Callable[[Coroutine[object, object, None], str], "asyncio.Task[None]"]

_MOST_AT_ONCE = 200
_TICK = timedelta(microseconds=1)
_CALM_SECONDS = 0.02
_MOST_TURNS = 50


class InboxWriter:
    """Marks in the inbox; whoever waits while one transaction runs shares the next one."""

    def __init__(self, store: Store, clock: Clock, spawn: Spawn) -> None:
        self._store = store
        self._clock = clock
        self._spawn = spawn
        self._waiting: list[tuple[Mark[Any], asyncio.Future[Any]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._last = datetime.min.replace(tzinfo=UTC)

    def next_arrival_time(self) -> datetime:
        """Now, and later than any arrival before, so that a later run knows the order."""
        self._last = max(self._clock.now(), self._last + _TICK)
        return self._last

    async def store_event(self, event: Event, at: datetime) -> bool:
        """Once this returns the event will be handled; False if it is known already."""
        payload = to_json(event)

        async def receive(inbox: Inbox) -> bool:
            place, key = event.place.workspace, event.key
            return await inbox.receive(
                place, key, message_key=event.message_key, payload=payload, at=at
            )

        return await self._share(receive)

    async def begin(self, key: str) -> None:
        """From now on something of the event may stand, so that a later run looks for it."""
        await self._share(lambda inbox: inbox.begin(key))

    async def end(self, key: str) -> None:
        """The event has had its effect."""
        await self._share(lambda inbox: inbox.finish(key))

    async def _share(self, mark: Mark[T]) -> T:
        made: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((mark, made))
        if self._writing is None or self._writing.done():
            self._writing = self._spawn(self._write(), "promises")
        return await made

    async def _write(self) -> None:
        while self._waiting:
            batch: list[tuple[Mark[Any], asyncio.Future[Any]]] = []
            try:
                results = await self._write_some(batch)
            except BaseException as error:
                # Those who wait are told, whatever it was.
                for _, made in batch or self._taken():
                    if not made.done():
                        made.set_exception(error)
                if isinstance(error, asyncio.CancelledError):
                    raise
                continue
            for (_, made), result in zip(batch, results, strict=True):
                if not made.done():
                    made.set_result(result)

    async def _write_some(self, batch: list[tuple[Mark[Any], asyncio.Future[Any]]]) -> list[Any]:
        async with self._store.writing(is_urgent=True) as records:
            batch += self._taken()
            return [await mark(records.inbox) for mark, _ in batch]

    def _taken(self) -> list[tuple[Mark[Any], asyncio.Future[Any]]]:
        taken = self._waiting[:_MOST_AT_ONCE]
        del self._waiting[:_MOST_AT_ONCE]
        return taken


class AdmissionGate:
    """Lets work begin no faster than the event loop keeps up, so that acks do not wait."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def wait(self) -> None:
        """In the order of asking; at once where nothing is going on."""
        now = asyncio.get_running_loop().time
        async with self._lock:
            for _ in range(_MOST_TURNS):
                before = now()
                await asyncio.sleep(0)
                if now() - before < _CALM_SECONDS:
                    return
