"""The cards of an evaluation: status message, result, and a single question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bot.commands import Handlers
from bot.deployments import find_display_name, rollback_button, use_button
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
from bot.evaluation import gate, questions
from bot.evaluation.calls import progress
from bot.evaluation.report import ContenderReport, Report, Share, StyleFeature, load, why_missing
from bot.examples import must_answer
from bot.numerals import format_p_value, format_share_range, number_of
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
from bot.rows.classification import Confusion, accuracy, metrics_of
from bot.significance import (
    FEWEST_QUESTIONS,
    Interval,
    PairedResult,
    Verdict,
    questions_needed,
    wilson,
)
from bot.words import Words

handlers = Handlers()

_LIKELY_SHARE = 0.7
_LONGEST_TEXT = 400
_MOST_NAMED, _TITLE = 3, 80
VERDICT_TONES = {Verdict.BETTER: Tone.GOOD, Verdict.WORSE: Tone.BAD, Verdict.UNDECIDED: Tone.PLAIN}


async def render_status_notice(notice: Notice, records: Records, words: Words) -> Drawn | None:
    """Returns the current status message of an evaluation."""
    evaluation = await records.evaluations.get(
        notice.place.workspace, EvaluationId(notice.subject or 0)
    )
    return await status_card(evaluation, records, words)


async def status_card(evaluation: Evaluation, records: Records, words: Words) -> Card:
    """Returns the card with the progress, and the error that the evaluation waits for, if any."""
    done, total = await progress(evaluation, records)
    lines = [words(f"evaluation.state.{evaluation.state}")]
    if total:
        lines.append(words("evaluation.progress", done=done, total=total))
    trouble = deserialize(evaluation.error)
    is_open = evaluation.state in (EvaluationState.CONFIRMED, EvaluationState.RUNNING)
    if trouble is not None and is_open:
        lines.append(words("evaluation.waits", why=words.error_without_host_words(trouble)))
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
async def show(request: Request, deps: Dependencies) -> Reply:
    async with deps.store.reading() as records:
        evaluation = await visible_evaluation(request, request.argument, records)
        if not evaluation.report:
            return await status_card(evaluation, records, request.words)
        return await result_card(evaluation, records, request.words)


@handlers.button("evaluation.question", Role.MEMBER)
async def one_question(request: Request, deps: Dependencies) -> Reply:
    """Returns the answers of all contenders to a question, and the taught reply."""
    name, _, number = request.argument.partition(".")
    async with deps.store.reading() as records:
        evaluation = await with_names(await visible_evaluation(request, name, records), records)
        return await question_card(
            evaluation, number_of(number, "question"), records, request.words
        )


@handlers.button("evaluation.details", Role.MEMBER)
async def details(request: Request, deps: Dependencies) -> Reply:
    """Lists every measure of every contender."""
    async with deps.store.reading() as records:
        evaluation = await with_names(
            await visible_evaluation(request, request.argument, records), records
        )
    found, words = load(evaluation.report), request.words
    if found is None:
        return Listing(words("evaluation.details"), (), empty=words("evaluation.state.running"))
    rows = [
        _measures_row(index, one, evaluation, found, words)
        for index, one in enumerate(found.contenders)
    ]
    choose = Button(words("button.labels"), f"evaluation.labels:{evaluation.id}")
    rows += [
        ListingRow("", words("evaluation.labels", who=name_of(who, words)), line, (choose,))
        for who, one in zip(evaluation.contenders, found.contenders, strict=True)
        if one.confusion
        for line in (_label_line(one.confusion, words),)
    ]
    return Listing(words("evaluation.details"), tuple(rows))


def evaluation_id(text: str) -> EvaluationId:
    return EvaluationId(number_of(text, "evaluation"))


async def visible_evaluation(request: Request, name: str, records: Records) -> Evaluation:
    """Returns an evaluation whose answers may be seen. Raises NotFound, also for a blind vote."""
    evaluation = await records.evaluations.get(request.workspace_id, evaluation_id(name))
    if evaluation.is_vote:
        raise NotFound(noun="evaluation", name=name)
    return evaluation


async def result_card(evaluation: Evaluation, records: Records, words: Words) -> Card:
    """Returns the result card: the verdict in words first, then its numbers."""
    found, evaluation = load(evaluation.report), await with_names(evaluation, records)
    name = await find_display_name(records, evaluation.workspace, evaluation.model)
    title = words("evaluation.title", id=evaluation.id, model=name)
    if found is None:
        return Card(title, (words(f"evaluation.state.{evaluation.state}"),), tone=Tone.BUSY)
    current = await records.deployments.current(evaluation.workspace, evaluation.assistant)
    lines = [*_ending(evaluation, words), *_verdict_lines(evaluation, found, words)]
    lines += _unanswered_lines(evaluation, found, words)
    lines += await _must_lines(evaluation, found, records, words)
    lines += _gate_lines(evaluation, found, words)
    answered, asked = await _gap_counts(evaluation, records)
    is_used = current is not None and current.model == evaluation.model
    if asked:
        key = "closed" if is_used else "open"
        lines.append(words(f"evaluation.gaps.{key}", count=asked, answered=answered))
    buttons = _use_buttons(evaluation, current, words)
    buttons.append(Button(words("button.measures"), f"evaluation.details:{evaluation.id}"))
    buttons += [
        Button(words("button.question", number=n), f"evaluation.question:{evaluation.id}.{n}")
        for n in dict.fromkeys([*found.regressed[:2], *found.differing])
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
        facts=tuple(_score_facts(evaluation, found, words)),
        columns=await _example(evaluation, found, records, words),
        buttons=tuple(buttons),
        tone=VERDICT_TONES[found.verdict]
        if evaluation.state is EvaluationState.DONE
        else Tone.PLAIN,
    )


async def _gap_counts(evaluation: Evaluation, records: Records) -> tuple[int, int]:
    """Returns how many questions of “what to teach next” were answered, and how many were asked."""
    calls = await records.evaluation_gaps.calls(evaluation.workspace, evaluation.id)
    outcomes = [one.outcome for one in calls if one.outcome is not None]
    return outcomes.count(GapOutcome.ANSWERED), len(outcomes)


def _unanswered_lines(evaluation: Evaluation, found: Report, words: Words) -> list[str]:
    missing = sum(one.failed + one.lost for one in found.contenders)
    lines = [words("evaluation.unanswered", count=missing)] if missing else []
    for who, one in zip(evaluation.contenders, found.contenders, strict=True):
        counts = {"evaluation.cut": one.cut, "evaluation.silent": one.silent}
        lines += [words(k, who=name_of(who, words), count=n) for k, n in counts.items() if n]
    return lines


def _use_buttons(evaluation: Evaluation, current: Deployment | None, words: Words) -> list[Button]:
    if current is None or current.model != evaluation.model:
        is_refused = evaluation.is_gate and not evaluation.is_deployed
        key = "button.use_anyway" if is_refused else "button.use"
        return [use_button(evaluation.model, current, words, label=key)]
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
        yield words.error_without_host_words(trouble)


def _verdict_lines(evaluation: Evaluation, found: Report, words: Words) -> Iterator[str]:
    result = found.result
    if result is None or found.against is None:
        return
    who = name_of(evaluation.contenders[found.against], words)
    if not result.questions:
        yield words("evaluation.nothing", against=who)
        return
    yield words(f"evaluation.verdict.{result.verdict}", against=who, count=result.questions)
    yield words(
        "evaluation.wins", wins=result.wins, losses=result.losses, ties=result.ties, against=who
    )
    if result.verdict is Verdict.UNDECIDED:
        yield _why_undecided(result, words)
    for index, other in found.results.items():
        if index != found.against:
            name = name_of(evaluation.contenders[index], words)
            yield words(f"evaluation.other.{other.verdict}", against=name, **_counts(other))


def _counts(result: PairedResult) -> dict[str, object]:
    return {"wins": result.wins, "losses": result.losses, "ties": result.ties}


def _why_undecided(result: PairedResult, words: Words) -> str:
    if result.questions < FEWEST_QUESTIONS:
        return words("evaluation.too_few", least=FEWEST_QUESTIONS)
    return words("evaluation.needed", count=questions_needed(_LIKELY_SHARE))


async def _must_lines(
    evaluation: Evaluation, found: Report, records: Records, words: Words
) -> list[str]:
    """Returns the lines on must-answer questions: the count, and the regressed ones by text."""
    if not found.must_answer:
        return []
    right = found.must_answer - len(found.unanswered)
    lines = [words("evaluation.must", right=right, count=found.must_answer)]
    if found.regressed:
        named = [
            await _question_reference(evaluation, n, records) for n in found.regressed[:_MOST_NAMED]
        ]
        named += [f"#{number}" for number in found.regressed[_MOST_NAMED:]]
        lines.append(words("evaluation.regressed", questions=", ".join(named)))
    return lines


async def _question_reference(evaluation: Evaluation, number: int, records: Records) -> str:
    (question,) = await records.evaluations.questions(
        evaluation.workspace, evaluation.id, after=number - 1, limit=1
    )
    pair = questions.prompt_and_reference(question.row, "")
    return f"#{number} “{one_line(pair[0][-1]['content'], _TITLE)}”" if pair else f"#{number}"


def _gate_lines(evaluation: Evaluation, found: Report, words: Words) -> Iterator[str]:
    if not evaluation.is_gate:
        return
    if evaluation.is_deployed:
        yield words("evaluation.taken")
        return
    # Without another reason, the model in use had changed when the evaluation ended.
    why = gate.gate_rejection(evaluation, found, is_same_in_use=True) or gate.GateRejection.CHANGED
    yield words(f"evaluation.not_taken.{why}")


def _score_facts(evaluation: Evaluation, found: Report, words: Words) -> Iterator[Fact]:
    for who, one in zip(evaluation.contenders, found.contenders, strict=True):
        mean = words("evaluation.no_score") if one.mean is None else f"{one.mean:.2f}"
        said = [mean, words("evaluation.exact", count=one.exact, total=one.answered)]
        said += loss_lines(found, words) if who.kind is ContenderKind.NEW else ()
        yield Fact(name_of(who, words), " · ".join(said), f"score.{who.kind}")


def loss_lines(found: Report, words: Words) -> tuple[str, ...]:
    """Returns the line with the new model's held-out loss, if its host reported one."""
    loss = found.held_out_loss
    return () if loss is None else (words("evaluation.loss", loss=f"{loss:.3f}"),)


