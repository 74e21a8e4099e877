"""The port to stored runs of paid calls: judgings, and runs that propose examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from bot.domain import (
    AssistantId,
    CallState,
    EvaluationState,
    ExampleId,
    HostName,
    JudgedPair,
    Judging,
    ModelName,
    SyntheticCall,
    SyntheticRun,
    UserId,
    WorkspaceId,
)


class PaidRun(Protocol):
    """The fields of a run that a runner needs; a run has the states of an evaluation."""

    @property
    def id(self) -> int: ...
    @property
    def workspace(self) -> WorkspaceId: ...
    @property
    def asked_by(self) -> UserId: ...
    @property
    def state(self) -> EvaluationState: ...
    @property
    def host(self) -> HostName: ...
    @property
    def model(self) -> ModelName: ...


Run_co = TypeVar("Run_co", covariant=True)
Run = TypeVar("Run", bound=PaidRun)
Call = TypeVar("Call")


class Runs(Protocol[Run_co]):
    """Stored runs of one kind, each priced before it is confirmed."""

    async def get(self, workspace: WorkspaceId, run: int) -> Run_co: ...
    async def update_if(
        self,
        workspace: WorkspaceId,
        run: int,
        *,
        when: Sequence[EvaluationState],
        **changes: object,
    ) -> bool:
        """Sets fields by name and returns True, only if the state is one of `when`."""
        ...

    async def delete_estimate(self, workspace: WorkspaceId, run: int) -> bool:
        """Deletes an estimate and returns True; False if the run was confirmed."""
        ...

    async def delete_old_estimates(self, at: datetime, *, limit: int = 500) -> int:
        """Deletes estimates from before `at` that were never confirmed; returns how many."""
        ...

    async def list_open(self) -> Sequence[Run_co]:
        """Returns confirmed runs that are not over, of workspaces not closed, oldest first."""
        ...

    async def committed_cost(self, workspace: WorkspaceId, *, since: datetime) -> float:
        """Returns the estimated US dollars of runs confirmed since then.

        An evaluation that was priced with a training counts while the training is open.
        """
        ...


class PaidCalls(Protocol[Call]):
    """Stored calls of runs of one kind."""

    async def add_calls(self, workspace: WorkspaceId, run: int, calls: Sequence[Call]) -> None:
        """Stores calls; a call that is stored already is left unchanged."""
        ...

    async def claim_waiting(
        self, workspace: WorkspaceId, run: int, *, limit: int
    ) -> Sequence[Call]:
        """Marks the next waiting calls as asked and returns them."""
        ...

    async def record_outcome(self, workspace: WorkspaceId, run: int, call: Call) -> None:
        """Stores the state of an asked call; waiting again if it was certainly not sent."""
        ...

    async def mark_outcome_unknown(self, workspace: WorkspaceId, run: int) -> None:
        """Marks asked calls as lost."""
        ...

    async def count_by_state(self, workspace: WorkspaceId, run: int) -> Mapping[CallState, int]:
        """Returns the number of calls by state; a missing state has no calls."""
        ...

    async def calls(self, workspace: WorkspaceId, run: int) -> Sequence[Call]:
        """Returns the calls in the order in which they are asked."""
        ...


class PaidRuns(Runs[Run], PaidCalls[Call], Protocol[Run, Call]):
    """Stored runs at one host each, and their calls."""

    async def add(self, workspace: WorkspaceId, run: Run, calls: Sequence[Call] = ()) -> Run:
        """Stores an estimate with its calls, or returns the run with the same idempotency key."""
        ...


class Judgings(PaidRuns[Judging, JudgedPair], Protocol):
    """Stored judgings and their pairs of answers; the original order precedes the swapped one."""


class SyntheticRuns(PaidRuns[SyntheticRun, SyntheticCall], Protocol):
    """Stored runs in which a model writes examples."""

    async def sources_with_proposals(
        self, workspace: WorkspaceId, assistant: AssistantId
    ) -> frozenset[ExampleId]:
        """Returns the examples that are the source of an active synthetic example."""
        ...
