"""What a judge is shown: the question, the taught reply and both answers, private text masked."""

from __future__ import annotations

from bot.domain import EvaluationAnswer, EvaluationQuestion
from bot.evaluation.questions import prompt_and_reference
from bot.private_text import mask_row
from bot.prompts import PromptMessage

_RULE = (
    "You compare two answers to one question. Judge what they say, not their order or length. "
    "Answer with one word: A, B, or TIE where neither is better."
)
_LONGEST = 8000
"""Characters of each text that a judge is shown."""


def messages_for(
    question: EvaluationQuestion,
    answers: tuple[EvaluationAnswer, EvaluationAnswer],
    criteria: str,
    *,
    is_swapped: bool,
) -> list[PromptMessage] | None:
    """None where the question's text was erased or is more than plain text."""
    found = prompt_and_reference(question.row, "")
    if found is None:
        return None
    first, second = reversed(answers) if is_swapped else answers
    texts = {
        "Question": found[0][-1]["content"],
        "A reply that the team wrote": found[1],
        "Answer A": first.text,
        "Answer B": second.text,
    }
    # As one row, so that one address has one mask in all four.
    row = {"messages": [{"role": "user", "content": text[:_LONGEST]} for text in texts.values()]}
    masked = mask_row(row)["messages"]
    listed = masked if isinstance(masked, list) else []
    parts = [f"{name}:\n{one['content']}" for name, one in zip(texts, listed, strict=True)]
    rule = f"{_RULE}\n\nWhat is good here: {criteria.strip()}" if criteria.strip() else _RULE
    return [
        {"role": "system", "content": rule},
        {"role": "user", "content": "\n\n".join(parts)},
    ]
