"""The cards of an evaluation: status message, result, and a single question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bot.commands import Handlers
from bot.domain import (
    Contender,
    ContenderKind,
    Deployment,
    Evaluation,
    EvaluationAnswer,
    EvaluationId,
    EvaluationState,
    GapOutcome,
    Notice,
    Role,
)
from bot.errors import NotFound, deserialize
from bot.evaluation import planning
from bot.evaluation.deployment_gate import GateRejection, gate_rejection
from bot.evaluation.question_calls import count_ended_calls
from bot.evaluation.report import (
    ContenderReport,
    Report,
    Share,
    StyleFeature,
    load_report,
    missing_answer_reason,
)
from bot.examples import must_answer_tag
from bot.models_in_use import deploy_button, find_display_name, rollback_button
from bot.number_formats import format_p_value, format_share_range, parse_number_argument
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.replies import (
    Button,
    Card,
    Column,
    Drawn,
    Fact,
    Listing,
    ListingRow,
    Progress,
    Reply,
    Tone,
    one_line,
)
from bot.request import Request
from bot.rows.classification_metrics import ConfusionMatrix, accuracy, label_metrics
from bot.significance import (
    MIN_QUESTIONS,
    Interval,
    PairedResult,
    Verdict,
    questions_needed,
    wilson_interval,
)
from bot.words import Words

handlers = Handlers()

_LIKELY_SHARE = 0.7
_MAX_TEXT_LENGTH = 400
_MAX_QUOTED, _MAX_TITLE_LENGTH = 3, 80
VERDICT_TONES = {Verdict.BETTER: Tone.GOOD, Verdict.WORSE: Tone.BAD, Verdict.UNDECIDED: Tone.PLAIN}


async def render_status_notice(notice: Notice, records: Records, words: Words) -> Drawn | None:
    """Returns the current status message of an evaluation."""
    evaluation = await records.evaluations.get(
        notice.place.workspace, EvaluationId(notice.subject or 0)
    )
    return await status_card(evaluation, records, words)


async def status_card(evaluation: Evaluation, records: Records, words: Words) -> Card:
    """Returns the card with the progress, and the error that the evaluation waits for, if any."""
    done, total = await count_ended_calls(evaluation, records)
    lines = [words(f"evaluation.state.{evaluation.state}")]
    if total:
        lines.append(words("evaluation.progress", done=done, total=total))
    trouble = deserialize(evaluation.error)
    is_open = evaluation.state in (EvaluationState.CONFIRMED, EvaluationState.RUNNING)
    if trouble is not None and is_open:
        lines.append(words("evaluation.waits", why=words.error_text_without_host_message(trouble)))
    stop = Button(words("button.stop"), f"evaluation.stop:{evaluation.id}", is_danger=True)
    title = "vote.answers" if evaluation.is_vote else "evaluation.title"
    name = await find_display_name(records, evaluation.workspace, evaluation.model)
    return Card(
        title=words(title, id=evaluation.id, model=name),
        lines=tuple(lines),
        progress=Progress(done, total) if is_open and total else None,
        buttons=(stop,) if is_open else (),
        tone=Tone.BUSY if is_open else Tone.PLAIN,
    )


async def render_ended_notice(notice: Notice, records: Records, words: Words) -> Drawn | None:
    evaluation = await records.evaluations.get(
        notice.place.workspace, EvaluationId(notice.subject or 0)
    )
    if evaluation.is_vote:
        title = words("vote.answers", id=evaluation.id, model=evaluation.model)
        return Card(title, (words("vote.unfinished"), *_trouble(evaluation, words)))
    return await result_card(evaluation, records, words)


@handlers.button("evaluation.show", Role.MEMBER)
async def show_evaluation(request: Request, deps: Dependencies) -> Reply:
    async with deps.store.reading() as records:
        evaluation = await visible_evaluation(request, request.argument, records)
        if not evaluation.report:
            return await status_card(evaluation, records, request.words)
        return await result_card(evaluation, records, request.words)


@handlers.button("evaluation.question", Role.MEMBER)
async def show_question(request: Request, deps: Dependencies) -> Reply:
    """Returns the answers of all contenders to a question, and the taught reply."""
    name, _, number = request.argument.partition(".")
    async with deps.store.reading() as records:
        evaluation = await with_display_names(
            await visible_evaluation(request, name, records), records
        )
        return await question_card(
            evaluation, parse_number_argument(number, "question"), records, request.words
        )


@handlers.button("evaluation.details", Role.MEMBER)
async def list_measures(request: Request, deps: Dependencies) -> Reply:
    """Lists every measure of every contender."""
    async with deps.store.reading() as records:
        evaluation = await with_display_names(
            await visible_evaluation(request, request.argument, records), records
        )
    report, words = load_report(evaluation.report), request.words
    if report is None:
        return Listing(words("evaluation.details"), (), empty=words("evaluation.state.running"))
    rows = [
        _measures_row(index, totals, evaluation, report, words)
        for index, totals in enumerate(report.contenders)
    ]
    choose = Button(words("button.labels"), f"evaluation.labels:{evaluation.id}")
    rows += [
        ListingRow(
            "", words("evaluation.labels", who=contender_name(contender, words)), line, (choose,)
        )
        for contender, totals in zip(evaluation.contenders, report.contenders, strict=True)
        if totals.confusion
        for line in (_label_line(totals.confusion, words),)
    ]
    return Listing(words("evaluation.details"), tuple(rows))


def parse_evaluation_id(text: str) -> EvaluationId:
    return EvaluationId(parse_number_argument(text, "evaluation"))


async def visible_evaluation(request: Request, name: str, records: Records) -> Evaluation:
    """Returns an evaluation whose answers may be seen. Raises NotFound, also for a blind vote."""
    evaluation = await records.evaluations.get(request.workspace_id, parse_evaluation_id(name))
    if evaluation.is_vote:
        raise NotFound(noun="evaluation", name=name)
    return evaluation


async def result_card(evaluation: Evaluation, records: Records, words: Words) -> Card:
    """Returns the result card: the verdict in words first, then its numbers."""
    report = load_report(evaluation.report)
    evaluation = await with_display_names(evaluation, records)
    name = await find_display_name(records, evaluation.workspace, evaluation.model)
    title = words("evaluation.title", id=evaluation.id, model=name)
    if report is None:
        return Card(title, (words(f"evaluation.state.{evaluation.state}"),), tone=Tone.BUSY)
    is_done = evaluation.state is EvaluationState.DONE
    current = await records.deployments.current(evaluation.workspace, evaluation.assistant)
    lines = [*_ending(evaluation, words), *_verdict_lines(evaluation, report, words)]
    lines += _unanswered_lines(evaluation, report, words)
    lines += await _must_lines(evaluation, report, records, words)
    lines += _gate_lines(evaluation, report, words)
    answered, asked = await _gap_counts(evaluation, records)
    is_used = current is not None and current.model == evaluation.model
    if asked:
        key = "closed" if is_used else "open"
        lines.append(words(f"evaluation.gaps.{key}", count=asked, answered=answered))
    buttons = _use_buttons(evaluation, current, words)
    buttons.append(Button(words("button.measures"), f"evaluation.details:{evaluation.id}"))
    buttons += [
        Button(words("button.question", number=n), f"evaluation.question:{evaluation.id}.{n}")
        for n in dict.fromkeys([*report.regressed[:2], *report.differing])
    ][:2]
    assistant = await records.assistants.get(evaluation.workspace, evaluation.assistant)
    if assistant.judge_model:
        buttons.append(judge_button(evaluation, words))
    if asked:
        buttons.append(Button(words("unanswered.title"), f"evaluation.gaps:{evaluation.id}"))
    buttons.append(Button(words("button.evaluation_csv"), f"evaluation.export:{evaluation.id}.csv"))
    return Card(
        title=title,
        lines=tuple(lines),
        facts=tuple(_score_facts(evaluation, report, words)),
        columns=await _example(evaluation, report, records, words),
        buttons=tuple(buttons),
        tone=VERDICT_TONES[report.verdict] if is_done else Tone.PLAIN,
    )


async def _gap_counts(evaluation: Evaluation, records: Records) -> tuple[int, int]:
    """Returns how many questions of “what to teach next” were answered, and how many were asked."""
    calls = await records.evaluation_gaps.calls(evaluation.workspace, evaluation.id)
    outcomes = [call.outcome for call in calls if call.outcome is not None]
    return outcomes.count(GapOutcome.ANSWERED), len(outcomes)


def _unanswered_lines(evaluation: Evaluation, report: Report, words: Words) -> list[str]:
    missing = sum(totals.failed + totals.lost for totals in report.contenders)
    lines = [words("evaluation.unanswered", count=missing)] if missing else []
    for contender, totals in zip(evaluation.contenders, report.contenders, strict=True):
        counts = {"evaluation.cut": totals.cut, "evaluation.silent": totals.silent}
        lines += [
            words(key, who=contender_name(contender, words), count=count)
            for key, count in counts.items()
            if count
        ]
    return lines


def _use_buttons(evaluation: Evaluation, current: Deployment | None, words: Words) -> list[Button]:
    if current is None or current.model != evaluation.model:
        is_refused = evaluation.is_gate and not evaluation.is_deployed
        key = "button.use_anyway" if is_refused else "button.use"
        return [deploy_button(evaluation.model, current, words, label=key)]
    return [rollback_button(evaluation.model, words)] if evaluation.is_deployed else []


def judge_button(evaluation: Evaluation, words: Words) -> Button:
    return Button(words("button.ask_judge"), f"judge.estimate:{evaluation.id}")


def _ending(evaluation: Evaluation, words: Words) -> Iterator[str]:
    if evaluation.state is not EvaluationState.DONE:
        yield words(f"evaluation.state.{evaluation.state}")
    yield from _trouble(evaluation, words)


def _trouble(evaluation: Evaluation, words: Words) -> Iterator[str]:
    trouble = deserialize(evaluation.error)
    if trouble is not None and evaluation.state is EvaluationState.FAILED:
        yield words.error_text_without_host_message(trouble)


def _verdict_lines(evaluation: Evaluation, report: Report, words: Words) -> Iterator[str]:
    result = report.result
    if result is None or report.against is None:
        return
    against = contender_name(evaluation.contenders[report.against], words)
    if not result.questions:
        yield words("evaluation.nothing", against=against)
        return
    yield words(f"evaluation.verdict.{result.verdict}", against=against, count=result.questions)
    yield words(
        "evaluation.wins", wins=result.wins, losses=result.losses, ties=result.ties, against=against
    )
    if result.verdict is Verdict.UNDECIDED:
        yield _why_undecided(result, words)
    for index, other in report.results.items():
        if index != report.against:
            name = contender_name(evaluation.contenders[index], words)
            yield words(f"evaluation.other.{other.verdict}", against=name, **_counts(other))


def _counts(result: PairedResult) -> dict[str, object]:
    return {"wins": result.wins, "losses": result.losses, "ties": result.ties}


def _why_undecided(result: PairedResult, words: Words) -> str:
    if result.questions < MIN_QUESTIONS:
        return words("evaluation.too_few", least=MIN_QUESTIONS)
    return words("evaluation.needed", count=questions_needed(_LIKELY_SHARE))


async def _must_lines(
    evaluation: Evaluation, report: Report, records: Records, words: Words
) -> list[str]:
    """Returns the lines on must-answer questions: the count, and the regressed ones by text."""
    if not report.must_answer:
        return []
    right = report.must_answer - len(report.unanswered)
    lines = [words("evaluation.must", right=right, count=report.must_answer)]
    if report.regressed:
        references = [
            await _question_reference(evaluation, n, records)
            for n in report.regressed[:_MAX_QUOTED]
        ]
        references += [f"#{number}" for number in report.regressed[_MAX_QUOTED:]]
        lines.append(words("evaluation.regressed", questions=", ".join(references)))
    return lines


async def _question_reference(evaluation: Evaluation, number: int, records: Records) -> str:
    (question,) = await records.evaluations.questions(
        evaluation.workspace, evaluation.id, after=number - 1, limit=1
    )
    pair = planning.prompt_and_reference(question.row, "")
    if pair is None:
        return f"#{number}"
    return f"#{number} “{one_line(pair[0][-1]['content'], _MAX_TITLE_LENGTH)}”"


def _gate_lines(evaluation: Evaluation, report: Report, words: Words) -> Iterator[str]:
    if not evaluation.is_gate:
        return
    if evaluation.is_deployed:
        yield words("evaluation.taken")
        return
    # Without another reason, the model in use had changed when the evaluation ended.
    why = gate_rejection(evaluation, report, is_same_in_use=True) or GateRejection.CHANGED
    yield words(f"evaluation.not_taken.{why}")


def _score_facts(evaluation: Evaluation, report: Report, words: Words) -> Iterator[Fact]:
    for contender, totals in zip(evaluation.contenders, report.contenders, strict=True):
        mean = words("evaluation.no_score") if totals.mean is None else f"{totals.mean:.2f}"
        parts = [mean, words("evaluation.exact", count=totals.exact, total=totals.answered)]
        parts += held_out_loss_lines(report, words) if contender.kind is ContenderKind.NEW else ()
        yield Fact(contender_name(contender, words), " · ".join(parts), f"score.{contender.kind}")


def held_out_loss_lines(report: Report, words: Words) -> tuple[str, ...]:
    """Returns the line with the new model's held-out loss, if its host reported one."""
    loss = report.held_out_loss
    return () if loss is None else (words("evaluation.loss", loss=f"{loss:.3f}"),)


