"""The buttons and the status card of a judging: estimate, confirm, decline, stop, report."""

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
from bot.evaluation.planning import answered_pages, price_of_tokens
from bot.judging import verdicts
from bot.judging.prompt import judge_prompt
from bot.paid_run_actions import (
    PaidRunKind,
    confirm_run,
    decline_run,
    estimated_run,
    last_error_text,
    progress_card,
    stop_run,
)
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records, Store
from bot.replies import Button, Card, Drawn, Reply
from bot.request import Request
from bot.rows import estimate_text_tokens
from bot.words import Words

handlers = Handlers()

STATUS_NOTICE = "judging.status"
JUDGING_RUN = PaidRunKind(
    "evaluation", audit_prefix="judging", text_key_prefix="judge", status_notice=STATUS_NOTICE
)
_ANSWER_TOKENS = 4


@handlers.button("judge.estimate", Role.TRAINER)
async def estimate_judging(request: Request, deps: Dependencies) -> Reply:
    """Returns a card with the number of pairs and the price; nothing is sent to the judge."""
    access.refuse_closed_workspace(request.workspace, request.words)
    words = request.words
    async with deps.store.reading() as records:
        evaluation = await _judgeable(request, records)
        assistant = await records.assistants.get(request.workspace_id, evaluation.assistant)
    against = _against(evaluation)
    if not assistant.judge_model or against is None:
        raise NotNow(problem=words("judge.none"))
    judge = _judge(assistant)
    deps.hosts.get_paid(judge.host, request.workspace)
    counted = _pair_tokens(evaluation, against, assistant.judge_criteria, deps.store)
    pairs = {number: tokens async for number, tokens in counted}
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
        price=price_of_tokens(judge, tokens, 2 * len(pairs) * _ANSWER_TOKENS, deps.hosts),
        created_at=request.now,
    )
    orders = (False, True)
    calls = [JudgedPair(pair, swapped, CallState.WAITING) for pair in pairs for swapped in orders]
    async with deps.store.writing() as records:
        stored = await records.judgings.add(request.workspace_id, new, calls)
    return _estimate_card(stored, words)


def _estimate_card(judging: Judging, words: Words) -> Card:
    price = words.price_text(judging.price)
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
async def confirm_judging(request: Request, deps: Dependencies) -> Reply:
    """Stores the confirmation; the runner then calls the judge model."""
    async with deps.store.writing() as records:
        judging = await estimated_run(request, records.judgings, JUDGING_RUN)
        await confirm_run(
            request, judging, records.judgings, records, JUDGING_RUN, host=judging.host
        )
    deps.wake_runners()
    name = request.user.name
    return Card(request.words("judge.confirmed", name=name), replaces=True)


@handlers.button("judge.decline", Role.TRAINER)
async def decline_judging(request: Request, deps: Dependencies) -> Reply:
    async with deps.store.writing() as records:
        return await decline_run(request, records.judgings, JUDGING_RUN)


@handlers.button("judge.stop", Role.TRAINER)
async def stop_judging(request: Request, deps: Dependencies) -> Reply:
    """Stops a judging; the report covers the pairs judged so far."""
    async with deps.store.writing() as records:
        reply = await stop_run(request, records.judgings, records, JUDGING_RUN)
    deps.wake_runners()
    return reply


async def render_status_notice(notice: Notice, records: Records, words: Words) -> Drawn | None:
    """Returns the progress card; after the end, the verdict and the judge's reliability."""
    judging = await records.judgings.get(notice.place.workspace, notice.subject or 0)
    evaluation = await records.evaluations.get(judging.workspace, judging.evaluation)
    evaluation = await cards.with_display_names(evaluation, records)
    title = words("judge.of", id=judging.evaluation, judge=judging.model)
    judge_report = verdicts.load_report(judging.report)
    why = last_error_text(notice, words)
    if judge_report is None:
        return await progress_card(
            judging, records.judgings, 2 * judging.pairs, title, words, name="judge", why=why
        )
    against = cards.contender_name(evaluation.contenders[judging.against], words)
    lines = [*_lines(judge_report, against, why, words)]
    if judging.state in (EvaluationState.STOPPED, EvaluationState.FAILED):
        lines.insert(0, words(f"judge.{judging.state}"))
    return Card(title, tuple(lines), tone=cards.VERDICT_TONES[judge_report.result.verdict])


