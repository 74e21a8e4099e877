"""Daily caps of tokens hold for answers that are written at the same time."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from dataclasses import replace

import pytest

from bot.daily_token_budget import require_within_daily_caps
from bot.domain import LOCAL, Sources, UserId, Workspace
from bot.errors import OverCap
from bot.events import CommandInvoked, FormSubmitted
from bot.replies import Comparison
from bot.words import Words
from tests.fakes.connected import CHAT
from tests.fakes.faults import Fault, busy, cut, hangs
from tests.scene import Scene
from tests.waiting import until

ANSWER_TOKENS = 7 + 5
"""The fake host's usage of an answer of five pieces."""


async def spent(scene: Scene, by: str = "mina") -> tuple[int, int]:
    async with scene.database.reading() as records:
        return await records.daily_tokens.tokens_of_day(LOCAL, UserId(by), scene.clock.now().date())


async def hanging(scene: Scene, text: str) -> None:
    """A question of mina's that the host has got and does not answer yet."""
    calls = scene.host.count(CHAT)
    scene.host.fail(CHAT, hangs())
    await scene.ask_only(f"@attune {text}", by="mina")
    await until(lambda: scene.host.count(CHAT) > calls)


async def together(scene: Scene, count: int, *people: str) -> None:
    """So many questions at once, all answered or refused."""
    scene.host.pieces = ["one ", "two ", "three ", "four ", "five"]
    events = [
        scene.event(scene.spoken("hello", number=900 + n), key=f"q{n}", by=people[n % len(people)])
        for n in range(count)
    ]
    tasks = await asyncio.gather(*(scene.app.handle(event) for event in events))
    await asyncio.wait([task for task in tasks if task])
    scene.tasks.raise_failures()


@pytest.mark.parametrize("cap", [1, 5, 30, 60])
@pytest.mark.parametrize("whose", ["person", "workspace"])
async def test_answers_at_once_overshoot_no_more_than_one_alone(
    scene: Scene, cap: int, whose: str
) -> None:
    await scene.command(f"admin budget {whose}:{cap}")
    people = ["mina"] if whose == "person" else ["mina", "omar", "ben"]

    await together(scene, 12, *people)

    _, whole = await spent(scene)
    assert cap <= whole < cap + ANSWER_TOKENS


async def test_one_person_who_is_over_the_cap_holds_up_nobody_else(scene: Scene) -> None:
    await scene.command("admin budget person:5")
    await hanging(scene, "hello")

    await scene.say("@attune hello", by="omar")

    assert (await spent(scene, "omar"))[0] > 0


async def test_where_enough_is_left_answers_are_written_side_by_side(scene: Scene) -> None:
    await scene.command("admin budget person:1,000,000")
    await hanging(scene, "first")

    await scene.say("@attune second", by="mina")

    assert scene.host.count(CHAT) == 2


@pytest.mark.parametrize("fault", [busy(1), cut()])
async def test_a_call_that_failed_holds_no_tokens(scene: Scene, fault: Fault) -> None:
    await scene.command("admin budget person:50")
    scene.host.fail(CHAT, fault)
    await scene.say("@attune first", by="mina")

    await scene.say("@attune second", by="mina")

    assert (await spent(scene))[0] > 0


async def test_a_killed_answer_holds_no_tokens_in_the_next_life(scene: Scene) -> None:
    await scene.command("admin budget person:50")
    await hanging(scene, "first")
    await scene.restart()

    await scene.say("@attune second", by="mina")

    assert (await spent(scene))[0] > 0


async def test_comparisons_at_once_stay_under_the_cap_too(scene: Scene) -> None:
    await scene.command("admin budget person:20")
    await scene.learn(3)
    scene.host.pieces = ["one ", "two ", "three ", "four ", "five"]
    event = scene.event(CommandInvoked("compare hello"), key="a", by="mina")
    again = replace(event, key="b")

    tasks = await asyncio.gather(scene.app.handle(event), scene.app.handle(again))
    await asyncio.wait([task for task in tasks if task])

    assert (await spent(scene))[0] < 20 + ANSWER_TOKENS


async def test_a_page_that_never_reads_a_comparison_holds_no_tokens(scene: Scene) -> None:
    await scene.command("admin budget person:50")
    form = FormSubmitted("compare", {"question": "hello", "who": "base"})
    opened = await scene.app.handle_for_page(scene.event(form, key="page"))
    assert isinstance(opened, Comparison)

    await scene.say("@attune hello")

    assert (await spent(scene, "you"))[0] > 0


async def test_two_admins_who_set_two_caps_at_once_both_succeed(scene: Scene) -> None:
    await scene.do("/tune help")
    lines = ("person:100", "workspace:900", "training:7")
    events = [
        scene.event(CommandInvoked(f"admin budget {line}"), key=line, by="you") for line in lines
    ]

    tasks = await asyncio.gather(*(scene.app.handle(event) for event in events))
    await asyncio.wait([task for task in tasks if task])

    async with scene.database.reading() as records:
        workspace = await records.workspaces.find(LOCAL)
    assert workspace is not None
    assert (workspace.person_cap, workspace.workspace_cap, workspace.training_cap) == (100, 900, 7)


async def test_a_cap_that_is_lowered_meanwhile_counts_for_who_waits(scene: Scene) -> None:
    await scene.command("admin budget person:4100")
    await hanging(scene, "first")
    await scene.ask_only("@attune second", by="mina")
    async with scene.store.writing() as records:
        await records.workspaces.set_caps(LOCAL, person_cap=1, workspace_cap=None)

    scene.host.release()
    while scene.app.running_tasks:
        await asyncio.wait(set(scene.app.running_tasks))

    assert scene.host.count(CHAT) == 1


@pytest.mark.parametrize(
    ("spent", "is_over"), [((9, 19), False), ((10, 10), True), ((5, 20), True), ((0, 19), False)]
)
def test_whoever_has_spent_exactly_the_cap_has_nothing_left(
    spent: tuple[int, int], is_over: bool
) -> None:
    workspace = Workspace(LOCAL, "Local", Sources.OUTSIDE, person_cap=10, workspace_cap=20)

    with pytest.raises(OverCap) if is_over else nullcontext():
        require_within_daily_caps(workspace, spent, Words("en"))
