"""The cards of a blind vote: its status message, a card for each question, and the result."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from bot.domain import (
    BlindVote,
    Choice,
    Evaluation,
    EvaluationId,
    EvaluationQuestion,
    Notice,
    VoteState,
)
from bot.evaluation.cards import VERDICT_TONES, contender_name, judge_button, with_display_names
from bot.evaluation.planning import question_and_reference
from bot.mentions_and_times import time_reference
from bot.models_in_use import deploy_button
from bot.number_formats import format_p_value
from bot.ports.store import Records
from bot.replies import Button, Card, Column, Drawn, Tone
from bot.significance import MIN_QUESTIONS, Verdict, questions_needed
from bot.votes import tally
from bot.votes.notices import NUMBER_DETAIL, POSITION_DETAIL
from bot.votes.tally import BallotTally, VoteResult
from bot.words import Words

BALLOT_BUTTON, END_VOTE_BUTTON = "vote.cast", "vote.end"
BALLOT_LETTERS = ("a", "b", "neither", "both")
_LIKELY_SHARE = 0.7


def order_of_answers(evaluation: Evaluation, number: int) -> tuple[int, int]:
    """Returns the contenders of the answers A and B: random, but constant for a question."""
    digest = hashlib.sha256(f"{evaluation.idempotency_key}/{number}".encode()).digest()
    return (1, 0) if digest[0] & 1 else (0, 1)


def choice_of_button(evaluation: Evaluation, number: int, letter: str) -> Choice | None:
    """Returns the choice of a button, or None if there is no such button."""
    first, second = order_of_answers(evaluation, number)
    contenders = {"a": first, "b": second}
    if letter in contenders:
        return Choice.SECOND if contenders[letter] else Choice.FIRST
    return Choice(letter) if letter in BALLOT_LETTERS else None


async def render_status_notice(notice: Notice, records: Records, words: Words) -> Drawn | None:
    """Returns the status message with the number of ballots, without their choices."""
    vote, evaluation = await _vote(notice, records)
    count, people = await records.blind_votes.count_ballots_and_voters(
        vote.workspace, vote.evaluation
    )
    lines = [words("vote.cards", count=vote.cards)]
    is_open = vote.state is VoteState.OPEN
    if is_open and vote.ends_at is not None:
        lines.append(words("vote.open", until=time_reference(vote.ends_at)))
    elif vote.state is VoteState.CLOSED:
        lines.append(words("vote.closed"))
    lines.append(words("vote.ballots", count=count, people=people))
    end = Button(words("button.end_vote"), f"{END_VOTE_BUTTON}:{vote.evaluation}", is_danger=True)
    return Card(
        title=_title(evaluation, words),
        lines=tuple(lines),
        buttons=(end,) if is_open else (),
        tone=Tone.BUSY if is_open else Tone.PLAIN,
    )


async def render_question_notice(notice: Notice, records: Records, words: Words) -> Drawn | None:
    """Returns the card of a question: two answers without names; after the vote, with both.

    After the vote the card has the names of the models and the number of ballots.
    """
    vote, evaluation = await _vote(notice, records)
    number = notice.details.get(NUMBER_DETAIL)
    if not isinstance(number, int):
        return None
    own = evaluation.workspace, evaluation.id
    (question,) = await records.evaluations.questions(*own, after=number - 1, limit=1)
    answers = await records.evaluations.answers(*own, after=number - 1, until=number)
    texts = {answer.contender: answer.text for answer in answers}
    title = words("vote.card", number=notice.details.get(POSITION_DETAIL), count=vote.cards)
    shown, lines = (
        _answer_texts(question, texts, words),
        [question_and_reference(question.row, words)[0]],
    )
    order = order_of_answers(evaluation, number)
    if vote.state is not VoteState.CLOSED:
        blind = [Column(words(f"vote.{n}"), shown[order[at]], "") for at, n in enumerate("ab")]
        buttons = _buttons(vote, number, words)
        return Card(title, tuple(lines), columns=tuple(blind), buttons=buttons)
    ballots = await records.blind_votes.ballots(*own, number=number)
    tally_of_question = tally.tally_questions(ballots).get(number, BallotTally())
    lines.append(
        words("vote.others", neither=tally_of_question.neither, both=tally_of_question.both)
    )
    by = (tally_of_question.first, tally_of_question.second)
    columns = [
        Column(
            f"{words(f'vote.{n}')}: {contender_name(evaluation.contenders[who], words)}",
            shown[who],
            words("vote.votes", count=by[who]),
        )
        for n, who in zip("ab", order, strict=True)
    ]
    return Card(title, tuple(lines), columns=tuple(columns))


async def render_ended_notice(notice: Notice, records: Records, words: Words) -> Drawn | None:
    """Returns the result card: the verdict in words first, then its numbers."""
    vote, evaluation = await _vote(notice, records)
    vote_result = tally.load_result(vote.result)
    title = _title(evaluation, words)
    if vote_result is None or not vote_result.voters:
        key = "vote.nobody" if vote.cards else "vote.nothing"
        return Card(title, (words(key),))
    current = await records.deployments.current(evaluation.workspace, evaluation.assistant)
    is_used = current is not None and current.model == evaluation.model
    verdict = vote_result.comparison.verdict
    buttons = []
    if not is_used and verdict is not Verdict.WORSE:
        buttons.append(deploy_button(evaluation.model, current, words))
    assistant = await records.assistants.get(evaluation.workspace, evaluation.assistant)
    if assistant.judge_model:
        buttons.append(judge_button(evaluation, words))
    return Card(
        title=title,
        lines=(*_verdict(vote_result, evaluation, words), *_preference_lines(vote.result, words)),
        buttons=tuple(buttons),
        tone=VERDICT_TONES[verdict],
    )


def _verdict(vote_result: VoteResult, evaluation: Evaluation, words: Words) -> Iterator[str]:
    first, second = (contender_name(one, words) for one in evaluation.contenders)
    result, who = vote_result.comparison, {"model": first, "against": second}
    yield words(f"vote.verdict.{result.verdict}", count=result.questions, **who)
    yield words(
        "vote.wins", wins=vote_result.wins, losses=vote_result.losses, ties=vote_result.ties, **who
    )
    share = result.win_share
    yield words(
        "vote.share",
        low=f"{share.low:.0%}",
        high=f"{share.high:.0%}",
        p=format_p_value(result.p_value),
        model=first,
    )
    ballots = vote_result.ballots
    total = ballots.first + ballots.second + ballots.neither + ballots.both
    yield words("vote.ballots", count=total, people=vote_result.voters)
    yield words("vote.others", neither=ballots.neither, both=ballots.both)
    if result.verdict is Verdict.UNDECIDED:
        yield _why_undecided(result.questions, words)


def _why_undecided(questions: int, words: Words) -> str:
    if questions < MIN_QUESTIONS:
        return words("vote.too_few", least=MIN_QUESTIONS)
    return words("vote.needed", count=questions_needed(_LIKELY_SHARE))


def _preference_lines(result: Mapping[str, object], words: Words) -> Iterator[str]:
    kept, waiting = result.get("kept"), result.get("waiting")
    if kept:
        yield words("vote.preferences", count=kept)
    if waiting:
        yield words("vote.proposed", count=waiting)


async def _vote(notice: Notice, records: Records) -> tuple[BlindVote, Evaluation]:
    number, workspace = EvaluationId(notice.subject or 0), notice.place.workspace
    vote = await records.blind_votes.get(workspace, number)
    return vote, await with_display_names(await records.evaluations.get(workspace, number), records)


def _title(evaluation: Evaluation, words: Words) -> str:
    new = evaluation.contenders[0].model if evaluation.contenders else evaluation.model
    return words("vote.name", id=evaluation.id, model=new)


def _buttons(vote: BlindVote, number: int, words: Words) -> tuple[Button, ...]:
    if vote.state is not VoteState.OPEN:
        return ()
    return tuple(
        Button(
            words(f"button.vote.{letter}"), f"{BALLOT_BUTTON}:{vote.evaluation}.{number}.{letter}"
        )
        for letter in BALLOT_LETTERS
    )


def _answer_texts(
    question: EvaluationQuestion, texts: Mapping[int, str], words: Words
) -> tuple[str, str]:
    """Returns both whole answers, or a note if the example was erased."""
    if question.row is None:
        return words("row.erased"), words("row.erased")
    return texts.get(0, ""), texts.get(1, "")
