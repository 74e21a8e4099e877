"""What the checks compare of an example: its texts folded and cut, so that many fit into memory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from unicodedata import normalize

from bot.domain import Example, ExampleId, Row
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
    asked_in: str
    answered_in: str
    leak: str


def sample_of(example: Example, instructions: str) -> Sample | None:
    """None for an example without a text that is asked and one that is answered."""
    prompt, answer = _ends(example.row or {})
    if not prompt.strip() or not answer.strip():
        return None
    return Sample(
        example=example.id,
        prompt=folded(prompt)[-_LONGEST:],
        answer=folded(answer)[:_LONGEST],
        length=len(answer),
        asked_in=language(prompt),
        answered_in=language(answer),
        leak=leak(answer, instructions),
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


def folded(text: str) -> str:
    """Without case, accents of form, punctuation and spaces that make no difference."""
    return _NO_LETTERS.sub(" ", normalize("NFKC", text).casefold()).strip()


_SCRIPTS = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("ko", re.compile(r"[\uac00-\ud7af]")),
    ("zh", re.compile(r"[\u3400-\u9fff]")),
    ("ru", re.compile(r"[\u0400-\u04ff]")),
    ("ar", re.compile(r"[\u0600-\u06ff]")),
    ("el", re.compile(r"[\u0370-\u03ff]")),
    ("he", re.compile(r"[\u0590-\u05ff]")),
    ("hi", re.compile(r"[\u0900-\u097f]")),
    ("th", re.compile(r"[\u0e00-\u0e7f]")),
)
_COMMON_WORDS = {
    "en": "the is are and to of you how what do does can it in for with my i we",
    "de": "der die das ist und wie ich sie nicht ein eine zu wir den mit was auf",
    "fr": "le la les est et je vous pas un une des que pour comment il nous",
    "es": "el los las es y que por para una un cómo no qué con su puedo del",
    "it": "il che è per non una un come di sono con posso gli della si",
    "pt": "o os é que não para uma um como com por do da meu posso",
    "nl": "de het een en is ik niet van hoe dat kan op voor met wij",
}
_COMMON = {name: frozenset(words.split()) for name, words in _COMMON_WORDS.items()}
_LOOKED_AT, _SURE_WORDS = 400, 2


def language(text: str) -> str:
    """The language by its script or its commonest words; empty where the text does not tell."""
    part = text[:_LOOKED_AT]
    for name, letters in _SCRIPTS:
        if len(letters.findall(part)) * 4 > len(part.replace(" ", "")):
            return name
    words = part.casefold().split()
    counts = {name: sum(word in common for word in words) for name, common in _COMMON.items()}
    first, second = sorted(counts.values(), reverse=True)[:2]
    if first < _SURE_WORDS or first < 2 * second:
        return ""
    return max(counts, key=lambda name: counts[name])


_LEAKS = re.compile(
    r"as an ai (?:language )?model|ignore (?:all |the )?(?:previous|above) instructions"
    r"|system prompt|<\|im_(?:start|end)\|>|\[/?INST\]|<<SYS>>"
    r"|### ?(?:instruction|response)|you are a helpful"
    r"|als ki-(?:sprach)?modell|作为(?:一个)?(?:AI|人工智能|大?语言模型)|系统提示词",
    re.IGNORECASE,
)
_RUN = 60


def leak(answer: str, instructions: str) -> str:
    """What of instructions or of another model's template stands in an answer."""
    found = _LEAKS.search(answer)
    if found is not None:
        return found[0]
    for first in range(0, max(0, len(instructions) - _RUN + 1), _RUN // 2):
        run = instructions[first : first + _RUN]
        if run in answer:
            return run
    return ""
