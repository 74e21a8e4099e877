"""Changes of the local room, and the subscriptions that receive them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from bot.domain import Place, RoomMessage, UserId
from bot.events import Event
from bot.replies import Form


@dataclass(frozen=True, slots=True)
class Posted:
    """A message was posted; a partial one is still being written and ends with an `Updated`."""

    message: RoomMessage
    is_partial: bool = False


@dataclass(frozen=True, slots=True)
class Updated:
    """A message changed; a partial one is being rewritten and ends with another `Updated`."""

    message: RoomMessage
    is_partial: bool = False


@dataclass(frozen=True, slots=True)
class PartialAnswer:
    """The text so far of message `number`, which is being written."""

    number: int
    text: str
    is_final: bool = False


@dataclass(frozen=True, slots=True)
class AnswerAwaited:
    """An answer to the event `key` will be written in `place`; it has no text yet."""

    key: str
    place: Place


@dataclass(frozen=True, slots=True)
class AnswerBegun:
    """The answer to the event `key` has its first text, or has ended without text."""

    key: str


@dataclass(frozen=True, slots=True)
class FormOffered:
    """A form was opened for the user of `event`."""

    form: Form
    event: Event


@dataclass(frozen=True, slots=True)
class FormRejected:
    """The form that `event` submitted was refused; a view keeps the typed values."""

    event: Event


@dataclass(frozen=True, slots=True)
class FileSent:
    """A file was written for the user of `event`."""

    event: Event
    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class ReactionsUpdated:
    """A reaction was added to a message or removed."""

    number: int
    emoji: str
    user: UserId
    is_removed: bool = False


@dataclass(frozen=True, slots=True)
class ChangesLost:
    """Changes were dropped, as the view was too slow; it must read the room again."""


Change = (
    Posted
    | Updated
    | PartialAnswer
    | AnswerAwaited
    | AnswerBegun
    | FormOffered
    | FormRejected
    | FileSent
    | ReactionsUpdated
    | ChangesLost
)


class Subscription(AsyncIterator[Change]):
    """A queue of the changes for one view, from its creation until `close`."""

    def __init__(self, *, limit: int = 1000) -> None:
        self._limit = limit
        self._waiting: deque[Change] = deque()
        self._news = asyncio.Event()
        self._is_closed = False

    def enqueue(self, change: Change) -> None:
        """Adds a change to the queue without waiting."""
        if self._is_closed:
            return
        if _supersedes(change, self._waiting[-1] if self._waiting else None):
            self._waiting.pop()
        if len(self._waiting) >= self._limit:
            self._drop_partial_answers()
        self._waiting.append(change)
        self._news.set()

    def drain(self) -> list[Change]:
        """Returns and removes the queued changes without waiting."""
        changes = list(self._waiting)
        self._waiting.clear()
        return changes

    def close(self) -> None:
        """Ends the iteration after the changes that are queued already."""
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

    def _drop_partial_answers(self) -> None:
        # A partial answer can be dropped, as the message's last update has the whole text.
        others = [change for change in self._waiting if not isinstance(change, PartialAnswer)]
        self._waiting = deque(others if len(others) < self._limit else [ChangesLost()])


def _supersedes(change: Change, before: Change | None) -> bool:
    """Whether both changes are partial answers of the same message."""
    return (
        isinstance(change, PartialAnswer)
        and isinstance(before, PartialAnswer)
        and change.number == before.number
    )
