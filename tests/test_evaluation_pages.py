"""What pages show of evaluations: every question with every answer, in the order that is asked."""

from __future__ import annotations

import random

import pytest

from adapters.studio.word_differences import split_by_difference
from bot.domain import ALWAYS_TRAIN_TAG, LOCAL, Split
from bot.events import ButtonClicked
from bot.replies import Card, Listing
from tests.fakes.openai_rules import Body
from tests.scene import Scene
from tests.studio_desk import Desk
from tests.studio_desk import desk as desk
from tests.test_evaluations import is_tuned, question_in, taught, times_asked, train


def tuned_fails_evens(body: Body) -> str:
    """The new model misses every second question, the base the others."""
    is_even = question_in(body)[-1:] in "02468"
    return "Hm." if is_even is is_tuned(body) else taught(body)


async def sheet(desk: Desk, order: str) -> Listing:
    reply = await desk.query(f"evaluation.sheet:1.{order}.0")
    assert isinstance(reply, Listing)
    return reply


async def test_the_table_is_sorted_by_where_the_models_differ(scene: Scene, desk: Desk) -> None:
    await train(scene, tuned_fails_evens)

    told = {order: await sheet(desk, order) for order in ("number", "worse", "better", "apart")}

    numbers = [int(line.id) for line in told["number"].lines]
    assert numbers == list(range(1, 13))
    assert {len(one.lines) for one in told.values()} == {12}
    by_order = {
        order: [{f.name: f.value for f in line.facts}["score.0"] for line in one.lines]
        for order, one in told.items()
    }
    assert by_order["worse"] == sorted(by_order["worse"])
    assert by_order["better"] == sorted(by_order["better"], reverse=True)
    first = told["worse"].lines[0]
    facts = {fact.name: fact.value for fact in first.facts}
    assert (facts["answer.0"], facts["score.1"]) == ("Hm.", "1.00")
    assert facts["taught"] == facts["answer.1"]
    assert [fact.label for fact in told["worse"].facts][1] == "the base (base)"
    history, listed = await desk.query("evaluations.history"), await desk.query("evaluations")
    assert isinstance(history, Card)
    assert isinstance(listed, Listing)
    assert [line.id for line in listed.lines] == ["1"]
    details = await desk.query("evaluation.details:1")
    assert isinstance(details, Listing)
    mean, low, high = (float(fact.value) for fact in details.lines[0].facts)
    assert low <= mean <= high


async def test_teach_this_moves_a_question_into_every_training(scene: Scene, desk: Desk) -> None:
    evaluation = await train(scene, tuned_fails_evens)
    row = (await sheet(desk, "worse")).lines[0]
    teach = next(one.action for one in row.buttons if one.label == "Teach this")
    example = int(teach.partition(":")[2])

    await desk.ask(ButtonClicked(teach))
    scene.host.asked.clear()
    await scene.confirm()
    await scene.settle()

    async with scene.database.reading() as records:
        newest = (await records.jobs.page(LOCAL))[0]
        rows = records.snapshots.rows(LOCAL, newest.snapshot, Split.TRAIN)
        trained = {one.example async for one in rows}
        kept = await records.examples.get(LOCAL, next(e for e in trained if e == example))
    assert newest.model != evaluation.model
    assert (kept.held_out, kept.tags) == (False, (ALWAYS_TRAIN_TAG,))
    assert row.text not in {question for _, question in times_asked(scene.host)}


@pytest.mark.parametrize(
    ("text", "reference", "differing"),
    [
        ("It is open at nine.", "It is open at ten.", [" nine"]),
        ("It is open.", "It is open.", []),
        ("三天后送到", "五天后送到", ["三"]),
        ("Open  AT ten", "open at ten", []),
        ("Something else", "", []),
        ("", "It is open.", []),
    ],
)
def test_what_differs_is_marked_and_nothing_is_lost(
    text: str, reference: str, differing: list[str]
) -> None:
    pieces = split_by_difference(text, reference)

    assert "".join(piece for piece, _ in pieces) == text
    assert [piece for piece, differs in pieces if differs] == differing


def test_no_more_is_marked_than_the_longest_common_subsequence_leaves() -> None:
    chance = random.Random(1)
    for _ in range(200):
        ours, theirs = (chance.choices("abcd", k=chance.randint(1, 12)) for _ in range(2))
        pieces = split_by_difference("".join(f" {one}" for one in ours), " ".join(theirs))
        shared = "".join(text for text, differs in pieces if not differs).split()
        assert len(shared) == longest_common(ours, theirs)
        left = iter(theirs)
        assert all(one in left for one in shared)


def longest_common(ours: list[str], theirs: list[str]) -> int:
    before = [0] * (len(theirs) + 1)
    for one in ours:
        row = [0]
        for at, other in enumerate(theirs):
            row.append(before[at] + 1 if one == other else max(row[at], before[at + 1]))
        before = row
    return before[-1]
