"""Whether the verdict of an evaluation lets a new model be taken into use by itself."""

from __future__ import annotations

from enum import StrEnum

from bot.domain import Evaluation, EvaluationState
from bot.evaluation.report import Report
from bot.significance import Verdict

_FEWEST_ANSWERED = 0.8
"""The share of questions that both models must have answered; a cut or empty answer is none."""


class GateRejection(StrEnum):
    """Why a model is not taken into use."""

    UNFINISHED = "unfinished"
    CHANGED = "changed"
    REGRESSED = "regressed"
    WORSE = "worse"


def gate_rejection(
    evaluation: Evaluation, report: Report, *, is_same_in_use: bool
) -> GateRejection | None:
    """None where the model may be taken into use: not worse beyond chance, nothing regressed.

    Nothing is taken where the evaluation did not come to its end, or while another model was put
    to use by somebody.
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
    fewest = _FEWEST_ANSWERED * evaluation.questions
    return min(new.answered, other.answered) >= fewest
