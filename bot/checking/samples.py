"""What the checks compare of an example: its texts folded and cut, so that many fit into memory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from unicodedata import normalize

from bot.domain import Example, ExampleId, Row
from bot.languages import language
from bot.rows import content_text

_LONGEST = 400
_NO_LETTERS = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Sample:
    """The folded ends of an example; `length` counts characters of the whole answer."""

    example: ExampleId
    prompt: str
    answer: str
    length: int
    prompt_language: str
    answer_language: str
    leak: str


def sample_of(example: Example, instructions: str) -> Sample | None:
    """None for an example without a text that is asked and one that is answered."""
    prompt, answer = _ends(example.row or {})
    if not prompt.strip() or not answer.strip():
        return None
    return Sample(
        example=example.id,
        prompt=_cut(normalize_text(prompt)),
        answer=_cut(normalize_text(answer)),
        length=len(answer),
        prompt_language=language(prompt),
        answer_language=language(answer),
        leak=find_leak(answer, instructions),
    )


def _ends(row: Row) -> tuple[str, str]:
    """All that is said before the answer, but for instructions, and the answer."""
    source = row.get("input") if "input" in row else row
    messages = source.get("messages") if isinstance(source, Mapping) else None
    listed = [m for m in messages if isinstance(m, Mapping)] if isinstance(messages, list) else []
    preferred = row.get("preferred_output")
    listed += (
        [m for m in preferred if isinstance(m, Mapping)] if isinstance(preferred, list) else []
    )
    if not listed or listed[-1].get("role") != "assistant":
        return "", ""
    said = [m for m in listed[:-1] if m.get("role") not in ("system", "developer")]
    asked = "\n".join(content_text(m.get("content")) for m in said)
    return asked, content_text(listed[-1].get("content"))


def _cut(text: str) -> str:
    """The beginning and the end of what is long, so that texts which end otherwise differ."""
    return text if len(text) <= 2 * _LONGEST else text[:_LONGEST] + text[-_LONGEST:]


def normalize_text(text: str) -> str:
    """Without case, accents of form, punctuation and spaces that make no difference."""
    return _NO_LETTERS.sub(" ", normalize("NFKC", text).casefold()).strip()


_LEAKS = re.compile(
    r"as an ai (?:language )?model|ignore (?:all |the )?(?:previous|above) instructions"
    r"|system prompt|<\|im_(?:start|end)\|>|\[/?INST\]|<<SYS>>"
    r"|### ?(?:instruction|response)|you are a helpful"
    r"|als ki-(?:sprach)?modell|作为(?:一个)?(?:AI|人工智能|大?语言模型)|系统提示词",
    re.IGNORECASE,
)
_RUN = 60


def find_leak(answer: str, instructions: str) -> str:
    """What of instructions or of another model's template stands in an answer."""
    found = _LEAKS.search(answer)
    if found is not None:
        return found[0]
    for first in range(0, max(0, len(instructions) - _RUN + 1), _RUN // 2):
        run = instructions[first : first + _RUN]
        if run in answer:
            return run
    return ""
