"""The sentences about what came of it: evaluations as pages, what is asked, liked and refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SENTENCES: Final[Mapping[str, str]] = {
    # The page of evaluations
    "studio.evaluations": "Evaluations",
    "studio.lead.evaluations": "Several models answer the same questions. Here is what each said, where they differ, and what the scores are worth.",
    "studio.evaluate": "Evaluate",
    "studio.which_evaluation": "Evaluation",
    "studio.order": "Order",
    "studio.order.apart": "Where they differ most",
    "studio.order.worse": "Where the new model is worse",
    "studio.order.better": "Where the new model is better",
    "studio.order.number": "By number",
    "studio.answers_csv": "Answers as CSV",
    "studio.answers_jsonl": "Answers as JSON lines",
    "studio.evaluations.empty": "No evaluation yet",
    "studio.evaluations.empty.note": "After each training with eight or more held-out examples the models are compared, and with Evaluate at any time.",
    "studio.scores": "Mean score of each model, with its 95 % interval",
    "studio.score_of": "{name}: {mean} ({low} to {high})",
    "studio.differs": "not in the taught reply",
    "studio.marked": "Marked: words that are not in the taught reply.",
    "evaluations.title": "Evaluations",
    "evaluations.empty": "No model was evaluated yet.",
    "evaluations.note": "one question, {state}|{count} questions, {state}",
    "evaluations.confirmed": "choosing questions",
    "evaluations.running": "asking",
    "evaluations.stopping": "stopping",
    "evaluations.done": "done",
    "evaluations.stopped": "stopped",
    "evaluations.failed": "not finished",
    "evaluations.history": "Scores over models",
    "evaluations.history.note": "Each evaluation asks the questions held out then, so compare the lines at one place, not one place with another.",
    "evaluations.new": "new model",
    "evaluations.in_use": "model in use",
    "evaluations.base": "base",
    "evaluations.examples": "base with examples",
    "evaluation.no_questions": "No question was asked yet.",
    "verdict.better": "better",
    "verdict.worse": "worse",
    "verdict.undecided": "undecided",
    "mark.must_answer": "never again",
    "mark.always_trained": "always trained on",
    "button.teach_this": "Teach this",
    "must.taught": "Every training learns from example {id} from now on. It is held out no more, so no model is asked it.",
    "must.cannot_teach": "Example {id} is not approved, so no training learns from it.",
    "audit.example.taught": "moved a held-out example into training",
}
