"""Plans an evaluation: its questions, its contenders and its estimated cost."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bot.domain import (
    JOB_EVALUATION_KEY_PREFIX,
    MUST_ANSWER_TAG,
    Assistant,
    AssistantId,
    Contender,
    ContenderKind,
    Deployment,
    Evaluation,
    EvaluationAnswer,
    EvaluationId,
    EvaluationQuestion,
    EvaluationState,
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
    WorkspaceId,
)
from bot.evaluation.gap_questions import unasked_gap_questions, waiting_gap_questions
from bot.example_files import with_system_message
from bot.examples.row_texts import question_answer_row
from bot.ports.model_hosts import Hosts
from bot.ports.store import Records, Store
from bot.prompts import PromptMessage
from bot.rows import Method, estimate_text_tokens, prompt_fingerprint
from bot.significance import MIN_QUESTIONS
from bot.words import Words

SHOT_COUNT = 8
"""Few-shot examples in each prompt of the contender "base with examples"."""
DEFAULT_QUESTIONS = 200
"""Most held-out questions of an evaluation without a requested number."""
_SET_BY_JOB = (
    "state",
    "model",
    "against",
    "deployment",
    "is_gate",
    "job",
    "created_at",
    "contenders",
)
_ALL_QUESTIONS = 100_000
_PAGE = 200


@dataclass(frozen=True, slots=True)
class EvaluationPlan:
    """The plan of an evaluation.

    `learned` counts the held-out questions that are left out because a contender was trained on
    them. Only the new model is asked the questions of `gaps`.
    """

    contenders: tuple[Contender, ...]
    questions: Sequence[EvaluationQuestion]
    gaps: Sequence[UnansweredTurn]
    learned: int
    tokens: int
    price: float | None


async def is_evaluated_after_training(records: Records, job: Job, *, held_out: int) -> bool:
    """Whether an evaluation follows a training.

    It does with at least `MIN_QUESTIONS` held-out rows. For a job whose model is deployed only
    if it is better, a must-answer example is enough.
    """
    if job.use_if_better:
        return await has_questions_for_gate(
            records, job.workspace, job.assistant, held_out=held_out
        )
    return held_out >= MIN_QUESTIONS


async def has_questions_for_gate(
    records: Records, workspace: WorkspaceId, assistant: AssistantId, *, held_out: int
) -> bool:
    """Whether there are enough held-out rows, or a must-answer example, to gate a deployment."""
    must_answer = ExampleFilter(assistant, ExampleState.APPROVED, tag=MUST_ANSWER_TAG)
    if held_out >= MIN_QUESTIONS:
        return True
    return await records.examples.count(workspace, must_answer) > 0


def evaluation_after_training(job: Job, in_use: Deployment | None) -> Evaluation:
    """Returns the evaluation of the model that a training will make, without a plan."""
    return Evaluation(
        id=EvaluationId(0),
        workspace=job.workspace,
        assistant=job.assistant,
        place=job.place,
        idempotency_key=_evaluation_key(job),
        asked_by=job.asked_by,
        state=EvaluationState.ESTIMATED,
        model=ModelName(""),
        against=in_use.model if in_use else None,
        method=job.method,
        deployment=in_use.id if in_use else 0,
        is_gate=job.use_if_better,
        created_at=job.created_at,
    )


async def evaluation_of_training(records: Records, job: Job) -> Evaluation | None:
    """Returns the evaluation that was priced with a training; None if there is none."""
    return await records.evaluations.find_by_idempotency_key(job.workspace, _evaluation_key(job))


async def start_evaluation_for_job(
    records: Records, job: Job, hosts: Hosts, *, is_gate: bool, at: datetime
) -> Evaluation | None:
    """Starts the evaluation that was priced with a training, before its model is deployed.

    If other models were taken into use since and would cost more than the price, the evaluation
    keeps the models that were priced; its gate then rejects the new model because the model in use
    has changed. Returns None if no evaluation was priced.
    """
    priced = await evaluation_of_training(records, job)
    if priced is None:
        return None
    current = await records.deployments.current(job.workspace, job.assistant)
    assistant = await records.assistants.get(job.workspace, job.assistant)
    new = replace(
        priced,
        state=EvaluationState.CONFIRMED,
        model=ModelName(job.model or ""),
        against=current.model if current else None,
        deployment=current.id if current else 0,
        is_gate=is_gate,
        job=job.id,
        created_at=at,
    )
    contenders = (await _contenders(records, new, assistant))[: len(priced.contenders)]
    if not _cost_no_more(contenders[1:], priced, hosts):
        contenders = (contenders[0], *priced.contenders[1:])
        new = replace(new, against=priced.against, deployment=priced.deployment)
    new = replace(new, contenders=contenders)
    changes = {name: getattr(new, name) for name in _SET_BY_JOB}
    when = (EvaluationState.ESTIMATED,)
    await records.evaluations.update_if(job.workspace, priced.id, when=when, **changes)
    return await records.evaluations.get(job.workspace, priced.id)


def _evaluation_key(job: Job) -> str:
    return f"{JOB_EVALUATION_KEY_PREFIX}{job.idempotency_key}"


async def plan_evaluation(
    store: Store,
    evaluation: Evaluation,
    assistant: Assistant,
    hosts: Hosts,
    *,
    now: datetime,
    job: Job | None = None,
) -> EvaluationPlan:
    """Returns the questions, contenders and price of an evaluation, for an estimate.

    With `job`, its validation rows are the held-out questions, and its base model is priced in
    place of the new model. A blind vote has two contenders, and its must-answer questions count
    towards the requested number.
    """
    async with store.reading() as records:
        contenders = await _contenders(records, evaluation, assistant)
        if job is not None:
            new = Contender(ContenderKind.NEW, job.base, job.host, job.base, assistant.few_shot)
            contenders = (new, *contenders[1:])
        contenders = contenders[:2] if evaluation.is_vote else contenders
        held = await (_held_out_of(records, job) if job else _held_out(records, evaluation))
        fresh = await _unlearned(records, evaluation, contenders, held)
        must = await _must_answer(records, evaluation)
    most = evaluation.most_questions or DEFAULT_QUESTIONS
    if evaluation.is_vote:
        chosen = sorted([*fresh, *must], key=_shuffle_key)[:most]
    else:
        chosen = [
            *sorted(sorted(fresh, key=_shuffle_key)[:most], key=lambda question: question.example),
            *must,
        ]
    own = evaluation.workspace, evaluation.assistant, evaluation.model
    gap_turns = [] if evaluation.is_vote else await unasked_gap_questions(store, *own, now=now)
    tokens, price = _cost([question.row for question in chosen], assistant, contenders, hosts)
    gap_rows = [question_answer_row(turn.question, turn.reply or "–") for turn in gap_turns]
    more, extra = _cost(gap_rows, assistant, contenders[:1], hosts)
    total = None if price is None or extra is None else price + extra
    left_out = len(held) - len(fresh)
    return EvaluationPlan(contenders, _numbered(chosen), gap_turns, left_out, tokens + more, total)


async def store_estimate(
    records: Records, evaluation: Evaluation, plan: EvaluationPlan
) -> Evaluation:
    """Stores an estimate with its questions, or returns the one with the same key."""
    priced = replace(
        evaluation,
        contenders=plan.contenders,
        questions=len(plan.questions),
        tokens=plan.tokens,
        price=plan.price,
    )
    gap_calls = waiting_gap_questions(plan.gaps)
    return await records.evaluations.add(evaluation.workspace, priced, plan.questions, gap_calls)


async def questions_still_askable(
    records: Records, evaluation: Evaluation
) -> Sequence[EvaluationQuestion]:
    """Returns the priced questions that may still be asked: unchanged and not trained on."""
    priced = await records.evaluations.questions(
        evaluation.workspace, evaluation.id, limit=_ALL_QUESTIONS
    )
    held = await _held_out(records, evaluation)
    fresh = await _unlearned(records, evaluation, evaluation.contenders, held)
    must = await _must_answer(records, evaluation)
    allowed = {(question.example, question.revision) for question in (*fresh, *must)}
    return _numbered(
        [question for question in priced if (question.example, question.revision) in allowed]
    )


def _numbered(chosen: Sequence[EvaluationQuestion]) -> Sequence[EvaluationQuestion]:
    return [replace(question, number=number) for number, question in enumerate(chosen, start=1)]


def prompt_and_reference(
    row: Row | None, instructions: str
) -> tuple[list[PromptMessage], str] | None:
    """Returns the prompt of a row and the taught reply, or None if a part is not plain text."""
    full_row = with_system_message(row or {}, instructions)
    source = full_row.get("input") if "input" in full_row else full_row
    history = source.get("messages") if isinstance(source, Mapping) else None
    messages = [_plain(message) for message in history] if isinstance(history, list) else []
    if "input" in full_row:
        preferred = full_row.get("preferred_output")
        messages += [_plain(m) for m in preferred] if isinstance(preferred, list) else []
    plain = [message for message in messages if message is not None]
    if len(plain) < len(messages) or len(plain) < 2 or plain[-1]["role"] != "assistant":
        return None
    return plain[:-1], plain[-1]["content"]


def taught_reply(row: Row | None) -> str | None:
    """Returns the taught reply; None if the row is erased or has parts other than plain text."""
    pair = prompt_and_reference(row, "")
    return pair[1] if pair else None


def question_and_reference(row: Row | None, words: Words) -> tuple[str, str]:
    """Returns the newest message and the taught reply; a note and "" if the row is erased."""
    pair = prompt_and_reference(row, "")
    return (pair[0][-1]["content"], pair[1]) if pair else (words("row.erased"), "")


def _plain(message: object) -> PromptMessage | None:
    if not isinstance(message, Mapping) or message.get("tool_calls"):
        return None
    role, content = message.get("role"), message.get("content")
    if not isinstance(role, str) or not isinstance(content, str) or not content:
        return None
    return {"role": role, "content": content} if role in _ROLES else None


_ROLES = ("system", "developer", "user", "assistant")


async def _held_out(records: Records, evaluation: Evaluation) -> Sequence[EvaluationQuestion]:
    candidates = _askable(records, evaluation, evaluation.method, ExampleFilter(held_out=True))
    return [question async for question in candidates if not question.is_must_answer]


async def _held_out_of(records: Records, job: Job) -> Sequence[EvaluationQuestion]:
    rows = records.snapshots.rows(job.workspace, job.snapshot, Split.VALIDATION)
    return [
        EvaluationQuestion(0, stored.example, stored.revision, False, stored.row)
        async for stored in rows
        if prompt_and_reference(stored.row, "")
    ]


async def _must_answer(records: Records, evaluation: Evaluation) -> Sequence[EvaluationQuestion]:
    filters = ExampleFilter(tag=MUST_ANSWER_TAG)
    return [
        question async for question in _askable(records, evaluation, Method.SUPERVISED, filters)
    ]


async def _askable(
    records: Records, evaluation: Evaluation, method: Method, filters: ExampleFilter
) -> AsyncIterator[EvaluationQuestion]:
    """Yields trainable examples as questions; for a vote only those visible in its channel."""
    examples = records.examples.iterate_trainable(
        evaluation.workspace,
        evaluation.assistant,
        method,
        filters=filters,
        shown_in=evaluation.place.channel if evaluation.is_vote else None,
    )
    async for example in examples:
        if prompt_and_reference(example.row, ""):
            is_must_answer = MUST_ANSWER_TAG in example.tags
            yield EvaluationQuestion(0, example.id, example.revision, is_must_answer, example.row)


async def _contenders(
    records: Records, evaluation: Evaluation, assistant: Assistant
) -> tuple[Contender, ...]:
    """Returns the new model, the model in use, the base, and the base with few-shot examples."""
    base, host, shots = assistant.base, assistant.chat_host, assistant.few_shot
    contenders = [
        await _contender(records, evaluation, assistant, ContenderKind.NEW, evaluation.model)
    ]
    if evaluation.against not in (None, base, evaluation.model):
        against = ModelName(evaluation.against or "")
        contenders.append(
            await _contender(records, evaluation, assistant, ContenderKind.IN_USE, against)
        )
    if evaluation.model != base:
        contenders.append(Contender(ContenderKind.BASE, base, host, base, shots))
    trainable = records.examples.iterate_trainable(
        evaluation.workspace, assistant.id, Method.SUPERVISED, limit=1
    )
    if [row async for row in trainable]:
        contenders.append(Contender(ContenderKind.EXAMPLES, base, host, base, SHOT_COUNT))
    return tuple(contenders)


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


async def _unlearned(
    records: Records,
    evaluation: Evaluation,
    contenders: Sequence[Contender],
    held: Sequence[EvaluationQuestion],
) -> Sequence[EvaluationQuestion]:
    """Returns the questions that no contender was trained on, also not as a preference."""
    examples, learned = [question.example for question in held], set[ExampleId]()
    prompts: set[str] = set()
    for job in await _source_jobs(records, evaluation, contenders):
        own = job.workspace, job.snapshot
        learned |= await records.snapshots.training_examples_among(*own, examples)
        if job.method is Method.DPO:
            rows = records.snapshots.rows(*own, Split.TRAIN)
            prompts |= {prompt_fingerprint(row.row) async for row in rows if row.row}
    fresh = [question for question in held if question.example not in learned]
    if not prompts:
        return fresh
    return [question for question in fresh if prompt_fingerprint(question.row or {}) not in prompts]


async def _source_jobs(
    records: Records, evaluation: Evaluation, contenders: Sequence[Contender]
) -> Collection[Job]:
    """Returns the jobs of the contenders and of their parent models."""
    jobs: dict[JobId, Job] = {}
    for contender in contenders:
        seen: set[ModelName] = set()
        name: ModelName | None = contender.model
        while name is not None and name not in seen:
            seen.add(name)
            model: Model | None = await records.models.find(evaluation.workspace, name)
            if model is not None and model.job is not None:
                job = await records.jobs.get(evaluation.workspace, model.job)
                jobs[job.id] = job
            name = model.parent if model else None
    return jobs.values()


def _shuffle_key(question: EvaluationQuestion) -> str:
    """Returns a constant pseudo-random key, so that fewer questions are a subset of more."""
    return hashlib.sha256(f"{question.example}".encode()).hexdigest()


def _cost(
    rows: Sequence[Row | None],
    assistant: Assistant,
    contenders: Sequence[Contender],
    hosts: Hosts,
) -> tuple[int, float | None]:
    """Returns tokens and US dollars for all contenders, with the taught replies as answers.

    The price is None if the price of a contender is not known.
    """
    all_pairs = (prompt_and_reference(row, assistant.instructions) for row in rows)
    pairs = [pair for pair in all_pairs if pair]
    prompt_tokens = sum(
        estimate_text_tokens(message["content"]) for pair in pairs for message in pair[0]
    )
    completion_tokens = sum(estimate_text_tokens(pair[1]) for pair in pairs)
    tokens, total = 0, 0.0
    is_known = True
    for contender in contenders:
        prompt = prompt_tokens + contender.shots * (prompt_tokens + completion_tokens)
        tokens += prompt + completion_tokens
        price = price_of_tokens(contender, prompt, completion_tokens, hosts)
        is_known &= price is not None
        total += price or 0.0
    return tokens, total if is_known else None


def price_of_tokens(
    contender: Contender, prompt: int, completion: int, hosts: Hosts
) -> float | None:
    """Returns the price of the tokens in US dollars; None if the host or its price is unknown."""
    if contender.host not in hosts.names():
        return None
    price = hosts.get(contender.host).price(contender.model)
    if price.prompt is None or price.completion is None:
        return None
    return (prompt * price.prompt + completion * price.completion) / 1_000_000


def _cost_no_more(contenders: Sequence[Contender], priced: Evaluation, hosts: Hosts) -> bool:
    """Whether contenders cost at most as much as the priced ones, for questions of any length.

    For an evaluation of unknown price, whether they are at the priced hosts.
    """
    before = priced.contenders[1:]
    if priced.price is None:
        return {one.host for one in contenders} <= {one.host for one in priced.contenders}
    # A question of Q tokens with a reply of R costs prompt · (1 + shots) · Q for the question, and
    # prompt · shots · R + completion · R for the reply.
    new, old = ([_token_prices(one, hosts) for one in side] for side in (contenders, before))
    if None in new or None in old:
        return tuple(contenders) == before
    return all(
        sum(pair[part] for pair in new if pair) <= sum(pair[part] for pair in old if pair)
        for part in (0, 1)
    )


def _token_prices(contender: Contender, hosts: Hosts) -> tuple[float, float] | None:
    """Returns US dollars for a million tokens of questions and of replies; None if unknown."""
    shots = contender.shots
    question = price_of_tokens(contender, (1 + shots) * 1_000_000, 0, hosts)
    reply = price_of_tokens(contender, shots * 1_000_000, 1_000_000, hosts)
    return None if question is None or reply is None else (question, reply)


def unpriced_host(evaluation: Evaluation, hosts: Hosts) -> HostName:
    """Returns the first host with an unknown price, or the new model's host if all are known."""
    unknown = (
        contender.host
        for contender in evaluation.contenders
        if price_of_tokens(contender, 0, 0, hosts) is None
    )
    return next(unknown, evaluation.contenders[0].host)


def is_same_deployment(evaluation: Evaluation, current: Deployment | None) -> bool:
    """Whether the deployment is still the one of the evaluation's start."""
    return (current.id if current else 0) == evaluation.deployment


async def answered_pages(
    store: Store, evaluation: Evaluation
) -> AsyncIterator[tuple[Sequence[EvaluationQuestion], Sequence[EvaluationAnswer]]]:
    """Yields pages of the questions in order, each with the answers to its questions."""
    own, after = (evaluation.workspace, evaluation.id), 0
    while True:
        async with store.reading() as records:
            page = await records.evaluations.questions(*own, after=after, limit=_PAGE)
            if not page:
                return
            until = page[-1].number
            answers = await records.evaluations.answers(*own, after=after, until=until)
        yield page, answers
        after = until
