"""Killed at every step of evaluation, gate, judge, vote, trial and offer: nothing happens twice.

Each story is told once without a death, to count its commits and its answers of hosts. Then its
process dies after each of them in turn, and once more as it comes up again, and whoever got no
answer says it again. Everyday runs die at a few of these moments; `ATTUNE_DEATHS=1` at every one.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.domain import (
    LOCAL,
    AnswerState,
    CallState,
    CanaryEnd,
    CanaryState,
    EvaluationState,
    GapOutcome,
    ModelName,
    VoteState,
)
from bot.events import ButtonClicked, CommandInvoked
from bot.judging.verdicts import load_report
from bot.votes.cards import BALLOT_LETTERS
from tests import test_blind_votes, test_canary, test_judging
from tests.fakes.faulty_host import FaultyHost, faulty_host
from tests.scene import Death, Scene, copy_data
from tests.test_evaluations import CHAT, evaluations, in_use, the_answers, times_asked
from tests.waiting import until

IS_WHOLE = bool(os.environ.get("ATTUNE_DEATHS"))
MOMENTS = 3
"""In everyday runs."""
AGAIN = 4
"""Effects of the second life of those that die twice."""
VOTERS = ("ann", "ben")
GAP = "question about parcels"
"""Was not answered well, so the new model is asked it beside the others."""
HEARD_BY_ONE = (
    *("That was decided already", "Judging confirmed", "Blind vote confirmed"),
    *("Your vote is counted", "Blind vote 2 ends.", "Blind vote 2 is not open"),
    *("“attune” is changed", "Nothing to change"),
)
"""What whoever clicks again may hear, or not, where the answer to a click died."""


@dataclass(frozen=True, slots=True)
class Story:
    """What people do, as often as it takes, and what has to have come of it.

    `begins` names what was on disk before; `is_lossy` where the outcome of a call may be lost.
    """

    begins: str
    act: Callable[[Scene], Awaitable[None]]
    check: Callable[[Scene], Awaitable[None]]
    is_lossy: bool = False


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is on disk as each story begins, by its name."""
    folder = tmp_path_factory.mktemp("disks")
    asyncio.run(_prepare(folder))
    return folder


async def _prepare(folder: Path) -> None:
    async with faulty_host() as host:
        scene = Scene(folder, host)
        host.answers = test_judging.answers(test_judging.fair)
        host.tuned.append("judge")
        await scene.start()
        await scene.command("assistant edit judge_model:judge")
        await scene.learn(15)
        await scene.handle(scene.event(ButtonClicked("example.must_answer:3"), key="mark"))
        await scene.say(f"@Attune {GAP}", by="mina")
        await scene.react((await scene.messages())[-1].number, "👎", by="mina")
        await scene.confirm("validation:20%")
        await until(lambda: evaluations(scene), meanwhile=scene.step_jobs)
        _keep(scene, "trained")
        await scene.settle()
        await scene.click("Ask a judge")
        _keep(scene, "judge")
        await scene.command("vote questions:3")
        _keep(scene, "estimated")
        await scene.click("Ask both and vote")
        await scene.settle()
        _keep(scene, "voting")
        await scene.command("rollback")
        _keep(scene, "rolled back")
        await scene.command("use latest share:50%")
        await scene.settle()
        _keep(scene, "on trial")
        canary = await test_canary.current(scene)
        await test_canary.received(scene, canary, own=[1] * 12, other=[-1] * 14)
        _keep(scene, "liked")
        await scene.end()
        copy_data(folder / "on trial", folder)
        await scene.open()
        await test_canary.received(scene, canary, own=[-1] * 8, other=[1] * 20)
        _keep(scene, "disliked")
        await scene.end()


def _keep(scene: Scene, name: str) -> None:
    (scene.folder / name).mkdir()
    copy_data(scene.folder, scene.folder / name)


async def say(scene: Scene, what: ButtonClicked | CommandInvoked, *, by: str = "you") -> None:
    """A platform sends it again until it is acknowledged, and never afterwards."""
    await scene.handle(scene.event(what, key=f"{by} {what}", by=by))
    scene.crash_point.check()


async def press(scene: Scene, label: str, *, by: str = "you") -> None:
    """The newest button of this name, if it still stands there."""
    cards = [one for one in await scene._drawn() if hasattr(one, "buttons")]
    found = [button.action for card in cards for button in card.buttons if button.label == label]
    if found:
        await say(scene, ButtonClicked(found[-1]), by=by)


