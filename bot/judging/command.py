"""The judge of an evaluation: priced first, then confirmed, stopped, and what it said."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence

from bot import access
from bot.commands import Handlers
from bot.domain import (
    AnswerState,
    Assistant,
    CallState,
    Contender,
    ContenderKind,
    Evaluation,
    EvaluationAnswer,
    EvaluationState,
    JudgedPair,
    Judging,
    ModelName,
    Notice,
    Role,
    VoteState,
)
from bot.errors import NotFound, NotNow
from bot.evaluation import cards, report
from bot.evaluation.questions import answered_pages, price_of
from bot.judging import verdicts
from bot.judging.prompt import messages_for
from bot.paid_run_actions import (
    RunKind,
    confirm_run,
    decline_run,
    estimated_run,
    progress_card,
    stop_run,
    trouble_in,
)
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records, Store
from bot.replies import Button, Card, Drawn, Reply
from bot.request import Request
from bot.rows import text_tokens
from bot.words import Words

handlers = Handlers()

STATUS = "judging.status"
KIND = RunKind("evaluation", audited="judging", words="judge", status=STATUS)
_ANSWER_TOKENS = 4


@handlers.button("judge.estimate", Role.TRAINER)
async def estimate(request: Request, deps: Dependencies) -> Reply:
    """What the judge of the assistant would be shown, and the price; nothing is sent."""
    access.refuse_closed_workspace(request.workspace, request.words)
    words = request.words
    async with deps.store.reading() as records:
        evaluation = await _judgeable(request, records)
        assistant = await records.assistants.get(request.workspace_id, evaluation.assistant)
    against = _against(evaluation)
    if not assistant.judge_model or against is None:
        raise NotNow(problem=words("judge.none"))
    judge = _judge(assistant)
    deps.hosts.paid(judge.host, request.workspace)
    shown = _shown(evaluation, against, assistant.judge_criteria, deps.store)
    pairs = {number: tokens async for number, tokens in shown}
    if not pairs:
        raise NotNow(problem=words("judge.no_pairs"))
    new = Judging(
        id=0,
        workspace=request.workspace_id,
        evaluation=evaluation.id,
        place=request.place,
        idempotency_key=request.idempotency_key,
        asked_by=request.user_id,
        state=EvaluationState.ESTIMATED,
        against=against,
        host=judge.host,
        model=judge.model,
        criteria=assistant.judge_criteria,
        pairs=len(pairs),
        tokens=(tokens := 2 * sum(pairs.values())),
        price=price_of(judge, tokens, 2 * len(pairs) * _ANSWER_TOKENS, deps.hosts),
        created_at=request.now,
    )
    waiting, orders = CallState.WAITING, (False, True)
    calls = [JudgedPair(pair, swapped, waiting) for pair in pairs for swapped in orders]
    async with deps.store.writing() as records:
        kept = await records.judgings.add(request.workspace_id, new, calls)
    return _estimate_card(kept, words)


def _estimate_card(judging: Judging, words: Words) -> Card:
    price = words.price(judging.price)
    return Card(
        words("judge.title", id=judging.evaluation, judge=judging.model),
        lines=(
            words("judge.pairs", count=judging.pairs),
            words("evaluate.cost", tokens=f"{judging.tokens:,}", price=price),
            words("judge.masked"),
        ),
        buttons=(
            Button(words("button.judge"), f"judge.confirm:{judging.id}", is_primary=True),
            Button(words("button.cancel"), f"judge.decline:{judging.id}"),
        ),
    )


@handlers.button("judge.confirm", Role.TRAINER)
async def confirm(request: Request, deps: Dependencies) -> Reply:
    """The judging is durable from here on; its runner asks."""
    async with deps.store.writing() as records:
        judging = await estimated_run(request, records.judgings, KIND)
        await confirm_run(request, judging, records.judgings, records, KIND, host=judging.host)
    deps.wake_runners()
    name = request.user.name
    return Card(request.words("judge.confirmed", name=name), replaces=True)


@handlers.button("judge.decline", Role.TRAINER)
async def decline(request: Request, deps: Dependencies) -> Reply:
    async with deps.store.writing() as records:
        return await decline_run(request, records.judgings, KIND)


@handlers.button("judge.stop", Role.TRAINER)
async def stop(request: Request, deps: Dependencies) -> Reply:
    """What was judged is reported."""
    async with deps.store.writing() as records:
        reply = await stop_run(request, records.judgings, records, KIND)
    deps.wake_runners()
    return reply


async def render_status_notice(notice: Notice, records: Records, words: Words) -> Drawn | None:
    """How far the judge is; at the end what it said, and how far one can trust it."""
    judging = await records.judgings.get(notice.place.workspace, notice.subject or 0)
    evaluation = await records.evaluations.get(judging.workspace, judging.evaluation)
    evaluation = await cards.with_names(evaluation, records)
    title = words("judge.of", id=judging.evaluation, judge=judging.model)
    found = verdicts.load(judging.report)
    why = trouble_in(notice, words)
    if found is None:
        return await progress_card(
            judging, records.judgings, 2 * judging.pairs, title, words, name="judge", why=why
        )
    against = cards.name_of(evaluation.contenders[judging.against], words)
    lines = [*_lines(found, against, why, words)]
    if judging.state in (EvaluationState.STOPPED, EvaluationState.FAILED):
        lines.insert(0, words(f"judge.{judging.state}"))
    return Card(title, tuple(lines), tone=cards.VERDICT_TONES[found.result.verdict])


def _lines(found: verdicts.JudgeReport, against: str, why: str, words: Words) -> Iterator[str]:
    result = found.result
    counts = {"wins": result.wins, "losses": result.losses, "ties": result.ties}
    if sum(counts.values()):
        yield words(f"judge.verdict.{result.verdict}", against=against, count=result.questions)
        yield words("evaluation.wins", **counts, against=against)
    else:
        yield words("judge.nothing")
    held = {"first": found.first_shown, "second": found.second_shown}
    if found.is_biased:
        place = "first" if found.first_shown > found.second_shown else "second"
        yield words(f"judge.biased.{place}", **held, count=sum(held.values()))
    elif sum(held.values()):
        yield words("judge.held", **held, count=sum(held.values()))
    if found.missing:
        yield words("judge.missing", count=found.missing)
        yield from [words("judge.why", why=why)] if why else []
    if found.unreadable:
        yield words("judge.unreadable", count=found.unreadable)
    if found.kappa is not None:
        yield words("judge.kappa", kappa=f"{found.kappa:.2f}", count=found.voted)
    elif not found.voted:
        yield words("judge.no_votes")


async def _judgeable(request: Request, records: Records) -> Evaluation:
    """One whose answers may be seen: also those of a blind vote that is closed."""
    number = cards.evaluation_id(request.argument)
    evaluation = await records.evaluations.get(request.workspace_id, number)
    if evaluation.is_vote:
        vote = await records.blind_votes.get(request.workspace_id, number)
        if vote.state is not VoteState.CLOSED:
            raise NotFound(noun="evaluation", name=number)
    return evaluation


def _against(evaluation: Evaluation) -> int | None:
    """The contender that the new model is compared with."""
    return 1 if evaluation.is_vote else report.baseline_position(evaluation)


async def _shown(
    evaluation: Evaluation, against: int, criteria: str, store: Store
) -> AsyncIterator[tuple[int, int]]:
    """The number of each question with two answers that differ, and the tokens of one showing.

    Answers that say the same are not worth a judge's price: they are even.
    """
    async for asked, answers in answered_pages(store, evaluation):
        told: dict[int, list[EvaluationAnswer]] = defaultdict(list)
        for answer in answers:
            told[answer.number].append(answer)
        for question in asked:
            both = answer_pair(told[question.number], against)
            messages = both and messages_for(question, both, criteria, is_swapped=False)
            if messages:
                yield question.number, sum(text_tokens(one["content"]) for one in messages)


def answer_pair(
    answers: Sequence[EvaluationAnswer], against: int
) -> tuple[EvaluationAnswer, EvaluationAnswer] | None:
    """Both answers, where both are there and say different things."""
    done = {one.contender: one for one in answers if one.state is AnswerState.DONE}
    if 0 not in done or against not in done or done[0].text == done[against].text:
        return None
    return done[0], done[against]


def _judge(assistant: Assistant) -> Contender:
    host, model = assistant.judge_host or assistant.chat_host, assistant.judge_model
    return Contender(ContenderKind.BASE, ModelName(model or ""), host, ModelName(model or ""))
