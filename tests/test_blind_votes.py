"""People choose between two answers without knowing whose they are, and what they chose counts."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from bot.domain import (
    LOCAL,
    Ballot,
    BlindVote,
    ChannelId,
    Choice,
    Evaluation,
    EvaluationId,
    Example,
    ExampleState,
    Origin,
    Role,
    UserId,
    VoteState,
)
from bot.events import ButtonClicked
from bot.replies import Card
from bot.rows import Method
from bot.significance import Verdict
from bot.votes.cards import BALLOT_LETTERS, order_of_answers
from bot.votes.tally import vote_result
from tests.fakes.faulty_host import faulty_host
from tests.scene import Scene, copy_data
from tests.stores import NOW
from tests.test_evaluations import (
    times_asked,
    train,
    tuned_is_right,
)

VOTERS = ("ann", "ben")
VOTE, CARDS = 2, 13
"""The number of the only vote, and its questions: those held out and one that must be answered."""
KEPT = "Your vote is counted. Until the end you can change it by another button."


async def cards(scene: Scene) -> list[Card]:
    """Those that show two answers, in their order."""
    drawn = [one for one in await scene._drawn() if isinstance(one, Card)]
    return [card for card in drawn if card.title.startswith("Question ")]


async def kept(scene: Scene) -> tuple[BlindVote, Evaluation, Sequence[Ballot]]:
    async with scene.database.reading() as records:
        own = LOCAL, EvaluationId(VOTE)
        vote = await records.blind_votes.get(*own)
        return vote, await records.evaluations.get(*own), await records.blind_votes.ballots(*own)


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is on disk once the answers of a vote are there and nothing is posted yet."""
    folder = tmp_path_factory.mktemp("answered")

    async def prepare() -> None:
        async with faulty_host() as host:
            scene = Scene(folder, host)
            await scene.start()
            await scene.learn(60)
            await scene.handle(scene.event(ButtonClicked("example.must_answer:3"), key="mark"))
            await scene.grant("cleo", Role.CURATOR)
            await train(scene, tuned_is_right)
            await scene.command("vote questions:60 hours:2")
            await scene.click("Ask both and vote")
            await scene.app.runners.evaluations.poll()
            await scene.end()

    asyncio.run(prepare())
    return folder


@pytest.fixture
async def voting(tmp_path: Path, answered: Path) -> AsyncIterator[Scene]:
    """A vote that waits for ballots."""
    copy_data(answered, tmp_path)
    async with faulty_host() as host:
        scene = Scene(tmp_path, host)
        scene.host.answers = tuned_is_right
        await scene.open()
        try:
            scene.host.tuned += [model.name for model in await scene.models()]
            await scene.settle()
            yield scene
        finally:
            await scene.end()


async def close(scene: Scene) -> None:
    await scene.click("End the vote", on=await scene.number_of("Which answer is better?"))
    await scene.settle()


def letter_of(card: Card, text: str) -> str:
    """Under which letter an answer like this stands."""
    return next(
        n for n, column in zip(BALLOT_LETTERS, card.columns, strict=False) if text in column.text
    )


async def press(scene: Scene, card: Card, letter: str, by: str) -> None:
    action = card.buttons[BALLOT_LETTERS.index(letter)].action
    key = f"{by} {action} {scene.clock.now()}"
    await scene.handle(scene.event(ButtonClicked(action), key=key, by=by))


async def preferences(scene: Scene) -> list[Example]:
    return [one for one in await scene.examples() if one.method is Method.DPO]


async def test_a_channel_votes_blind_and_hears_at_the_end_who_wrote_what(voting: Scene) -> None:
    shown = await cards(voting)
    before = len(await voting.texts())
    assert len(shown) == CARDS
    assert [button.label for button in shown[0].buttons] == ["A", "B", "Neither", "Both good"]
    assert all("ft:" not in str(card) for card in shown)
    assert {letter_of(card, "answer") for card in shown} == {"a", "b"}

    for card in shown:
        for voter in VOTERS:
            await press(voting, card, letter_of(card, "answer"), voter)
    await voting.settle()

    assert set((await voting.texts())[before:]) == {KEPT}
    assert len(await voting.said(f"{2 * CARDS} votes · voters: 2")) == 1
    assert all("votes" not in str(card.columns) for card in await cards(voting))
    await close(voting)
    result = await voting.last()
    assert "The channel prefers the new model" in result
    assert f": {CARDS}; for the base" in result
    assert "wins 77% to 100%" in result
    assert "sign test p < 0.001" in result
    assert all(not card.buttons for card in await cards(voting))
    assert all("2 votes" in str(card.columns) for card in await cards(voting))
    assert times_asked(voting.host).total() == 0
    # Members proposed them, so a curator decides; what must be answered is kept out of training.
    found = await preferences(voting)
    assert {one.state for one in found} == {ExampleState.PROPOSED}
    assert len(found) == CARDS - 1
    assert "question 2" in str([card.lines for card in shown])
    assert "question 2'" not in str([one.row for one in found])
    assert f"{CARDS - 1} preferences wait for a curator" in result


