"""Decides whether a new model is deployed automatically after its evaluation."""

from __future__ import annotations

from enum import StrEnum

from bot.domain import Evaluation, EvaluationState
from bot.evaluation.report import Report
from bot.significance import Verdict

_MIN_ANSWERED = 0.8
"""Least share of questions that both models must have answered completely."""


class GateRejection(StrEnum):
    """Reasons why a model is not deployed automatically."""

    UNFINISHED = "unfinished"
    CHANGED = "changed"
    REGRESSED = "regressed"
    WORSE = "worse"


def gate_rejection(
    evaluation: Evaluation, report: Report, *, is_same_in_use: bool
) -> GateRejection | None:
    """Returns why the model may not be deployed, or None if it may.

    It may be deployed if the evaluation is complete, the same model is still in use, no must-answer
    question has regressed, and the new model is not significantly worse.
    """
    if evaluation.state is not EvaluationState.DONE or not _is_answered(evaluation, report):
        return GateRejection.UNFINISHED
    if not is_same_in_use:
        return GateRejection.CHANGED
    if report.regressed:
        return GateRejection.REGRESSED
    return GateRejection.WORSE if report.verdict is Verdict.WORSE else None


def _is_answered(evaluation: Evaluation, report: Report) -> bool:
    if report.against is None or not evaluation.questions:
        return False
    new, other = report.contenders[0], report.contenders[report.against]
    fewest = _MIN_ANSWERED * evaluation.questions
    return min(new.answered, other.answered) >= fewest