# What people do


async def wait(scene: Scene) -> None:
    """Nothing; all happens by itself."""


async def judge(scene: Scene) -> None:
    await press(scene, "Judge")


async def ask_both(scene: Scene) -> None:
    await press(scene, "Ask both and vote")


async def vote(scene: Scene) -> None:
    await scene.settle()
    for card in await test_blind_votes.cards(scene):
        for voter in VOTERS if card.buttons else ():
            letter = test_blind_votes.letter_of(card, "answer")
            action = card.buttons[BALLOT_LETTERS.index(letter)].action
            await say(scene, ButtonClicked(action), by=voter)
    await press(scene, "End the vote")


async def try_and_stop(scene: Scene) -> None:
    await say(scene, CommandInvoked("use latest share:50%"))
    await scene.settle()
    await press(scene, "Stop")


async def promote(scene: Scene) -> None:
    await scene.settle()
    await press(scene, "Use for all")


async def ask_what_fails(scene: Scene) -> None:
    scene.host.fail_always(CHAT, test_canary.tuned_fails)
    canary = await test_canary.current(scene)
    for by in test_canary.people(canary, drawn=True, count=3):
        spoken = scene.spoken("hello", number=f"9{by}", by=by)
        await scene.handle(scene.event(spoken, key=f"says {by}", by=by))
        scene.crash_point.check()


async def offer(scene: Scene) -> None:
    await say(scene, CommandInvoked("assistant edit offer_after_examples:1"))
    await say(scene, ButtonClicked("example.not_must_answer:3"))
    await scene.settle()
    await press(scene, "Train")


# What has to have come of it


async def check_gate(scene: Scene) -> None:
    (evaluation,) = await evaluations(scene)
    answers = await the_answers(scene, evaluation)
    assert evaluation.state is EvaluationState.DONE
    assert len(answers) == evaluation.questions * len(evaluation.contenders)
    assert {one.state for one in answers} <= {AnswerState.DONE, AnswerState.LOST}
    lost = {one.contender for one in answers if one.state is AnswerState.LOST} & {0, 1}
    assert lost or evaluation.is_deployed
    assert (await in_use(scene) == evaluation.model) is evaluation.is_deployed
    assert await scene.audited("model.used") == evaluation.is_deployed
    async with scene.database.reading() as records:
        (gap,) = await records.evaluation_gaps.calls(LOCAL, evaluation.id)
    assert gap.state is CallState.LOST or gap.outcome is GapOutcome.ANSWERED
    assert await scene.audited("evaluation.done") == 1
    assert len(await scene.said(f"Evaluation {evaluation.id}")) == 2


async def check_judge(scene: Scene) -> None:
    (judging,) = await test_judging.judgings(scene)
    async with scene.database.reading() as records:
        pairs = await records.judgings.calls(LOCAL, judging.id)
    found = load_report(judging.report)
    assert found is not None
    assert judging.state is EvaluationState.DONE
    assert len(pairs) == 2 * judging.pairs
    assert {one.state for one in pairs} <= {CallState.DONE, CallState.LOST}
    assert found.missing == len({one.number for one in pairs if one.state is CallState.LOST})
    assert len(await scene.said("judges evaluation")) == 1


async def check_asked(scene: Scene) -> None:
    kept, evaluation, _ = await test_blind_votes.kept(scene)
    answers = await the_answers(scene, evaluation)
    whole = Counter(one.number for one in answers if one.state is AnswerState.DONE)
    assert len(answers) == 2 * evaluation.questions
    assert list(whole.values()).count(2) == kept.cards == len(await test_blind_votes.cards(scene))
    assert kept.state is (VoteState.OPEN if kept.cards else VoteState.CLOSED)


async def check_vote(scene: Scene) -> None:
    kept, _, ballots = await test_blind_votes.kept(scene)
    shown = await test_blind_votes.cards(scene)
    assert kept.state is VoteState.CLOSED
    assert len(ballots) == len(VOTERS) * kept.cards == len(VOTERS) * len(shown)
    assert all(not card.buttons for card in shown)
    preferences = await test_blind_votes.preferences(scene)
    assert (kept.result["kept"], kept.result["waiting"]) == (0, len(preferences))
    assert preferences


