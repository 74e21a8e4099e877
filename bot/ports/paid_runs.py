"""The port to what lasts of runs of paid calls: judgings, and runs that propose examples."""

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
    """A run as a runner needs it; its state is that of an evaluation."""

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


Priced = TypeVar("Priced")
Run = TypeVar("Run", bound=PaidRun)
Call = TypeVar("Call")


class Runs(Protocol[Priced]):
    """Runs of one kind, each priced before it is confirmed."""

    async def add(self, workspace: WorkspaceId, run: Priced) -> Priced:
        """The given id is ignored. One with the same key is returned instead of a second."""
        ...

    async def get(self, workspace: WorkspaceId, run: int) -> Priced: ...
    async def change(
        self,
        workspace: WorkspaceId,
        run: int,
        *,
        when: Sequence[EvaluationState],
        **changes: object,
    ) -> bool:
        """Set fields by name, only if the state is one of these."""
        ...

    async def decline(self, workspace: WorkspaceId, run: int) -> bool:
        """Nothing is left of an estimate; False of what was confirmed."""
        ...

    async def list_open(self) -> Sequence[Priced]:
        """Confirmed and not over, oldest first, of every workspace that is not closed."""
        ...

    async def committed_cost(self, workspace: WorkspaceId, *, since: datetime) -> float:
        """Dollars, as priced, of those confirmed since then."""
        ...


class PaidCalls(Protocol[Call]):
    """The calls of runs of one kind; a call is one of its fields that name it, and a state."""

    async def add_calls(self, workspace: WorkspaceId, run: int, calls: Sequence[Call]) -> None:
        """Those that stand already are left as they are."""
        ...

    async def claim(self, workspace: WorkspaceId, run: int, *, limit: int) -> Sequence[Call]:
        """The next that wait, now written down as asked."""
        ...

    async def record_outcome(self, workspace: WorkspaceId, run: int, call: Call) -> None:
        """What came of a call that is being asked; waiting again where it surely was not."""
        ...

    async def mark_outcome_unknown(self, workspace: WorkspaceId, run: int) -> None:
        """The outcome of what is being asked will never be known."""
        ...

    async def counts(self, workspace: WorkspaceId, run: int) -> Mapping[CallState, int]:
        """How many calls there are of each state; none of a state that is missing."""
        ...

    async def calls(self, workspace: WorkspaceId, run: int) -> Sequence[Call]:
        """In the order in which they are asked."""
        ...


class PaidRuns(Runs[Run], PaidCalls[Call], Protocol[Run, Call]):
    """Runs at one host, and their calls."""


class Judgings(PaidRuns[Judging, JudgedPair], Protocol):
    """Which judges were asked, and each pair of answers; as it stands before the swapped one."""


class SyntheticRuns(PaidRuns[SyntheticRun, SyntheticCall], Protocol):
    """Which models were asked to write examples, from which ones."""

    async def with_proposals(
        self, workspace: WorkspaceId, assistant: AssistantId
    ) -> frozenset[ExampleId]:
        """The examples from which a model wrote one that lives."""
        ...
