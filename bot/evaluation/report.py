"""What an evaluation found: sums and verdicts, from scores alone, a page at a time."""

from __future__ import annotations

import asyncio
import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pydantic import TypeAdapter

from bot.domain import (
    HELD_LOSS,
    AnswerState,
    ContenderKind,
    Evaluation,
    EvaluationAnswer,
)
from bot.errors import EmptyAnswer, deserialize
from bot.evaluation import measures
from bot.evaluation.questions import answered_pages, price_of, reference_of
from bot.ports.provider import Hosts
from bot.ports.store import Store
from bot.rows.classification import Confusion, confusion_of
from bot.significance import Interval, PairedResult, Verdict, bootstrap, compare_scores

_MOST_LABELS = 20
_ROWS_A_LABEL = 3
_SHARED = 0.6
_DIFFERING = 3
_CHECKS = ("json", "length", "language", "refusal")


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many."""

    count: int
    total: int


@dataclass(frozen=True, slots=True)
class ContenderReport:
    """Of one contender. `checks` and `voice` are by name; seconds are a median."""

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
    confusion: Confusion | None = None
    interval: Interval | None = None
    """Of the mean, by the bootstrap; None in reports from before it was reckoned."""
    silent: int = 0
    cut: int = 0
    """Of those that failed: answers without any text, and those that were not whole."""


@dataclass(frozen=True, slots=True)
class StyleFeature:
    """A feature of voice that most taught replies share, with its value and in how many."""

    name: str
    value: str
    share: Share


@dataclass(frozen=True, slots=True)
class Report:
    """`results` are the new model against each other contender, by its position; `against` is the
    position of the one that the verdict is about. Questions are named by their numbers.
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
    """Of the new model as its training ended, in nats per token; None where no host told it."""

    @property
    def result(self) -> PairedResult | None:
        """Against the model in use."""
        return None if self.against is None else self.results.get(self.against)

    @property
    def verdict(self) -> Verdict:
        return self.result.verdict if self.result else Verdict.UNDECIDED


_ADAPTER = TypeAdapter(Report)


def why_missing(answer: EvaluationAnswer | None) -> str:
    """`not_asked`, `asked`, `lost`, `failed`, `cut` or `empty`; empty text for a whole answer."""
    if answer is None:
        return "not_asked"
    if answer.state is AnswerState.DONE:
        return ""
    if answer.state is not AnswerState.FAILED:
        return answer.state.value
    if answer.text.strip():
        return "cut"
    return "empty" if isinstance(deserialize(answer.error), EmptyAnswer) else "failed"


def dump(report: Report) -> Mapping[str, object]:
    values: dict[str, object] = _ADAPTER.dump_python(report, mode="json")
    return values


def load(values: Mapping[str, object]) -> Report | None:
    """None of an evaluation that is not over."""
    return _ADAPTER.validate_python(values) if values else None


@dataclass(slots=True)
class _Sums:
    """Of one contender, added up answer by answer."""

    scores: dict[int, float] = field(default_factory=dict)
    states: Counter[AnswerState] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    voice: Counter[str] = field(default_factory=Counter)
    chrf: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    labels: dict[int, str] = field(default_factory=dict)

    def add(self, answer: EvaluationAnswer) -> None:
        self.states[answer.state] += 1
        if why := why_missing(answer):
            self.counts[why] += 1
            return
        found = answer.scores
        self.scores[answer.number] = _number(found.get("score"))
        self.chrf.append(_number(found.get("chrf")))
        self.counts["exact"] += found.get("exact") is True
        self.counts["facts_found"] += int(_number(found.get("facts_found")))
        self.counts["facts"] += int(_number(found.get("facts")))
        for check in _CHECKS:
            if check in found:
                self.counts[f"{check}.of"] += 1
                self.counts[check] += found[check] is True
        self.counts["prompt"] += answer.prompt_tokens or 0
        self.counts["completion"] += answer.completion_tokens or 0
        self.voice.update(_traits(found.get("voice")))
        if answer.first_text_seconds is not None:
            self.seconds.append(answer.first_text_seconds)
        self.labels[answer.number] = str(found.get("label", ""))


async def make_report(
    store: Store, evaluation: Evaluation, hosts: Hosts, *, seed: int = 0
) -> Report:
    """Of the answers there are; memory holds numbers of every question, texts of one page."""
    sums = [_Sums() for _ in evaluation.contenders]
    references: Counter[str] = Counter()
    labels: dict[int, str] = {}
    must: set[int] = set()
    total = 0
    async for asked, answers in answered_pages(store, evaluation):
        for question in asked:
            must |= {question.number} if question.is_must_answer else set()
            reference = reference_of(question.row)
            if reference is not None:
                total += 1
                references.update(_traits(measures.style_features(reference)))
                labels[question.number] = measures.label_of(reference)
        for answer in answers:
            sums[answer.contender].add(answer)
    # A second of resampling for some thousand questions; others are answered meanwhile.
    shared = _shared(references, total)
    made = await asyncio.to_thread(_report, evaluation, sums, must, labels, shared, hosts, seed)
    return replace(made, held_out_loss=await _held_out_loss(store, evaluation))


