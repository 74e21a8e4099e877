"""The checks: pure functions from samples of examples to groups of example ids."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from statistics import median

from rapidfuzz import fuzz

from bot.check_results import CheckKind, CheckResult
from bot.domain import ExampleId
from bot.example_checks.near_duplicates import (
    MIN_SIMILARITY,
    find_near_duplicates,
    has_other_matter,
)
from bot.example_checks.samples import Sample
from bot.rows.classification_metrics import find_labels

MAX_GROUPS_PER_KIND, MAX_EXAMPLES_IN_GROUP = 200, 10
_ONE_ANSWER_FROM = 5
_LONG_CHARACTERS, _LONG_TIMES = 2000, 12
_SHORT_CHARACTERS, _MAX_SHORT_CHARACTERS, _SHORT_SHARE = 4, 12, 0.08
"""An answer is short below a share of the median, but one of two words is not in any case."""
_RARE_LANGUAGE = 0.1

Group = Sequence[int]
"""Indexes into the list of samples."""


def check_samples(samples: Sequence[Sample], *, at: datetime) -> CheckResult:
    """Runs every check; checks of lengths and of equal answers are omitted for classification."""
    labels = find_labels(Counter(sample.answer for sample in samples))
    by_kind: dict[CheckKind, list[Group]] = {kind: [] for kind in CheckKind}
    for kind, group in (*_by_prompt(samples), *_near(samples)):
        by_kind[kind].append(group)
    if not labels:
        by_kind[CheckKind.ONE_ANSWER] = _one_answer(samples)
        by_kind[CheckKind.SHORT], by_kind[CheckKind.LONG] = _unusual_lengths(samples)
    by_kind[CheckKind.LANGUAGES] = _languages(samples)
    by_kind[CheckKind.LEAKS] = [
        [index] for index, sample in enumerate(samples) if sample.leaked_text
    ]
    return CheckResult(
        at=at,
        example_count=len(samples),
        groups={kind: _example_ids(samples, groups) for kind, groups in by_kind.items()},
        group_counts={kind: len(groups) for kind, groups in by_kind.items()},
        labels=labels,
    )


def _example_ids(samples: Sequence[Sample], groups: Sequence[Group]) -> list[list[ExampleId]]:
    return [
        [samples[index].example for index in group[:MAX_EXAMPLES_IN_GROUP]]
        for group in groups[:MAX_GROUPS_PER_KIND]
    ]


def _by_prompt(samples: Sequence[Sample]) -> Iterator[tuple[CheckKind, Group]]:
    """Yields the groups with an equal prompt: equal, similar or different answers."""
    by_prompt: dict[str, list[int]] = defaultdict(list)
    for index, sample in enumerate(samples):
        by_prompt[sample.prompt].append(index)
    for group in by_prompt.values():
        if len(group) < 2:
            continue
        first = samples[group[0]].answer
        least_similar = min(fuzz.ratio(first, samples[index].answer) for index in group)
        if least_similar < MIN_SIMILARITY:
            yield CheckKind.DISAGREEING, group
        else:
            yield (CheckKind.COPIES if least_similar == 100 else CheckKind.NEAR), group


def _near(samples: Sequence[Sample]) -> Iterator[tuple[CheckKind, Group]]:
    """Yields the groups with similar prompts and similar answers, found by union-find."""
    firsts: dict[str, int] = {}
    for index, sample in enumerate(samples):
        firsts.setdefault(sample.prompt, index)
    indexes = list(firsts.values())
    parents = list(range(len(indexes)))

    def find(node: int) -> int:
        while parents[node] != node:
            parents[node] = parents[parents[node]]
            node = parents[node]
        return node

    for first, second in find_near_duplicates([samples[index].prompt for index in indexes]):
        if find(first) != find(second) and _is_near_copy(
            samples[indexes[first]], samples[indexes[second]]
        ):
            parents[find(second)] = find(first)
    groups: dict[int, list[int]] = defaultdict(list)
    for node, index in enumerate(indexes):
        groups[find(node)].append(index)
    yield from ((CheckKind.NEAR, sorted(group)) for group in groups.values() if len(group) > 1)


def _is_near_copy(first: Sample, second: Sample) -> bool:
    """Whether two examples with similar prompts have similar answers, about the same matter.

    Not where prompts and answers differ by a number or by another word: two products of a shop.
    """
    is_similar = fuzz.ratio(first.answer, second.answer) >= MIN_SIMILARITY
    return is_similar and not (
        has_other_matter(first.prompt, second.prompt)
        and has_other_matter(first.answer, second.answer)
    )


def _one_answer(samples: Sequence[Sample]) -> list[Group]:
    """Returns the groups of five or more different prompts with an equal answer."""
    by_answer: dict[str, dict[str, int]] = defaultdict(dict)
    for index, sample in enumerate(samples):
        by_answer[sample.answer].setdefault(sample.prompt, index)
    return [
        list(by_prompt.values())
        for by_prompt in by_answer.values()
        if len(by_prompt) >= _ONE_ANSWER_FROM
    ]


def _languages(samples: Sequence[Sample]) -> list[Group]:
    """Returns the samples whose answer is in another language than the prompt or in a rare one."""
    counts = Counter(sample.answer_language for sample in samples if sample.answer_language)
    total = sum(counts.values())
    rare = {name for name, count in counts.items() if count < _RARE_LANGUAGE * total}
    return [
        [index]
        for index, sample in enumerate(samples)
        if (
            sample.prompt_language
            and sample.answer_language
            and sample.prompt_language != sample.answer_language
        )
        or sample.answer_language in rare
    ]


def _unusual_lengths(samples: Sequence[Sample]) -> tuple[list[Group], list[Group]]:
    """Returns the samples whose answers are far shorter, and far longer, than the median."""
    if not samples:
        return [], []
    usual = median(sample.length for sample in samples)
    longest = max(_LONG_CHARACTERS, _LONG_TIMES * usual)
    shortest = max(_SHORT_CHARACTERS, min(_MAX_SHORT_CHARACTERS, _SHORT_SHARE * usual))
    lengths = [sample.length for sample in samples]
    short: list[Group] = [[index] for index, length in enumerate(lengths) if length < shortest]
    return short, [[index] for index, length in enumerate(lengths) if length > longest]


def advised_example_counts(examples: int, labels: Sequence[tuple[str, int]]) -> Mapping[str, int]:
    """Returns how many more examples are advisable (`more`), and for how many classes (`labels`).

    The mapping is empty if there are enough examples. OpenAI names “clear improvements” from 50 to
    100 examples; a class needs about 20.
    """
    few = sum(count < _ENOUGH_PER_LABEL for _, count in labels)
    if few:
        more = sum(max(0, _ENOUGH_PER_LABEL - count) for _, count in labels)
        return {"more": more, "labels": few}
    next_step = next((step for step in _STEPS if examples < step), 0)
    return {"more": next_step - examples} if next_step else {}


_ENOUGH_PER_LABEL = 20
_STEPS = (10, 50, 100)