async def _example(
    evaluation: Evaluation, report: Report, records: Records, words: Words
) -> tuple[Column, ...]:
    """Returns the columns of the first regressed or most differing question."""
    numbers = report.regressed or report.differing
    if not numbers or report.against is None:
        return ()
    only = (0, report.against)
    return await _columns(evaluation, numbers[0], records, words, only=only)


async def question_card(
    evaluation: Evaluation, number: int, records: Records, words: Words
) -> Card:
    stored = await records.evaluations.questions(
        evaluation.workspace, evaluation.id, after=number - 1, limit=1
    )
    if not stored or stored[0].number != number:
        raise NotFound(noun="question", name=number)
    question = stored[0]
    text, _ = planning.question_and_reference(question.row, words)
    example = Button(words("button.show_example"), f"example.show:{question.example}")
    must_answer_buttons = must_answer_tag.wrong_answer_buttons(question.example, words)
    return Card(
        title=words("evaluation.question", number=number),
        lines=(text[: _MAX_TEXT_LENGTH * 4],),
        columns=await _columns(evaluation, number, records, words),
        buttons=(example, *must_answer_buttons),
        private=True,
    )


async def _columns(
    evaluation: Evaluation,
    number: int,
    records: Records,
    words: Words,
    *,
    only: Sequence[int] | None = None,
) -> tuple[Column, ...]:
    (question,) = await records.evaluations.questions(
        evaluation.workspace, evaluation.id, after=number - 1, limit=1
    )
    answers = await records.evaluations.answers(
        evaluation.workspace, evaluation.id, after=number - 1, until=number
    )
    question_text, taught = planning.question_and_reference(question.row, words)
    columns = [
        Column(
            words("evaluation.taught"),
            one_line(taught, _MAX_TEXT_LENGTH),
            one_line(question_text, _MAX_TEXT_LENGTH),
        )
    ]
    for answer in answers:
        if only is None or answer.contender in only:
            contender = evaluation.contenders[answer.contender]
            note = score_text(answer, words)
            columns.append(
                Column(
                    contender_name(contender, words),
                    one_line(answer.text, _MAX_TEXT_LENGTH) or "–",
                    note,
                )
            )
    return tuple(columns)


