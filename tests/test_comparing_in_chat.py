"""Models are compared on Slack and Discord: by the gate, by votes, by a judge, by a canary."""

from __future__ import annotations

from collections.abc import Callable

from bot.significance import MIN_QUESTIONS
from tests.chat_team import Team
from tests.chat_team import team as team
from tests.fakes.openai_rules import Body
from tests.test_evaluations import base_is_right, tuned_is_right
from tests.test_judging import answers, fair

ROWS = 60
TABLE = "\n".join(["question,answer", *(f"question {n},answer {n}" for n in range(ROWS))]).encode()
QUESTIONS = 5


async def train(team: Team, answer: Callable[[Body], str], **options: str) -> None:
    words = team.words
    team.host.life = ("succeeded",)
    team.host.answers = answer
    await team.bring("rows.csv", TABLE, yes="yes")
    await team.command("start", host="default", base="base", **options)
    await team.press(words("button.confirm"))
    await team.press(words("button.confirm_unpriced"))


def card(team: Team, position: int) -> str:
    return team.words("vote.card", number=position, count=QUESTIONS)


async def begin_vote(team: Team) -> None:
    await train(team, answers(fair))
    await team.shown(team.words("evaluation.taken"))
    await team.command("vote", questions=str(QUESTIONS), against="base")
    await team.press(team.words("button.vote"))
    await team.shown(card(team, QUESTIONS))


async def choose(team: Team, position: int, by: str) -> None:
    """Votes for the answer of the tuned model."""
    (text,) = team.find(card(team, position))
    letter = "a" if text.find("answer ") < text.find("I do not know") else "b"
    await team.press(team.words(f"button.vote.{letter}"), on=card(team, position), by=by)


async def test_a_model_that_is_worse_waits_until_somebody_uses_it_anyway(team: Team) -> None:
    words = team.words
    await train(team, base_is_right)

    (verdict,) = await team.shown(words("evaluation.not_taken.worse"))
    assert words("button.use_anyway") in team.labels(verdict)
    await team.press(words("button.use_anyway"), by="ann")
    await team.mention("question 1")
    assert await team.shown("answer 1")

    await team.press(words("button.use_anyway"))
    await team.mention("question 2")

    assert await team.shown("Something else entirely?")


async def test_members_vote_blind_and_the_channel_hears_the_result(team: Team) -> None:
    words = team.words
    await begin_vote(team)
    assert "base" not in team.find(card(team, 1))[0]

    for position in range(1, QUESTIONS + 1):
        for by in ("ann", "ben"):
            await choose(team, position, by)
    await team.press_again()
    await team.shown(words("vote.ballots", count=2 * QUESTIONS, people=2))
    await team.press(words("button.end_vote"), by="ann")
    assert not team.find(words("vote.closed"))
    await team.press(words("button.end_vote"))

    wins = words("vote.wins", model="#", wins=QUESTIONS, against="#", losses=0, ties=0)
    (result,) = await team.shown(wins.rpartition("#")[2])
    assert words("vote.too_few", least=MIN_QUESTIONS) in result
    assert "base" in team.find(card(team, 1))[0]


async def test_after_a_vote_a_judge_says_how_far_it_agrees(team: Team) -> None:
    words = team.words
    team.host.tuned.append("judge")
    await team.command("assistant edit", judge_model="judge", judge_criteria="short")
    await begin_vote(team)
    await choose(team, 1, "ann")
    await team.press(words("button.end_vote"))

    await team.press(words("button.ask_judge"), on=words("vote.ballots", count=1, people=1))
    await team.press(words("button.judge"))

    verdict = words("judge.verdict.undecided", count=QUESTIONS, against="#")
    assert await team.shown(verdict.partition("#")[0])


async def test_a_canary_answers_some_people_and_is_ended_by_a_button(team: Team) -> None:
    words = team.words
    await train(team, tuned_is_right, use="no")
    await team.shown(words("evaluation.verdict.better", count=12, against="#").partition("#")[0])
    await team.command("use", model="latest", share="99%")

    await team.mention("question 1")
    assert await team.shown("answer 1")
    await team.press(words("button.stop"), on=words("canary.how", share="99%")[:10], by="ann")
    assert not team.find(words("canary.stopped.by_hand", name="#").partition("#")[0])
    await team.press(words("button.stop"), on=words("canary.how", share="99%")[:10])
    await team.shown(words("canary.stopped.by_hand", name="#").rpartition("#")[2])
    await team.mention("question 2", by="ben")

    assert await team.shown("I do not know that one at all.")
