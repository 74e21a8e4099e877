"""What a model is asked to write, and how its answer is read. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from bot.domain import Row, SyntheticKind, SyntheticRun
from bot.evaluation.questions import prompt_and_reference
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
_TIMES_LONGER, _LONGER = 3, 120
_NO_LETTERS = re.compile(r"[\W_]+")


def messages_for(run: SyntheticRun, row: Row, instructions: str) -> list[PromptMessage] | None:
    """None for a row that is more than plain text."""
    found = prompt_and_reference(row, "")
    if found is None or found[0][-1]["role"] != "user":
        return None
    said = [one for one in found[0] if one["role"] in ("user", "assistant")]
    before = "\n\n".join(f"{one['role']}:\n{one['content']}" for one in said[:-1])
    shown = [f"What was said before:\n{before}"] if before else []
    if run.kind is SyntheticKind.LABELS:
        rule = _LABELS.format(labels="\n".join(run.labels))
        rule = f"{instructions.strip()}\n\n{rule}".strip()
        shown.append(said[-1]["content"])
    else:
        rule = _WORDINGS.format(count=run.wordings)
        shown += [f"Question:\n{said[-1]['content']}", f"The answer that must fit:\n{found[1]}"]
    return [{"role": "system", "content": rule}, {"role": "user", "content": "\n\n".join(shown)}]


def rows_of(run: SyntheticRun, row: Row, text: str) -> list[Row]:
    """The proposed rows in what a model wrote; none where nothing in it can be used."""
    found = prompt_and_reference(row, "")
    if found is None:
        return []
    question, answer = found[0][-1]["content"], found[1]
    if run.kind is SyntheticKind.WORDINGS:
        wordings = _wordings(text, question, run.wordings)
        return [_with_last(row, "user", wording) for wording in wordings]
    label = _label(text, run.labels)
    if label is None or _folded(label) == _folded(answer):
        return []
    return [_with_last(row, "assistant", label)]


def _wordings(text: str, question: str, count: int) -> Sequence[str]:
    """Each once, without the question itself and without what is no wording of it."""
    seen, found = {_folded(question)}, list[str]()
    for line in _lines(text):
        wording = _NUMBERING.sub("", line).strip(_QUOTES)
        folded = _folded(wording)
        is_long = len(wording) > _TIMES_LONGER * len(question) + _LONGER
        is_heading = line.rstrip().endswith((":", "："))
        if folded and folded not in seen and not is_long and not is_heading:
            seen.add(folded)
            found.append(wording)
    return found[:count]


def _lines(text: str) -> Iterator[str]:
    """Lines, or the texts of a JSON list, which some models prefer to write."""
    first, last = text.find("["), text.rfind("]")
    if 0 <= first < last:
        try:
            listed = json.loads(text[first : last + 1])
        except ValueError:
            listed = None
        if isinstance(listed, list) and all(isinstance(one, str) for one in listed):
            yield from listed
            return
    yield from (line for line in text.splitlines() if not line.startswith("```"))


def _label(text: str, labels: Sequence[str]) -> str | None:
    """The label that was answered with; None where that is none of them, or several."""
    said = _folded(text)
    exact = [label for label in labels if _folded(label) == said]
    if exact:
        return exact[0]
    named = [one for one in labels if f" {_folded(one)} " in f" {said} "]
    return named[0] if len(named) == 1 else None


def _with_last(row: Row, role: str, text: str) -> Row:
    """The row with another text in its last message of that role."""
    listed = row["messages"]
    messages = list(listed) if isinstance(listed, list) else []
    at = max(n for n, message in enumerate(messages) if message["role"] == role)
    messages[at] = {**messages[at], "content": text}
    return {**row, "messages": messages}


def _folded(text: str) -> str:
    return _NO_LETTERS.sub(" ", text.casefold()).strip()
