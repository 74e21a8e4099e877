"""Builds a judge's prompt of question, reference reply and both answers, private text masked."""

from __future__ import annotations

from bot.domain import EvaluationAnswer, EvaluationQuestion
from bot.evaluation.planning import prompt_and_reference
from bot.private_text import mask_row
from bot.prompts import PromptMessage

_RULE = (
    "You compare two answers to one question. Judge what they say, not their order or length. "
    "Answer with one word: A, B, or TIE where neither is better."
)
_MAX_TEXT_LENGTH = 8000
"""Characters of each text that the judge's prompt contains."""


def judge_prompt(
    question: EvaluationQuestion,
    answers: tuple[EvaluationAnswer, EvaluationAnswer],
    criteria: str,
    *,
    is_swapped: bool,
) -> list[PromptMessage] | None:
    """Returns the messages for a judge, with the answers in reverse order if `is_swapped`.

    Returns None if the question's text was erased or has parts other than text.
    """
    prompt_and_reply = prompt_and_reference(question.row, "")
    if prompt_and_reply is None:
        return None
    first, second = reversed(answers) if is_swapped else answers
    texts = {
        "Question": prompt_and_reply[0][-1]["content"],
        "A reply that the team wrote": prompt_and_reply[1],
        "Answer A": first.text,
        "Answer B": second.text,
    }
    # Masked as one row, so that an address has the same mask in all four texts.
    row = {
        "messages": [
            {"role": "user", "content": text[:_MAX_TEXT_LENGTH]} for text in texts.values()
        ]
    }
    masked = mask_row(row)["messages"]
    messages = masked if isinstance(masked, list) else []
    parts = [
        f"{name}:\n{message['content']}" for name, message in zip(texts, messages, strict=True)
    ]
    rule = f"{_RULE}\n\nWhat is good here: {criteria.strip()}" if criteria.strip() else _RULE
    return [
        {"role": "system", "content": rule},
        {"role": "user", "content": "\n\n".join(parts)},
    ]
