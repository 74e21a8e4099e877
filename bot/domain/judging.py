"""The nouns of judging: a model compares two answers to one question, in both orders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from bot.domain.evaluation import EvaluationState
from bot.domain.ids import EvaluationId, HostName, ModelName, Place, UserId, WorkspaceId
from bot.domain.paid_runs import CallState


class Preferred(StrEnum):
    """What a judge says of the two answers as it was shown them."""

    A = "a"
    B = "b"
    TIE = "tie"


@dataclass(frozen=True, slots=True)
class Judging:
    """One judge on one evaluation: contender 0 against `against`; one run of an `idempotency_key`.

    Money is in US dollars, None is unknown. `report` is kept as `bot.judging.verdicts` writes it.
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
    """The answers to a question as shown once; if `is_swapped`, contender 0 is B.

    A pair that is done without `preferred` had an answer that names neither A nor B nor a tie.
    """

    number: int
    is_swapped: bool
    state: CallState
    preferred: Preferred | None = None
