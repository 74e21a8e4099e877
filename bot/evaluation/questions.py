"""Which questions an evaluation asks, of whom, and what that will probably cost."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bot.datasets import with_system_message
from bot.domain import (
    MUST_ANSWER,
    Assistant,
    ChannelId,
    Contender,
    ContenderKind,
    Deployment,
    Evaluation,
    EvaluationAnswer,
    EvaluationId,
    EvaluationQuestion,
    EvaluationState,
    Example,
    ExampleFilter,
    ExampleId,
    ExampleState,
    HostName,
    Job,
    JobId,
    Model,
    ModelName,
    Row,
    Split,
    UnansweredTurn,
)
from bot.evaluation import gaps
from bot.examples.texts import exchange_row
from bot.ports.provider import Hosts
from bot.ports.store import Records, Store
from bot.prompts import PromptMessage
from bot.rows import Method, prompt_fingerprint, text_tokens
from bot.significance import FEWEST_QUESTIONS

SHOTS = 8
"""Examples that go along with each question to the base with its nearest examples."""
MOST_QUESTIONS = 200
"""Held-out questions of an evaluation for which nobody names a number."""
_MANY = 100_000
_PAGE = 200


@dataclass(frozen=True, slots=True)
class EvaluationPlan:
    """What an evaluation would do; `learned` questions are left out as some model's own.

    `gaps` are put to the new model alone.
    """

    contenders: tuple[Contender, ...]
    questions: Sequence[EvaluationQuestion]
    gaps: Sequence[UnansweredTurn]
    learned: int
    tokens: int
    price: float | None


async def start_evaluation_for_job(
    records: Records, job: Job, *, is_gate: bool, at: datetime
) -> Evaluation | None:
    """The evaluation of the model of a job, before it is deployed; None where there is too little.

    Takes at least 8 held-out rows of its method; as a gate also one must-answer question.
    """
    held = ExampleFilter(job.assistant, ExampleState.APPROVED, job.method, held_out=True)
    must = ExampleFilter(job.assistant, ExampleState.APPROVED, tag=MUST_ANSWER)
    has_enough = await records.examples.count(job.workspace, held) >= FEWEST_QUESTIONS
    if not has_enough and not (is_gate and await records.examples.count(job.workspace, must)):
        return None
    current = await records.deployments.current(job.workspace, job.assistant)
    evaluation = Evaluation(
        id=EvaluationId(0),
        workspace=job.workspace,
        assistant=job.assistant,
        place=job.place,
        idempotency_key=f"job:{job.idempotency_key}",
        asked_by=job.asked_by,
        state=EvaluationState.CONFIRMED,
        model=ModelName(job.model or ""),
        against=current.model if current else None,
        method=job.method,
        deployment=current.id if current else 0,
        is_gate=is_gate,
        job=job.id,
        created_at=at,
    )
    return await records.evaluations.add(job.workspace, evaluation)


async def plan_evaluation(
    records: Records, evaluation: Evaluation, assistant: Assistant, hosts: Hosts, *, now: datetime
) -> EvaluationPlan:
    """Of an evaluation that is not prepared yet, as things stand now.

    A blind vote has two contenders, and must-answer questions count among those asked for.
    """
    contenders = await _contenders(records, evaluation, assistant)
    contenders = contenders[:2] if evaluation.is_vote else contenders
    jobs = await _source_jobs(records, evaluation, contenders)
    held = [one async for one in _held_out(records, evaluation)]
    taught = await _taught(records, jobs, held)
    fresh = sorted((one for one in held if one.id not in taught), key=_order)
    most = evaluation.most_questions or MOST_QUESTIONS
    must = [one async for one in must_answer_examples(records, evaluation)]
    if evaluation.is_vote:
        examples = sorted([*fresh, *must], key=_order)[:most]
    else:
        examples = [*sorted(fresh[:most], key=lambda one: one.id), *must]
    questions = [
        EvaluationQuestion(number, one.id, one.revision, MUST_ANSWER in one.tags, one.row)
        for number, one in enumerate(examples, start=1)
    ]
    own = evaluation.workspace, evaluation.assistant, evaluation.model
    asked = [] if evaluation.is_vote else await gaps.questions_for(records, *own, now=now)
    pairs = [
        pair for one in questions if (pair := prompt_and_reference(one.row, assistant.instructions))
    ]
    tokens, price = _cost(pairs, contenders, hosts)
    lead = assistant.instructions
    rows = [
        prompt_and_reference(exchange_row(one.question, one.reply or "–"), lead) for one in asked
    ]
    more, extra = _cost([pair for pair in rows if pair], contenders[:1], hosts)
    total = None if price is None or extra is None else price + extra
    left_out = len(held) - len(fresh)
    return EvaluationPlan(contenders, questions, asked, left_out, tokens + more, total)


def prompt_and_reference(
    row: Row | None, instructions: str
) -> tuple[list[PromptMessage], str] | None:
    """What is sent for a row, and the taught reply; None where a row is more than plain text."""
    led = with_system_message(row or {}, instructions)
    source = led.get("input") if "input" in led else led
    listed = source.get("messages") if isinstance(source, Mapping) else None
    messages = [_plain(message) for message in listed] if isinstance(listed, list) else []
    if "input" in led:
        preferred = led.get("preferred_output")
        messages += [_plain(one) for one in preferred] if isinstance(preferred, list) else []
    known = [message for message in messages if message is not None]
    if len(known) < len(messages) or len(known) < 2 or known[-1]["role"] != "assistant":
        return None
    return known[:-1], known[-1]["content"]


def _plain(message: object) -> PromptMessage | None:
    if not isinstance(message, Mapping) or message.get("tool_calls"):
        return None
    role, content = message.get("role"), message.get("content")
    if not isinstance(role, str) or not isinstance(content, str) or not content:
        return None
    return {"role": role, "content": content} if role in _ROLES else None


_ROLES = ("system", "developer", "user", "assistant")


async def _held_out(records: Records, evaluation: Evaluation) -> AsyncIterator[Example]:
    wanted = ExampleFilter(held_out=True)
    async for example in records.examples.trainable(
        evaluation.workspace,
        evaluation.assistant,
        evaluation.method,
        filters=wanted,
        shown_in=_channel_of(evaluation),
    ):
        if MUST_ANSWER not in example.tags and prompt_and_reference(example.row, ""):
            yield example


async def must_answer_examples(records: Records, evaluation: Evaluation) -> AsyncIterator[Example]:
    wanted = ExampleFilter(tag=MUST_ANSWER)
    async for example in records.examples.trainable(
        evaluation.workspace,
        evaluation.assistant,
        Method.SUPERVISED,
        filters=wanted,
        shown_in=_channel_of(evaluation),
    ):
        if prompt_and_reference(example.row, ""):
            yield example


def _channel_of(evaluation: Evaluation) -> ChannelId | None:
    """Where the questions are shown; what was said there may be shown there."""
    return evaluation.place.channel if evaluation.is_vote else None


async def _contenders(
    records: Records, evaluation: Evaluation, assistant: Assistant
) -> tuple[Contender, ...]:
    """The new model, what it is compared with, the base, and the base with its examples."""
    base, host, shots = assistant.base, assistant.chat_host, assistant.few_shot
    found = [await _contender(records, evaluation, assistant, ContenderKind.NEW, evaluation.model)]
    if evaluation.against not in (None, base, evaluation.model):
        against = ModelName(evaluation.against or "")
        found.append(
            await _contender(records, evaluation, assistant, ContenderKind.IN_USE, against)
        )
    if evaluation.model != base:
        found.append(Contender(ContenderKind.BASE, base, host, base, shots))
    trainable = records.examples.trainable(
        evaluation.workspace, assistant.id, Method.SUPERVISED, limit=1
    )
    if [one async for one in trainable]:
        found.append(Contender(ContenderKind.EXAMPLES, base, host, base, SHOTS))
    return tuple(found)


async def _contender(
    records: Records,
    evaluation: Evaluation,
    assistant: Assistant,
    kind: ContenderKind,
    name: ModelName,
) -> Contender:
    model = await records.models.find(evaluation.workspace, name)
    shots = assistant.few_shot
    if model is None:
        return Contender(kind, name, assistant.chat_host, name, shots)
    return Contender(kind, name, model.host, model.served_name or name, shots)


async def _taught(
    records: Records, jobs: Collection[Job], held: Sequence[Example]
) -> set[ExampleId]:
    """Those of the held-out examples that a job has trained on, also as a preference."""
    ids, found = [one.id for one in held], set[ExampleId]()
    prompts: set[str] = set()
    for job in jobs:
        found |= await records.snapshots.training_examples_among(job.workspace, job.snapshot, ids)
        if job.method is Method.DPO:
            rows = records.snapshots.rows(job.workspace, job.snapshot, Split.TRAIN)
            prompts |= {prompt_fingerprint(row.row) async for row in rows if row.row}
    if not prompts:
        return found
    return found | {one.id for one in held if prompt_fingerprint(one.row or {}) in prompts}


async def _source_jobs(
    records: Records, evaluation: Evaluation, contenders: Sequence[Contender]
) -> Collection[Job]:
    """The jobs that the contenders come from, their parents' included."""
    found: dict[JobId, Job] = {}
    for contender in contenders:
        seen: set[ModelName] = set()
        name: ModelName | None = contender.model
        while name is not None and name not in seen:
            seen.add(name)
            model: Model | None = await records.models.find(evaluation.workspace, name)
            if model is not None and model.job is not None:
                job = await records.jobs.get(evaluation.workspace, model.job)
                found[job.id] = job
            name = model.parent if model else None
    return found.values()


