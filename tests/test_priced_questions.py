"""What a run asks is what its card gave the price of, or less, whatever is added meanwhile."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.domain import LOCAL, ExampleState
from bot.events import ButtonClicked
from bot.teach_next import gaps as gap_module
from tests.fakes.openai_rules import Body
from tests.scene import Scene
from tests.stores import an_example
from tests.test_evaluations import CHAT, question_in, taught
from tests.test_synthetic import WORDINGS, asked, prepared

NEW = ("a new gap", "question 2", "question 70")
"""Not answered well, marked as must-answer, and held out, after the price was told."""


def answers(body: Body) -> str:
    if question_in(body) == "a new gap":
        return "I'm sorry, I can't help with that."
    return taught(body)


async def add_questions(scene: Scene) -> None:
    """One of each kind that an evaluation asks."""
    await scene.say("@Attune a new gap", by="mina")
    await scene.handle(scene.event(ButtonClicked("example.must_answer:3"), key="mark"))
    path = scene.folder / "more.csv"
    path.write_text("question,answer\nquestion 70,answer 70\n")
    await scene.command(f"import {path} yes")
    newest = (await scene.examples())[-1]
    async with scene.store.writing() as records:
        await records.examples.set_held_out(LOCAL, [newest.id], held_out=True)
    scene.host.asked.clear()


@pytest.mark.parametrize(
    ("command", "button"),
    [("evaluate", "Evaluate"), ("vote", "Ask both and vote"), ("start", "Confirm")],
)
async def test_what_comes_after_the_price_is_not_asked(
    scene: Scene, command: str, button: str
) -> None:
    scene.host.answers = answers
    await scene.learn(60)
    if command != "start":
        await scene.confirm()
        await scene.settle()
    await scene.command(command)
    number = (await scene.messages())[-1].number
    await add_questions(scene)

    await scene.click(button, on=number)
    await scene.settle()

    questions = {question_in(one.body) for one in scene.host.asked if one.route == CHAT}
    assert questions
    assert questions.isdisjoint(NEW)


async def test_what_may_not_be_asked_any_more_is_left_out(scene: Scene) -> None:
    """Withdrawn, changed, or learned meanwhile: what is left is asked, under new numbers."""
    scene.host.answers = taught
    await scene.learn(60)
    await scene.confirm()
    await scene.settle()
    await scene.command("evaluate")
    number = (await scene.messages())[-1].number
    held = [one for one in await scene.examples() if one.held_out]
    await scene.command(f"examples withdraw:{held[0].id}")
    await scene.command(f"examples edit:{held[5].id}")
    await scene.submit(question="question x", answer="answer x")
    scene.host.asked.clear()

    await scene.click("Evaluate", on=number)
    await scene.settle()

    async with scene.database.reading() as records:
        newest = (await records.evaluations.page(LOCAL))[0]
        kept = await records.evaluations.questions(LOCAL, newest.id)
    left = [one.id for one in held if one not in (held[0], held[5])]
    assert [one.example for one in kept] == left
    assert [one.number for one in kept] == list(range(1, 11))
    assert newest.questions == 10


async def test_an_estimate_that_is_declined_leaves_nothing_and_one_of_a_training_waits(
    scene: Scene,
) -> None:
    await scene.learn(60)
    await scene.command("start")
    await scene.click("Cancel")
    await scene.command("start")
    async with scene.store.writing() as records:
        at = scene.clock.now()
        swept = [await records.evaluations.delete_old_estimates(at, limit=9) for _ in range(2)]
    scene.advance(60)
    async with scene.store.writing() as records:
        swept += [await records.evaluations.delete_old_estimates(scene.clock.now(), limit=9)]

    await scene.click("Confirm")
    await scene.settle()

    assert swept == [0, 0, 1]
    assert "Evaluation 2" in await scene.last()


async def test_examples_that_are_approved_after_the_price_are_not_sent_to_a_model(
    scene: Scene,
) -> None:
    await scene.command("assistant show")
    async with scene.store.writing() as records:
        assistant = await records.assistants.default(LOCAL)
        assert assistant is not None
        new = replace(an_example(assistant.id, "early"), state=ExampleState.PROPOSED, authors=())
        await records.examples.add(LOCAL, new, at=scene.clock.now())
    await prepared(scene)
    await scene.command(WORDINGS)
    number = (await scene.messages())[-1].number
    await scene.command("review")
    await scene.click("Approve")
    assert (await scene.examples())[0].state is ExampleState.APPROVED

    await scene.click("Ask the model", on=number)
    await scene.settle()

    assert len(asked(scene)) == 10
    assert "early" not in str(asked(scene))


@pytest.mark.parametrize("what", ["start", "evaluate", "assistant teach-next"])
async def test_no_transaction_is_open_while_alike_questions_are_put_together(
    scene: Scene, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.host.answers = answers
    await scene.learn(60)
    await scene.confirm()
    await scene.settle()
    await scene.say("@Attune a new gap", by="mina")
    seen: list[int] = []
    engines = scene.database._readers, scene.database._writers

    def group(texts: list[str]) -> list[list[int]]:
        seen.append(sum(one.pool.checkedout() for one in engines))  # type: ignore[attr-defined]
        return [[at] for at in range(len(texts))]

    monkeypatch.setattr(gap_module, "group_similar_texts", group)

    await scene.command(what)

    assert seen == [0]