async def check_stopped(scene: Scene) -> None:
    await _ended(scene, CanaryState.STOPPED, CanaryEnd.BY_HAND)


async def check_promoted(scene: Scene) -> None:
    await _ended(scene, CanaryState.PROMOTED, CanaryEnd.BY_HAND)
    assert len(await scene.said("Decided: it is liked more")) <= 1


async def check_failing(scene: Scene) -> None:
    await _ended(scene, CanaryState.STOPPED, CanaryEnd.FAILING)


async def check_disliked(scene: Scene) -> None:
    await _ended(scene, CanaryState.STOPPED, CanaryEnd.DISLIKED)


async def _ended(scene: Scene, state: CanaryState, why: CanaryEnd) -> None:
    canary = await test_canary.current(scene)
    is_promoted = state is CanaryState.PROMOTED
    assert (canary.state, canary.why) == (state, why)
    assert await scene.audited(f"canary.{state}") == 1
    assert await in_use(scene) == (canary.model if is_promoted else ModelName("base"))


async def check_offer(scene: Scene) -> None:
    assert len(await scene.said("has something new to learn")) == 1
    assert len(await scene.said("Train “attune”?")) == 1


STORIES = {
    "gate": Story("trained", wait, check_gate, is_lossy=True),
    "judge": Story("judge", judge, check_judge, is_lossy=True),
    "vote asked": Story("estimated", ask_both, check_asked, is_lossy=True),
    "vote": Story("voting", vote, check_vote),
    "trial stopped": Story("rolled back", try_and_stop, check_stopped),
    "trial promoted": Story("liked", promote, check_promoted),
    "trial failing": Story("on trial", ask_what_fails, check_failing, is_lossy=True),
    "trial disliked": Story("disliked", wait, check_disliked),
    "offer": Story("trained", offer, check_offer, is_lossy=True),
}


@pytest.mark.parametrize("name", STORIES)
async def test_death_at_every_step_is_outlived(
    name: str, tmp_path: Path, disks: Path, quick_hosts: None
) -> None:
    story = STORIES[name]
    async with faulty_host() as host:
        whole = await told(story, host, tmp_path / "0", disks, ())
        for deaths in moments(whole.effects):
            try:
                again = await told(story, host, tmp_path / f"{deaths}", disks, deaths)
                assert again.texts == whole.texts or story.is_lossy
                assert again.heads == whole.heads
            except AssertionError as error:
                raise AssertionError(f"killed at {deaths} of {whole.effects} moments") from error


def moments(effects: int) -> list[tuple[int, ...]]:
    """After how many effects each life ends; every second time also that which follows."""
    if IS_WHOLE:
        return [(n, *more) for n in range(1, effects + 1) for more in ((), (AGAIN,))]
    parts = range(1, MOMENTS + 1)
    return [(effects * n // (MOMENTS + 1), *((AGAIN,) if n % 2 else ())) for n in parts]


@dataclass(frozen=True, slots=True)
class Told:
    """What the assistant has said in the end, without what a click was answered with."""

    effects: int
    texts: Counter[str]

    @property
    def heads(self) -> Counter[str]:
        """The first lines, of which there are as many however many answers were lost."""
        heads = [text.partition("\n")[0] for text in self.texts.elements()]
        return Counter(head for head in heads if not head.startswith("Question "))


async def told(
    story: Story, host: FaultyHost, folder: Path, disks: Path, deaths: Sequence[int]
) -> Told:
    """The story with these deaths; nothing was asked twice."""
    folder.mkdir()
    copy_data(disks / story.begins, folder)
    host.asked.clear()
    host.recover()
    host.answers = test_judging.answers(test_judging.fair)
    scene = Scene(folder, host)
    await scene.open()
    host.tuned = ["judge", *(one.model for one in await evaluations(scene))]
    await scene.end()
    for moment in (*deaths, 0):
        await scene.open(moment)
        scene.dies_with_calls(CHAT)
        try:
            await story.act(scene)
            await scene.settle()
            break
        except Death:
            await scene.end()
    try:
        await story.check(scene)
        assert set(times_asked(host).values()) | set(test_judging.times_asked(host).values()) <= {1}
        texts = [text for text in await scene.texts() if not text.startswith(HEARD_BY_ONE)]
        return Told(scene.crash_point.effects, Counter(texts))
    finally:
        await scene.end()
