"""A training is offered by itself once enough is new: one card for each state, and no other."""

from __future__ import annotations

from dataclasses import replace

from bot.domain import LOCAL, ExampleState, NewExample, Origin, Phase, UserId
from bot.rows import Method
from tests.scene import Scene

OFFER = "has something new to learn"


async def offers(scene: Scene) -> list[str]:
    await scene.app.runners.offers.poll()
    await scene.app.deliver_notices()
    return await scene.said(OFFER)


async def prefer(scene: Scene, count: int) -> None:
    """So many preferences of the default assistant, approved."""
    async with scene.store.writing() as records:
        own = await records.assistants.default(LOCAL)
        assert own is not None
        for number in range(count):
            row = {
                "input": {"messages": [{"role": "user", "content": f"question {number}"}]},
                "preferred_output": [{"role": "assistant", "content": f"answer {number}"}],
                "non_preferred_output": [{"role": "assistant", "content": "no idea"}],
            }
            new = NewExample(
                own.id, Method.DPO, ExampleState.APPROVED, row, Origin.STUDIO, (UserId("you"),)
            )
            await records.examples.add(LOCAL, new, at=scene.clock.now())


async def test_examples_then_preferences_are_offered_once_each(scene: Scene) -> None:
    await scene.learn(12)
    assert await offers(scene) == []
    await prefer(scene, 10)
    await scene.command("assistant edit offer_after_examples:15 offer_after_preferences:10")
    first = await offers(scene)
    assert len(first) == 1
    assert "10 preferences are new" in first[0]
    await scene.learn(15, origin="more.csv")

    told = (await offers(scene))[-1]

    assert "15 examples are new since the last training" in told
    assert "A training on 15 rows" in told
    assert "After it a training on 10 preferences is offered" in told
    assert len(await offers(scene)) == 2
    await scene.restart()
    assert len(await offers(scene)) == 2
    await scene.click("Train")
    await scene.click("Confirm")
    assert len(await offers(scene)) == 2
    await scene.settle()
    again = await offers(scene)
    assert len(again) == 3
    assert "goes on from the newest tuned model" in again[-1]
    await scene.click("Train")
    await scene.click("Confirm")
    await scene.settle()
    newest, before = (await scene.jobs())[0], (await scene.jobs())[1]
    assert (newest.method, newest.base) == (Method.DPO, before.model)
    assert len(await offers(scene)) == 3
    # What was learned stays learned, however many trainings have failed since.
    async with scene.store.writing() as records:
        for number in range(60):
            failed = replace(
                newest, idempotency_key=f"failed {number}", phase=Phase.FAILED, model=None
            )
            await records.jobs.add(LOCAL, failed)
    assert len(await offers(scene)) == 3
    await scene.command("assistant edit offer_after_examples:0")
    await scene.learn(40, origin="many.csv")
    assert len(await offers(scene)) == 3


async def test_nothing_is_offered_before_somebody_asks_for_it(scene: Scene) -> None:
    await scene.learn(40)

    assert await offers(scene) == []
