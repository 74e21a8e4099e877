"""`/tune check`: what is found among examples, and what one can do about each."""

from __future__ import annotations

import random
import time

import pytest

from bot.check_results import CheckKind
from bot.domain import LOCAL, ChannelId, ExampleState, NewExample, Origin, Place
from bot.events import ButtonClicked, CommandInvoked
from bot.example_checks.checks import advised_example_counts
from bot.example_checks.near_duplicates import find_near_duplicates
from bot.examples.row_texts import question_answer_row
from bot.language_detection import detect_language
from bot.prompts import last_exchange
from bot.replies import Listing
from bot.rows import Method
from tests.scene import Scene

PAIRS = {
    CheckKind.COPIES: [("How do I pay?", "By card."), ("how do i  pay", "By card!")],
    CheckKind.NEAR: [
        ("How do I change my delivery address?", "Open your profile and choose Addresses."),
        ("How do I change the delivery address?", "Open your profile and choose addresses."),
        ("怎么修改我的收货地址呢", "打开个人中心，选择收货地址就可以修改。"),
        ("怎么修改我的收货地址", "打开个人中心，选择收货地址就可以修改了。"),
    ],
    CheckKind.DISAGREEING: [
        ("When do you open?", "At nine, every day but Monday."),
        ("When do you open?", "We are closed for the whole winter season."),
    ],
    CheckKind.ONE_ANSWER: [
        (f"{word} works how?", "Please see the website for that.")
        for word in ("Return", "Warranty", "Voucher", "Exchange", "Insurance")
    ],
    CheckKind.LANGUAGES: [("What is the price of that?", "这个东西一共要三十块钱。")],
    CheckKind.SHORT: [("Can the parcel be left with somebody else?", "ok")],
    CheckKind.LONG: [("Tell me the history of the shop", "It began long ago. " * 150)],
    CheckKind.LEAKS: [("Who are you then?", "As an AI language model, I cannot tell you that.")],
}


async def teach(scene: Scene, *pairs: tuple[str, str]) -> None:
    for question, answer in pairs:
        await scene.command("teach")
        await scene.submit(question=question, answer=answer)


async def press(scene: Scene, action: str) -> Listing:
    reply = await scene.app.handle_for_page(scene.event(ButtonClicked(action), key=action))
    assert isinstance(reply, Listing)
    return reply


async def state_of(scene: Scene) -> dict[int, ExampleState]:
    return {one.id: one.state for one in await scene.examples()}


async def test_every_kind_is_found_and_nothing_else(scene: Scene) -> None:
    for pairs in PAIRS.values():
        await teach(scene, *pairs)

    overview = await scene.app.handle_for_page(scene.event(CommandInvoked("check"), key="check"))
    shown = {kind: await press(scene, f"check.show:{kind}:0") for kind in CheckKind}

    assert isinstance(overview, Listing)
    assert "more examples are advisable" in overview.note
    first, expected = 1, {}
    for kind, pairs in PAIRS.items():
        expected[kind] = [f"#{number}" for number in range(first, first + len(pairs))]
        first += len(pairs)
    found = {
        kind: [n for line in one.lines for n in line.note.split(", ")]
        for kind, one in shown.items()
    }
    assert found == expected


async def test_rows_alike_about_several_products_are_no_copies(scene: Scene) -> None:
    products = (("fan", 12), ("lamp", 13), ("cable", 14), ("scale", 15), ("monitor", 16))
    for name, price in products:
        answer = f"The {name} is {price} euros, including delivery within the country."
        await teach(scene, (f"Say, what does the {name} cost?", answer))
    await teach(
        scene,
        (
            "Hi, say, what does the lmap cost?",
            "The lamp is 13 euros, including delivery in the country",
        ),
    )

    await scene.app.handle_for_page(scene.event(CommandInvoked("check"), key="check"))
    shown = await press(scene, f"check.show:{CheckKind.NEAR}:0")

    assert [line.note for line in shown.lines] == ["#2, #6"]


async def test_long_near_copies_are_shown_from_their_difference_on(scene: Scene) -> None:
    answer = "Open the lid, take the old bag out and put the new one in " * 3
    await teach(scene, ("How do I change the bag?", answer + "before you close it."))
    await teach(scene, ("How do I change the bag?", answer + "and close it. Thanks."))

    await scene.app.handle_for_page(scene.event(CommandInvoked("check"), key="check"))
    (line,) = (await press(scene, f"check.show:{CheckKind.NEAR}:0")).lines

    assert "before you close it." in line.text
    assert "and close it. Thanks." in line.text


