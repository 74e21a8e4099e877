"""Reads conversations, and splits text into terms; stop words are the only word list.

A term is a lower-case word, or two neighbouring characters of a script written without spaces
(Chinese, Japanese, Korean).
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence

MAX_TERMS = 400
MAX_CONTEXT_MESSAGES = 3
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_RUN = re.compile(rf"[{_CJK}]+|[^\W_{_CJK}]+")
_TOKEN = re.compile(rf"[{_CJK}]|[^\s{_CJK}]+")
_STOP_CHARACTERS = frozenset(
    "的了吗呢吧啊呀哦嘛么是在有和与或也都就还又很我你他她它们您这那个一不请要能可会想把给被让"
)
_STOP_WORDS = frozenset(
    """
    a about after again all am an and any are as at be been before being but by can cannot could d
    did do does doing don for from get give had has have having he hello help her here hey hi him
    his how i if in into is it its just kindly know let like ll m may me might mine must my need
    no nor not now of off oh ok okay on once one only or our out over own please possible re s say
    she should so some something t tell thank thanks that the their them then there these they
    this those to too um up us ve very want was way we well were what when where whether which
    while who whom whose why will with would yes yet you your yours
    """.split()  # noqa: SIM905 - a list literal would be a word a line
)


def terms_of(text: str) -> list[str]:
    """Returns the first MAX_TERMS terms of the text, in order."""
    terms: list[str] = []
    for run in _RUN.findall(normalise(text)[: 40 * MAX_TERMS]):
        pairs = [run[start : start + 2] for start in range(len(run) - 1)] if is_cjk(run) else []
        terms += pairs or [run]
    return terms[:MAX_TERMS]


def accuracy_tokens(text: str) -> list[str]:
    """Returns words with their punctuation, and single characters of scripts without spaces."""
    return _TOKEN.findall(text)


def is_cjk(term: str) -> bool:
    return re.match(f"[{_CJK}]", term) is not None


def stop_share(term: str) -> float:
    """Returns how much of a term is a stop word: 0, 1, or 0.5 for a pair with one of them."""
    if is_cjk(term):
        return sum(character in _STOP_CHARACTERS for character in term) / len(term)
    return float(term in _STOP_WORDS)


def normalise(text: str) -> str:
    """Returns the text without differences in case, width and whitespace."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def text_of(content: object) -> str:
    """Returns the text of a message's content: a string, or the text parts of a list."""
    if isinstance(content, str):
        return content
    items = content if isinstance(content, Sequence) else ()
    parts = (part.get("text") for part in items if isinstance(part, Mapping))
    return "\n".join(text for text in parts if isinstance(text, str))


def question_and_context(messages: Sequence[Mapping[str, object]]) -> tuple[str, str]:
    """Returns the last user message, and the texts before it, at most MAX_CONTEXT_MESSAGES."""
    last = max((i for i, m in enumerate(messages) if m.get("role") == "user"), default=-1)
    if last < 0:
        return "", ""
    conversation = [m for m in messages[:last] if m.get("role") in ("user", "assistant")]
    earlier = "\n".join(text_of(m.get("content")) for m in conversation[-MAX_CONTEXT_MESSAGES:])
    return text_of(messages[last].get("content")), earlier
