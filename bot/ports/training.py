"""The port to what lasts of training: snapshots, jobs, models, and what stands at hosts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from bot.domain import (
    AssistantId,
    Checkpoint,
    Deployment,
    ExampleId,
    HostName,
    Job,
    JobEvent,
    JobId,
    Model,
    ModelName,
    Phase,
    RemoteCleanup,
    RequestedAction,
    Snapshot,
    SnapshotId,
    SnapshotRow,
    Split,
    StepMetrics,
    UserId,
    WorkspaceId,
)
from bot.rows import Method


class Snapshots(Protocol):
    async def begin(
        self,
        workspace: WorkspaceId,
        assistant: AssistantId,
        method: Method,
        *,
        training: int,
        validation: int,
        at: datetime,
    ) -> Snapshot:
        """One of so many rows, which follow in parts; no job may name it before the last."""
        ...

    async def append(
        self,
        workspace: WorkspaceId,
        snapshot: SnapshotId,
        rows: Sequence[SnapshotRow],
        *,
        first: int,
    ) -> None:
        """Rows from the position `first` on."""
        ...

    async def get(self, workspace: WorkspaceId, snapshot: SnapshotId) -> Snapshot: ...
    def rows(
        self, workspace: WorkspaceId, snapshot: SnapshotId, split: Split | None = None
    ) -> AsyncIterator[SnapshotRow]:
        """In frozen order, with the text of the frozen revision."""
        ...

    async def revisions(
        self, workspace: WorkspaceId, snapshot: SnapshotId
    ) -> Mapping[ExampleId, int]:
        """The revision of each example that it froze."""
        ...

    async def count_forbidden(self, workspace: WorkspaceId, snapshot: SnapshotId) -> int:
        """How many rows were erased or may no longer be trained on, by the rule of `trainable`."""
        ...

    async def training_examples_among(
        self, workspace: WorkspaceId, snapshot: SnapshotId, examples: Sequence[ExampleId]
    ) -> frozenset[ExampleId]:
        """Those of the examples that the snapshot's training rows have."""
        ...

    async def list_holding(
        self, workspace: WorkspaceId, examples: Sequence[ExampleId]
    ) -> Sequence[SnapshotId]: ...
    async def forget_unused(self, at: datetime, *, limit: int = 500) -> int:
        """How many rows went of an older snapshot that no job names, or 1 for itself."""
        ...


class Jobs(Protocol):
    async def add(self, workspace: WorkspaceId, job: Job) -> Job:
        """The given id is ignored. A job with the same key is returned instead of a second.

        An estimate gets a number of its own; it counts as a job once it is confirmed.
        """
        ...

    async def confirm(self, workspace: WorkspaceId, job: JobId, *, at: datetime) -> Job | None:
        """The estimate as a job with the next number; None where no estimate waits there."""
        ...

    async def decline(self, workspace: WorkspaceId, job: JobId) -> bool:
        """An estimate goes as if it had never been; False where none waits there."""
        ...

    async def get(self, workspace: WorkspaceId, job: JobId) -> Job: ...
    async def change(
        self,
        workspace: WorkspaceId,
        job: JobId,
        *,
        when: Sequence[Phase] | None = None,
        **changes: object,
    ) -> bool:
        """Set fields of Job by name; with `when`, only if the phase is one of these."""
        ...

    async def page(
        self,
        workspace: WorkspaceId,
        *,
        assistant: AssistantId | None = None,
        before: JobId | None = None,
        limit: int = 10,
    ) -> Sequence[Job]:
        """Newest first, estimates that were never confirmed left out."""
        ...

    async def newest_success(
        self, workspace: WorkspaceId, assistant: AssistantId, *, method: Method | None = None
    ) -> Job | None:
        """The last that made a model, of any method where none is named."""
        ...

    async def list_open(self) -> Sequence[Job]:
        """Confirmed and not over, oldest first, of every workspace.

        Of a closed one only those that have begun at their hosts.
        """
        ...

    async def forget_files(
        self, workspace: WorkspaceId, snapshots: Sequence[SnapshotId], *, at: datetime
    ) -> None:
        """Request that the files of these snapshots' finished jobs are deleted at their hosts."""
        ...

    async def list_expiring(self) -> Sequence[Job]:
        """Finished jobs whose files are to be deleted so, of every workspace."""
        ...

    async def postpone(
        self, numbers: Sequence[JobId], *, requested_action: RequestedAction | None, until: datetime
    ) -> None:
        """Those of these, of any workspace, with still this action requested wait until then."""
        ...

    async def open_in(self, workspace: WorkspaceId) -> Sequence[Job]: ...
    async def count_open(self) -> int:
        """Of every workspace."""
        ...

    async def many(self, numbers: Sequence[JobId]) -> Sequence[Job]:
        """Those of these that stand, of any workspace."""
        ...

    async def add_events(
        self, workspace: WorkspaceId, job: JobId, events: Iterable[JobEvent]
    ) -> int:
        """How many were new; metrics of a step already told replace it."""
        ...

    async def events(
        self, workspace: WorkspaceId, job: JobId, *, last: int = 500
    ) -> Sequence[JobEvent]:
        """Oldest first; `last` keeps only the newest so many."""
        ...

    async def event_ids(self, workspace: WorkspaceId, job: JobId) -> frozenset[str]: ...
    async def add_measures(
        self, workspace: WorkspaceId, job: JobId, measures: Iterable[StepMetrics]
    ) -> None:
        """What events told of a step stays; values of the same name are replaced."""
        ...

    async def measures(self, workspace: WorkspaceId, job: JobId) -> Sequence[StepMetrics]:
        """Of every step that has any, in order."""
        ...

    async def add_checkpoints(
        self, workspace: WorkspaceId, job: JobId, made: Iterable[Checkpoint]
    ) -> None: ...
    async def checkpoints(self, workspace: WorkspaceId, job: JobId) -> Sequence[Checkpoint]: ...
    async def set_ping(self, workspace: WorkspaceId, job: JobId, user: UserId, *, on: bool) -> None:
        """Whether somebody is called when the job has ended. Raises NotFound."""
        ...

    async def pings(self, workspace: WorkspaceId, job: JobId) -> Sequence[UserId]: ...
    async def committed_cost(self, workspace: WorkspaceId, *, since: datetime) -> float:
        """Dollars, as priced, of what was confirmed since then and reached a host, or may yet."""
        ...

    async def durations(self, host: HostName, base: ModelName) -> Sequence[tuple[int, float]]:
        """(tokens trained, seconds of running) of past successes, newest first, at most 20."""
        ...