async def _held_out_loss(store: Store, evaluation: Evaluation) -> float | None:
    """The last that the host told of the job; over all rows, where it told that."""
    if evaluation.job is None:
        return None
    async with store.reading() as records:
        job = await records.jobs.get(evaluation.workspace, evaluation.job)
        measured = await records.jobs.measures(evaluation.workspace, evaluation.job)
    if job.model != evaluation.model:
        return None
    told = [one.values[name] for name in HELD_LOSS for one in measured[::-1] if name in one.values]
    return told[0] if told else None


def _report(
    evaluation: Evaluation,
    sums: Sequence[_Sums],
    must: set[int],
    labels: Mapping[int, str],
    traits: list[StyleFeature],
    hosts: Hosts,
    seed: int,
) -> Report:
    in_use = baseline_position(evaluation)
    new = sums[0].scores if sums else {}
    results = {
        index: compare_scores(
            [new[n] - other.scores[n] for n in sorted(new) if n in other.scores and n not in must],
            margin=measures.TIE,
            seed=seed,
        )
        for index, other in enumerate(sums)
        if index > 0
    }
    before = sums[in_use].scores if in_use is not None else {}
    wrong = {n for n in must if new.get(n, 0.0) < measures.RIGHT_FROM}
    was_right = {n for n in must if before.get(n, 0.0) >= measures.RIGHT_FROM}
    apart = sorted((n for n in new if n in before), key=lambda n: (-abs(new[n] - before[n]), n))
    known = _classes(labels)
    return Report(
        contenders=[
            _of_contender(evaluation, index, one, labels if known else {}, known, traits, hosts)
            for index, one in enumerate(sums)
        ],
        against=in_use,
        results=results,
        must_answer=len(must),
        regressed=sorted(wrong & was_right),
        unanswered=sorted(wrong),
        differing=[n for n in apart if abs(new[n] - before[n]) > measures.TIE][:_DIFFERING],
        traits=traits,
    )


def baseline_position(evaluation: Evaluation) -> int | None:
    """The model in use; else the base, which answers where nothing else is in use."""
    kinds = [one.kind for one in evaluation.contenders]
    for kind in (ContenderKind.IN_USE, ContenderKind.BASE):
        if kind in kinds:
            return kinds.index(kind)
    return None


def _of_contender(
    evaluation: Evaluation,
    index: int,
    sums: _Sums,
    labels: Mapping[int, str],
    known: Sequence[str],
    traits: Sequence[StyleFeature],
    hosts: Hosts,
) -> ContenderReport:
    counts, answered = sums.counts, len(sums.scores)
    price = price_of(evaluation.contenders[index], counts["prompt"], counts["completion"], hosts)
    pairs = [(labels[n], said) for n, said in sums.labels.items() if n in labels]
    return ContenderReport(
        answered=answered,
        failed=sums.states[AnswerState.FAILED],
        lost=sums.states[AnswerState.LOST],
        mean=_mean(list(sums.scores.values())),
        exact=counts["exact"],
        chrf=_mean(sums.chrf),
        facts=Share(counts["facts_found"], counts["facts"]),
        checks={
            check: Share(counts[check], counts[f"{check}.of"])
            for check in _CHECKS
            if counts[f"{check}.of"]
        },
        voice={trait.name: sums.voice[f"{trait.name}:{trait.value}"] for trait in traits},
        prompt_tokens=counts["prompt"],
        completion_tokens=counts["completion"],
        first_text_seconds=statistics.median(sums.seconds) if sums.seconds else None,
        price_of_1000=None if price is None or not answered else price / answered * 1000,
        confusion=confusion_of(pairs, known) if known else None,
        interval=bootstrap(list(sums.scores.values())) if sums.scores else None,
        silent=counts["empty"],
        cut=counts["cut"],
    )


def _classes(labels: Mapping[int, str]) -> list[str]:
    """The labels, where all taught replies are few distinct short ones; else none."""
    found = Counter(labels.values())
    is_short = all(0 < len(label) <= measures.LONGEST_LABEL for label in found)
    is_few = 2 <= len(found) <= min(_MOST_LABELS, len(labels) // _ROWS_A_LABEL)
    return sorted(found) if is_short and is_few else []


def _shared(references: Counter[str], total: int) -> list[StyleFeature]:
    """The features that at least six in ten taught replies have in common."""
    found: dict[str, StyleFeature] = {}
    for feature, count in references.most_common():
        name, _, value = feature.partition(":")
        if name not in found and value and count >= _SHARED * total:
            found[name] = StyleFeature(name, value, Share(count, total))
    return [found[name] for name in sorted(found)]


def _traits(voice: object) -> list[str]:
    return [f"{name}:{value}" for name, value in voice.items()] if isinstance(voice, dict) else []


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _mean(values: Sequence[float]) -> float | None:
    return round(math.fsum(values) / len(values), 4) if values else None
