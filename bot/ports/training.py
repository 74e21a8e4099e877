"""The port to stored snapshots, jobs, models, deployments, and cleanups due at hosts."""

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
    async def create(
        self,
        workspace: WorkspaceId,
        assistant: AssistantId,
        method: Method,
        *,
        training_rows: int,
        validation_rows: int,
        at: datetime,
    ) -> Snapshot:
        """Creates a snapshot; its rows follow with `append` before a job may refer to it."""
        ...

    async def append_rows(
        self,
        workspace: WorkspaceId,
        snapshot: SnapshotId,
        rows: Sequence[SnapshotRow],
        *,
        first_position: int,
    ) -> None:
        """Appends rows; `first` is the position of the first one."""
        ...

    async def get(self, workspace: WorkspaceId, snapshot: SnapshotId) -> Snapshot: ...
    def rows(
        self, workspace: WorkspaceId, snapshot: SnapshotId, split: Split | None = None
    ) -> AsyncIterator[SnapshotRow]:
        """Yields the rows in frozen order, with the text of their frozen revision."""
        ...

    async def revisions(
        self, workspace: WorkspaceId, snapshot: SnapshotId
    ) -> Mapping[ExampleId, int]:
        """Returns the frozen revision of each example."""
        ...

    async def count_untrainable_rows(self, workspace: WorkspaceId, snapshot: SnapshotId) -> int:
        """Returns how many rows were erased or are not trainable now (`Examples.trainable`)."""
        ...

    async def training_examples_among(
        self, workspace: WorkspaceId, snapshot: SnapshotId, examples: Sequence[ExampleId]
    ) -> frozenset[ExampleId]:
        """Returns those of the examples that are in the snapshot's training split."""
        ...

    async def list_containing(
        self, workspace: WorkspaceId, examples: Sequence[ExampleId]
    ) -> Sequence[SnapshotId]: ...
    async def delete_unused(self, at: datetime, *, limit: int = 500) -> int:
        """Deletes rows of one snapshot from before `at` that no job refers to; returns how many.

        A snapshot without rows is deleted itself and counts as 1; 0 is the end.
        """
        ...


class Jobs(Protocol):
    async def add(self, workspace: WorkspaceId, job: Job) -> Job:
        """Stores a job with a new id, or returns the one with the same idempotency key.

        Estimates are numbered apart from jobs; `confirm` gives an estimate the next job id.
        """
        ...

    async def confirm(self, workspace: WorkspaceId, job: JobId, *, at: datetime) -> Job | None:
        """Turns an estimate into a job with the next id; None if there is no such estimate."""
        ...

    async def decline(self, workspace: WorkspaceId, job: JobId) -> bool:
        """Deletes an estimate and returns True; False if there is no such estimate."""
        ...

    async def get(self, workspace: WorkspaceId, job: JobId) -> Job: ...
    async def update_if(
        self,
        workspace: WorkspaceId,
        job: JobId,
        *,
        when: Sequence[Phase] | None = None,
        **changes: object,
    ) -> bool:
        """Sets fields of Job by name and returns True; with `when`, only in one of these phases."""
        ...

    async def page(
        self,
        workspace: WorkspaceId,
        *,
        assistant: AssistantId | None = None,
        before: JobId | None = None,
        limit: int = 10,
    ) -> Sequence[Job]:
        """Returns jobs, newest first, without estimates that were never confirmed."""
        ...

    async def newest_success(
        self, workspace: WorkspaceId, assistant: AssistantId, *, method: Method | None = None
    ) -> Job | None:
        """Returns the newest job that produced a model, of any method if `method` is None."""
        ...

    async def list_open(self) -> Sequence[Job]:
        """Returns the confirmed jobs that are not over, of every workspace, oldest first.

        In a closed workspace only jobs that exist at their hosts.
        """
        ...

    async def request_file_deletion(
        self, workspace: WorkspaceId, snapshots: Sequence[SnapshotId], *, at: datetime
    ) -> None:
        """Requests that hosts delete the files of the snapshots' finished jobs."""
        ...

    async def list_awaiting_file_deletion(self) -> Sequence[Job]:
        """Returns finished jobs whose files must be deleted at the host, of every workspace."""
        ...

    async def postpone_poll(
        self, numbers: Sequence[JobId], *, requested_action: RequestedAction | None, until: datetime
    ) -> None:
        """Delays the next poll of jobs of any workspace, if `requested_action` is unchanged."""
        ...

    async def list_open_in_workspace(self, workspace: WorkspaceId) -> Sequence[Job]: ...
    async def count_open(self) -> int:
        """Returns the number of confirmed jobs that are not over, in all workspaces."""
        ...

    async def get_many(self, ids: Sequence[JobId]) -> Sequence[Job]:
        """Returns the existing jobs with these ids, of any workspace."""
        ...

    async def add_events(
        self, workspace: WorkspaceId, job: JobId, events: Iterable[JobEvent]
    ) -> int:
        """Stores events and returns how many were new; the newest metrics of a step win."""
        ...

    async def events(
        self, workspace: WorkspaceId, job: JobId, *, last: int = 500
    ) -> Sequence[JobEvent]:
        """Returns the newest `last` events, oldest first."""
        ...

    async def event_ids(self, workspace: WorkspaceId, job: JobId) -> frozenset[str]: ...
    async def add_metrics(
        self, workspace: WorkspaceId, job: JobId, measures: Iterable[StepMetrics]
    ) -> None:
        """Merges metrics into those of the same step; values of the same name are replaced."""
        ...

    async def metrics(self, workspace: WorkspaceId, job: JobId) -> Sequence[StepMetrics]:
        """Returns the metrics of every step that has any, by step."""
        ...

    async def add_checkpoints(
        self, workspace: WorkspaceId, job: JobId, made: Iterable[Checkpoint]
    ) -> None: ...
    async def checkpoints(self, workspace: WorkspaceId, job: JobId) -> Sequence[Checkpoint]: ...
    async def set_ping(self, workspace: WorkspaceId, job: JobId, user: UserId, *, on: bool) -> None:
        """Sets whether a user is mentioned when the job has ended. Raises NotFound."""
        ...

    async def users_to_ping(self, workspace: WorkspaceId, job: JobId) -> Sequence[UserId]: ...
    async def committed_cost(self, workspace: WorkspaceId, *, since: datetime) -> float:
        """Returns the estimated US dollars of jobs confirmed since then that reached a host.

        Open jobs, which may still reach one, are included.
        """
        ...

    async def past_durations(self, host: HostName, base: ModelName) -> Sequence[tuple[int, float]]:
        """Returns (trained tokens, seconds) of at most 20 successful jobs, newest first."""
        ...


