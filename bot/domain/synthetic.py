"""Entities of synthetic examples: proposals that a model writes from existing examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from bot.domain.evaluation import EvaluationState
from bot.domain.ids import AssistantId, ExampleId, HostName, ModelName, Place, UserId, WorkspaceId
from bot.domain.paid_runs import CallState

SYNTHETIC_TAG = "synthetic"
"""Search tag of an example that a model wrote; code must check `Example.synthetic` instead."""


class SyntheticKind(StrEnum):
    """Other wordings of a question with the same answer, or another label for a question."""

    WORDINGS = "wordings"
    LABELS = "labels"


@dataclass(frozen=True, slots=True)
class SyntheticOrigin:
    """The example and the model from which a synthetic example comes.

    With `replaces_source` (another label) the source is withdrawn when the proposal is approved.
    """

    source: ExampleId
    model: ModelName
    replaces_source: bool = False


@dataclass(frozen=True, slots=True)
class SyntheticRun:
    """A run in which a model writes proposals from a number of `examples`.

    `wordings` is the number of wordings for each question, `labels` the labels to choose from.
    `price` is in US dollars, None is unknown.
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
    """The request about one example, and the number of proposals from its answer."""

    example: ExampleId
    state: CallState
    proposed: int = 0
