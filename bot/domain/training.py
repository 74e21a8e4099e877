"""Entities of training: snapshot, job, model and deployment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from bot.domain.ids import (
    AssistantId,
    ExampleId,
    HostName,
    JobId,
    ModelName,
    Place,
    Row,
    SnapshotId,
    UserId,
    WorkspaceId,
)
from bot.rows import Method


class Split(StrEnum):
    TRAIN = "train"
    VALIDATION = "validation"


@dataclass(frozen=True, slots=True)
class SnapshotRow:
    """One row of a snapshot; `row` is None once its text was erased on request."""

    example: ExampleId
    revision: int
    split: Split
    sha256: str
    row: Row | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    id: SnapshotId
    workspace: WorkspaceId
    assistant: AssistantId
    method: Method
    training_rows: int
    validation_rows: int
    created_at: datetime


class Phase(StrEnum):
    """Phase of a job on this side; the host's own status is `Job.status`."""

    ESTIMATED = "estimated"
    CONFIRMED = "confirmed"
    UPLOADING = "uploading"
    CREATING = "creating"
    WATCHING = "watching"
    WARMING = "warming"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"

    @property
    def is_over(self) -> bool:
        return self in (Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED, Phase.ABANDONED)


PHASES_BEFORE_HOST_JOB = (Phase.CONFIRMED, Phase.UPLOADING, Phase.CREATING)
"""Phases of a confirmed job that is not known to exist at its host yet."""
OPEN_PHASES = (*PHASES_BEFORE_HOST_JOB, Phase.WATCHING, Phase.WARMING)
"""Phases of a confirmed job that is not over."""


class RequestedAction(StrEnum):
    """A requested action that the host has not confirmed yet.

    `FORGET` deletes the files of a finished job at the host.
    """

    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"
    FORGET = "forget"


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """Requested hyperparameters; None is "auto", which the host resolves."""

    n_epochs: int | None = None
    batch_size: int | None = None
    learning_rate_multiplier: float | None = None
    beta: float | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """Expected cost of a training; `price` is in US dollars, None is unknown."""

    rows: int
    validation_rows: int
    tokens: int
    epochs: int | None
    price: float | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Job:
    """A training, from its estimate to its end.

    `idempotency_key` is unguessable and part of the names of the uploaded files. `attempted_at`
    is set before a request with an effect at the host and cleared when its outcome is known.
    `error_message` is in English or the host's own words; `error_details` are the data from which
    the message is written in any language.
    """

    id: JobId
    workspace: WorkspaceId
    assistant: AssistantId
    snapshot: SnapshotId
    idempotency_key: str
    place: Place
    asked_by: UserId
    host: HostName
    base: ModelName
    method: Method
    hyperparameters: Hyperparameters
    suffix: str | None
    seed: int | None
    use_when_done: bool
    estimate: Estimate
    phase: Phase
    requested_action: RequestedAction | None = None
    training_file: str | None = None
    validation_file: str | None = None
    attempted_at: datetime | None = None
    attempts: int = 0
    host_job: str | None = None
    status: str | None = None
    resolved_hyperparameters: Mapping[str, object] = field(default_factory=dict)
    trained_tokens: int | None = None
    model: ModelName | None = None
    error_message: str | None = None
    error_code: str | None = None
    error_details: Mapping[str, object] = field(default_factory=dict)
    step: int | None = None
    total_steps: int | None = None
    train_loss: float | None = None
    valid_loss: float | None = None
    result_files: tuple[str, ...] = ()
    seconds_left: float | None = None
    is_late: bool = False
    use_if_better: bool = False
    next_poll_at: datetime | None = None
    created_at: datetime | None = None
    confirmed_at: datetime | None = None
    running_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class JobEvent:
    """An event of a job, as its host reported it."""

    id: str
    at: datetime
    level: str
    message: str
    step: int | None = None
    total_steps: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


VALIDATION_LOSS_NAMES = ("full_valid_loss", "valid_loss")
"""Hosts' names for validation loss: over all rows (preferred), or over a sample of them."""


@dataclass(frozen=True, slots=True)
class StepMetrics:
    """Metrics of one training step, under the names that hosts use in events."""

    step: int
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    step: int
    model: ModelName
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class RemoteCleanup:
    """Job, files and models to be deleted at a host for a removed workspace or an abandoned job."""

    host: HostName
    idempotency_key: str
    host_job: str | None
    files: tuple[str, ...]
    next_attempt_at: datetime
    attempts: int = 0
    id: int = 0
    models: tuple[ModelName, ...] = ()


class ModelKind(StrEnum):
    BASE = "base"
    TUNED = "tuned"
    CHECKPOINT = "checkpoint"


@dataclass(frozen=True, slots=True)
class Model:
    """A base model, or a model or checkpoint that a job produced.

    `served_name` is the name of its deployment at the host, where the host needs one; `label` is
    the name that people gave it. `is_tainted`: a row in its training data was erased since.
    """

    workspace: WorkspaceId
    assistant: AssistantId
    name: ModelName
    host: HostName
    kind: ModelKind
    parent: ModelName | None
    job: JobId | None
    created_at: datetime
    expires_on: str | None = None
    is_tainted: bool = False
    is_deleted: bool = False
    served_name: ModelName | None = None
    label: str | None = None
    note: str | None = None

    @property
    def display_name(self) -> str:
        """The label, or the model name where there is no label."""
        return self.label or self.name


@dataclass(frozen=True, slots=True)
class Deployment:
    """The model that answers for an assistant since a moment, and the model before it."""

    id: int
    workspace: WorkspaceId
    assistant: AssistantId
    model: ModelName
    host: HostName
    by: UserId
    since: datetime
    previous_model: ModelName | None
    served_name: ModelName | None = None

    @property
    def name_at_host(self) -> ModelName:
        """The model name for requests: the deployment's name where the host needs one."""
        return self.served_name or self.model
