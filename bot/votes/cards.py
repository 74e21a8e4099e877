"""What people see of a blind vote: its standing message, a card for each question, the result."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from bot.deployments import use_button
from bot.domain import (
    BlindVote,
    Choice,
    Evaluation,
    EvaluationId,
    EvaluationQuestion,
    Notice,
    VoteState,
)
from bot.evaluation.cards import VERDICT_TONES, judge_button, name_of, with_names
from bot.evaluation.questions import question_and_reference
from bot.numerals import format_p_value
from bot.ports.store import Records
from bot.references import time_reference
from bot.replies import Button, Card, Column, Drawn, Tone
from bot.significance import FEWEST_QUESTIONS, Verdict, questions_needed
from bot.votes import tally
from bot.votes.notices import NUMBER, POSITION
from bot.votes.tally import BallotTally, VoteResult
from bot.words import Words

VOTE, END = "vote.cast", "vote.end"
LETTERS = ("a", "b", "neither", "both")
_LIKELY_SHARE = 0.7


def answer_order(evaluation: Evaluation, number: int) -> tuple[int, int]:
    """Which contender's answer is A and which is B: by chance, and always the same."""
    drawn = hashlib.sha256(f"{evaluation.idempotency_key}/{number}".encode()).digest()
    return (1, 0) if drawn[0] & 1 else (0, 1)


def choice_of(evaluation: Evaluation, number: int, letter: str) -> Choice | None:
    """What a button stands for; None where there is no such button."""
    first, second = answer_order(evaluation, number)
    whose = {"a": first, "b": second}
    if letter in whose:
        return Choice.SECOND if whose[letter] else Choice.FIRST
    return Choice(letter) if letter in LETTERS else None


async def render_status_notice(notice: Notice, records: Records, words: Words) -> Drawn | None:
    """How many have voted, never what."""
    vote, evaluation = await _vote(notice, records)
    count, people = await records.blind_votes.count(vote.workspace, vote.evaluation)
    lines = [words("vote.cards", count=vote.cards)]
    is_open = vote.state is VoteState.OPEN
    if is_open and vote.ends_at is not None:
        lines.append(words("vote.open", until=time_reference(vote.ends_at)))
    elif vote.state is VoteState.CLOSED:
        lines.append(words("vote.closed"))
    lines.append(words("vote.ballots", count=count, people=people))
    end = Button(words("button.end_vote"), f"{END}:{vote.evaluation}", is_danger=True)
    return Card(
        title=_title(evaluation, words),
        lines=tuple(lines),
        buttons=(end,) if is_open else (),
        tone=Tone.BUSY if is_open else Tone.PLAIN,
    )


async def render_question_notice(notice: Notice, records: Records, words: Words) -> Drawn | None:
    """Two answers without names; once the vote is over, with names and the ballots."""
    vote, evaluation = await _vote(notice, records)
    number = notice.details.get(NUMBER)
    if not isinstance(number, int):
        return None
    own = evaluation.workspace, evaluation.id
    (question,) = await records.evaluations.questions(*own, after=number - 1, limit=1)
    answers = await records.evaluations.answers(*own, after=number - 1, until=number)
    texts = {answer.contender: answer.text for answer in answers}
    title = words("vote.card", number=notice.details.get(POSITION), count=vote.cards)
    shown, lines = _texts(question, texts, words), [question_and_reference(question.row, words)[0]]
    order = answer_order(evaluation, number)
    if vote.state is not VoteState.CLOSED:
        blind = [Column(words(f"vote.{n}"), shown[order[at]], "") for at, n in enumerate("ab")]
        buttons = _buttons(vote, number, words)
        return Card(title, tuple(lines), columns=tuple(blind), buttons=buttons)
    ballots = await records.blind_votes.ballots(*own, number=number)
    counted = tally.tallies(ballots).get(number, BallotTally())
    lines.append(words("vote.others", neither=counted.neither, both=counted.both))
    by = (counted.first, counted.second)
    columns = [
        Column(
            f"{words(f'vote.{n}')}: {name_of(evaluation.contenders[who], words)}",
            shown[who],
            words("vote.votes", count=by[who]),
        )
        for n, who in zip("ab", order, strict=True)
    ]
    return Card(title, tuple(lines), columns=tuple(columns))