def score_text(answer: EvaluationAnswer, words: Words) -> str:
    """Returns the score of an answer in words, or why it has none."""
    why = missing_answer_reason(answer) or "done"
    return words(f"evaluation.answer.{why}", score=answer.scores.get("score"))


def _measures_row(
    index: int, totals: ContenderReport, evaluation: Evaluation, report: Report, words: Words
) -> ListingRow:
    parts = [words("evaluation.exact", count=totals.exact, total=totals.answered)]
    parts += (
        [words("evaluation.chrf", value=f"{totals.chrf:.2f}")] if totals.chrf is not None else []
    )
    shares = {"facts": totals.facts, **totals.checks}
    parts += [
        words(f"evaluation.check.{name}", share=_share_text(share))
        for name, share in shares.items()
        if share.total
    ]
    parts += [_style_text(trait, totals, words) for trait in report.traits]
    if totals.first_text_seconds is not None:
        parts.append(words("evaluation.first", seconds=f"{totals.first_text_seconds:.2f}"))
    tokens = round((totals.prompt_tokens + totals.completion_tokens) / max(1, totals.answered))
    parts.append(words("evaluation.tokens", count=tokens))
    if totals.price_of_1000 is not None:
        parts.append(words("evaluation.price", price=words.price_text(totals.price_of_1000)))
    if totals.failed or totals.lost:
        counts = {"cut": totals.cut, "silent": totals.silent, "lost": totals.lost}
        other_failures = totals.failed - totals.cut - totals.silent
        parts.append(words("evaluation.missing", failed=other_failures, **counts))
    result = report.results.get(index)
    if result is not None and result.difference is not None:
        parts.append(
            words(
                "evaluation.difference",
                mean=f"{result.mean_difference:+.2f}",
                interval=_interval_text(result.difference),
                p=format_p_value(result.p_value),
            )
        )
    contender = evaluation.contenders[index]
    parts += held_out_loss_lines(report, words) if contender.kind is ContenderKind.NEW else ()
    name = contender_name(contender, words)
    return ListingRow("", name, " · ".join(parts), facts=tuple(_score_facts_of(totals, name)))


