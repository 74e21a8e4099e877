"""Writes to the inbox: concurrent writes share a transaction, and handlers start one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from bot.events import Event, to_json
from bot.ports.store import Clock, Inbox, Store

T = TypeVar("T")
InboxWrite = Callable[[Inbox], Awaitable[T]]
SpawnTask = Callable[[Coroutine[object, object, None], str], "asyncio.Task[None]"]

_MAX_BATCH = 200
_TICK = timedelta(microseconds=1)
_SHORT_TURN_SECONDS = 0.02
_MAX_TURNS = 50


class InboxWriter:
    """Writes to the inbox; writes that arrive during a transaction share the next one."""

    def __init__(self, store: Store, clock: Clock, spawn: SpawnTask) -> None:
        self._store = store
        self._clock = clock
        self._spawn = spawn
        self._waiting: list[tuple[InboxWrite[Any], asyncio.Future[Any]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._last = datetime.min.replace(tzinfo=UTC)

    def next_arrival_time(self) -> datetime:
        """Returns the present time, or a later one so that no two arrivals have the same time.

        A later run sorts unfinished events by it.
        """
        self._last = max(self._clock.now(), self._last + _TICK)
        return self._last

    async def store_event(self, event: Event, at: datetime) -> bool:
        """Stores the event, after which it is handled even if the process crashes.

        Returns False for a duplicate.
        """
        payload = to_json(event)

        async def receive(inbox: Inbox) -> bool:
            place, key = event.place.workspace, event.key
            return await inbox.add(
                place, key, message_key=event.message_key, payload=payload, at=at
            )

        return await self._share(receive)

    async def mark_reply_begun(self, key: str) -> None:
        """Marks that a reply may have been posted, which a later run must look for."""
        await self._share(lambda inbox: inbox.mark_begun(key))

    async def mark_done(self, key: str) -> None:
        """Marks the event as done."""
        await self._share(lambda inbox: inbox.mark_done(key))

    async def _share(self, write: InboxWrite[T]) -> T:
        """Runs a write in the next transaction and returns its result."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((write, future))
        if self._writing is None or self._writing.done():
            self._writing = self._spawn(self._write(), "inbox")
        return await future

    async def _write(self) -> None:
        while self._waiting:
            batch: list[tuple[InboxWrite[Any], asyncio.Future[Any]]] = []
            try:
                results = await self._write_batch(batch)
            except BaseException as error:
                # Without this the callers of a failed batch would wait for ever.
                for _, future in batch or self._next_batch():
                    if not future.done():
                        future.set_exception(error)
                if isinstance(error, asyncio.CancelledError):
                    raise
                continue
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)

    async def _write_batch(
        self, batch: list[tuple[InboxWrite[Any], asyncio.Future[Any]]]
    ) -> list[Any]:
        """Fills `batch` with the waiting writes and runs them in one transaction."""
        async with self._store.writing(is_urgent=True) as records:
            batch += self._next_batch()
            return [await write(records.inbox) for write, _ in batch]

    def _next_batch(self) -> list[tuple[InboxWrite[Any], asyncio.Future[Any]]]:
        batch = self._waiting[:_MAX_BATCH]
        del self._waiting[:_MAX_BATCH]
        return batch


class AdmissionGate:
    """Delays handlers while the event loop is busy, so that acknowledgements are not late."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def wait(self) -> None:
        """Returns once a turn of the event loop is short; callers are admitted in their order.

        Returns after 50 turns at the latest.
        """
        now = asyncio.get_running_loop().time
        async with self._lock:
            for _ in range(_MAX_TURNS):
                before = now()
                await asyncio.sleep(0)
                if now() - before < _SHORT_TURN_SECONDS:
                    return
