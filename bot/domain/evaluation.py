"""Entities of an evaluation: several models, the same questions, and each model's answers."""

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

MUST_ANSWER_TAG = "must-answer"
"""The tag of an example that is never trained on; every new model is asked its question."""


ALWAYS_TRAIN_TAG = "always-train"
"""The tag of an example that is never held out and part of every training."""


JOB_EVALUATION_KEY_PREFIX = "job:"
"""Prefix of the idempotency key of an evaluation priced with a training; the job's key follows."""


class EvaluationState(StrEnum):
    """State of a run of paid calls; a stopping run sends no new requests."""

    ESTIMATED = "estimated"
    CONFIRMED = "confirmed"
    RUNNING = "running"
    STOPPING = "stopping"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


OPEN_EVALUATION_STATES = (
    EvaluationState.CONFIRMED,
    EvaluationState.RUNNING,
    EvaluationState.STOPPING,
)


class ContenderKind(StrEnum):
    """Role of a contender; `IN_USE` is the model deployed when the evaluation began."""

    NEW = "new"
    IN_USE = "in_use"
    BASE = "base"
    EXAMPLES = "examples"


@dataclass(frozen=True, slots=True)
class Contender:
    """A model that is evaluated.

    `address` is the model's name at its host, `shots` the number of examples in the prompt.
    """

    kind: ContenderKind
    model: ModelName
    host: HostName
    address: ModelName
    shots: int = 0


@dataclass(frozen=True, slots=True)
class Evaluation:
    """An evaluation of `model` and its contenders.

    `deployment` is the id of the deployment when the evaluation began, 0 for the base. With
    `is_gate` the verdict decides whether the model is deployed. With `is_vote` the evaluation
    only writes the answers of a blind vote; their models are hidden until the vote is closed.
    `price` is in US dollars, None is unknown. `bot.evaluation.report` writes `report`.
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
    """A question of an evaluation, from an example.

    `row` is the example's row at `revision`; None once the text was erased.
    """

    number: int
    example: ExampleId
    revision: int
    is_must_answer: bool
    row: Row | None = None


class QuestionOrder(StrEnum):
    """Sort order of questions: by number, by difference of scores, losses or wins first."""

    NUMBER = "number"
    DIFFERENCE = "apart"
    WORSE = "worse"
    BETTER = "better"


class AnswerState(StrEnum):
    """State of an answer. `ASKED`: the request was sent; `LOST`: its outcome cannot be known."""

    ASKED = "asked"
    DONE = "done"
    FAILED = "failed"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class EvaluationAnswer:
    """One contender's answer to one question; `bot.evaluation.answer_scores` names the `scores`."""

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
    """Whether an answer closes a gap; `OTHER` is an answer that cannot be checked."""

    ANSWERED = "answered"
    DECLINED = "declined"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class GapQuestion:
    """A question that was not answered well, asked again of an evaluation's new model only.

    `turn` is the original question; `example` holds the better answer that was saved since,
    None where there is none.
    """

    turn: TurnId
    state: CallState
    example: ExampleId | None = None
    answer: str = ""
    outcome: GapOutcome | None = None
