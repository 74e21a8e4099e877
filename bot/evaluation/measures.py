"""How good one answer is beside the one that was taught: pure measures, each between 0 and 1.

`docs/understand/evaluation-numbers.md` has the formulas and their sources.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping

TIE = 0.05
"""Scores that differ by no more are a tie."""
RIGHT_FROM = 0.7
"""From this score on a must-answer question counts as answered."""
LONGEST_LABEL = 40

_ORDERS = 6
_BETA = 2
_SHORT = 20
_LINK = re.compile(
    r"(?:https?://|www\.)[^\s<>\"'，。）)]+|(?<![\w.+-])[\w.+-]+@[\w-]+\.[\w.-]*\w", re.IGNORECASE
)
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_NAME = re.compile(r"(?<=[\w,;:] )[A-ZÄÖÜÀ-Þ][\w&'’-]*[\w](?: [A-ZÄÖÜÀ-Þ][\w&'’-]*\w)*")
_REFUSAL = re.compile(
    r"\b(?:i(?:['’]m| am)? (?:sorry|afraid|can(?:['’]t|not)|am (?:unable|not able))"
    r"|(?:we|i) (?:can(?:['’]t|not)|are (?:unable|not able)) (?:help|assist|answer|share|tell)"
    r"|unable to (?:help|assist|answer)|(?:have|was)(?:n['’]t| not)(?: been)? taught)"
    r"|抱歉|对不起|無法|无法|不能(?:回答|提供|帮)|没有学过",
    re.IGNORECASE,
)
_SCRIPTS = ("LATIN", "CYRILLIC", "GREEK", "ARABIC", "HEBREW", "DEVANAGARI", "THAI")


def scores(reference: str, answer: str, *, is_refusal: bool = False) -> dict[str, object]:
    """Every measure of one answer; those that do not apply are missing.

    `score` is what answers are compared by: 0 where one refuses and the other does not, 1 for the
    taught reply word for word, else the mean of chrF, of the share of facts found, and for JSON of
    whether its shape is right.
    """
    refuses, should_refuse = is_refusal or refusal_in(answer), refusal_in(reference)
    likeness = chrf(reference, answer)
    found: dict[str, object] = {
        "exact": normalize_whitespace(reference) == normalize_whitespace(answer),
        "chrf": likeness,
        "length": _is_as_long(reference, answer),
        "language": script_of(reference) == script_of(answer),
        "refusal": refuses == should_refuse,
        "should_refuse": should_refuse,
        "voice": style_features(answer),
    }
    parts = [likeness]
    if wanted := extract_facts(reference):
        numbers, text = set(_numbers(answer)), answer.casefold()
        present = sum(
            fact in numbers if _NUMBER.fullmatch(fact) else fact.casefold() in text
            for fact in wanted
        )
        found |= {"facts_found": present, "facts": len(wanted)}
        parts.append(present / len(wanted))
    if (shape := json_shape(reference)) is not None:
        found["json"] = json_shape(answer) == shape
        parts.append(float(found["json"] is True))
    if 0 < len(label := label_of(answer)) <= LONGEST_LABEL:
        found["label"] = label
    return {"score": _score(found, parts), **found}


def _score(found: Mapping[str, object], parts: list[float]) -> float:
    if not found["refusal"]:
        return 0.0
    if found["exact"] or found["should_refuse"]:
        return 1.0
    return round(math.fsum(parts) / len(parts), 4)


def normalize_whitespace(text: str) -> str:
    """The text with every run of blanks as one."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def label_of(text: str) -> str:
    """A text as the name of a class: letters in one case, no full stop."""
    return normalize_whitespace(text).casefold().strip(" .。!！\"'“”")


def chrf(reference: str, answer: str) -> float:
    """chrF2 of characters up to 6 in a row, as sacrebleu reckons it for one sentence, 0 to 1."""
    ours, theirs = "".join(answer.split()), "".join(reference.split())
    precisions, recalls = [], []
    for order in range(1, _ORDERS + 1):
        said, wanted = _grams(ours, order), _grams(theirs, order)
        if said and wanted:
            shared = (said & wanted).total()
            precisions.append(shared / said.total())
            recalls.append(shared / wanted.total())
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
    """What an answer must not get wrong: links, numbers, and names inside sentences."""
    links = {link.rstrip(".,;:!?") for link in _LINK.findall(text)}
    rest = _LINK.sub(" ", text)
    return frozenset(links | set(_numbers(rest)) | set(_NAME.findall(rest)))


def _numbers(text: str) -> Iterator[str]:
    """Without the separators of thousands: 1,200 is 1200."""
    for number in _NUMBER.findall(text):
        yield re.sub(r"[.,](?=\d{3}(?!\d))", "", number)


def json_shape(text: str) -> object | None:
    """The keys and kinds of values of a JSON object or list; None for anything else."""
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


def refusal_in(text: str) -> bool:
    """Whether the beginning of a text declines to answer, in English or Chinese."""
    return bool(_REFUSAL.search(text[:160]))


def _is_as_long(reference: str, answer: str) -> bool:
    """Between half and twice as long, or at most twenty characters apart."""
    one, other = len(normalize_whitespace(reference)), len(normalize_whitespace(answer))
    return abs(one - other) <= _SHORT or one / 2 <= other <= one * 2


def script_of(text: str) -> str:
    """The script of most letters; Chinese, Japanese and Korean count as one."""
    counted = Counter(_script(letter) for letter in text if letter.isalpha())
    return counted.most_common(1)[0][0] if counted else ""


def _script(letter: str) -> str:
    name = unicodedata.name(letter, "")
    return next((script for script in _SCRIPTS if name.startswith(script)), "OTHER")


def style_features(text: str) -> dict[str, str]:
    """How a text begins and ends, and how it addresses people."""
    flat = normalize_whitespace(text)
    first = re.match(r"\w+", flat)
    return {
        "opening": first[0].casefold() if first else "",
        "ending": flat[-1:] if flat and not flat[-1].isalnum() else "",
        "exclaims": "yes" if re.search(r"[!！]", flat) else "no",
        "contracts": "yes" if re.search(r"\w['’](?:s|re|ll|ve|t|m|d)\b", flat) else "no",
        "lines": "yes" if "\n" in text.strip() else "no",
    }
