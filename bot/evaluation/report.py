"""Computes the report of an evaluation from its stored scores, a page of answers at a time."""

from __future__ import annotations

import asyncio
import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pydantic import TypeAdapter

from bot.domain import (
    VALIDATION_LOSS_NAMES,
    AnswerState,
    ContenderKind,
    Evaluation,
    EvaluationAnswer,
)
from bot.errors import EmptyAnswer, deserialize
from bot.evaluation.answer_scores import (
    MAX_LABEL_LENGTH,
    MIN_RIGHT_SCORE,
    TIE_MARGIN,
    normalize_label,
    style_features,
)
from bot.evaluation.planning import answered_pages, price_of_tokens, taught_reply
from bot.ports.model_hosts import Hosts
from bot.ports.store import Store
from bot.rows.classification_metrics import ConfusionMatrix, confusion_matrix
from bot.significance import Interval, PairedResult, Verdict, bootstrap_interval, compare_scores

_MAX_LABELS = 20
_ROWS_A_LABEL = 3
_COMMON_SHARE = 0.6
_DIFFERING = 3
_CHECKS = ("json", "length", "language", "refusal")


@dataclass(frozen=True, slots=True)
class Share:
    """A count out of a total."""

    count: int
    total: int


@dataclass(frozen=True, slots=True)
class ContenderReport:
    """The totals of a contender. `checks` and `voice` are by name; seconds are a median."""

    answered: int
    failed: int
    lost: int
    mean: float | None
    exact: int
    chrf: float | None
    facts: Share
    checks: Mapping[str, Share]
    voice: Mapping[str, int]
    prompt_tokens: int
    completion_tokens: int
    first_text_seconds: float | None
    price_of_1000: float | None
    confusion: ConfusionMatrix | None = None
    interval: Interval | None = None
    """Bootstrap confidence interval of the mean; None in old reports without it."""
    silent: int = 0
    cut: int = 0
    """Parts of `failed`: answers without text (`silent`) and truncated answers (`cut`)."""


@dataclass(frozen=True, slots=True)
class StyleFeature:
    """A style feature that most taught replies share, with its value and their share."""

    name: str
    value: str
    share: Share


@dataclass(frozen=True, slots=True)
class Report:
    """The report of an evaluation, with questions by their numbers.

    `results` compares the new model with each other contender, by the contender's position;
    `against` is the position of the contender that the verdict is about.
    """

    contenders: list[ContenderReport]
    against: int | None
    results: dict[int, PairedResult]
    must_answer: int
    regressed: list[int]
    unanswered: list[int]
    differing: list[int]
    traits: list[StyleFeature]
    held_out_loss: float | None = None
    """Held-out loss of the new model in nats per token; None if the host did not report it."""

    @property
    def result(self) -> PairedResult | None:
        """The comparison with the contender `against`."""
        return None if self.against is None else self.results.get(self.against)

    @property
    def verdict(self) -> Verdict:
        return self.result.verdict if self.result else Verdict.UNDECIDED


_ADAPTER = TypeAdapter(Report)


def missing_answer_reason(answer: EvaluationAnswer | None) -> str:
    """Returns why there is no complete answer; "" for a complete one.

    The reason is one of `not_asked`, `asked`, `lost`, `failed`, `cut` and `empty`.
    """
    if answer is None:
        return "not_asked"
    if answer.state is AnswerState.DONE:
        return ""
    if answer.state is not AnswerState.FAILED:
        return answer.state.value
    if answer.text.strip():
        return "cut"
    return "empty" if isinstance(deserialize(answer.error), EmptyAnswer) else "failed"


def dump_report(report: Report) -> Mapping[str, object]:
    values: dict[str, object] = _ADAPTER.dump_python(report, mode="json")
    return values


def load_report(values: Mapping[str, object]) -> Report | None:
    """Returns a dumped report; None for an empty mapping, as of an unfinished evaluation."""
    return _ADAPTER.validate_python(values) if values else None


@dataclass(slots=True)
class _Totals:
    """The totals of a contender, added up answer by answer."""

    scores: dict[int, float] = field(default_factory=dict)
    states: Counter[AnswerState] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    voice: Counter[str] = field(default_factory=Counter)
    chrf: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    labels: dict[int, str] = field(default_factory=dict)

    def add(self, answer: EvaluationAnswer) -> None:
        self.states[answer.state] += 1
        if why := missing_answer_reason(answer):
            self.counts[why] += 1
            return
        scores = answer.scores
        self.scores[answer.number] = _number(scores.get("score"))
        self.chrf.append(_number(scores.get("chrf")))
        self.counts["exact"] += scores.get("exact") is True
        self.counts["facts_found"] += int(_number(scores.get("facts_found")))
        self.counts["facts"] += int(_number(scores.get("facts")))
        for check in _CHECKS:
            if check in scores:
                self.counts[f"{check}.of"] += 1
                self.counts[check] += scores[check] is True
        self.counts["prompt"] += answer.prompt_tokens or 0
        self.counts["completion"] += answer.completion_tokens or 0
        self.voice.update(_traits(scores.get("voice")))
        if answer.first_text_seconds is not None:
            self.seconds.append(answer.first_text_seconds)
        self.labels[answer.number] = str(scores.get("label", ""))


