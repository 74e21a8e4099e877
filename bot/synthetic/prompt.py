"""Builds the prompt for synthetic examples and parses the answer; pure functions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from bot.domain import Row, SyntheticKind, SyntheticRun
from bot.evaluation.planning import prompt_and_reference
from bot.prompts import PromptMessage

_WORDINGS = (
    "You write other wordings of a question that people ask an assistant. Each wording asks for "
    "exactly the same, so that the same answer fits it, in the same language, as somebody else "
    "would ask it. Keep names and numbers. Write {count} wordings, one a line, and nothing else."
)
_LABELS = (
    "Choose the label that fits what you are shown. Answer with one of these labels, exactly as "
    "it is written here, and nothing else:\n{labels}"
)
_NUMBERING = re.compile(r"^\s*(?:[-*•–]|\(?\d{1,2}[.):、]|[a-h][.)])\s+|^\s*\d{1,2}[、．]\s*")
_QUOTES = "\"'“”„«»「」『』`* "
_LENGTH_FACTOR, _EXTRA_CHARACTERS = 3, 120
_SEPARATORS = re.compile(r"[\W_]+")


def prompt_messages(run: SyntheticRun, row: Row, instructions: str) -> list[PromptMessage] | None:
    """Returns the prompt about a row; None for a row with parts other than plain text."""
    pair = prompt_and_reference(row, "")
    if pair is None or pair[0][-1]["role"] != "user":
        return None
    prompt, reference = pair
    messages = [message for message in prompt if message["role"] in ("user", "assistant")]
    before = "\n\n".join(f"{m['role']}:\n{m['content']}" for m in messages[:-1])
    parts = [f"What was said before:\n{before}"] if before else []
    question = messages[-1]["content"]
    if run.kind is SyntheticKind.LABELS:
        rule = _LABELS.format(labels="\n".join(run.labels))
        rule = f"{instructions.strip()}\n\n{rule}".strip()
        parts.append(question)
    else:
        rule = _WORDINGS.format(count=run.wordings)
        parts += [f"Question:\n{question}", f"The answer that must fit:\n{reference}"]
    return [{"role": "system", "content": rule}, {"role": "user", "content": "\n\n".join(parts)}]


def parse_rows(run: SyntheticRun, row: Row, text: str) -> list[Row]:
    """Returns the proposed rows in a model's answer; none if nothing in it can be used."""
    pair = prompt_and_reference(row, "")
    if pair is None:
        return []
    question, answer = pair[0][-1]["content"], pair[1]
    if run.kind is SyntheticKind.WORDINGS:
        wordings = _wordings(text, question, run.wordings)
        return [_with_last(row, "user", wording) for wording in wordings]
    label = _label(text, run.labels)
    if label is None or _folded(label) == _folded(answer):
        return []
    return [_with_last(row, "assistant", label)]


def _wordings(text: str, question: str, count: int) -> Sequence[str]:
    """Returns the wordings without duplicates, the question itself, headings and long lines."""
    seen, wordings = {_folded(question)}, list[str]()
    for line in _lines(text):
        wording = _NUMBERING.sub("", line).strip(_QUOTES)
        folded = _folded(wording)
        is_long = len(wording) > _LENGTH_FACTOR * len(question) + _EXTRA_CHARACTERS
        is_heading = line.rstrip().endswith((":", "："))
        if folded and folded not in seen and not is_long and not is_heading:
            seen.add(folded)
            wordings.append(wording)
    return wordings[:count]


def _lines(text: str) -> Iterator[str]:
    """Yields the lines of an answer, or the texts of a JSON list, which some models write."""
    first, last = text.find("["), text.rfind("]")
    if 0 <= first < last:
        try:
            listed = json.loads(text[first : last + 1])
        except ValueError:
            listed = None
        if isinstance(listed, list) and all(isinstance(item, str) for item in listed):
            yield from listed
            return
    yield from (line for line in text.splitlines() if not line.startswith("```"))


def _label(text: str, labels: Sequence[str]) -> str | None:
    """Returns the label in an answer; None if the answer names none of them, or several."""
    folded = _folded(text)
    exact = [label for label in labels if _folded(label) == folded]
    if exact:
        return exact[0]
    contained = [label for label in labels if f" {_folded(label)} " in f" {folded} "]
    return contained[0] if len(contained) == 1 else None


def _with_last(row: Row, role: str, text: str) -> Row:
    """Returns the row with another text in its last message of a role."""
    listed = row["messages"]
    messages = list(listed) if isinstance(listed, list) else []
    last = max(n for n, message in enumerate(messages) if message["role"] == role)
    messages[last] = {**messages[last], "content": text}
    return {**row, "messages": messages}


def _folded(text: str) -> str:
    """Returns the text case-folded, with everything but letters and digits as single spaces."""
    return _SEPARATORS.sub(" ", text.casefold()).strip()