def _score_facts_of(totals: ContenderReport, name: str) -> Iterator[Fact]:
    """Yields the mean score and its interval as numbers, for surfaces that draw them."""
    interval = totals.interval
    values = {
        "mean": totals.mean,
        "low": interval.low if interval else totals.mean,
        "high": interval.high if interval else totals.mean,
    }
    for key, value in values.items():
        if value is not None:
            yield Fact(name, f"{value:.4f}", key)


def _share_text(share: Share) -> str:
    """Returns a share with its Wilson interval, as in `12/20 (39–78 %)`."""
    interval = wilson_interval(share.count, share.total)
    return f"{share.count}/{share.total} ({format_share_range(interval.low, interval.high)})"


def _interval_text(interval: Interval) -> str:
    return f"{interval.low:+.2f} … {interval.high:+.2f}"


def _style_text(trait: StyleFeature, totals: ContenderReport, words: Words) -> str:
    return words(
        f"evaluation.voice.{trait.name}",
        value=trait.value,
        taught=f"{trait.share.count}/{trait.share.total}",
        said=f"{totals.voice.get(trait.name, 0)}/{totals.answered}",
    )


def _label_line(confusion: ConfusionMatrix, words: Words) -> str:
    parts = [words("evaluation.accuracy", value=f"{accuracy(confusion):.2f}")]
    for label in confusion:
        metrics = label_metrics(confusion, label)
        parts.append(
            words(
                "evaluation.label",
                label=label,
                precision=f"{metrics.precision:.2f}",
                recall=f"{metrics.recall:.2f}",
                f1=f"{metrics.f_beta[1.0]:.2f}",
                count=metrics.count,
            )
        )
    return " · ".join(parts)


async def with_display_names(evaluation: Evaluation, records: Records) -> Evaluation:
    """Returns the evaluation with display names of its contenders; `model` stays an id."""
    return replace(
        evaluation,
        contenders=tuple(
            [
                replace(
                    contender,
                    model=await find_display_name(records, evaluation.workspace, contender.model),
                )
                for contender in evaluation.contenders
            ]
        ),
    )


def contender_name(contender: Contender, words: Words) -> str:
    return words(f"evaluation.who.{contender.kind}", model=contender.model, count=contender.shots)