def _lines(
    judge_report: verdicts.JudgeReport, against: str, why: str, words: Words
) -> Iterator[str]:
    result = judge_report.result
    counts = {"wins": result.wins, "losses": result.losses, "ties": result.ties}
    if sum(counts.values()):
        yield words(f"judge.verdict.{result.verdict}", against=against, count=result.questions)
        yield words("evaluation.wins", **counts, against=against)
    else:
        yield words("judge.nothing")
    yield from _reliability_lines(judge_report, why, words)


def _reliability_lines(judge_report: verdicts.JudgeReport, why: str, words: Words) -> Iterator[str]:
    by_position = {"first": judge_report.first_shown, "second": judge_report.second_shown}
    count = sum(by_position.values())
    if judge_report.is_biased:
        position = "first" if judge_report.first_shown > judge_report.second_shown else "second"
        yield words(f"judge.biased.{position}", **by_position, count=count)
    elif count:
        yield words("judge.held", **by_position, count=count)
    if judge_report.missing:
        yield words("judge.missing", count=judge_report.missing)
        yield from [words("judge.why", why=why)] if why else []
    if judge_report.unreadable:
        yield words("judge.unreadable", count=judge_report.unreadable)
    if judge_report.kappa is not None:
        yield words("judge.kappa", kappa=f"{judge_report.kappa:.2f}", count=judge_report.voted)
    elif not judge_report.voted:
        yield words("judge.no_votes")


async def _judgeable(request: Request, records: Records) -> Evaluation:
    """Returns the evaluation that the button names.

    Raises NotFound for a blind vote that is not closed, as its answers are still secret.
    """
    number = cards.parse_evaluation_id(request.argument)
    evaluation = await records.evaluations.get(request.workspace_id, number)
    if evaluation.is_vote:
        vote = await records.blind_votes.get(request.workspace_id, number)
        if vote.state is not VoteState.CLOSED:
            raise NotFound(noun="evaluation", name=number)
    return evaluation


def _against(evaluation: Evaluation) -> int | None:
    """Returns the position of the contender that the new model is compared with, if any."""
    return 1 if evaluation.is_vote else report.baseline_position(evaluation)


async def _pair_tokens(
    evaluation: Evaluation, against: int, criteria: str, store: Store
) -> AsyncIterator[tuple[int, int]]:
    """Yields the number of each question to judge, and the prompt tokens of one order.

    Omits questions whose answers are equal: they are ties without a judge.
    """
    async for questions, answers in answered_pages(store, evaluation):
        by_question: dict[int, list[EvaluationAnswer]] = defaultdict(list)
        for answer in answers:
            by_question[answer.number].append(answer)
        for question in questions:
            both = judged_answers(by_question[question.number], against)
            messages = both and judge_prompt(question, both, criteria, is_swapped=False)
            if messages:
                tokens = sum(estimate_text_tokens(message["content"]) for message in messages)
                yield question.number, tokens


def judged_answers(
    answers: Sequence[EvaluationAnswer], against: int
) -> tuple[EvaluationAnswer, EvaluationAnswer] | None:
    """Returns both contenders' answers, or None if one is not done or their texts are equal."""
    done = {answer.contender: answer for answer in answers if answer.state is AnswerState.DONE}
    if 0 not in done or against not in done or done[0].text == done[against].text:
        return None
    return done[0], done[against]


def _judge(assistant: Assistant) -> Contender:
    """Returns the assistant's judge model as a contender, which `price_of_tokens` takes."""
    host, model = assistant.judge_host or assistant.chat_host, assistant.judge_model
    return Contender(ContenderKind.BASE, ModelName(model or ""), host, ModelName(model or ""))
