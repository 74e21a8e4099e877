"""The port to what lasts of blind votes: which there are, and who voted what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bot.domain import Ballot, BlindVote, EvaluationId, VoteState, WorkspaceId


class BlindVotes(Protocol):
    async def add(self, workspace: WorkspaceId, vote: BlindVote) -> None:
        """Of one evaluation there is never a second."""
        ...

    async def get(self, workspace: WorkspaceId, evaluation: EvaluationId) -> BlindVote: ...
    async def change(
        self,
        workspace: WorkspaceId,
        evaluation: EvaluationId,
        *,
        when: Sequence[VoteState],
        **changes: object,
    ) -> bool:
        """Set fields by name, only if the state is one of these."""
        ...

    async def list_open(self) -> Sequence[BlindVote]:
        """Not closed, oldest first, of every workspace that is not closed."""
        ...

    async def cast(self, workspace: WorkspaceId, evaluation: EvaluationId, ballot: Ballot) -> bool:
        """A person's later ballot on a question replaces the earlier; False unless it is open."""
        ...

    async def ballots(
        self, workspace: WorkspaceId, evaluation: EvaluationId, *, number: int | None = None
    ) -> Sequence[Ballot]:
        """By question and person; of one question where its number is given."""
        ...

    async def count(self, workspace: WorkspaceId, evaluation: EvaluationId) -> tuple[int, int]:
        """How many ballots, of how many people."""
        ...