async def render_ended_notice(notice: Notice, records: Records, words: Words) -> Drawn | None:
    """The verdict in plain words first, then what it rests on."""
    vote, evaluation = await _vote(notice, records)
    found = tally.load(vote.result)
    title = _title(evaluation, words)
    if found is None or not found.voters:
        key = "vote.nobody" if vote.cards else "vote.nothing"
        return Card(title, (words(key),))
    current = await records.deployments.current(evaluation.workspace, evaluation.assistant)
    is_used = current is not None and current.model == evaluation.model
    verdict = found.comparison.verdict
    buttons = []
    if not is_used and verdict is not Verdict.WORSE:
        buttons.append(use_button(evaluation.model, current, words))
    assistant = await records.assistants.get(evaluation.workspace, evaluation.assistant)
    if assistant.judge_model:
        buttons.append(judge_button(evaluation, words))
    return Card(
        title=title,
        lines=(*_verdict(found, evaluation, words), *_kept(vote.result, words)),
        buttons=tuple(buttons),
        tone=VERDICT_TONES[verdict],
    )


def _verdict(found: VoteResult, evaluation: Evaluation, words: Words) -> Iterator[str]:
    first, second = (name_of(one, words) for one in evaluation.contenders)
    result, who = found.comparison, {"model": first, "against": second}
    yield words(f"vote.verdict.{result.verdict}", count=result.questions, **who)
    yield words("vote.wins", wins=found.wins, losses=found.losses, ties=found.ties, **who)
    share = result.win_share
    yield words(
        "vote.share",
        low=f"{share.low:.0%}",
        high=f"{share.high:.0%}",
        p=format_p_value(result.p_value),
        model=first,
    )
    ballots = found.ballots
    total = ballots.first + ballots.second + ballots.neither + ballots.both
    yield words("vote.ballots", count=total, people=found.voters)
    yield words("vote.others", neither=ballots.neither, both=ballots.both)
    if result.verdict is Verdict.UNDECIDED:
        yield _why_undecided(result.questions, words)


def _why_undecided(questions: int, words: Words) -> str:
    if questions < FEWEST_QUESTIONS:
        return words("vote.too_few", least=FEWEST_QUESTIONS)
    return words("vote.needed", count=questions_needed(_LIKELY_SHARE))


def _kept(result: Mapping[str, object], words: Words) -> Iterator[str]:
    kept, waiting = result.get("kept"), result.get("waiting")
    if kept:
        yield words("vote.preferences", count=kept)
    if waiting:
        yield words("vote.proposed", count=waiting)


async def _vote(notice: Notice, records: Records) -> tuple[BlindVote, Evaluation]:
    number, workspace = EvaluationId(notice.subject or 0), notice.place.workspace
    vote = await records.blind_votes.get(workspace, number)
    return vote, await with_names(await records.evaluations.get(workspace, number), records)


def _title(evaluation: Evaluation, words: Words) -> str:
    new = evaluation.contenders[0].model if evaluation.contenders else evaluation.model
    return words("vote.name", id=evaluation.id, model=new)


def _buttons(vote: BlindVote, number: int, words: Words) -> tuple[Button, ...]:
    if vote.state is not VoteState.OPEN:
        return ()
    return tuple(
        Button(words(f"button.vote.{letter}"), f"{VOTE}:{vote.evaluation}.{number}.{letter}")
        for letter in LETTERS
    )


def _texts(question: EvaluationQuestion, texts: Mapping[int, str], words: Words) -> tuple[str, str]:
    """Both answers, whole; of an erased example there is none."""
    if question.row is None:
        return words("row.erased"), words("row.erased")
    return texts.get(0, ""), texts.get(1, "")
