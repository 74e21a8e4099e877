"""Entities of judging: a model compares two answers to one question, in both orders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from bot.domain.evaluation import EvaluationState
from bot.domain.ids import EvaluationId, HostName, ModelName, Place, UserId, WorkspaceId
from bot.domain.paid_runs import CallState


class Preferred(StrEnum):
    """A judge's preference between the answers A and B, in the order shown to the judge."""

    A = "a"
    B = "b"
    TIE = "tie"


@dataclass(frozen=True, slots=True)
class Judging:
    """A run in which a judge compares contender 0 of an evaluation with contender `against`.

    `price` is in US dollars, None is unknown. `bot.judging.verdicts` writes `report`.
    """

    id: int
    workspace: WorkspaceId
    evaluation: EvaluationId
    place: Place
    idempotency_key: str
    asked_by: UserId
    state: EvaluationState
    against: int
    host: HostName
    model: ModelName
    criteria: str
    pairs: int
    tokens: int
    price: float | None
    report: Mapping[str, object] = field(default_factory=dict)
    created_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class JudgedPair:
    """Two answers to a question in one order; contender 0 is A, and B if `is_swapped`.

    `preferred` is None in state `DONE` if the judge named neither A nor B nor a tie.
    """

    number: int
    is_swapped: bool
    state: CallState
    preferred: Preferred | None = None