async def test_the_last_vote_of_a_person_counts_and_a_curator_s_is_approved(voting: Scene) -> None:
    first, second, third = [card for card in await cards(voting) if "question 2" not in card.lines][
        :3
    ]
    await press(voting, first, letter_of(first, "do not know"), "cleo")
    await press(voting, first, letter_of(first, "answer"), "cleo")
    await press(voting, second, "neither", "ann")
    await press(voting, third, letter_of(third, "answer"), "ann")
    await press(voting, third, "both", "ann")

    await voting.handle(voting.event(ButtonClicked(f"vote.end:{VOTE}"), key="end", by="cleo"))
    await voting.settle()

    _, _, ballots = await kept(voting)
    assert Counter(one.choice for one in ballots) == {
        Choice.FIRST: 1,
        Choice.NEITHER: 1,
        Choice.BOTH: 1,
    }
    (preference,) = await preferences(voting)
    assert (preference.state, preference.origin) == (ExampleState.APPROVED, Origin.IMPORT)
    assert preference.row is not None
    assert "answer" in str(preference.row["preferred_output"])
    assert "Undecided" in await voting.last()


@pytest.mark.parametrize(
    ("action", "by", "channel", "sentence"),
    [
        ("vote.end", "ann", "general", "needs the role"),
        ("vote.end", "cleo", "elsewhere", "There is no vote"),
        ("vote.cast:1.a", "ann", "elsewhere", "There is no vote"),
        ("evaluation.show", "you", "general", "There is no evaluation"),
        ("evaluation.details", "you", "general", "There is no evaluation"),
        ("evaluation.question:1", "you", "general", "There is no evaluation"),
        ("evaluation.export", "you", "general", "There is no evaluation"),
        ("evaluation.sheet:number.0", "you", "general", "There is no evaluation"),
    ],
)
async def test_nobody_ends_it_or_looks_behind_it_who_may_not(
    voting: Scene, action: str, by: str, channel: str, sentence: str
) -> None:
    name, _, more = action.partition(":")
    what = ButtonClicked(f"{name}:{VOTE}.{more}" if more else f"{name}:{VOTE}")

    reply = await voting.app.handle_for_page(
        voting.event(what, key="late", by=by, channel=ChannelId(channel))
    )

    assert sentence in str(reply)
    vote, _, ballots = await kept(voting)
    assert (vote.state, ballots) == (VoteState.OPEN, [])


async def test_it_ends_by_itself_and_takes_no_ballot_afterwards(voting: Scene) -> None:
    (card, *_) = await cards(voting)
    await press(voting, card, "a", "ann")
    voting.advance(2 * 3600)
    await voting.settle()

    await press(voting, card, "b", "ann")

    vote, evaluation, ballots = await kept(voting)
    is_swapped = order_of_answers(evaluation, ballots[0].number) == (1, 0)
    assert (vote.state, vote.cards) == (VoteState.CLOSED, CARDS)
    assert [one.choice for one in ballots] == [Choice.SECOND if is_swapped else Choice.FIRST]
    assert await voting.said(f"Blind vote {VOTE} is not open.")


async def test_without_two_different_answers_there_is_no_vote(voting: Scene) -> None:
    voting.host.answers = lambda body: "Always the same."
    await voting.command("vote questions:2")
    await voting.click("Ask both and vote")
    await voting.settle()

    assert "There is nothing to vote on" in await voting.last()


async def test_a_question_that_a_preference_has_taught_is_asked_no_more(voting: Scene) -> None:
    for card in await cards(voting):
        await press(voting, card, letter_of(card, "answer"), "cleo")
    await close(voting)
    assert f"{CARDS - 1} preferences are kept" in await voting.last()
    await voting.confirm("method:dpo use:no validation:0")
    await voting.settle()

    await voting.command("vote")

    assert f"{CARDS - 1} held-out questions are left out" in await voting.last()


@pytest.mark.parametrize(
    ("share", "least", "verdict"), [(0.5, 95, None), (0.7, 80, Verdict.BETTER)]
)
def test_simulated_voters_are_judged_rightly(
    share: float, least: int, verdict: Verdict | None
) -> None:
    """Five people who agree with one another nine times in ten, on 60 questions, 100 times.

    `share` is how often the first model's answer is the better one.
    """
    right = 0
    for run in range(100):
        draw = random.Random(f"{share} {run}").random
        ballots = []
        for number in range(60):
            better = Choice.FIRST if draw() < share else Choice.SECOND
            worse = Choice.SECOND if better is Choice.FIRST else Choice.FIRST
            ballots += [
                Ballot(number, UserId(f"u{n}"), better if draw() < 0.9 else worse, False, NOW)
                for n in range(5)
            ]
        found = vote_result(ballots).comparison.verdict
        right += found is (verdict or Verdict.UNDECIDED)

    assert right >= least
