"""The port to what lasts of judging: which judges were asked, and each pair of answers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from bot.domain import EvaluationState, JudgedPair, Judging, PairState, Preferred, WorkspaceId


class Judgings(Protocol):
    async def add(self, workspace: WorkspaceId, judging: Judging) -> Judging:
        """The given id is ignored. One with the same `start` is returned instead of a second."""
        ...

    async def get(self, workspace: WorkspaceId, judging: int) -> Judging: ...
    async def change(
        self,
        workspace: WorkspaceId,
        judging: int,
        *,
        when: Sequence[EvaluationState],
        **changes: object,
    ) -> bool:
        """Set `state`, `report` or `finished_at`, only if the state is one of these."""
        ...

    async def decline(self, workspace: WorkspaceId, judging: int) -> bool:
        """Nothing is left of an estimate; False of what was confirmed."""
        ...

    async def open(self) -> Sequence[Judging]:
        """Confirmed and not over, oldest first, of every workspace that is not closed."""
        ...

    async def committed(self, workspace: WorkspaceId, *, since: datetime) -> float:
        """Dollars, as priced, of those confirmed since then."""
        ...

    async def add_pairs(self, workspace: WorkspaceId, judging: int, numbers: Sequence[int]) -> None:
        """Both orders of each, waiting; those that stand already are left as they are."""
        ...

    async def claim(
        self, workspace: WorkspaceId, judging: int, *, limit: int
    ) -> Sequence[JudgedPair]:
        """The next that wait, now written down as asked."""
        ...

    async def record_outcome(
        self,
        workspace: WorkspaceId,
        judging: int,
        pair: JudgedPair,
        state: PairState,
        preferred: Preferred | None = None,
    ) -> None:
        """The outcome of a pair that is being asked; waiting again where it surely was not."""
        ...

    async def mark_outcome_unknown(self, workspace: WorkspaceId, judging: int) -> None:
        """The outcome of what is being asked will never be known."""
        ...

    async def pairs(self, workspace: WorkspaceId, judging: int) -> Sequence[JudgedPair]:
        """By number, the one as it stands before the swapped one."""
        ...
