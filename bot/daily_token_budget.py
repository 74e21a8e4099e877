"""The daily token budget of a person and a workspace: refuses questions beyond it.

Reserves the tokens of answers that are still being written.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import date

from bot.domain import UserId, Workspace, WorkspaceId
from bot.errors import OverCap
from bot.ports.cancellation import shielded
from bot.ports.dependencies import TokenReservations
from bot.ports.metered_calls import TokenMeter
from bot.ports.store import Store
from bot.request import Request
from bot.rows import estimate_message_tokens
from bot.words import Words

_LONG_ANSWER_TOKENS = 4_000
"""Tokens reserved for an answer if its assistant sets no `max_tokens`."""


def reserve_tokens(
    request: Request, messages: Sequence[Mapping[str, str]], tokens: TokenReservations
) -> AbstractAsyncContextManager[TokenMeter]:
    """Reserves the expected tokens of one answer until its real usage is stored.

    Raises OverCap.
    """
    prompt_tokens = estimate_message_tokens(messages)
    expected = prompt_tokens + (request.assistant.sampling.max_tokens or _LONG_ANSWER_TOKENS)
    return tokens.reserve(
        request.workspace,
        request.user_id,
        request.now.date(),
        expected=expected,
        words=request.words,
    )


async def require_daily_budget(request: Request, store: Store) -> None:
    """Raises OverCap if the person or the workspace has used up today's tokens."""
    if request.workspace.person_cap is None and request.workspace.workspace_cap is None:
        return
    async with store.reading() as records:
        spent = await records.daily_tokens.tokens_of_day(
            request.workspace_id, request.user_id, request.now.date()
        )
    require_within_daily_caps(request.workspace, spent, request.words)


def require_within_daily_caps(workspace: Workspace, spent: tuple[int, int], words: Words) -> None:
    """Raises OverCap if today's tokens of the person or the workspace are used up.

    `spent` holds today's tokens of the person and of the whole workspace.
    """
    person, whole = spent
    if workspace.person_cap is not None and person >= workspace.person_cap:
        raise OverCap(cap=workspace.person_cap, whom=words("cap.you"))
    if workspace.workspace_cap is not None and whole >= workspace.workspace_cap:
        raise OverCap(cap=workspace.workspace_cap, whom=words("cap.workspace"))


@dataclass(frozen=True, slots=True, eq=False)
class _Reservation:
    workspace: WorkspaceId
    user: UserId
    day: date
    tokens: int


class TokenBudget:
    """Token reservations in memory, which suffices as only one process uses the database.

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
    ) -> AsyncIterator[TokenMeter]:
        reservation = _Reservation(workspace.id, user, day, expected)
        while not await self._is_admitted(reservation, workspace, words):
            await self._released.wait()
        meter = TokenMeter()
        try:
            yield meter
        finally:
            try:
                await shielded(self._store_usage(reservation, meter.usage.total))
            finally:
                self._open.discard(reservation)
                self._released.set()

    async def _store_usage(self, reservation: _Reservation, tokens: int) -> None:
        if tokens:
            async with self._store.writing() as records:
                await records.daily_tokens.add(
                    reservation.workspace, reservation.user, reservation.day, tokens
                )

    async def _is_admitted(
        self, reservation: _Reservation, workspace: Workspace, words: Words
    ) -> bool:
        """Adds the reservation if it fits; checks one reservation at a time. Raises OverCap."""
        async with self._checking:
            self._released.clear()
            fits = await self._fits(reservation, workspace, words)
            if fits:
                self._open.add(reservation)
        return fits

    async def _fits(self, new: _Reservation, workspace: Workspace, words: Words) -> bool:
        """Whether the new reservation fits under the caps beside the open ones.

        Without open reservations it fits as long as the cap is not used up. Raises OverCap.
        """
        if workspace.person_cap is None and workspace.workspace_cap is None:
            return True
        # The open reservations are listed before the stored sums are read. A usage that is stored
        # in between counts twice; in the other order it would not count at all.
        others = [
            other
            for other in self._open
            if (other.workspace, other.day) == (new.workspace, new.day)
        ]
        async with self._store.reading() as records:
            # Read again, as an admin may have changed the caps while this answer waited.
            workspace = await records.workspaces.find(workspace.id) or workspace
            spent = await records.daily_tokens.tokens_of_day(new.workspace, new.user, new.day)
        require_within_daily_caps(workspace, spent, words)
        own = [other for other in others if other.user == new.user]
        return _leaves_room(workspace.person_cap, spent[0], own, new) and _leaves_room(
            workspace.workspace_cap, spent[1], others, new
        )


def _leaves_room(
    cap: int | None, spent: int, others: Sequence[_Reservation], new: _Reservation
) -> bool:
    if cap is None or not others:
        return True
    return spent + sum(other.tokens for other in others) + new.tokens <= cap