def _order(example: Example) -> str:
    """Always the same chance order, so that fewer questions are a part of more."""
    return hashlib.sha256(f"{example.id}".encode()).hexdigest()


def _cost(
    pairs: Sequence[tuple[Sequence[PromptMessage], str]],
    contenders: Sequence[Contender],
    hosts: Hosts,
) -> tuple[int, float | None]:
    """Tokens and US dollars of asking all contenders, if each answers as was taught."""
    asked = sum(text_tokens(message["content"]) for pair in pairs for message in pair[0])
    told = sum(text_tokens(pair[1]) for pair in pairs)
    tokens, total = 0, 0.0
    is_known = True
    for one in contenders:
        prompt = asked + one.shots * (asked + told)
        tokens += prompt + told
        price = price_of(one, prompt, told, hosts)
        is_known &= price is not None
        total += price or 0.0
    return tokens, total if is_known else None


def price_of(contender: Contender, prompt: int, completion: int, hosts: Hosts) -> float | None:
    """US dollars of so many tokens; None where the host or its price is not known."""
    if contender.host not in hosts.names():
        return None
    price = hosts.get(contender.host).price(contender.model)
    if price.prompt is None or price.completion is None:
        return None
    return (prompt * price.prompt + completion * price.completion) / 1_000_000