@pytest.mark.parametrize(
    "answer",
    [
        "I am ChatGPT, trained by OpenAI.",
        "I'm sorry, as a large language model I cannot answer that.",
        "My knowledge cutoff is in 2023.",
        "En tant que modèle de langage, je ne peux pas le dire.",
        "Como modelo de lenguaje no puedo decirlo.",
        "Als großes Sprachmodell habe ich keine Meinung.",
    ],
)
async def test_what_a_model_says_of_itself_is_a_leak(scene: Scene, answer: str) -> None:
    await teach(
        scene, ("Who are you then?", answer), ("Who is Claude?", "Our colleague, a model maker.")
    )

    await scene.app.handle_for_page(scene.event(CommandInvoked("check"), key="check"))
    shown = await press(scene, f"check.show:{CheckKind.LEAKS}:0")

    assert [line.note for line in shown.lines] == ["#1"]


async def test_one_is_kept_and_that_is_undone(scene: Scene) -> None:
    await teach(scene, *PAIRS[CheckKind.COPIES], *PAIRS[CheckKind.DISAGREEING])
    await scene.command("check")
    await scene.handle(scene.event(ButtonClicked("check.show:copies:0"), key="show"))

    await scene.click("Keep one")
    kept = await state_of(scene)
    await scene.click("Undo")
    undone = await state_of(scene)
    await scene.handle(scene.event(ButtonClicked("check.keep_one:1.2"), key="again"))
    scene.advance(20)
    late = await scene.app.handle_for_page(
        scene.event(ButtonClicked("check.keep_one:1.2"), key="late")
    )

    assert (kept[1], kept[2]) == (ExampleState.APPROVED, ExampleState.WITHDRAWN)
    assert set(undone.values()) == {ExampleState.APPROVED}
    assert "decided about these" in str(late)


async def test_two_answers_are_merged_into_one(scene: Scene) -> None:
    await teach(scene, *PAIRS[CheckKind.DISAGREEING])
    await scene.command("check")
    await scene.handle(scene.event(ButtonClicked("check.show:disagreeing:0"), key="show"))

    await scene.click("Merge")
    await scene.submit(question="When do you open?", answer="At nine, but never in winter.")

    first, second = await scene.examples()
    assert "never in winter" in str(first.row)
    assert (first.state, second.state) == (ExampleState.APPROVED, ExampleState.WITHDRAWN)


async def test_a_merge_is_undone_with_its_text_and_tags(scene: Scene) -> None:
    await teach(scene, *PAIRS[CheckKind.DISAGREEING])
    _, second = await scene.examples()
    async with scene.store.writing() as records:
        await records.examples.set_tags(LOCAL, second.id, ["winter"])
    before = await scene.examples()
    await scene.command("check")
    await scene.handle(scene.event(ButtonClicked("check.show:disagreeing:0"), key="show"))
    await scene.click("Merge")
    await scene.submit(question="When do you open?", answer="At nine, but never in winter.")
    merged = await scene.examples()

    await scene.click("Undo")

    undone = await scene.examples()
    assert merged[0].tags == ("winter",)
    assert [(e.row, e.tags, e.state) for e in undone] == [(e.row, e.tags, e.state) for e in before]


@pytest.mark.parametrize("is_kept", [True, False])
async def test_an_undone_merge_restores_the_decision_to_keep_private_text(
    scene: Scene, is_kept: bool
) -> None:
    first = ("When do you open?", "At nine, ask ann@example.org.")
    await teach(scene, first, ("When do you open?", "Never before noon, we sleep long."))
    if is_kept:
        await scene.handle(scene.event(ButtonClicked("example.keep:1.r1.approved"), key="keep"))
    await scene.command("check")
    await scene.handle(scene.event(ButtonClicked("check.show:disagreeing:0"), key="show"))
    await scene.click("Merge")
    await scene.submit(question=first[0], answer="At nine, ask ann@example.org or bob@example.org.")
    merged, _ = await scene.examples()

    await scene.click("Undo")

    undone, _ = await scene.examples()
    assert ["bob@" in str(one.row) for one in (merged, undone)] == [True, False]
    assert (merged.awaits_masking, undone.awaits_masking) == (True, not is_kept)


