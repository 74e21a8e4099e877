"""What happens in the local room, told to everyone who watches it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from bot.domain import RoomMessage, UserId
from bot.events import Event
from bot.replies import Form


@dataclass(frozen=True, slots=True)
class Posted:
    """A new message; a partial one is still being written and ends with an `Updated`."""

    message: RoomMessage
    is_partial: bool = False


@dataclass(frozen=True, slots=True)
class Updated:
    """A message changed; a partial one is being written anew and ends with another `Updated`."""

    message: RoomMessage
    is_partial: bool = False


@dataclass(frozen=True, slots=True)
class PartialAnswer:
    """The text so far of an answer that is being written."""

    number: int
    text: str
    is_final: bool = False


@dataclass(frozen=True, slots=True)
class FormOffered:
    """Somebody is asked to fill in a form; `event` is what made it open."""

    form: Form
    event: Event


@dataclass(frozen=True, slots=True)
class FormRejected:
    """A form that `event` sent was refused; whoever holds it open keeps what was typed."""

    event: Event


@dataclass(frozen=True, slots=True)
class FileSent:
    """A file was written for somebody; `event` asked for it."""

    event: Event
    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class ReactionsUpdated:
    """An emoji came onto a message, or went."""

    number: int
    emoji: str
    user: UserId
    is_removed: bool = False


@dataclass(frozen=True, slots=True)
class ChangesLost:
    """The watcher was too slow and has to look at the room itself."""


Change = (
    Posted
    | Updated
    | PartialAnswer
    | FormOffered
    | FormRejected
    | FileSent
    | ReactionsUpdated
    | ChangesLost
)


class Subscription(AsyncIterator[Change]):
    """Changes from the moment it was made, for one watcher; close it when done."""

    def __init__(self, *, limit: int = 1000) -> None:
        self._limit = limit
        self._waiting: deque[Change] = deque()
        self._news = asyncio.Event()
        self._is_closed = False

    def enqueue(self, change: Change) -> None:
        """Put a change in the queue; never waits."""
        if self._is_closed:
            return
        if _says_more(change, self._waiting[-1] if self._waiting else None):
            self._waiting.pop()
        if len(self._waiting) >= self._limit:
            self._make_room()
        self._waiting.append(change)
        self._news.set()

    def drain(self) -> list[Change]:
        """What is there now, without waiting."""
        taken = list(self._waiting)
        self._waiting.clear()
        return taken

    def close(self) -> None:
        """The iteration ends after what is already queued."""
        self._is_closed = True
        self._news.set()

    async def __anext__(self) -> Change:
        while not self._waiting:
            if self._is_closed:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._waiting.popleft()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _make_room(self) -> None:
        # A live piece can go quietly, the message's last update has it all.
        kept = [change for change in self._waiting if not isinstance(change, PartialAnswer)]
        self._waiting = deque(kept if len(kept) < self._limit else [ChangesLost()])


def _says_more(change: Change, before: Change | None) -> bool:
    return (
        isinstance(change, PartialAnswer)
        and isinstance(before, PartialAnswer)
        and change.number == before.number
    )