def unpriced_host(evaluation: Evaluation, hosts: Hosts) -> HostName:
    """The first host whose price nobody knows; that of the new model where all are known."""
    unknown = (one.host for one in evaluation.contenders if price_of(one, 0, 0, hosts) is None)
    return next(unknown, evaluation.contenders[0].host)


def cost_after(
    job: Job,
    rows: int,
    tokens: int,
    hosts: Hosts,
    in_use: Deployment | None,
    asked_again: Sequence[UnansweredTurn],
) -> tuple[int, float | None]:
    """Tokens and US dollars of the evaluation that follows a training, of held-out rows.

    Counted as if each row's tokens were its prompt; None where a price is not known. Only the new
    model is asked the questions of “what to teach next”.
    """
    share = min(1.0, MOST_QUESTIONS / rows) if rows else 0.0
    asked = round(tokens * share)
    base = Contender(ContenderKind.BASE, job.base, job.host, job.base)
    asked_of = [base, base, replace(base, shots=SHOTS)]
    if in_use is not None:
        asked_of.append(replace(base, model=in_use.model, host=in_use.host))
    extra = sum(text_tokens(one.question) + text_tokens(one.reply) for one in asked_again)
    total = sum(asked * (1 + one.shots) for one in asked_of) + extra
    prices = [price_of(one, asked * (1 + one.shots), asked, hosts) for one in asked_of]
    prices.append(price_of(base, extra, extra, hosts))
    known = [price for price in prices if price is not None]
    return total, sum(known) if len(known) == len(prices) else None


def is_same_deployment(evaluation: Evaluation, current: Deployment | None) -> bool:
    """Whether still the same is in use as when the evaluation began."""
    return (current.id if current else 0) == evaluation.deployment


def with_plan(evaluation: Evaluation, found: EvaluationPlan) -> Evaluation:
    return replace(
        evaluation,
        contenders=found.contenders,
        questions=len(found.questions),
        tokens=found.tokens,
        price=found.price,
    )


async def answered_pages(
    store: Store, evaluation: Evaluation
) -> AsyncIterator[tuple[Sequence[EvaluationQuestion], Sequence[EvaluationAnswer]]]:
    """All questions in their order, a page at a time, each page with the answers to it."""
    own, after = (evaluation.workspace, evaluation.id), 0
    while True:
        async with store.reading() as records:
            asked = await records.evaluations.questions(*own, after=after, limit=_PAGE)
            if not asked:
                return
            until = asked[-1].number
            answers = await records.evaluations.answers(*own, after=after, until=until)
        yield asked, answers
        after = until
