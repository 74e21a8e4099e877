"""A judge compares the answers of two models in both orders, and its bias is found."""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from sklearn.metrics import cohen_kappa_score
from sqlalchemy import select

from bot.domain import (
    LOCAL,
    CallState,
    EvaluationState,
    JudgedPair,
    Judging,
    Preferred,
)
from bot.errors import NotFound
from bot.events import ButtonClicked
from bot.judging.verdicts import EVEN, FIRST, SECOND, load_report, make_report, parse_preference
from bot.significance import Verdict, cohens_kappa
from storage.tables import notices
from tests.fakes.faults import Fault, broken_stream, busy
from tests.fakes.faulty_host import FaultyHost
from tests.fakes.openai_rules import Body
from tests.scene import Scene
from tests.test_blind_votes import answered as answered
from tests.test_blind_votes import cards, close, letter_of, press
from tests.test_blind_votes import voting as voting
from tests.test_evaluations import CHAT, is_tuned, messages_in, taught, train
from tests.waiting import until

ADDRESS = "ada.lovelace@example.org"


def shown(body: Body) -> str:
    return messages_in(body)[-1]["content"]


def is_judge(body: Body) -> bool:
    return body["model"] == "judge"


def answers(judge: Callable[[str], str]) -> Callable[[Body], str]:
    """The tuned model is right and writes an address; the judge says what it is to say."""

    def answer(body: Body) -> str:
        if is_judge(body):
            return judge(shown(body))
        return f"{taught(body)} {ADDRESS}" if is_tuned(body) else "I do not know that one at all."

    return answer


def fair(text: str) -> str:
    return "A" if "do not know" in text.partition("Answer B:")[2] else "B"


def first_place(text: str) -> str:
    return "A."


async def judgings(scene: Scene) -> list[Judging]:
    async with scene.database.reading() as records:
        return [await records.judgings.get(LOCAL, 1)]


async def test_a_declined_judge_leaves_no_price_behind(scene: Scene) -> None:
    await ask_judge(scene, fair)

    await scene.click("Cancel")

    async with scene.database.reading() as records:
        assert (
            await records.judgings.committed_cost(LOCAL, since=datetime(2020, 1, 1, tzinfo=UTC))
            == 0
        )
        with pytest.raises(NotFound):
            await records.judgings.get(LOCAL, 1)


async def ask_judge(scene: Scene, judge: Callable[[str], str]) -> None:
    scene.host.tuned.append("judge")
    await scene.command('assistant edit judge_model:judge judge_criteria:"short and kind"')
    await train(scene, answers(judge))
    await scene.click("Ask a judge")
    assert "12 pairs of answers, each shown in both orders." in await scene.last()
    assert not [one for one in scene.host.asked if one.route == CHAT and is_judge(one.body)]


@pytest.mark.parametrize(
    ("judge", "verdict", "said"),
    [
        (fair, Verdict.BETTER, "Better than the base"),
        (first_place, Verdict.UNDECIDED, "The judge prefers the answer that it reads first: on 12"),
        (lambda _: "neither", Verdict.UNDECIDED, "24 answers of the judge were none of A, B and"),
    ],
)
async def test_a_judge_is_asked_in_both_orders_and_its_bias_is_said(
    scene: Scene, judge: Callable[[str], str], verdict: Verdict, said: str
) -> None:
    await ask_judge(scene, judge)
    await scene.click("Judge")
    await scene.settle()

    (judging,) = await judgings(scene)
    found = load_report(judging.report)
    assert found is not None
    assert await edits(scene, "judging.status.1") < 8
    assert (judging.state, found.result.verdict) == (EvaluationState.DONE, verdict)
    assert said in await scene.last()
    bodies = [one.body for one in scene.host.asked if one.route == CHAT and is_judge(one.body)]
    assert len(bodies) == len({shown(body) for body in bodies}) == 24
    assert all("short and kind" in messages_in(body)[0]["content"] for body in bodies)
    assert ADDRESS not in str(bodies)
    assert "[EMAIL_1]" in shown(bodies[0])


async def edits(scene: Scene, key: str) -> int:
    """How often a message was told anew."""
    query = select(notices.c.version).where(notices.c.key == key)
    async with scene.database._readers.connect() as connection:
        return int((await connection.execute(query)).scalar_one())


@pytest.mark.parametrize("fault", [busy(0), broken_stream(1), None])
async def test_a_judge_that_gives_no_verdict_ends_with_the_reason(
    voting: Scene, fault: Fault | None
) -> None:
    """Busy or broken for an hour, or three times for each pair, or silent."""
    voting.host.answers = answers(lambda _: "")
    voting.host.tuned.append("judge")
    await voting.command("assistant edit judge_model:judge")
    await press(voting, (await cards(voting))[0], "a", "ann")
    await close(voting)
    await voting.click("Ask a judge")
    if fault is not None:
        voting.host.fail_always(CHAT, fault)

    await voting.click("Judge")
    await voting.settle()

    (judging,) = await judgings(voting)
    told = await voting.last()
    is_given_up = "gave no verdict for an hour" in told
    assert judging.state is (EvaluationState.FAILED if is_given_up else EvaluationState.DONE)
    assert "The last reason: The host “sandbox” " in told or fault is None
    assert "The last reason: " in told
    assert "The judge has given no verdict on any question" in told
    assert "Undecided" not in told


