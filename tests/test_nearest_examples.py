"""Examples that go along with a question are chosen by what they mean, however many there are."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pytest

from adapters.meaning_index import MeaningIndex
from bot.domain import (
    LOCAL,
    ChannelId,
    Example,
    ExampleState,
    NewExample,
    Origin,
    Place,
    UserId,
)
from bot.events import ButtonClicked
from bot.examples.row_texts import question_answer_row
from bot.prompts import last_exchange
from bot.replies import Listing
from bot.rows import Method
from tests.scene import Scene
from tuner.local.nearest_rows import NearestRows

PLACE = Place(LOCAL, ChannelId("general"))
SETS = Path(__file__).parent.parent / "bench" / "learning_sets"


async def teach(
    scene: Scene, *pairs: tuple[str, str], state: ExampleState = ExampleState.APPROVED
) -> None:
    await scene.command("help")
    async with scene.store.writing() as records:
        assistant = await records.assistants.default(LOCAL)
        assert assistant is not None
        rows = [
            NewExample(
                assistant.id, Method.SUPERVISED, state, question_answer_row(*pair), Origin.IMPORT
            )
            for pair in pairs
        ]
        await records.examples.add_many(LOCAL, rows, at=scene.clock.now())


async def nearest(scene: Scene, question: str, *, count: int = 3) -> list[str]:
    """The questions of the nearest examples."""
    return [
        asked_of(example) for example in await scene.nearest_examples(PLACE, question, count=count)
    ]


def asked_of(example: Example) -> str:
    exchange = last_exchange(example)
    assert exchange is not None
    return exchange[0]


def learning_set(name: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The taught questions with their answers, and other wordings with theirs."""
    taught, asked, answer = [], [], ""
    for line in (SETS / f"{name}.txt").read_text("utf-8").splitlines():
        kind, _, text = line.partition(": ")
        if kind == "A":
            answer = text
        elif kind == "Q":
            taught.append((text, answer))
        elif kind in ("T", "U"):
            asked.append((text, answer))
    return taught, asked


@pytest.mark.parametrize("name", ["observatory-inn", "tramshed", "glassworks"])
async def test_a_question_in_other_words_finds_what_was_taught(scene: Scene, name: str) -> None:
    taught, asked = learning_set(name)
    await teach(scene, *taught)
    answers = dict(taught)

    found = [
        answer in {answers[near] for near in await nearest(scene, question)}
        for question, answer in asked
    ]

    assert sum(found) >= 0.9 * len(asked)


async def test_what_changed_since_the_last_question_counts_at_once(scene: Scene) -> None:
    await teach(scene, ("How much is a loaf?", "Two euros."), ("Do you sell stamps?", "No."))
    assert await nearest(scene, "what is the price of bread", count=1) == ["How much is a loaf?"]

    async with scene.store.writing() as records:
        edited = question_answer_row("Where can I park my bicycle?", "Behind the house.")
        now = scene.clock.now()
        (stamps,) = [e for e in await scene.examples() if asked_of(e) == "Do you sell stamps?"]
        await records.examples.add_revision(LOCAL, stamps.id, edited, UserId("ann"), at=now)
    await teach(scene, ("Is there a toilet?", "At the back."))

    assert await nearest(scene, "bike parking", count=1) == ["Where can I park my bicycle?"]
    assert await nearest(scene, "restroom", count=1) == ["Is there a toilet?"]


async def test_withdrawn_examples_are_found_no_more_and_others_move_up(scene: Scene) -> None:
    await teach(scene, *((f"How much is loaf {n}?", f"{n} euros.") for n in range(60)))
    await teach(scene, ("Do you sell stamps?", "No."))
    assert "stamps" not in str(await nearest(scene, "price of a loaf", count=50))

    for example in await scene.examples():
        if "loaf" in asked_of(example):
            await scene.command(f"examples withdraw:{example.id}")

    assert await nearest(scene, "price of a loaf") == ["Do you sell stamps?"]


async def test_proposed_examples_do_not_hide_the_approved_ones(scene: Scene) -> None:
    await teach(
        scene,
        *((f"How much is bread number {n}?", f"{n} euros.") for n in range(700)),
        state=ExampleState.PROPOSED,
    )
    approved = ("Where is the toilet?", "Do you sell stamps?", "Is there a car park?")
    await teach(scene, *((question, "Yes.") for question in approved))

    for count in (1, 3):
        found = await nearest(scene, "price of a bread", count=count)
        assert len(found) == count
        assert set(found) <= set(approved)


async def test_an_edit_counts_though_the_question_after_it_was_stopped(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await teach(scene, ("How much is a loaf?", "Two euros."), ("Do you sell stamps?", "No."))
    await nearest(scene, "bread", count=1)
    async with scene.store.writing() as records:
        edited = question_answer_row("Where can I park my bicycle?", "Behind the house.")
        number = (await scene.examples())[1].id
        now = scene.clock.now()
        await records.examples.add_revision(LOCAL, number, edited, UserId("ann"), at=now)
    scene.advance(1800)

    with monkeypatch.context() as patch:
        patch.setattr("adapters.meaning_index._embed", stopped)
        with pytest.raises(asyncio.CancelledError):
            await nearest(scene, "bread", count=1)

    assert await nearest(scene, "bike parking", count=1) == ["Where can I park my bicycle?"]


def stopped(texts: Sequence[str]) -> NoReturn:
    raise asyncio.CancelledError


async def test_of_many_examples_the_rest_is_read_in_the_background(scene: Scene) -> None:
    fillers = ((f"What is the capital of country {n}?", f"City {n}.") for n in range(2600))
    await teach(scene, *fillers, ("May dogs come along?", "Yes, on a lead."))

    first = await nearest(scene, "can I bring my puppy", count=1)
    await asyncio.gather(*scene.tasks.all)

    assert first != ["May dogs come along?"]
    assert await nearest(scene, "can I bring my puppy", count=1) == ["May dogs come along?"]


async def test_a_reviewer_sees_examples_that_mean_the_same(scene: Scene) -> None:
    await teach(
        scene,
        ("What does a loaf of bread cost?", "Two euros."),
        ("How much is bread?", "It is two euros."),
        ("Where is the museum?", "By the river."),
    )

    pressed = scene.event(ButtonClicked("example.similar:1"), key="similar")
    listing = await scene.app.handle_for_page(pressed)

    assert isinstance(listing, Listing)
    assert [line.text for line in listing.lines] == ["How much is bread?"]


async def test_a_model_trains_behind_the_rows_that_the_bot_would_send() -> None:
    """The tuner and the bot know nothing of one another, so each has the likeness of its own."""
    taught, _ = learning_set("tramshed")
    rows = [question_answer_row(*pair) for pair in taught]
    index = MeaningIndex()
    await index.put({number: question for number, (question, _) in enumerate(taught)})

    for number, (row, (question, _)) in enumerate(zip(rows, taught, strict=True)):
        ranked = [other for other, _ in await index.rank(question, limit=4) if other != number]
        lead = NearestRows(rows).lead(row, row)

        messages = (lead or {}).get("messages")
        assert isinstance(messages, list)
        texts = [message["content"] for message in messages[:-2:2]]
        assert texts == [taught[other][0] for other in reversed(ranked[:3])]