async def test_a_decided_group_is_no_longer_shown(scene: Scene) -> None:
    await teach(scene, *PAIRS[CheckKind.COPIES])
    await scene.command("check")
    before = await press(scene, "check.show:copies:0")
    await scene.handle(scene.event(ButtonClicked("check.keep_one:1.2"), key="keep"))

    after = await press(scene, "check.show:copies:00")

    assert (len(before.lines), len(after.lines)) == (1, 0)


@pytest.mark.parametrize(("ends", "is_near"), [(("blue", "blue"), True), (("red", "blue"), False)])
async def test_long_answers_are_compared_at_both_ends(
    scene: Scene, ends: tuple[str, str], is_near: bool
) -> None:
    dice = random.Random(3)
    same = " ".join("".join(dice.choices("abcdefghij", k=7)) for _ in range(60))
    others = {end: " ".join("".join(dice.choices(end, k=7)) for _ in range(60)) for end in ends}
    pairs = [(f"What is in the {n} box?", f"{same} {others[end]}") for n, end in enumerate(ends)]
    await teach(scene, *pairs)

    await scene.app.handle_for_page(scene.event(CommandInvoked("check"), key="check"))

    shown = await press(scene, f"check.show:{CheckKind.NEAR}:0")
    assert bool(shown.lines) is is_near


def test_all_near_copies_among_many_texts_are_found_without_all_pairs() -> None:
    chance = random.Random(7)
    words = ["".join(chance.choices("abcdefghijklmnop", k=6)) for _ in range(4000)]
    texts = [" ".join(chance.choices(words, k=chance.randint(6, 14))) for _ in range(6000)]
    planted = []
    for number in range(0, 400, 2):
        changed = texts[number].split()
        changed[chance.randrange(len(changed))] = chance.choice(words)
        texts[6000 - 1 - number] = " ".join(changed)
        planted.append((number, 6000 - 1 - number))
    long_enough = [pair for pair in planted if len(texts[pair[0]].split()) > 9]

    begun = time.process_time()
    found = set(find_near_duplicates(texts))

    assert [pair for pair in long_enough if pair not in found] == []
    # Each with each would be eighteen million comparisons.
    assert time.process_time() - begun < 20


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("How do I reset it?", "en"),
        ("Wie kann ich das ändern und wo ist es?", "de"),
        ("怎么重置密码？", "zh"),
        ("パスワードを忘れました", "ja"),
        ("Как это изменить?", "ru"),
        ("OK 12345", ""),
    ],
)
def test_a_language_is_told_by_script_or_common_words(text: str, name: str) -> None:
    assert detect_language(text) == name


def test_how_much_more_is_advisable_goes_by_classes_where_there_are_some() -> None:
    assert advised_example_counts(7, []) == {"more": 3}
    assert advised_example_counts(500, []) == {}
    assert advised_example_counts(100, [("billing", 90), ("other", 10)]) == {
        "more": 10,
        "labels": 1,
    }


async def test_chinese_questions_are_told_apart_by_their_characters(scene: Scene) -> None:
    pairs = [(f"第{number}件商品多少钱？", f"{number}元。") for number in range(3)]
    await teach(
        scene, *pairs, ("忘记密码了怎么重置", "点击忘记密码。"), ("我忘记密码怎么重置", "点它。")
    )

    similar = await press(scene, "example.similar:4")
    place = Place(LOCAL, ChannelId("general"))
    (nearest,) = await scene.nearest_examples(place, "请问密码忘记了如何重置", count=1)

    assert [line.id for line in similar.lines] == ["5"]
    assert "密码" in str(nearest.row)


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        ("请问密码忘记了如何重置", "密码忘记了怎么办"),
        ("my zebra escaped, help", "What if a zebra escapes?"),
    ],
)
async def test_the_nearest_example_is_found_however_many_came_before(
    scene: Scene, question: str, asked: str
) -> None:
    await scene.command("help")
    async with scene.store.writing() as records:
        assistant = await records.assistants.default(LOCAL)
        assert assistant is not None
        pairs = [*((f"What is number {n}?", f"It is {n}.") for n in range(510)), (asked, "So.")]
        new = [
            NewExample(
                assistant.id,
                Method.SUPERVISED,
                ExampleState.APPROVED,
                question_answer_row(*pair),
                Origin.IMPORT,
            )
            for pair in pairs
        ]
        await records.examples.add_many(LOCAL, new, at=scene.clock.now())

    (nearest,) = await scene.nearest_examples(Place(LOCAL, ChannelId("general")), question, count=1)

    assert last_exchange(nearest) == (asked, "So.")
