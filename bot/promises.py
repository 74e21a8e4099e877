"""A flood of events: promised together, begun one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from bot.events import Event, to_json
from bot.ports.store import Clock, Store

Spawn = Callable[[Coroutine[object, object, None], str], "asyncio.Task[None]"]

_MOST_AT_ONCE = 200
_CALM_SECONDS = 0.02
_MOST_TURNS = 50


class Promises:
    """Whoever waits while one transaction runs shares the next one."""

    def __init__(self, store: Store, clock: Clock, spawn: Spawn) -> None:
        self._store = store
        self._clock = clock
        self._spawn = spawn
        self._waiting: list[tuple[Event, asyncio.Future[bool]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def keep(self, event: Event) -> bool:
        """Once this returns the event will be handled; False if it is known already."""
        kept: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((event, kept))
        if self._writing is None or self._writing.done():
            self._writing = self._spawn(self._write(), "promises")
        return await kept

    async def _write(self) -> None:
        while self._waiting:
            batch: list[tuple[Event, asyncio.Future[bool]]] = []
            try:
                met = await self._write_some(batch)
            except BaseException as error:
                # Those who wait are told, whatever it was.
                for _, kept in batch or self._taken():
                    if not kept.done():
                        kept.set_exception(error)
                if isinstance(error, asyncio.CancelledError):
                    raise
                continue
            for (_, kept), is_new in zip(batch, met, strict=True):
                if not kept.done():
                    kept.set_result(is_new)

    async def _write_some(self, batch: list[tuple[Event, asyncio.Future[bool]]]) -> list[bool]:
        async with self._store.writing(is_urgent=True) as records:
            batch += self._taken()
            return [
                await records.inbox.receive(
                    event.place.workspace,
                    event.key,
                    message_key=event.message_key,
                    payload=to_json(event),
                    at=self._clock.now(),
                )
                for event, _ in batch
            ]

    def _taken(self) -> list[tuple[Event, asyncio.Future[bool]]]:
        taken = self._waiting[:_MOST_AT_ONCE]
        del self._waiting[:_MOST_AT_ONCE]
        return taken


class Gate:
    """Lets work begin no faster than the house keeps up, so that promises are not kept waiting."""

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
