"""Questions that nobody answered well: alike ones together, until they are taught."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.domain import (
    LOCAL,
    ChannelId,
    Example,
    GapOutcome,
    GapQuestion,
    Grant,
    MessageId,
    Place,
    Role,
    TurnState,
    User,
    UserId,
    Vote,
)
from bot.events import ButtonClicked, CommandInvoked, FormSubmitted
from bot.replies import Card, Listing
from bot.teach_next import gaps as gap_module
from bot.text_similarity import group_similar_texts
from tests.fakes.openai_rules import Body
from tests.scene import SLACK, Scene
from tests.stores import NOW, a_turn
from tests.studio_desk import Desk
from tests.studio_desk import desk as desk
from tests.test_evaluations import CHAT, is_tuned, question_in


@pytest.mark.parametrize(
    "kinds",
    [
        [
            ["How do I return a shirt?", "Can I return a shirt I bought?"],
            ["Where is your shop in Berlin?", "where's the Berlin shop"],
            ["How do I reset my password?", "password reset does not work"],
            ["When do you open?"],
            ["How do I pay?"],
        ],
        [
            ["怎么退货？", "我想退货，怎么办", "怎么办理退货"],
            ["你们的店在哪里？", "请问店在哪里"],
            ["可以寄到挪威吗", "能不能寄到挪威？"],
            ["多少钱？"],
        ],
        [["Ça va, où est la boutique?", "où est la boutique à Paris"], ["?"], [""]],
    ],
)
def test_alike_questions_are_put_together_and_no_others(kinds: list[list[str]]) -> None:
    # Dealt out like cards, so that none stands beside those of its kind.
    rounds = range(max(map(len, kinds)))
    texts = [kind[at] for at in rounds for kind in kinds if at < len(kind)]

    found = [[texts[at] for at in group] for group in group_similar_texts(texts)]

    assert found == kinds


async def gaps(desk: Desk) -> Listing:
    reply = await desk.ask(CommandInvoked("assistant teach-next"))
    assert isinstance(reply, Listing)
    return reply


def declines_returns(body: Body) -> str:
    if "return" in question_in(body):
        return "I'm sorry, I can't help with that."
    return "A good answer."


async def test_what_is_refused_or_disliked_waits_until_it_is_taught(
    scene: Scene, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.learn(3)
    scene.host.answers = declines_returns
    for said in ("How do I return a shirt?", "When do you open?", "Where is the Berlin shop?"):
        await scene.say(f"@Attune {said}", by="mina")
    await scene.say("@Attune Can I return a shirt I bought?", by="omar")
    assert [line.text for line in (await gaps(desk)).lines] == ["Can I return a shirt I bought?"]
    answers = [one for one in await scene.messages() if "A good answer" in one.text]
    await scene.react(answers[0].number, "👎", by="mina")

    first, second = (await gaps(desk)).lines
    assert first.note.startswith("asked 2 times · 2 times without an answer")
    assert (second.text, "one 👎" in second.note) == ("When do you open?", True)
    form = FormSubmitted(f"feedback:{first.id}", {"better": "Within thirty days, with the bill."})
    with monkeypatch.context() as patched:
        patched.setattr(gap_module, "group_similar_texts", None)
        await desk.ask(form)

    (left,) = (await gaps(desk)).lines
    assert left.id == second.id
    newest = (await scene.examples())[-2:]
    assert {str(one.method) for one in newest} == {"supervised", "dpo"}
    drop = next(one for one in newest if one.method == "supervised")
    await scene.command(f"examples withdraw:{drop.id}")
    assert len((await gaps(desk)).lines) == 2
    for line in (first, second):
        await desk.ask(ButtonClicked(f"unanswered.dismiss:{line.id}"))
    assert (await gaps(desk)).lines == ()


async def test_a_gap_closes_as_another_model_answers_and_reopens_as_it_declines(
    scene: Scene, desk: Desk
) -> None:
    """Taught, it waits for the next model, however often the one in use declines meanwhile."""
    declining = {True: False, False: True}

    def answer(body: Body) -> str:
        is_declined = declining[is_tuned(body)] and "open" not in question_in(body)
        return "I'm sorry, I can't help with that." if is_declined else "A good answer."

    async def ask(*questions: str) -> list[str]:
        for question in questions:
            scene.advance(1)
            await scene.say(f"@Attune {question}", by="omar")
        return [line.text for line in (await gaps(desk)).lines]

    shirt, norway = "How do I return a shirt?", "Do you ship to Norway?"
    scene.host.answers = answer
    await scene.learn(12)
    assert await ask(norway, shirt, "When do you open?") == [shirt, norway]
    taught = (await gaps(desk)).lines[1].id
    await desk.ask(FormSubmitted(f"feedback:{taught}", {"better": "Yes, in a week."}))
    assert await ask("Do you ship to Norway, too?") == [shirt]
    await scene.confirm()
    await scene.settle()

    assert await ask("Can I return a shirt I bought?") == []
    declining = {True: True, False: False}
    assert await ask(norway) == [norway]
    assert await ask(shirt) == [shirt, norway]


@pytest.mark.parametrize("use", ["if_better", "no"])
async def test_gaps_are_put_to_the_new_model_and_close_as_it_is_in_use(
    scene: Scene, desk: Desk, use: str
) -> None:
    """What it answers as was taught, or for the first time; what it declines comes back."""
    norway, shirt, pay = "Do you ship to Norway?", "May I return a shirt?", "How can I pay?"
    says = {norway: "Yes, in 7 days.", shirt: "Yes, with the bill.", pay: "I'm sorry, I can't."}
    secret = "My card is 4111 1111 1111 1111, is it safe?"

    def answer(body: Body) -> str:
        if not is_tuned(body):
            return "I'm sorry, I can't help with that."
        return says.get(question_in(body), "I have no idea!")

    scene.host.answers = answer
    await scene.learn(60)
    for question in (norway, shirt, pay, secret):
        await scene.say(f"@Attune {question}", by="omar")
    listed = {line.text: line.id for line in (await gaps(desk)).lines}
    for question, better in ((norway, "Yes, in 7 days."), (pay, "By card.")):
        await desk.ask(FormSubmitted(f"feedback:{listed[question]}", {"better": better}))
    answers = [one for one in await scene.messages() if "can't help" in one.text]
    await scene.react(answers[-1].number, "👎", by="mina")
    scene.host.asked.clear()
    scene.advance(60)
    await scene.command(f"start use:{use}")
    assert "4 more questions, from “What to teach next”" in await scene.last()
    await scene.click("Confirm")
    await scene.settle()

    asked = Counter(
        (is_tuned(one.body), question_in(one.body))
        for one in scene.host.asked
        if one.route == CHAT and not question_in(one.body).startswith(("question", "Hello"))
    )
    assert set(asked) == {
        (True, text) for text in (norway, shirt, pay, "My card is [CARD_1], is it safe?")
    }
    assert set(asked.values()) == {1}
    told, is_used = await scene.last(), use != "no"
    assert "it was asked 4 and answers 3" in told
    assert ("leave that list once it is in use" in told) is not is_used
    if not is_used:
        assert {line.text for line in (await gaps(desk)).lines} == {shirt, secret}
        await scene.command("use latest")
    assert [line.text for line in (await gaps(desk)).lines] == [pay]
    shown = await desk.ask(ButtonClicked("evaluation.gaps:1"))
    assert isinstance(shown, Listing)
    assert Counter(line.note.partition(":")[0] for line in shown.lines) == {
        "Answered now": 3,
        "Still not answered": 1,
    }
    await scene.command("evaluate")
    assert "What to teach next" not in await scene.last()
    await desk.ask(FormSubmitted(f"feedback:{listed[pay]}", {"better": "By card or cash."}))
    assert (await gaps(desk)).lines == ()


NORWAY = "Do you ship to Norway?"
NO_ANSWER = "The weather over there is quite fine today, thanks a lot"


async def put_again(scene: Scene, desk: Desk, new: str) -> tuple[Example, ...]:
    """A question that is taught, and then to be put to a new model, which says `new` to it."""

    def answer(body: Body) -> str:
        if not is_tuned(body):
            return "I'm sorry, I can't help with that."
        return new if question_in(body) == NORWAY else "I have no idea!"

    scene.host.answers = answer
    await scene.learn(60)
    await scene.say(f"@Attune {NORWAY}", by="omar")
    (line,) = (await gaps(desk)).lines
    await desk.ask(FormSubmitted(f"feedback:{line.id}", {"better": "Yes, in 7 days."}))
    scene.advance(60)
    return tuple(await scene.examples())[60:]


async def test_what_is_taught_or_set_aside_after_the_price_is_heeded(
    scene: Scene, desk: Desk
) -> None:
    scene.host.answers = lambda _: "I'm sorry, I can't help with that."
    await scene.learn(60)
    for question in (NORWAY, "May I pay by card?"):
        await scene.say(f"@Attune {question}", by="omar")
    pay, norway = (await gaps(desk)).lines
    await scene.command("start use:no")
    await desk.ask(ButtonClicked(f"unanswered.dismiss:{pay.id}"))
    await desk.ask(FormSubmitted(f"feedback:{norway.id}", {"better": "Yes, in 7 days."}))

    await scene.click("Confirm", on=await scene.number_of("Train “attune”?"))
    await scene.settle()

    async with scene.database.reading() as records:
        (asked,) = await records.evaluation_gaps.calls(LOCAL, 1)
    assert (str(asked.turn), asked.example is not None) == (norway.id, True)


async def train_and_ask(scene: Scene) -> GapQuestion:
    await scene.command("start use:no")
    await scene.click("Confirm")
    await scene.settle()
    async with scene.database.reading() as records:
        (asked,) = await records.evaluation_gaps.calls(LOCAL, 1)
    return asked


async def test_no_model_is_asked_the_same_gap_twice(scene: Scene, desk: Desk) -> None:
    await put_again(scene, desk, NO_ANSWER)
    assert (await train_and_ask(scene)).outcome is GapOutcome.OTHER

    for _ in range(2):
        await scene.command("evaluate model:latest")
        await scene.click("Evaluate")
    await scene.settle()

    bodies = [one.body for one in scene.host.asked if one.route == CHAT]
    assert sum(is_tuned(one) and question_in(one) == NORWAY for one in bodies) == 1


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_lesson_that_is_gone_is_no_reference_and_leaves_no_answer(
    scene: Scene, desk: Desk, when: str
) -> None:
    taught = await put_again(scene, desk, "Yes, in 7 days.")
    if when == "before":
        for one in taught:
            await scene.command(f"examples withdraw:{one.id}")
        assert (await train_and_ask(scene)).example is None
        return
    assert (await train_and_ask(scene)).answer == "Yes, in 7 days."
    async with scene.database.writing() as records:
        await records.examples.erase(LOCAL, [one.id for one in taught])
        (left,) = await records.evaluation_gaps.calls(LOCAL, 1)
    assert left.answer == ""


async def test_what_was_asked_elsewhere_is_shown_to_nobody_here(scene: Scene) -> None:
    """How open another channel or thread is, nobody knows here."""
    ada = User(UserId("U9"), "ada", is_platform_admin=True)
    await scene.slack_event(CommandInvoked("help"), key="settle", by=ada)
    places = {
        "here": Place(SLACK, ChannelId("C1")),
        "in a thread": Place(SLACK, ChannelId("C1"), MessageId("9.9")),
        "elsewhere": Place(SLACK, ChannelId("C2")),
    }
    async with scene.store.writing() as records:
        await records.roles.set_grant(SLACK, UserId("U2"), Grant(Role.CURATOR, NOW))
        assistant = await records.assistants.default(SLACK)
        assert assistant is not None
        for question, place in places.items():
            asked = replace(a_turn(assistant.id, question), question=question, place=place)
            asked = replace(asked, state=TurnState.DONE, is_refusal=True, at=scene.clock.now())
            await records.turns.add(SLACK, asked)

    event = scene.event(
        CommandInvoked("assistant teach-next"), key="list", by=User(UserId("U2"), "bob")
    )
    told = await scene.app.handle_read_only(replace(event, place=places["here"]))

    assert isinstance(told, Listing)
    assert [line.text for line in told.lines] == ["here"]


async def test_the_sums_of_the_dashboard_are_those_of_the_turns(scene: Scene, desk: Desk) -> None:
    now, counted = scene.clock.now(), Counter[str]()
    await scene.learn(3)
    async with scene.store.writing() as records:
        assistant = await records.assistants.default(LOCAL)
        assert assistant is not None
        for number in range(60):
            turn = replace(
                a_turn(assistant.id, str(number)),
                state=TurnState.DONE if number % 10 else TurnState.FAILED,
                at=now - timedelta(days=number),
                is_refusal=number % 4 == 1,
                prompt_tokens=10,
                completion_tokens=number,
            )
            turn = replace(turn, place=Place(LOCAL, turn.place.channel))
            kept = await records.turns.add(LOCAL, turn)
            value = 1 if number % 3 else -1
            await records.turns.put_vote(LOCAL, Vote(kept.id, UserId("mina"), value, None, now))
            if number < 28 and number % 10:
                counted["answered"] += 1
                counted["refused"] += number % 4 == 1
                counted["liked" if value > 0 else "disliked"] += 1
                counted["tokens"] += 10 + number

    card = await desk.query("dashboard")

    assert isinstance(card, Card)
    facts = {fact.name: fact.value for fact in card.facts}
    for name in ("answered", "refused", "liked", "disliked"):
        assert facts[name].split(" ")[0] == f"{counted[name]}"
    assert facts["cost"].startswith(f"{counted['tokens']:,} tokens")
    assert card.chart is not None
    assert [len(series.points) for series in card.chart.series] == [28] * 4
    assert sum(y for _, y in card.chart.series[0].points) == counted["answered"]
