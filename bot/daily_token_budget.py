"""Daily token caps hold beside answers that are still being written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import date

from bot import access
from bot.domain import UserId, Workspace, WorkspaceId
from bot.ports.cancellation import shielded
from bot.ports.dependencies import TokenReservations
from bot.ports.metered_calls import Meter
from bot.ports.store import Store
from bot.request import Request
from bot.rows import tokens_of
from bot.words import Words

_LONG_ANSWER_TOKENS = 4_000
"""What an answer is expected to cost where its assistant names no `max_tokens`."""


def reserve(
    request: Request, messages: Sequence[Mapping[str, str]], tokens: TokenReservations
) -> AbstractAsyncContextManager[Meter]:
    """The tokens of one answer, reserved until what it really cost is stored."""
    asked = tokens_of(messages)
    expected = asked + (request.assistant.sampling.max_tokens or _LONG_ANSWER_TOKENS)
    return tokens.reserve(
        request.workspace,
        request.user_id,
        request.now.date(),
        expected=expected,
        words=request.words,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Reservation:
    workspace: WorkspaceId
    user: UserId
    day: date
    tokens: int


class TokenBudget:
    """Reservations in memory, as one service has the database: they end with the process.

    Implements `TokenReservations`.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._open: set[_Reservation] = set()
        self._checking = asyncio.Lock()
        self._released = asyncio.Event()

    @asynccontextmanager
    async def reserve(
        self, workspace: Workspace, user: UserId, day: date, *, expected: int, words: Words
    ) -> AsyncIterator[Meter]:
        wanted = _Reservation(workspace.id, user, day, expected)
        while not await self._is_admitted(wanted, workspace, words):
            await self._released.wait()
        meter = Meter()
        try:
            yield meter
        finally:
            try:
                await shielded(self._count(wanted, meter.usage.total))
            finally:
                self._open.discard(wanted)
                self._released.set()

    async def _count(self, spent: _Reservation, tokens: int) -> None:
        if tokens:
            async with self._store.writing() as records:
                await records.daily_tokens.add(spent.workspace, spent.user, spent.day, tokens)

    async def _is_admitted(self, wanted: _Reservation, workspace: Workspace, words: Words) -> bool:
        """Checked and reserved one at a time. Raises OverCap."""
        async with self._checking:
            self._released.clear()
            fits = await self._fits(wanted, workspace, words)
            if fits:
                self._open.add(wanted)
        return fits

    async def _fits(self, wanted: _Reservation, workspace: Workspace, words: Words) -> bool:
        """Whoever asks alone may ask as long as anything is left of the day."""
        if workspace.person_cap is None and workspace.workspace_cap is None:
            return True
        # Listed before the sums are read: what is settled meanwhile counts twice, never not at all.
        others = [
            one for one in self._open if (one.workspace, one.day) == (wanted.workspace, wanted.day)
        ]
        async with self._store.reading() as records:
            # As it is now: an admin may have changed it while this answer waited.
            workspace = await records.workspaces.find(workspace.id) or workspace
            spent = await records.daily_tokens.spent(wanted.workspace, wanted.user, wanted.day)
        access.require_within_caps(workspace, spent, words)
        own = [one for one in others if one.user == wanted.user]
        return _leaves_room(workspace.person_cap, spent[0], own, wanted) and _leaves_room(
            workspace.workspace_cap, spent[1], others, wanted
        )


def _leaves_room(
    cap: int | None, spent: int, others: Sequence[_Reservation], wanted: _Reservation
) -> bool:
    if cap is None or not others:
        return True
    return spent + sum(one.tokens for one in others) + wanted.tokens <= cap
