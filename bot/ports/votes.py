"""The port to stored blind votes and their ballots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bot.domain import Ballot, BlindVote, EvaluationId, VoteState, WorkspaceId


class BlindVotes(Protocol):
    async def add(self, workspace: WorkspaceId, vote: BlindVote) -> None:
        """Stores a vote, unless the evaluation has one."""
        ...

    async def get(self, workspace: WorkspaceId, evaluation: EvaluationId) -> BlindVote: ...
    async def update_if(
        self,
        workspace: WorkspaceId,
        evaluation: EvaluationId,
        *,
        when: Sequence[VoteState],
        **changes: object,
    ) -> bool:
        """Sets fields by name and returns True, only if the state is one of `when`."""
        ...

    async def list_open(self) -> Sequence[BlindVote]:
        """Returns the votes that are not closed, of workspaces not closed, oldest first."""
        ...

    async def put_ballot(
        self, workspace: WorkspaceId, evaluation: EvaluationId, ballot: Ballot
    ) -> bool:
        """Stores a ballot; replaces the user's earlier one. False if the vote is not open."""
        ...

    async def ballots(
        self, workspace: WorkspaceId, evaluation: EvaluationId, *, number: int | None = None
    ) -> Sequence[Ballot]:
        """Returns ballots by question and user; `number` limits to one question."""
        ...

    async def count_ballots_and_voters(
        self, workspace: WorkspaceId, evaluation: EvaluationId
    ) -> tuple[int, int]:
        """Returns the number of ballots and the number of voters."""
        ...
