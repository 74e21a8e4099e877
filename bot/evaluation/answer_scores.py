"""Measures of an answer against the taught reference: pure functions with values from 0 to 1.

`docs/understand/evaluation-numbers.md` has the formulas and their sources.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping

from bot.refusals import starts_with_refusal

TIE_MARGIN = 0.05
"""Largest difference of two scores that counts as a tie."""
MIN_RIGHT_SCORE = 0.7
"""Least score at which a must-answer question counts as answered."""
MAX_LABEL_LENGTH = 40

_MAX_ORDER = 6
_BETA = 2
_LENGTH_TOLERANCE = 20
_LINK = re.compile(
    r"(?:https?://|www\.)[^\s<>\"'，。）)]+|(?<![\w.+-])[\w.+-]+@[\w-]+\.[\w.-]*\w", re.IGNORECASE
)
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_NAME = re.compile(r"(?<=[\w,;:] )[A-ZÄÖÜÀ-Þ][\w&'’-]*[\w](?: [A-ZÄÖÜÀ-Þ][\w&'’-]*\w)*")
_SCRIPTS = ("LATIN", "CYRILLIC", "GREEK", "ARABIC", "HEBREW", "DEVANAGARI", "THAI")


def score_answer(reference: str, answer: str, *, is_refusal: bool = False) -> dict[str, object]:
    """Returns every measure of an answer by name, without those that do not apply.

    Answers are compared by `score`: 0 if only one of answer and reference is a refusal, 1 for the
    reference word for word, else the mean of chrF, the share of the reference's facts, and for
    JSON whether the shape is equal.
    """
    refuses, should_refuse = (
        is_refusal or starts_with_refusal(answer),
        starts_with_refusal(reference),
    )
    likeness = chrf(reference, answer)
    measured: dict[str, object] = {
        "exact": normalize_whitespace(reference) == normalize_whitespace(answer),
        "chrf": likeness,
        "length": _is_as_long(reference, answer),
        "language": writing_script(reference) == writing_script(answer),
        "refusal": refuses == should_refuse,
        "should_refuse": should_refuse,
        "voice": style_features(answer),
    }
    parts = [likeness]
    if facts := extract_facts(reference):
        numbers, text = set(_numbers(answer)), answer.casefold()
        present = sum(
            fact in numbers if _NUMBER.fullmatch(fact) else fact.casefold() in text
            for fact in facts
        )
        measured |= {"facts_found": present, "facts": len(facts)}
        parts.append(present / len(facts))
    if (shape := json_shape(reference)) is not None:
        measured["json"] = json_shape(answer) == shape
        parts.append(float(measured["json"] is True))
    if 0 < len(label := normalize_label(answer)) <= MAX_LABEL_LENGTH:
        measured["label"] = label
    return {"score": _score(measured, parts), **measured}


def _score(measured: Mapping[str, object], parts: list[float]) -> float:
    if not measured["refusal"]:
        return 0.0
    if measured["exact"] or measured["should_refuse"]:
        return 1.0
    return round(math.fsum(parts) / len(parts), 4)


def normalize_whitespace(text: str) -> str:
    """Returns the text in NFC, with every run of whitespace as one space."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def normalize_label(text: str) -> str:
    """Returns the text as the name of a class: casefolded, without quotes and final marks."""
    return normalize_whitespace(text).casefold().strip(" .。!！\"'“”")


def chrf(reference: str, answer: str) -> float:
    """Returns the sentence-level chrF2 with character n-grams up to 6, like sacrebleu, 0 to 1."""
    answer_text, reference_text = "".join(answer.split()), "".join(reference.split())
    precisions, recalls = [], []
    for order in range(1, _MAX_ORDER + 1):
        grams, reference_grams = _grams(answer_text, order), _grams(reference_text, order)
        if grams and reference_grams:
            shared = (grams & reference_grams).total()
            precisions.append(shared / grams.total())
            recalls.append(shared / reference_grams.total())
    if not precisions:
        return 0.0
    precision = math.fsum(precisions) / len(precisions)
    recall = math.fsum(recalls) / len(recalls)
    if precision + recall == 0:
        return 0.0
    weight = _BETA**2
    return round((1 + weight) * precision * recall / (weight * precision + recall), 4)


def _grams(text: str, order: int) -> Counter[str]:
    return Counter(text[at : at + order] for at in range(len(text) - order + 1))


def extract_facts(text: str) -> frozenset[str]:
    """Returns the links, the numbers, and the names inside sentences of a text."""
    links = {link.rstrip(".,;:!?") for link in _LINK.findall(text)}
    rest = _LINK.sub(" ", text)
    return frozenset(links | set(_numbers(rest)) | set(_NAME.findall(rest)))


def _numbers(text: str) -> Iterator[str]:
    """Yields the numbers without thousands separators: 1,200 is 1200."""
    for number in _NUMBER.findall(text):
        yield re.sub(r"[.,](?=\d{3}(?!\d))", "", number)


def json_shape(text: str) -> object | None:
    """Returns the keys and value types of a JSON object or list; None for anything else."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return _shape(value) if isinstance(value, dict | list) else None


def _shape(value: object) -> object:
    if isinstance(value, dict):
        return {name: _shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_shape(value[0])] if value else []
    return "number" if isinstance(value, int | float) else type(value).__name__


def _is_as_long(reference: str, answer: str) -> bool:
    """Whether the lengths differ by a factor of two at most, or by 20 characters at most."""
    expected, length = len(normalize_whitespace(reference)), len(normalize_whitespace(answer))
    return abs(expected - length) <= _LENGTH_TOLERANCE or expected / 2 <= length <= expected * 2


def writing_script(text: str) -> str:
    """Returns the most frequent script; all but `_SCRIPTS` count as one, such as Chinese."""
    counts = Counter(_script(letter) for letter in text if letter.isalpha())
    return counts.most_common(1)[0][0] if counts else ""


def _script(letter: str) -> str:
    name = unicodedata.name(letter, "")
    return next((script for script in _SCRIPTS if name.startswith(script)), "OTHER")


def style_features(text: str) -> dict[str, str]:
    """Returns features of a text's style by name: first word, last mark, contractions and so on."""
    flat = normalize_whitespace(text)
    first = re.match(r"\w+", flat)
    return {
        "opening": first[0].casefold() if first else "",
        "ending": flat[-1:] if flat and not flat[-1].isalnum() else "",
        "exclaims": "yes" if re.search(r"[!！]", flat) else "no",
        "contracts": "yes" if re.search(r"\w['’](?:s|re|ll|ve|t|m|d)\b", flat) else "no",
        "lines": "yes" if "\n" in text.strip() else "no",
    }
