"""Samples of examples for the checks: normalized, truncated texts, so that many fit in memory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from unicodedata import normalize

from bot.domain import Example, ExampleId, Row
from bot.language_detection import detect_language
from bot.rows import content_text

_MAX_END_LENGTH = 400
_NO_LETTERS = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Sample:
    """The normalized prompt and answer of an example, truncated; `length` is the whole answer's.

    `leak` is the text that `find_leaked_prompt` returns for the answer.
    """

    example: ExampleId
    prompt: str
    answer: str
    length: int
    prompt_language: str
    answer_language: str
    leaked_text: str


def make_sample(example: Example, instructions: str) -> Sample | None:
    """Returns the sample of an example, or None if its prompt or its answer has no text."""
    prompt, answer = _prompt_and_answer(example.row or {})
    if not prompt.strip() or not answer.strip():
        return None
    return Sample(
        example=example.id,
        prompt=_cut(normalize_text(prompt)),
        answer=_cut(normalize_text(answer)),
        length=len(answer),
        prompt_language=detect_language(prompt),
        answer_language=detect_language(answer),
        leaked_text=find_leaked_prompt(answer, instructions),
    )


def _prompt_and_answer(row: Row) -> tuple[str, str]:
    """Returns the text before the answer, without system messages, and the (preferred) answer."""
    source = row.get("input") if "input" in row else row
    messages = source.get("messages") if isinstance(source, Mapping) else None
    listed = [m for m in messages if isinstance(m, Mapping)] if isinstance(messages, list) else []
    preferred = row.get("preferred_output")
    listed += (
        [m for m in preferred if isinstance(m, Mapping)] if isinstance(preferred, list) else []
    )
    if not listed or listed[-1].get("role") != "assistant":
        return "", ""
    before = [m for m in listed[:-1] if m.get("role") not in ("system", "developer")]
    prompt = "\n".join(content_text(m.get("content")) for m in before)
    return prompt, content_text(listed[-1].get("content"))


def _cut(text: str) -> str:
    """Returns a long text's beginning and end, so that texts with different ends still differ."""
    return (
        text
        if len(text) <= 2 * _MAX_END_LENGTH
        else text[:_MAX_END_LENGTH] + text[-_MAX_END_LENGTH:]
    )


def normalize_text(text: str) -> str:
    """Returns the text in NFKC and casefolded, with punctuation and whitespace as one space."""
    return _NO_LETTERS.sub(" ", normalize("NFKC", text).casefold()).strip()


_LEAKS = re.compile(
    r"as an? (?:ai|large language|language)[ -](?:language )?(?:model|assistant)"
    r"|as a large language model|large language model trained by"
    r"|\bi(?:'m| am) (?:chatgpt|claude|gemini|an ai language model)|trained by (?:openai|anthropic)"
    r"|(?:my|the) (?:knowledge cut-?off|training data (?:ends|goes))"
    r"|ignore (?:all |the )?(?:previous|above) instructions"
    r"|system prompt|<\|im_(?:start|end)\|>|\[/?INST\]|<<SYS>>"
    r"|### ?(?:instruction|response)|you are a helpful"
    r"|als (?:großes )?(?:ki-)?(?:sprach)?modell\b|en tant qu(?:e |['’])(?:modèle de langage|ia\b)"
    r"|como (?:un )?modelo de lenguaje|como (?:um )?modelo de linguagem|come modello linguistico"
    r"|als (?:ai-)?taalmodel|как языковая модель|AI 언어 모델|AI言語モデル|言語モデルとして"
    r"|作为(?:一个)?(?:AI|人工智能|大?语言模型)|系统提示词",
    re.IGNORECASE,
)
_QUOTE_LENGTH = 60


def find_leaked_prompt(answer: str, instructions: str) -> str:
    """Returns a part of the instructions or of a chat template that the answer contains, or ""."""
    match = _LEAKS.search(answer)
    if match is not None:
        return match[0]
    for first in range(0, max(0, len(instructions) - _QUOTE_LENGTH + 1), _QUOTE_LENGTH // 2):
        quote = instructions[first : first + _QUOTE_LENGTH]
        if quote in answer:
            return quote
    return ""
