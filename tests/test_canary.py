"""A model answers a share of the questions, and what people say of it decides about it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from fastapi import Response

from bot.canary import stop_rules, traffic_split
from bot.domain import (
    LOCAL,
    AssistantId,
    Canary,
    CanaryEnd,
    CanaryState,
    MessageId,
    ModelFeedback,
    ModelName,
    TurnState,
    UserId,
    Vote,
)
from bot.events import ButtonClicked, FormSubmitted
from bot.models_in_use import MODEL_NAME_ENDING_LENGTH
from bot.replies import Listing
from bot.significance import Verdict, compare_shares
from tests.fakes.faults import (
    Call,
    Fault,
    broken_stream,
    empty_stream,
    ends_for,
    short_stream,
)
from tests.fakes.faults import answers as replies
from tests.scene import Scene
from tests.stores import a_canary, a_turn

CHAT = "POST /chat/completions"


def tuned(fault: Fault) -> Fault:
    """This fault wherever the tuned model is asked."""

    async def respond(call: Call) -> Response:
        is_tuned = str((await call.request.json())["model"]).startswith("ft:")
        return await (fault(call) if is_tuned else call.act())

    return respond


tuned_fails = tuned(replies(500))


async def begin(scene: Scene, share: str = "50%") -> Canary:
    await scene.tuned("use:no")
    await scene.command(f"use latest share:{share}")
    await scene.settle()
    return await current(scene)


async def current(scene: Scene) -> Canary:
    async with scene.database.reading() as records:
        assistant = await records.assistants.default(LOCAL)
        assert assistant is not None
        (canary, *_) = await records.canaries.history(LOCAL, assistant.id)
        return canary


async def in_use(scene: Scene) -> ModelName | None:
    async with scene.database.reading() as records:
        deployment = await records.deployments.current(LOCAL, AssistantId(1))
        return deployment.model if deployment else None


async def received(
    scene: Scene, canary: Canary, *, own: Sequence[int], other: Sequence[int]
) -> None:
    """Answers of either model with votes, each 1, -1 or 0 for none."""
    async with scene.store.writing() as records:
        for model, votes in ((canary.model, own), (ModelName("base"), other)):
            for number, value in enumerate(votes):
                turn = replace(
                    a_turn(canary.assistant, f"{model} {number} {scene.clock.now()}"),
                    model=model,
                    state=TurnState.DONE,
                    at=scene.clock.now(),
                    reply_message=MessageId(f"{model} {number}"),
                )
                kept = await records.turns.add(LOCAL, turn)
                if value:
                    vote = Vote(kept.id, UserId(f"u{number}"), value, None, scene.clock.now())
                    await records.turns.put_vote(LOCAL, vote)


def people(canary: Canary, *, drawn: bool, count: int = 1) -> list[str]:
    found = (f"p{n}" for n in range(1000))
    return [one for one in found if traffic_split.is_in_canary_share(canary, one) is drawn][:count]


async def test_a_person_and_a_thread_stay_with_one_model(scene: Scene) -> None:
    canary = await begin(scene)
    (new,), (old,) = people(canary, drawn=True), people(canary, drawn=False)
    for by in (new, old, new, old):
        await scene.say("@attune hello", by=by)
    # In the thread of somebody's question others get that person's model.
    await scene.restart()
    asked = {
        by: next(m.number for m in await scene.messages() if m.author.id == by) for by in (new, old)
    }
    for by, other in ((new, old), (old, new)):
        spoken = scene.spoken("and you?", number=f"9{by}", by=other)
        thread = MessageId(str(asked[by]))
        place = replace(spoken.message.place, thread=thread)
        what = replace(spoken, message=replace(spoken.message, place=place))
        await scene.handle(scene.event(what, key=f"t{by}", by=other, thread=thread))

    models = Counter[tuple[str, str]]()
    async with scene.database.reading() as records:
        for by in (new, old):
            models.update(
                (by, turn.model) for turn in await records.turns.by_asker(LOCAL, UserId(by))
            )
    assert models == {
        (new, canary.model): 2,
        (old, "base"): 2,
        (old, canary.model): 1,
        (new, "base"): 1,
    }


def test_a_share_is_a_share_and_a_larger_one_keeps_those_of_a_smaller() -> None:
    names = [f"person {n}" for n in range(4000)]
    small, large = (
        {n for n in names if traffic_split.is_in_canary_share(a_canary(AssistantId(1), share=s), n)}
        for s in (0.2, 0.4)
    )

    assert abs(len(small) / 4000 - 0.2) < 0.03
    assert abs(len(large) / 4000 - 0.4) < 0.03
    assert small < large
    assert {
        n for n in names if traffic_split.is_in_canary_share(a_canary(AssistantId(1), "another"), n)
    } != small


@pytest.mark.parametrize(
    ("own", "other", "why", "said"),
    [
        ([-1] * 8, [1] * 20, CanaryEnd.DISLIKED, "it is liked less than the model in use"),
        ([1] * 12, [1, -1] * 10, None, "Trial of"),
        ([1] * 12, [-1] * 14, None, "Decided: it is liked more"),
        ([-1] * 7, [1] * 20, None, "Trial of"),
    ],
)
async def test_votes_decide_about_it_once_they_are_beyond_chance(
    scene: Scene, own: list[int], other: list[int], why: CanaryEnd | None, said: str
) -> None:
    canary = await begin(scene)

    await received(scene, canary, own=own, other=other)
    await scene.settle()

    kept = await current(scene)
    assert kept.why is why
    assert said in await scene.last()
    assert f"👍 {own.count(1)} 👎 {own.count(-1)}" in str(await scene.last_card())
    assert await in_use(scene) is None


@pytest.mark.parametrize(
    ("fault", "failures"),
    [
        (replies(500), 3),
        (empty_stream(), 3),
        (broken_stream(1), 0),
        (short_stream(1), 0),
        (ends_for("length"), 0),
        (ends_for("content_filter"), 0),
    ],
)
async def test_a_model_that_gives_no_whole_answers_is_stopped(
    scene: Scene, fault: Fault, failures: int
) -> None:
    """What an evaluation counts as missing is none here either; unbegun, the other one answers."""
    canary = await begin(scene)
    by = people(canary, drawn=True, count=3)
    scene.host.fail_always(CHAT, tuned(fault))
    for person in by:
        await scene.say("@attune hello", by=person)
    await scene.settle()

    kept = await current(scene)
    ended = (CanaryState.STOPPED, CanaryEnd.FAILING, failures)
    assert (kept.state, kept.why, kept.failures) == ended
    assert "failed: 3" in str(await scene.last_card())
    assert "it failed too often" in "".join(await scene.texts())
    fell_back = await scene.said("could not answer, so the base model did")
    assert [one.partition(" could")[0] for one in fell_back] == ["attune 1"][:failures]


@pytest.mark.parametrize("label", ["Use for all", "Stop"])
async def test_it_is_ended_by_a_button_and_the_history_shows_it(scene: Scene, label: str) -> None:
    canary = await begin(scene)

    await scene.click(label)
    await scene.settle()

    is_promoted = label == "Use for all"
    assert await in_use(scene) == (canary.model if is_promoted else None)
    listed = await scene.app.handle_for_page(
        scene.event(ButtonClicked("model.history"), key="history")
    )
    assert isinstance(listed, Listing)
    words = "used for all" if is_promoted else "stopped by you"
    assert any("on trial for 50%" in row.note and words in row.note for row in listed.lines)
    if is_promoted:
        await scene.command("rollback")
        assert await in_use(scene) in ("base", None)


async def test_it_is_asked_by_the_name_of_its_host_and_shown_by_its_short_name(
    scene: Scene,
) -> None:
    await scene.tuned("use:no")
    model = (await scene.models())[0]
    form = FormSubmitted(
        f"model.name:{model.name[-MODEL_NAME_ENDING_LENGTH:]}", {"label": "Spring"}
    )
    await scene.handle(scene.event(form, key="name"))
    scene.host.tuned.append("team/spring-lora")
    await scene.command("use Spring share:50% as:team/spring-lora")
    await scene.settle()
    canary = await current(scene)

    await scene.say("@attune hello", by=people(canary, drawn=True)[0])

    assert (canary.model, canary.served_name) == (model.name, "team/spring-lora")
    assert scene.host.last(CHAT).body["model"] == "team/spring-lora"
    assert (await scene.last_card()).title == "Trial of Spring on 50% of the questions"
    await scene.click("Stop", on=await scene.number_of("Trial of Spring"))
    assert await scene.said("Spring answers no more questions.")
    await scene.handle(scene.event(ButtonClicked("example.must_answer:3"), key="mark"))
    await scene.command("vote questions:2")
    assert (await scene.last_card()).title == "A blind vote on Spring?"
    assert model.name not in await scene.last()


@pytest.mark.parametrize(("line", "said"), [
    ("use base share:20%", "answers already"),
    ("use latest share:0%", "between 1% and 99%"),
    ("use latest share:many", "many"),
])  # fmt: skip
async def test_what_is_no_trial_is_refused(scene: Scene, line: str, said: str) -> None:
    await scene.tuned("use:no")

    await scene.command(line)

    assert said in await scene.last()


async def test_another_model_that_is_put_to_use_ends_it(scene: Scene) -> None:
    canary = await begin(scene)
    (by,) = people(canary, drawn=True)
    await scene.command("use latest")
    await scene.settle()

    kept = await current(scene)
    assert (kept.state, kept.why) == (CanaryState.STOPPED, CanaryEnd.REPLACED)
    assert "another model was put to use" in "".join(await scene.texts())
    assert by


def test_the_same_model_is_seldom_called_different_however_often_one_looks() -> None:
    """100 canaries of a model against itself, looked at after every vote, up to 400 votes."""
    wrong, right = 0, 0
    for run in range(100):
        wrong += _decided(random.Random(run), 0.8, 0.8) is not Verdict.UNDECIDED
        right += _decided(random.Random(run), 0.9, 0.6) is Verdict.BETTER

    assert wrong <= 5
    assert right >= 80


def _decided(draw: random.Random, own: float, other: float) -> Verdict:
    canary, counts = a_canary(AssistantId(1)), [[0, 0], [0, 0]]
    for _ in range(400):
        arm = draw.random() >= 0.3
        counts[arm][draw.random() >= (other if arm else own)] += 1
        of = [ModelFeedback(sum(one), 0, *one) for one in counts]
        while stop_rules.is_vote_test_due(canary, of[0], of[1]):
            found = stop_rules.vote_verdict(canary, of[0], of[1])
            if found is not Verdict.UNDECIDED:
                return found
            canary = replace(canary, vote_checks=canary.vote_checks + 1)
    return Verdict.UNDECIDED


def test_shares_are_compared_as_scipy_does() -> None:
    from scipy.stats import fisher_exact

    from bot.significance import fisher_test

    draw = random.Random(1)
    for _ in range(60):
        first, second = ((draw.randint(0, 30), draw.randint(0, 30)) for _ in range(2))
        assert fisher_test(first, second) == pytest.approx(fisher_exact([first, second]).pvalue)
    assert compare_shares((20, 1), (8, 12)) is Verdict.BETTER
    assert compare_shares((8, 12), (20, 1)) is Verdict.WORSE
    assert compare_shares((4, 3), (20, 1)) is Verdict.UNDECIDED
