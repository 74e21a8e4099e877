"""The nouns of training: from frozen rows to the model that answers."""

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
    """One frozen row; `row` is None once its text was erased on request."""

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
    """How far a start has come on our side; the host's own word is `Job.status`."""

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


BEFORE_JOB = (Phase.CONFIRMED, Phase.UPLOADING, Phase.CREATING)
"""Phases of a confirmed start whose job does not exist at the host yet."""
OPEN_PHASES = (*BEFORE_JOB, Phase.WATCHING, Phase.WARMING)
"""Phases of what is confirmed and not over."""


class RequestedAction(StrEnum):
    """What was requested and the host has not yet confirmed; forget is for finished jobs."""

    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"
    FORGET = "forget"


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """As asked for; None means "auto", which the host resolves."""

    n_epochs: int | None = None
    batch_size: int | None = None
    learning_rate_multiplier: float | None = None
    beta: float | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a start will cost; None is unknown. Money in US dollars."""

    rows: int
    validation_rows: int
    tokens: int
    epochs: int | None
    price: float | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Job:
    """One start and what became of it.

    `idempotency_key` names its files and is unguessable. `attempted_at` is set
    before an outside effect and cleared when its outcome is known. `error_message`
    is in English or the host's own words; `error_details` say it in any language.
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


HELD_LOSS = ("full_valid_loss", "valid_loss")
"""How hosts call the loss on held-out rows: on all of them, which says more, or on a few."""


@dataclass(frozen=True, slots=True)
class StepMetrics:
    """What was measured at one step, by the names that hosts use in events."""

    step: int
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    step: int
    model: ModelName
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class RemoteCleanup:
    """What a job of a workspace that is gone may still have at its host; `id` is the store's."""

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
    """A base, or what a job made.

    `served_name` is what its host calls it once it is deployed; `label` what people call it.
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
        """Its short name where it has one; else its id."""
        return self.label or self.name


@dataclass(frozen=True, slots=True)
class Deployment:
    """Which model answers for an assistant, since when, by whom, after which."""

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
        """What the host calls it: the name of its deployment there, where it needs one."""
        return self.served_name or self.model