class RemoteCleanups(Protocol):
    """Stored cleanups at hosts, for removed workspaces and abandoned jobs."""

    async def add(self, cleanup: RemoteCleanup) -> None: ...
    async def list_due(self, *, now: datetime) -> Sequence[RemoteCleanup]: ...
    async def postpone(self, cleanup: int, *, until: datetime) -> None:
        """Delays a cleanup after a failed attempt and counts the attempt."""
        ...

    async def delete(self, cleanup: int) -> None: ...


class Models(Protocol):
    async def add(self, workspace: WorkspaceId, model: Model) -> None:
        """Stores a model, unless the workspace has one of this name."""
        ...

    async def find(self, workspace: WorkspaceId, name: ModelName) -> Model | None: ...
    async def all(self, workspace: WorkspaceId, assistant: AssistantId) -> Sequence[Model]:
        """Returns the models that are not deleted, newest first."""
        ...

    async def list_tainted(self, host: HostName) -> Sequence[Model]:
        """Returns the models of a host, of every workspace, with erased rows in their training."""
        ...

    async def mark_tainted(self, workspace: WorkspaceId, snapshots: Sequence[SnapshotId]) -> int:
        """Marks the models trained on these snapshots, and models trained from those, as tainted.

        Tainted: a row in the training data was erased.
        """
        ...

    async def list_of_workspaces(self, workspaces: Sequence[WorkspaceId]) -> Sequence[Model]:
        """Returns the models of several workspaces that are not deleted."""
        ...

    async def set_expiry_dates(self, dates: Mapping[tuple[WorkspaceId, ModelName], str]) -> None:
        """Stores the dates on which hosts will delete models."""
        ...

    async def set_served_name(
        self, workspace: WorkspaceId, name: ModelName, served_name: ModelName | None
    ) -> None:
        """Sets the name of the model's deployment at its host."""
        ...

    async def set_label_and_note(
        self, workspace: WorkspaceId, name: ModelName, *, label: str, note: str | None
    ) -> None:
        """Sets the model's label and note."""
        ...

    async def mark_deleted(self, workspace: WorkspaceId, name: ModelName) -> None: ...
    async def unmark_deleted(self, workspace: WorkspaceId, name: ModelName) -> None:
        """Undoes `delete`."""
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
        previous_model: ModelName | None,
        served_name: ModelName | None = None,
    ) -> Deployment:
        """Stores a deployment; a rollback of it restores the model `after`, None for the base."""
        ...

    async def current(
        self, workspace: WorkspaceId, assistant: AssistantId
    ) -> Deployment | None: ...
    async def history(
        self, workspace: WorkspaceId, assistant: AssistantId, *, limit: int = 20
    ) -> Sequence[Deployment]:
        """Returns an assistant's deployments, newest first."""
        ...