async def _example(
    evaluation: Evaluation, found: Report, records: Records, words: Words
) -> tuple[Column, ...]:
    """Returns the columns of the first regressed or most differing question."""
    numbers = found.regressed or found.differing
    if not numbers or found.against is None:
        return ()
    only = (0, found.against)
    return await _columns(evaluation, numbers[0], records, words, only=only)


async def question_card(
    evaluation: Evaluation, number: int, records: Records, words: Words
) -> Card:
    asked = await records.evaluations.questions(
        evaluation.workspace, evaluation.id, after=number - 1, limit=1
    )
    if not asked or asked[0].number != number:
        raise NotFound(noun="question", name=number)
    question = asked[0]
    text, _ = questions.question_and_reference(question.row, words)
    example = Button(words("button.show_example"), f"example.show:{question.example}")
    ways = must_answer.wrong_answer_buttons(question.example, words)
    return Card(
        title=words("evaluation.question", number=number),
        lines=(text[: _LONGEST_TEXT * 4],),
        columns=await _columns(evaluation, number, records, words),
        buttons=(example, *ways),
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
    asked, taught = questions.question_and_reference(question.row, words)
    columns = [
        Column(
            words("evaluation.taught"),
            one_line(taught, _LONGEST_TEXT),
            one_line(asked, _LONGEST_TEXT),
        )
    ]
    for answer in answers:
        if only is None or answer.contender in only:
            who = evaluation.contenders[answer.contender]
            note = outcome_of(answer, words)
            columns.append(
                Column(name_of(who, words), one_line(answer.text, _LONGEST_TEXT) or "–", note)
            )
    return tuple(columns)


def outcome_of(answer: EvaluationAnswer, words: Words) -> str:
    """Returns the score of an answer in words, or why it has none."""
    why = why_missing(answer) or "done"
    return words(f"evaluation.answer.{why}", score=answer.scores.get("score"))


def _measures_row(
    index: int, one: ContenderReport, evaluation: Evaluation, found: Report, words: Words
) -> ListingRow:
    parts = [words("evaluation.exact", count=one.exact, total=one.answered)]
    parts += [words("evaluation.chrf", value=f"{one.chrf:.2f}")] if one.chrf is not None else []
    shares = {"facts": one.facts, **one.checks}
    parts += [
        words(f"evaluation.check.{name}", share=_share_text(share))
        for name, share in shares.items()
        if share.total
    ]
    parts += [_style_text(trait, one, words) for trait in found.traits]
    if one.first_text_seconds is not None:
        parts.append(words("evaluation.first", seconds=f"{one.first_text_seconds:.2f}"))
    tokens = round((one.prompt_tokens + one.completion_tokens) / max(1, one.answered))
    parts.append(words("evaluation.tokens", count=tokens))
    if one.price_of_1000 is not None:
        parts.append(words("evaluation.price", price=words.price(one.price_of_1000)))
    if one.failed or one.lost:
        counts = {"cut": one.cut, "silent": one.silent, "lost": one.lost}
        others = one.failed - one.cut - one.silent
        parts.append(words("evaluation.missing", failed=others, **counts))
    result = found.results.get(index)
    if result is not None and result.difference is not None:
        parts.append(
            words(
                "evaluation.difference",
                mean=f"{result.mean_difference:+.2f}",
                interval=_interval_text(result.difference),
                p=format_p_value(result.p_value),
            )
        )
    who = evaluation.contenders[index]
    parts += loss_lines(found, words) if who.kind is ContenderKind.NEW else ()
    name = name_of(who, words)
    return ListingRow("", name, " · ".join(parts), facts=tuple(_score_facts_of(one, name)))


def _score_facts_of(one: ContenderReport, name: str) -> Iterator[Fact]:
    """Yields the mean score and its interval as numbers, for surfaces that draw them."""
    interval = one.interval
    found = {
        "mean": one.mean,
        "low": interval.low if interval else one.mean,
        "high": interval.high if interval else one.mean,
    }
    for key, value in found.items():
        if value is not None:
            yield Fact(name, f"{value:.4f}", key)


def _share_text(share: Share) -> str:
    """Returns a share with its Wilson interval, as in `12/20 (39–78 %)`."""
    found = wilson(share.count, share.total)
    return f"{share.count}/{share.total} ({format_share_range(found.low, found.high)})"


def _interval_text(found: Interval) -> str:
    return f"{found.low:+.2f} … {found.high:+.2f}"


def _style_text(trait: StyleFeature, one: ContenderReport, words: Words) -> str:
    return words(
        f"evaluation.voice.{trait.name}",
        value=trait.value,
        taught=f"{trait.share.count}/{trait.share.total}",
        said=f"{one.voice.get(trait.name, 0)}/{one.answered}",
    )


def _label_line(confusion: Confusion, words: Words) -> str:
    parts = [words("evaluation.accuracy", value=f"{accuracy(confusion):.2f}")]
    for label in confusion:
        found = metrics_of(confusion, label)
        parts.append(
            words(
                "evaluation.label",
                label=label,
                precision=f"{found.precision:.2f}",
                recall=f"{found.recall:.2f}",
                f1=f"{found.f_beta[1.0]:.2f}",
                count=found.count,
            )
        )
    return " · ".join(parts)


async def with_names(evaluation: Evaluation, records: Records) -> Evaluation:
    """Returns the evaluation with display names of its contenders; `model` stays an id."""
    return replace(
        evaluation,
        contenders=tuple(
            [
                replace(
                    one, model=await find_display_name(records, evaluation.workspace, one.model)
                )
                for one in evaluation.contenders
            ]
        ),
    )


def name_of(who: Contender, words: Words) -> str:
    return words(f"evaluation.who.{who.kind}", model=who.model, count=who.shots)
