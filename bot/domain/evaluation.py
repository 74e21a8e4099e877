"""The nouns of an evaluation: several models, the same questions, and what each answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from bot.domain.ids import (
    AssistantId,
    EvaluationId,
    ExampleId,
    HostName,
    JobId,
    ModelName,
    Place,
    Row,
    TurnId,
    UserId,
    WorkspaceId,
)
from bot.domain.paid_runs import CallState
from bot.rows import Method

MUST_ANSWER = "must-answer"
"""The tag of an example that is never trained on and asked of every new model."""


ALWAYS_TRAINED = "always-train"
"""The tag of an example that is never held out: every training learns from it."""


class EvaluationState(StrEnum):
    """A confirmed evaluation has no questions yet; one that is stopping asks no more."""

    ESTIMATED = "estimated"
    CONFIRMED = "confirmed"
    RUNNING = "running"
    STOPPING = "stopping"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


OPEN_EVALUATIONS = (EvaluationState.CONFIRMED, EvaluationState.RUNNING, EvaluationState.STOPPING)


class ContenderKind(StrEnum):
    """What a contender is in this evaluation; the one in use is what answered as it began."""

    NEW = "new"
    IN_USE = "in_use"
    BASE = "base"
    EXAMPLES = "examples"


@dataclass(frozen=True, slots=True)
class Contender:
    """A model that answers; `address` is what its host calls it, `shots` how many examples lead."""

    kind: ContenderKind
    model: ModelName
    host: HostName
    address: ModelName
    shots: int = 0


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`idempotency_key` makes it unique. `deployment` is what was in use as it began, 0 for none.

    With `is_gate` its verdict decides whether the model is taken into use; one with `is_vote` only
    makes the answers of a blind vote, and nobody is shown who wrote them before that is over.
    Money is in US dollars, None is unknown. `report` is kept as `bot.evaluation.report` writes it.
    """

    id: EvaluationId
    workspace: WorkspaceId
    assistant: AssistantId
    place: Place
    idempotency_key: str
    asked_by: UserId
    state: EvaluationState
    model: ModelName
    against: ModelName | None
    method: Method
    deployment: int
    is_gate: bool
    is_vote: bool = False
    job: JobId | None = None
    most_questions: int | None = None
    contenders: tuple[Contender, ...] = ()
    questions: int = 0
    tokens: int = 0
    price: float | None = None
    is_deployed: bool = False
    report: Mapping[str, object] = field(default_factory=dict)
    error: Mapping[str, object] = field(default_factory=dict)
    created_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class EvaluationQuestion:
    """`row` is the example's at the frozen revision; None once its text was erased."""

    number: int
    example: ExampleId
    revision: int
    is_must_answer: bool
    row: Row | None = None


class QuestionOrder(StrEnum):
    """By number; by how far the scores lie apart; the new model's losses, or wins, first."""

    NUMBER = "number"
    APART = "apart"
    WORSE = "worse"
    BETTER = "better"


class AnswerState(StrEnum):
    """Asked: its outcome is unknown as yet; lost: it will never be known."""

    ASKED = "asked"
    DONE = "done"
    FAILED = "failed"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class EvaluationAnswer:
    """One contender's answer to one question; `scores` as `bot.evaluation.measures` names them."""

    number: int
    contender: int
    state: AnswerState
    text: str = ""
    is_refusal: bool = False
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    first_text_seconds: float | None = None
    seconds: float | None = None
    scores: Mapping[str, object] = field(default_factory=dict)
    error: Mapping[str, object] = field(default_factory=dict)


class GapOutcome(StrEnum):
    """Whether an answer closes the gap; other is one that may be right, which nobody can tell."""

    ANSWERED = "answered"
    DECLINED = "declined"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class GapQuestion:
    """A question that was not answered well, put to the new model of an evaluation alone.

    `turn` asked it; `example` is the better answer that was taught since, None where there is none.
    """

    turn: TurnId
    state: CallState
    example: ExampleId | None = None
    answer: str = ""
    outcome: GapOutcome | None = None
