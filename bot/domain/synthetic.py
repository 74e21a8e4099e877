"""The nouns of synthetic examples: a model writes other wordings, or other labels, as proposals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from bot.domain.evaluation import EvaluationState
from bot.domain.ids import AssistantId, ExampleId, HostName, ModelName, Place, UserId, WorkspaceId
from bot.domain.paid_runs import CallState

SYNTHETIC = "synthetic"
"""The tag of an example that a model wrote, to search for; `Example.synthetic` is what counts."""


class SyntheticKind(StrEnum):
    """Other wordings of a question under the same answer, or another label for a question."""

    WORDINGS = "wordings"
    LABELS = "labels"


@dataclass(frozen=True, slots=True)
class SyntheticOrigin:
    """A model wrote an example from another one; once approved, a new label replaces that one."""

    source: ExampleId
    model: ModelName
    replaces_source: bool = False


@dataclass(frozen=True, slots=True)
class SyntheticRun:
    """A model is asked about so many `examples`; `idempotency_key` makes it unique.

    `wordings` are asked for of each question; `labels` are those to choose from. Money is in US
    dollars, None is unknown.
    """

    id: int
    workspace: WorkspaceId
    assistant: AssistantId
    place: Place
    idempotency_key: str
    asked_by: UserId
    state: EvaluationState
    kind: SyntheticKind
    host: HostName
    model: ModelName
    wordings: int
    labels: tuple[str, ...]
    tag: str
    examples: int
    tokens: int
    price: float | None
    report: Mapping[str, object] = field(default_factory=dict)
    created_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SyntheticCall:
    """One example that the model is asked about, and how many proposals came of it."""

    example: ExampleId
    state: CallState
    proposed: int = 0
