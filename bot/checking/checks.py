"""The checks themselves: from samples of examples to groups of their numbers. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from statistics import median

from rapidfuzz import fuzz

from bot.check_results import CheckKind, CheckResult
from bot.checking.near_duplicates import ALIKE, near_pairs
from bot.checking.samples import Sample
from bot.domain import ExampleId
from bot.rows.classification import labels_among

MOST_GROUPS, MOST_IN_GROUP = 200, 10
_ONE_ANSWER_FROM = 5
_LONG_CHARACTERS, _LONG_TIMES, _SHORT_CHARACTERS, _SHORT_SHARE = 2000, 12, 4, 0.03
_RARE_LANGUAGE = 0.1

Group = Sequence[int]
"""Positions of samples."""


def check_samples(samples: Sequence[Sample], *, at: datetime) -> CheckResult:
    labels = labels_among(Counter(one.answer for one in samples))
    found: dict[CheckKind, list[Group]] = {kind: [] for kind in CheckKind}
    for kind, group in (*_by_prompt(samples), *_near(samples)):
        found[kind].append(group)
    if not labels:
        found[CheckKind.ONE_ANSWER] = _one_answer(samples)
        found[CheckKind.SHORT], found[CheckKind.LONG] = _unusual_lengths(samples)
    found[CheckKind.LANGUAGES] = _languages(samples)
    found[CheckKind.LEAKS] = [[at] for at, one in enumerate(samples) if one.leak]
    return CheckResult(
        at=at,
        example_count=len(samples),
        groups={kind: _numbers(samples, groups) for kind, groups in found.items()},
        group_counts={kind: len(groups) for kind, groups in found.items()},
        labels=labels,
    )


def _numbers(samples: Sequence[Sample], groups: Sequence[Group]) -> list[list[ExampleId]]:
    return [[samples[at].example for at in group[:MOST_IN_GROUP]] for group in groups[:MOST_GROUPS]]


def _by_prompt(samples: Sequence[Sample]) -> Iterator[tuple[CheckKind, Group]]:
    """Of the same question: the same answer, nearly the same one, or another."""
    by_prompt: dict[str, list[int]] = defaultdict(list)
    for at, one in enumerate(samples):
        by_prompt[one.prompt].append(at)
    for group in by_prompt.values():
        if len(group) < 2:
            continue
        first = samples[group[0]].answer
        alike = [fuzz.ratio(first, samples[at].answer) for at in group]
        if min(alike) < ALIKE:
            yield CheckKind.DISAGREEING, group
        else:
            yield (CheckKind.COPIES if min(alike) == 100 else CheckKind.NEAR), group


def _near(samples: Sequence[Sample]) -> Iterator[tuple[CheckKind, Group]]:
    """Questions that are nearly the same, with answers that are."""
    firsts: dict[str, int] = {}
    for at, sample in enumerate(samples):
        firsts.setdefault(sample.prompt, at)
    positions = list(firsts.values())
    leader = list(range(len(positions)))

    def lead(at: int) -> int:
        while leader[at] != at:
            leader[at] = leader[leader[at]]
            at = leader[at]
        return at

    for one, other in near_pairs([samples[at].prompt for at in positions]):
        if lead(one) != lead(other) and _has_same_answer(samples, positions[one], positions[other]):
            leader[lead(other)] = lead(one)
    groups: dict[int, list[int]] = defaultdict(list)
    for number, at in enumerate(positions):
        groups[lead(number)].append(at)
    yield from ((CheckKind.NEAR, sorted(group)) for group in groups.values() if len(group) > 1)


def _has_same_answer(samples: Sequence[Sample], one: int, other: int) -> bool:
    return fuzz.ratio(samples[one].answer, samples[other].answer) >= ALIKE


def _one_answer(samples: Sequence[Sample]) -> list[Group]:
    by_answer: dict[str, dict[str, int]] = defaultdict(dict)
    for at, one in enumerate(samples):
        by_answer[one.answer].setdefault(one.prompt, at)
    return [list(asked.values()) for asked in by_answer.values() if len(asked) >= _ONE_ANSWER_FROM]


def _languages(samples: Sequence[Sample]) -> list[Group]:
    """Answered in another language than asked, or in one that hardly any other example has."""
    counts = Counter(one.answer_language for one in samples if one.answer_language)
    told = sum(counts.values())
    rare = {name for name, count in counts.items() if count < _RARE_LANGUAGE * told}
    return [
        [at]
        for at, one in enumerate(samples)
        if (
            one.prompt_language
            and one.answer_language
            and one.prompt_language != one.answer_language
        )
        or one.answer_language in rare
    ]


def _unusual_lengths(samples: Sequence[Sample]) -> tuple[list[Group], list[Group]]:
    """Answers that are far shorter or longer than is usual here."""
    if not samples:
        return [], []
    usual = median(one.length for one in samples)
    longest = max(_LONG_CHARACTERS, _LONG_TIMES * usual)
    shortest = max(_SHORT_CHARACTERS, _SHORT_SHARE * usual)
    short: list[Group] = [[at] for at, one in enumerate(samples) if one.length < shortest]
    return short, [[at] for at, one in enumerate(samples) if one.length > longest]


def advised_example_counts(examples: int, labels: Sequence[tuple[str, int]]) -> Mapping[str, int]:
    """How many more examples are advisable, and for how many classes; empty where it is enough.

    OpenAI: “clear improvements” from 50 to 100 examples; a class needs some twenty.
    """
    few = sum(count < _ENOUGH_PER_LABEL for _, count in labels)
    if few:
        more = sum(max(0, _ENOUGH_PER_LABEL - count) for _, count in labels)
        return {"more": more, "labels": few}
    wanted = next((step for step in _STEPS if examples < step), 0)
    return {"more": wanted - examples} if wanted else {}


_ENOUGH_PER_LABEL = 20
_STEPS = (10, 50, 100)