async def make_report(
    store: Store, evaluation: Evaluation, hosts: Hosts, *, seed: int = 0
) -> Report:
    """Returns the report of the stored answers.

    Holds the numbers of every question in memory, but only the texts of one page.
    """
    totals = [_Totals() for _ in evaluation.contenders]
    references: Counter[str] = Counter()
    labels: dict[int, str] = {}
    must: set[int] = set()
    total = 0
    async for page, answers in answered_pages(store, evaluation):
        for question in page:
            must |= {question.number} if question.is_must_answer else set()
            reference = taught_reply(question.row)
            if reference is not None:
                total += 1
                references.update(_traits(style_features(reference)))
                labels[question.number] = normalize_label(reference)
        for answer in answers:
            totals[answer.contender].add(answer)
    # In a thread: the bootstrap takes about a second for some thousand questions.
    shared = _common_features(references, total)
    built = await asyncio.to_thread(_report, evaluation, totals, must, labels, shared, hosts, seed)
    return replace(built, held_out_loss=await _held_out_loss(store, evaluation))


async def _held_out_loss(store: Store, evaluation: Evaluation) -> float | None:
    """Returns the last held-out loss that the host reported, preferably the one over all rows."""
    if evaluation.job is None:
        return None
    async with store.reading() as records:
        job = await records.jobs.get(evaluation.workspace, evaluation.job)
        steps = await records.jobs.metrics(evaluation.workspace, evaluation.job)
    if job.model != evaluation.model:
        return None
    reported = [
        step.values[name]
        for name in VALIDATION_LOSS_NAMES
        for step in steps[::-1]
        if name in step.values
    ]
    return reported[0] if reported else None


def _report(
    evaluation: Evaluation,
    totals: Sequence[_Totals],
    must: set[int],
    labels: Mapping[int, str],
    traits: list[StyleFeature],
    hosts: Hosts,
    seed: int,
) -> Report:
    baseline = baseline_position(evaluation)
    new = totals[0].scores if totals else {}
    results = {
        index: compare_scores(
            [new[n] - other.scores[n] for n in sorted(new) if n in other.scores and n not in must],
            margin=TIE_MARGIN,
            seed=seed,
        )
        for index, other in enumerate(totals)
        if index > 0
    }
    before = totals[baseline].scores if baseline is not None else {}
    wrong = {n for n in must if new.get(n, 0.0) < MIN_RIGHT_SCORE}
    was_right = {n for n in must if before.get(n, 0.0) >= MIN_RIGHT_SCORE}
    differing = sorted((n for n in new if n in before), key=lambda n: (-abs(new[n] - before[n]), n))
    class_labels = _classes(labels)
    return Report(
        contenders=[
            _contender_report(
                evaluation, index, part, labels if class_labels else {}, class_labels, traits, hosts
            )
            for index, part in enumerate(totals)
        ],
        against=baseline,
        results=results,
        must_answer=len(must),
        regressed=sorted(wrong & was_right),
        unanswered=sorted(wrong),
        differing=[n for n in differing if abs(new[n] - before[n]) > TIE_MARGIN][:_DIFFERING],
        traits=traits,
    )


def baseline_position(evaluation: Evaluation) -> int | None:
    """Returns the position of the model in use, else of the base, else None."""
    kinds = [contender.kind for contender in evaluation.contenders]
    for kind in (ContenderKind.IN_USE, ContenderKind.BASE):
        if kind in kinds:
            return kinds.index(kind)
    return None


def _contender_report(
    evaluation: Evaluation,
    index: int,
    totals: _Totals,
    labels: Mapping[int, str],
    class_labels: Sequence[str],
    traits: Sequence[StyleFeature],
    hosts: Hosts,
) -> ContenderReport:
    counts, answered = totals.counts, len(totals.scores)
    price = price_of_tokens(
        evaluation.contenders[index], counts["prompt"], counts["completion"], hosts
    )
    pairs = [(labels[n], label) for n, label in totals.labels.items() if n in labels]
    return ContenderReport(
        answered=answered,
        failed=totals.states[AnswerState.FAILED],
        lost=totals.states[AnswerState.LOST],
        mean=_mean(list(totals.scores.values())),
        exact=counts["exact"],
        chrf=_mean(totals.chrf),
        facts=Share(counts["facts_found"], counts["facts"]),
        checks={
            check: Share(counts[check], counts[f"{check}.of"])
            for check in _CHECKS
            if counts[f"{check}.of"]
        },
        voice={trait.name: totals.voice[f"{trait.name}:{trait.value}"] for trait in traits},
        prompt_tokens=counts["prompt"],
        completion_tokens=counts["completion"],
        first_text_seconds=statistics.median(totals.seconds) if totals.seconds else None,
        price_of_1000=None if price is None or not answered else price / answered * 1000,
        confusion=confusion_matrix(pairs, class_labels) if class_labels else None,
        interval=bootstrap_interval(list(totals.scores.values())) if totals.scores else None,
        silent=counts["empty"],
        cut=counts["cut"],
    )


def _classes(labels: Mapping[int, str]) -> list[str]:
    """Returns the labels if the taught replies are a few short distinct ones, else none."""
    counts = Counter(labels.values())
    is_short = all(0 < len(label) <= MAX_LABEL_LENGTH for label in counts)
    is_few = 2 <= len(counts) <= min(_MAX_LABELS, len(labels) // _ROWS_A_LABEL)
    return sorted(counts) if is_short and is_few else []


def _common_features(references: Counter[str], total: int) -> list[StyleFeature]:
    """Returns the style features that at least 60 % of the taught replies have in common."""
    features: dict[str, StyleFeature] = {}
    for feature, count in references.most_common():
        name, _, value = feature.partition(":")
        if name not in features and value and count >= _COMMON_SHARE * total:
            features[name] = StyleFeature(name, value, Share(count, total))
    return [features[name] for name in sorted(features)]


def _traits(voice: object) -> list[str]:
    return [f"{name}:{value}" for name, value in voice.items()] if isinstance(voice, dict) else []


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _mean(values: Sequence[float]) -> float | None:
    return round(math.fsum(values) / len(values), 4) if values else None
