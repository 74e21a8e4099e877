"""A model proposes other wordings and other labels; nothing of it is learned or tested unseen."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.domain import (
    LOCAL,
    MUST_ANSWER_TAG,
    SYNTHETIC_TAG,
    AssistantId,
    EvaluationState,
    Example,
    ExampleId,
    ExampleState,
    JobId,
    Split,
    SyntheticRun,
)
from bot.events import ButtonClicked, CommandInvoked
from bot.examples.row_texts import readable_texts
from bot.retention import RetentionPeriods, delete_old_data
from bot.synthetic.prompt import parse_rows
from bot.tuning.held_out_rows import CandidateRow, split_rows
from tests.fakes.openai_rules import Body
from tests.scene import Death, Scene
from tests.stores import a_synthetic_run
from tests.test_evaluations import CHAT, messages_in

YEAR = RetentionPeriods(*[timedelta(days=365)] * 3)
ADDRESS = "ada.lovelace@example.org"
WORDINGS = "check propose:wordings wordings:2 model:writer"


def question_of(body: Body) -> str:
    found = re.search(r"Question:\n(.*)", messages_in(body)[-1]["content"])
    assert found is not None
    return found[1]


def writes(body: Body) -> str:
    question = question_of(body)
    return f"Here you are:\n1. Tell me {question}\n2. What is {question}\n3. {question}!"


def asked(scene: Scene) -> list[Body]:
    return [one.body for one in scene.host.asked if one.route == CHAT]


async def prepared(scene: Scene, answers: Callable[[Body], str] = writes) -> None:
    """Twelve approved examples; one holds an address, one must be answered, one is rejected."""
    scene.host.answers = answers
    scene.host.tuned.append("writer")
    await scene.learn(12)
    await scene.handle(scene.event(ButtonClicked("example.must_answer:3"), key="mark"))
    await scene.command("examples withdraw:4")
    await scene.command("teach")
    await scene.submit(question="Who knows?", answer=f"Write to {ADDRESS}.")


async def written(scene: Scene) -> list[Example]:
    return [one for one in await scene.examples() if one.synthetic is not None]


async def run_of(scene: Scene) -> SyntheticRun:
    async with scene.database.reading() as records:
        return await records.synthetic_runs.get(LOCAL, 1)


async def test_wordings_wait_in_review_and_are_learned_once_approved(scene: Scene) -> None:
    await prepared(scene)
    await scene.command(WORDINGS)
    card = await scene.last_card()
    assert "10 questions with their answers are sent" in str(card)
    assert "One example is left out, as it holds private text" in str(card)
    assert not asked(scene)

    await scene.click("Ask the model")
    await scene.settle()

    bodies = asked(scene)
    assert Counter(map(question_of, bodies)) == Counter(
        f"question {n}" for n in range(12) if n not in (2, 3)
    )
    assert ADDRESS not in str(bodies)
    assert "20 proposals wait in review" in await scene.last()
    new = await written(scene)
    assert {one.state for one in new} == {ExampleState.PROPOSED}
    assert all(SYNTHETIC_TAG in one.tags and one.origin == "import" for one in new)
    source = new[0].synthetic.source if new[0].synthetic else 0
    await scene.command("review")
    assert f"by the model writer: another wording of example {source}." in await scene.last()
    await scene.click("Approve")
    shown = await scene.app.handle_for_page(
        scene.event(ButtonClicked(f"example.show:{source}"), key="show")
    )
    assert f"A model wrote others from it: #{new[0].id}, #{new[1].id}." in str(shown)

    for one in new:
        await scene.handle(
            scene.event(ButtonClicked(f"example.must_answer:{one.id}"), key=f"m{one.id}")
        )
        async with scene.database.writing() as records:
            await records.examples.add_tag(LOCAL, [one.id], MUST_ANSWER_TAG)
            await records.examples.set_held_out(LOCAL, [one.id], held_out=True)
            await records.examples.set_state(
                LOCAL, [one.id], ExampleState.APPROVED, at=scene.clock.now()
            )
    assert not [one for one in await written(scene) if one.held_out or MUST_ANSWER_TAG in one.tags]
    await scene.command("start validation:40%")
    told = await scene.last()
    await scene.click("Confirm")
    async with scene.database.reading() as records:
        job = await records.jobs.get(LOCAL, JobId(1))
        sides = {
            side: {row.example async for row in records.snapshots.rows(LOCAL, job.snapshot, side)}
            for side in Split
        }
    numbers = {one.id: one.synthetic.source for one in new if one.synthetic}
    held = sides[Split.VALIDATION]
    kept = {number for number, source in numbers.items() if source not in held}
    assert len(held) == 4
    assert not held & numbers.keys()
    assert sides[Split.TRAIN] & numbers.keys() == kept
    assert f"{len(kept)} of the rows were written by a model" in told
    assert f"{len(numbers) - len(kept)} rows by a model are left out" in told
    await scene.command(WORDINGS)
    assert "of them 1 hold private text" in await scene.last()


def test_another_wording_of_what_is_asked_is_on_neither_side() -> None:
    plain = [CandidateRow(ExampleId(n), 1, str(n), f"g{n}", 1) for n in range(1, 11)]
    other = [replace(one, example=ExampleId(one.example + 100), is_synthetic=True) for one in plain]
    asked = CandidateRow(ExampleId(300), 1, "x", "g300", 1, is_synthetic=True, is_left_out=True)

    training, held = split_rows([*plain, *other, asked], share=0.5)

    assert len(held) == 5
    assert not any(one.is_synthetic for one in held)
    assert {one.group for one in training}.isdisjoint(one.group for one in held)
    assert len(training) == 10
    assert asked not in training


@pytest.mark.parametrize("dies_at", [5, 9])
async def test_a_kill_asks_about_nothing_twice_and_proposes_nothing_twice(
    scene: Scene, dies_at: int
) -> None:
    await prepared(scene)
    await scene.command(WORDINGS)
    await scene.click("Ask the model")
    await scene.end()
    await scene.open(dies_at)
    scene.dies_with_calls(CHAT)
    with pytest.raises(Death):
        await scene.settle()
    await scene.end()
    scene.host.recover()
    await scene.open()

    await scene.settle()

    times = Counter(map(question_of, asked(scene)))
    assert set(times.values()) == {1}
    new = Counter(one.synthetic.source for one in await written(scene) if one.synthetic)
    lost = 10 - len(new)
    assert set(new.values()) == {2}
    assert lost <= 4
    assert (await run_of(scene)).state is EvaluationState.DONE
    assert ("no answer" in await scene.last()) is (lost > 0)


async def test_it_stops_and_is_paid_from_the_months_money(scene: Scene) -> None:
    scene.configs = [scene.config("sandbox", chat_prices={"writer": (9e5, 9e5)})]
    await scene.restart()
    await prepared(scene)
    await scene.command("admin budget training:5")
    await scene.command(WORDINGS)
    confirm = (await scene.last_card()).buttons[0].action
    await scene.click("Ask the model")
    assert "month" in await scene.last()
    await scene.command("admin budget training:off")
    await scene.handle(scene.event(ButtonClicked(confirm), key="confirm"))
    await scene.handle(scene.event(ButtonClicked("synthetic.stop:1"), key="stop"))
    await scene.settle()

    assert (await run_of(scene)).state is EvaluationState.STOPPED
    assert not asked(scene)


async def test_a_label_takes_the_place_of_the_one_it_was_made_from(scene: Scene) -> None:
    def labels(body: Body) -> str:
        text = messages_in(body)[-1]["content"]
        return "**Billing**" if "invoice" in text else "delivery."

    scene.host.answers = labels
    scene.host.tuned.append("writer")
    rows = [(f"Where is my parcel {n}?", "delivery") for n in range(6)]
    rows += [(f"My invoice {n} is wrong", "billing") for n in range(5)]
    rows.append(("I got an invoice twice", "delivery"))
    path = scene.folder / "labels.csv"
    path.write_text("\n".join(["question,answer", *(f"{one},{two}" for one, two in rows)]))
    await scene.command(f"import {path} yes")
    overview = await scene.app.handle_for_page(scene.event(CommandInvoked("check"), key="check"))
    assert "synthetic.choose:labels" in str(overview)
    form = scene.event(ButtonClicked("synthetic.choose:labels"), key="form")
    await scene.handle(form)
    await scene.command("check propose:labels model:writer")
    await scene.click("Ask the model")
    await scene.settle()
    assert "For 11 questions the model chose your label" in await scene.last()

    await scene.command("review")
    assert "in place of “delivery” in example 12" in await scene.last()
    await scene.click("Approve")

    states = {int(one.id): (one.state, str(one.row)) for one in await scene.examples()}
    assert states[12][0] is ExampleState.WITHDRAWN
    assert states[13][0] is ExampleState.APPROVED
    assert "billing" in states[13][1]


async def test_an_erased_example_takes_what_was_written_from_it_along(scene: Scene) -> None:
    await prepared(scene)
    await scene.command(WORDINGS)
    await scene.click("Ask the model")
    await scene.settle()
    scene.advance(86400 * 3)
    await scene.command("admin retention all:2")
    await scene.click("Delete by age")
    await delete_old_data(YEAR, store=scene.store, clock=scene.clock)

    assert not [one for one in await scene.examples() if one.row]


ROW = {
    "messages": [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "When do you open?"},
        {"role": "assistant", "content": "At nine."},
    ]
}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("- Opening time?\n- when do you open\n\n- Opening time!", ["Opening time?"]),
        ('```json\n["At what time?", "Opening?"]\n```', ["At what time?", "Opening?"]),
        ("“几点开门？”\n2、 什么时候营业", ["几点开门？", "什么时候营业"]),
        ("2 shops: when do they open?", ["2 shops: when do they open?"]),
        ("Sure, " + "I can think of many. " * 30, []),
        ("", []),
    ],
)
def test_wordings_are_found_in_what_a_model_writes(text: str, found: list[str]) -> None:
    run = replace(a_synthetic_run(AssistantId(1)), wordings=5)

    rows = parse_rows(run, ROW, text)

    assert [readable_texts(row)["question"] for row in rows] == found
    assert {readable_texts(row)["answer"] for row in rows} <= {"At nine."}