class RemoteCleanups(Protocol):
    """What jobs of gone workspaces, or given up, still have at hosts; for the poller."""

    async def add(self, cleanup: RemoteCleanup) -> None: ...
    async def due(self, *, now: datetime) -> Sequence[RemoteCleanup]: ...
    async def postpone(self, cleanup: int, *, until: datetime) -> None:
        """After an attempt that failed; counts it."""
        ...

    async def drop(self, cleanup: int) -> None: ...


class Models(Protocol):
    async def add(self, workspace: WorkspaceId, model: Model) -> None:
        """Does nothing if the name stands already."""
        ...

    async def find(self, workspace: WorkspaceId, name: ModelName) -> Model | None: ...
    async def all(self, workspace: WorkspaceId, assistant: AssistantId) -> Sequence[Model]:
        """Newest first, deleted ones left out."""
        ...

    async def list_tainted(self, host: HostName) -> Sequence[Model]:
        """Of every workspace, those of a host that learned a row which was erased since."""
        ...

    async def taint(self, workspace: WorkspaceId, snapshots: Sequence[SnapshotId]) -> int:
        """Mark the models made from these, and theirs: a row they learned from was erased."""
        ...

    async def of_workspaces(self, numbers: Sequence[WorkspaceId]) -> Sequence[Model]:
        """Of several workspaces, deleted ones left out; for the calendar."""
        ...

    async def set_ends(self, ends: Mapping[tuple[WorkspaceId, ModelName], str]) -> None:
        """When their hosts will take them away, as dates."""
        ...

    async def set_served_name(
        self, workspace: WorkspaceId, name: ModelName, served_name: ModelName | None
    ) -> None:
        """What its host calls it from now on."""
        ...

    async def describe(
        self, workspace: WorkspaceId, name: ModelName, *, label: str, note: str | None
    ) -> None:
        """What people call it from now on, and their note on it."""
        ...

    async def delete(self, workspace: WorkspaceId, name: ModelName) -> None: ...
    async def restore(self, workspace: WorkspaceId, name: ModelName) -> None:
        """It is listed again."""
        ...


class Deployments(Protocol):
    async def add(
        self,
        workspace: WorkspaceId,
        assistant: AssistantId,
        *,
        model: ModelName,
        host: HostName,
        by: UserId,
        at: datetime,
        after: ModelName | None,
        served_name: ModelName | None = None,
    ) -> Deployment:
        """`after` is what a rollback of this one goes back to; None is the base."""
        ...

    async def current(
        self, workspace: WorkspaceId, assistant: AssistantId
    ) -> Deployment | None: ...
    async def history(
        self, workspace: WorkspaceId, assistant: AssistantId, *, limit: int = 20
    ) -> Sequence[Deployment]:
        """Newest first."""
        ...