async def test_it_is_paid_from_the_months_money_and_stops(scene: Scene) -> None:
    await ask_judge(scene, fair)
    confirm = (await scene.last_card()).buttons[0].action
    scene.host.stops_after_first = True
    await scene.click("Judge")
    looking = asyncio.create_task(scene.app.runners.judges.poll())
    await until(
        lambda: [one for one in scene.host.asked if one.route == CHAT and is_judge(one.body)]
    )
    await scene.handle(scene.event(ButtonClicked("judge.stop:1"), key="stop"))

    async with asyncio.timeout(20):
        await looking

    await scene.settle()
    assert (await judgings(scene))[0].state is EvaluationState.STOPPED
    await scene.handle(scene.event(ButtonClicked(confirm), key="again"))
    assert "decided already" in "".join(await scene.texts())


def fair_on_even_questions(text: str) -> str:
    number = re.search(r"question (\d+)", text)
    assert number is not None
    return fair(text) if int(number[1]) % 2 == 0 else "tie"


async def test_after_a_blind_vote_it_is_said_how_far_the_judge_agrees(voting: Scene) -> None:
    """People prefer the right answer on every third card, and the wrong one elsewhere."""
    voting.host.answers = answers(fair_on_even_questions)
    voting.host.tuned.append("judge")
    pairs = []
    for at, card in enumerate(await cards(voting)):
        wanted = "answer" if at % 3 == 0 else "do not know"
        await press(voting, card, letter_of(card, wanted), "ann")
        number = int(card.lines[0].split()[-1])
        said = FIRST if number % 2 == 0 else EVEN
        pairs.append((said, FIRST if at % 3 == 0 else SECOND))
    await voting.command("assistant edit judge_model:judge")
    await close(voting)

    await voting.click("Ask a judge")
    await voting.click("Judge")
    await voting.settle()

    kappa = cohen_kappa_score(*zip(*pairs, strict=True))
    assert f"Agreement with your votes: κ {kappa:.2f}, on 13 questions" in await voting.last()


def times_asked(host: FaultyHost) -> Counter[str]:
    bodies = [one.body for one in host.asked if one.route == CHAT]
    return Counter(shown(body) for body in bodies if is_judge(body))


def judged(
    chance: random.Random, share: float, bias: float, noise: float = 0.0
) -> list[JudgedPair]:
    """Sixty questions: so often the first contender is better, and a place decides, or a coin.

    A negative bias is one for the second place.
    """
    found = []
    for number in range(1, 61):
        is_first = chance.random() < share
        for is_swapped in (False, True):
            says_a = is_first is not is_swapped
            if chance.random() < abs(bias):
                says_a = bias > 0
            if chance.random() < noise:
                says_a = chance.random() < 0.5
            said = Preferred.A if says_a else Preferred.B
            found.append(JudgedPair(number, is_swapped, CallState.DONE, said))
    return found


@pytest.mark.parametrize(
    ("share", "bias", "noise", "verdict", "is_biased", "least"),
    [
        (0.5, 0.0, 0.0, Verdict.UNDECIDED, False, 92),
        (0.5, 0.0, 0.5, Verdict.UNDECIDED, False, 92),
        (0.75, 0.0, 0.0, Verdict.BETTER, False, 80),
        (0.75, 0.4, 0.0, Verdict.BETTER, True, 70),
        (0.25, -0.4, 0.0, Verdict.WORSE, True, 70),
        (0.5, 0.6, 0.3, Verdict.UNDECIDED, True, 92),
        (0.5, -0.9, 0.0, Verdict.UNDECIDED, True, 92),
    ],
)
def test_verdicts_of_simulated_judges_are_right(
    share: float, bias: float, noise: float, verdict: Verdict, is_biased: bool, least: int
) -> None:
    drawn = [judged(random.Random(seed), share, bias, noise) for seed in range(100)]
    reports = [make_report(one, {}) for one in drawn]

    assert sum(one.result.verdict is verdict for one in reports) >= least
    is_second = [one.second_shown > one.first_shown for one in reports if one.is_biased]
    assert is_second.count(bias < 0) >= 0.95 * len(is_second) or not bias
    assert sum(one.is_biased is is_biased for one in reports) >= least


@pytest.mark.parametrize("seed", range(20))
def test_agreement_is_cohens_kappa(seed: int) -> None:
    chance = random.Random(seed)
    labels = [FIRST, SECOND, EVEN][: 2 + seed % 2]
    drawn = chance.choices(labels, k=41)
    pairs = list(pairwise(drawn)) if seed else [(FIRST, SECOND), (SECOND, FIRST)]

    found = cohens_kappa(pairs)

    assert found == pytest.approx(cohen_kappa_score(*zip(*pairs, strict=True)))


def test_agreement_by_chance_alone_is_no_number() -> None:
    assert cohens_kappa([]) is None
    assert cohens_kappa([(FIRST, FIRST)] * 9) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("A", Preferred.A),
        ("**B**", Preferred.B),
        ("Answer: tie.", Preferred.TIE),
        ("TIE", Preferred.TIE),
        ("Both are fine", None),
        ("", None),
    ],
)
def test_the_word_of_a_judge_is_found(text: str, said: Preferred | None) -> None:
    assert parse_preference(text) is said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("**B** because it", Preferred.B),
        ("tie, as both", Preferred.TIE),
        ("Answer A is longer than", None),
        ("I compare A with", None),
    ],
)
def test_of_a_judge_that_is_cut_off_only_the_first_word_counts(
    text: str, said: Preferred | None
) -> None:
    assert parse_preference(text, is_cut=True) is said
