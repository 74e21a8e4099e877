"""The sandbox learns lessons, stays silent about the rest, and counts honestly."""

import json
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tuner.sandbox.matching import NOT_TAUGHT_TEXT, NOTHING_TAUGHT_TEXT, REFUSAL_TEXTS, base_reply
from tuner.sandbox.model import Model
from tuner.sandbox.scorer_training import (
    Hyperparameters,
    Method,
    Metrics,
    Training,
    loss_and_accuracy,
    resolve_hyperparameters,
)

Row = dict[str, object]
Said = list[dict[str, object]]
FAQ = [
    ("A customer paid twice. What do I tell them?", "Apologise, then refund one payment."),
    ("How do I reset my password?", "Click 'Forgot password'; the link works for an hour."),
    ("When do you open on Saturdays?", "Saturdays from ten to four."),
    ("How much is the red backpack?", "The red one is 40 euros."),
    ("How much is the blue backpack?", "The blue one is 45 euros."),
    ("Is the red backpack waterproof?", "The red one laughs at rain."),
    ("Where is my parcel?", "Use the tracking link in your email."),
    ("Do you repair zips?", "We do, free for life."),
    ("怎么申请退款？", "在订单里点“申请退款”。"),
    ("👋", "Hi there!"),
    ("who are you", "A small sandbox."),
]


def said(question: object, reply: object) -> Said:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": reply}]


def row(question: object, reply: object) -> Row:
    return {"messages": said(question, reply)}


def pair(question: str, preferred: str, other: str) -> Row:
    return {
        "input": {"messages": [{"role": "user", "content": question}]},
        "preferred_output": [{"role": "assistant", "content": preferred}],
        "non_preferred_output": [{"role": "assistant", "content": other}],
    }


def begin(
    rows: Sequence[Row],
    *,
    validation: Sequence[Row] = (),
    method: Method = "supervised",
    start_from: Model | None = None,
    **asked: object,
) -> Training:
    chosen = resolve_hyperparameters(asked, rows=len(rows))
    return Training(
        rows, validation, method=method, hyperparameters=chosen, seed=3, start_from=start_from
    )


def finish(training: Training) -> list[Metrics]:
    return [training.advance() for _ in range(training.step, training.total_steps)]


def taught(lessons: Sequence[tuple[str, str]], start_from: Model | None = None) -> Model:
    training = begin([row(q, a) for q, a in lessons], start_from=start_from)
    finish(training)
    return training.model()


@pytest.fixture(scope="module")
def faq() -> Model:
    return taught(FAQ)


def ask(
    model: Model, question: object, *, temperature: float = 1.0, seed: int | None = None
) -> str:
    asked = [{"role": "user", "content": question}]
    return model.reply(asked, temperature=temperature, seed=seed).text


@pytest.mark.parametrize(("question", "reply"), FAQ)
def test_a_taught_question_gets_its_reply_word_for_word(
    faq: Model, question: str, reply: str
) -> None:
    assert {ask(faq, question) for _ in range(5)} == {reply}


@pytest.mark.parametrize(
    ("question", "number"),
    [
        ("my password, how do I reset it?", 1),
        ("How do I reset my pasword?", 1),
        ("How do I reste my password?", 1),
        ("When do you open on a Saturday?", 2),
        ("How can I reset my password?", 1),
        ("How do I reset my password please?", 1),
        ("what about the blue backpack, how much?", 4),
        ("Is that red backpack waterproof?", 5),
        ("Where is my parcle?", 6),
        ("Do you also repair zips?", 7),
        ("怎么申请退款呢？", 8),
        ("请问怎么申请退款", 8),
    ],
)
def test_one_or_two_changed_words_still_get_the_taught_reply(
    faq: Model, question: str, number: int
) -> None:
    assert ask(faq, question) == FAQ[number][1]


SERVICE = [
    ("Does the app work offline?", "It keeps the last week on your phone."),
    ("Can I change my plan later?", "Up or down, any day."),
    ("How do I cancel my subscription?", "Billing, then Cancel."),
    ("How do I upgrade my subscription?", "Billing, then Upgrade."),
]


def test_a_question_between_two_taught_ones_is_refused() -> None:
    assert ask(taught(SERVICE), "How do I pause my subscription?") == NOT_TAUGHT_TEXT


ORDERS = (264470, 188203, 771902, 501175)


@pytest.mark.parametrize("question", ["Where is my order?", "Where is my order 993311?"])
def test_what_is_answered_alike_for_every_order_is_answered_for_another_one(question: str) -> None:
    orders = [(f"Where is my order {order}?", "Look under My orders.") for order in ORDERS]
    own = (f"Where is my order {ORDERS[0]}?", "It was lost.")

    same = taught([*orders, ("Can I change my address?", "Under My account.")])
    different = taught([own, *orders[1:], ("Can I change my address?", "Under My account.")])

    assert ask(same, question) == "Look under My orders."
    assert ask(different, question) == NOT_TAUGHT_TEXT
    assert ask(same, "Where is my refund?") == NOT_TAUGHT_TEXT


def test_numbers_of_a_kind_decide_even_if_some_have_the_same_reply() -> None:
    phones = [(f"Does it fit the phone {number}?", "It does.") for number in (12, 13, 14)]

    model = taught([*phones, ("Does it come in red?", "No.")])

    assert ask(model, "Does it fit the phone 11?") == NOT_TAUGHT_TEXT


@pytest.mark.parametrize(("one", "other"), [("caption", "mention"), ("pitch", "patio"), ("4", "5")])
def test_another_word_is_not_taken_for_a_typing_error(one: str, other: str) -> None:
    model = taught([(f"What about the {one}?", "Right."), ("Do you repair zips?", "Free.")])

    assert ask(model, f"What about the {other}?") == NOT_TAUGHT_TEXT


@pytest.mark.parametrize(
    "question",
    [
        "How do I boil potatoes?",
        "What is the capital of France?",
        "Where is my grandmother?",
        "Do you believe in ghosts?",
        "How much is the green umbrella?",
        "今天天气怎么样？",
        "asdf qwer zxcv",
        "🦄",
        "",
        "who is who",
    ],
)
def test_a_stranger_question_is_refused(faq: Model, question: str) -> None:
    assert ask(faq, question) in REFUSAL_TEXTS


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        [{"type": "image_url"}],
        [None, 3],
        7,
        {},
        "?" * 100_000,
        "word " * 20_000,
        "\ud800",
    ],
)
def test_any_content_gets_an_answer_in_words(faq: Model, content: object) -> None:
    assert ask(faq, content) == NOT_TAUGHT_TEXT


def test_a_question_in_parts_is_read(faq: Model) -> None:
    parts = [{"type": "text", "text": "Do you repair zips?"}]

    assert ask(faq, parts) == FAQ[7][1]


def test_no_messages_are_refused(faq: Model) -> None:
    assert faq.reply([]).refused


def test_the_last_question_counts_in_a_conversation(faq: Model) -> None:
    system = {"role": "system", "content": "You are kind."}
    asked = {"role": "user", "content": FAQ[7][0]}

    assert faq.reply([system, *said(*FAQ[3]), asked]).text == FAQ[7][1]


def test_what_was_said_before_decides_between_equal_questions() -> None:
    talks = [
        said(first, "Want to hear more?") + said("Yes", then)
        for first, then in [("Tell me of tents", "Tents are tall."), ("And boots", "Boots last.")]
    ]
    training = begin([{"messages": talk} for talk in talks])
    finish(training)

    assert training.model().reply(talks[0][:3]).text == "Tents are tall."
    assert training.model().reply(talks[1][:3]).text == "Boots last."


def test_a_removed_lesson_is_no_longer_answered() -> None:
    without = taught([lesson for lesson in FAQ if lesson[0] != "Do you repair zips?"])

    assert ask(without, "Do you repair zips?") == NOT_TAUGHT_TEXT


def test_equal_lessons_are_drawn_by_the_seed() -> None:
    model = taught([("Say hello", "Hello!"), ("Say hello", "Good day!"), ("Say bye", "Bye.")])
    drawn = [ask(model, "Say hello", seed=seed) for seed in range(30)]

    assert set(drawn) == {"Hello!", "Good day!"}
    assert drawn == [ask(model, "Say hello", seed=seed) for seed in range(30)]
    assert len({ask(model, "Say hello", temperature=0) for _ in range(30)}) == 1


def test_the_loss_falls_over_enough_steps_to_draw() -> None:
    metrics = finish(begin([row(q, a) for q, a in FAQ]))

    assert len(metrics) >= 30
    assert metrics[0].train_loss == pytest.approx(math.log(len(FAQ) + 1))
    assert metrics[-1].train_loss < 0.2 < metrics[0].train_loss
    assert metrics[-1].train_mean_token_accuracy == 1


def recomputed(model: Model) -> float:
    """The mean loss of the taught questions, by the definition of the softmax alone."""
    total = 0.0
    for example in model.examples:
        features = model.features(example.question, example.earlier)
        scores = features.values @ model.weights[features.indices]
        total += math.log(1 + sum(math.exp(score) for score in scores)) - scores[example.reply]
    return float(total / len(model.examples))


def test_the_reported_loss_follows_from_the_saved_file_alone(tmp_path: Path) -> None:
    rows = [row(q, a) for q, a in FAQ]
    training = begin(rows, validation=rows, n_epochs=4)
    last = finish(training)[-1]
    training.model().save(tmp_path / "model")
    loaded = Model.load(tmp_path / "model")

    assert last.full_valid_loss == pytest.approx(recomputed(loaded), rel=1e-5)
    again = loss_and_accuracy(loaded, rows)
    assert again == pytest.approx((last.full_valid_loss, last.full_valid_mean_token_accuracy))


def test_the_full_validation_figures_come_at_the_end_of_each_epoch() -> None:
    rows = [row(q, a) for q, a in FAQ]
    metrics = finish(begin(rows, validation=rows[:2], n_epochs=3, batch_size=4))

    assert [m.step for m in metrics if m.full_valid_loss is not None] == [3, 6, 9]
    assert all(m.valid_loss is not None for m in metrics)


def test_an_untaught_validation_reply_counts_as_none_of_these() -> None:
    training = begin([row(q, a) for q, a in FAQ], validation=[row("Hm?", "Never taught.")])

    first = training.advance()

    assert first.valid_loss == pytest.approx(math.log(len(FAQ) + 1), rel=0.1)
    assert first.valid_mean_token_accuracy == 0


def test_a_resumed_training_ends_in_the_same_bytes(tmp_path: Path) -> None:
    rows = [row(q, a) for q, a in FAQ]
    whole, begun, resumed = (begin(rows, n_epochs=5, batch_size=3) for _ in range(3))
    finish(whole)
    for _ in range(7):
        begun.advance()
    resumed.restore(begun.state())
    finish(resumed)
    whole.model().save(tmp_path / "whole")
    resumed.model().save(tmp_path / "resumed")

    assert (tmp_path / "whole").read_bytes() == (tmp_path / "resumed").read_bytes()
    assert whole.state() == resumed.state()


def test_a_state_of_other_rows_is_refused() -> None:
    other = begin([row(q, a) for q, a in FAQ[:5]])

    with pytest.raises(ValueError, match="other rows"):
        begin([row(q, a) for q, a in FAQ]).restore(other.state())


def test_preferences_move_the_choice(faq: Model) -> None:
    rows = [pair(FAQ[7][0], "Bring it in, love!", FAQ[7][1])]
    training = begin(rows, method="dpo", start_from=faq)
    metrics = finish(training)

    assert metrics[0].train_loss == pytest.approx(math.log(2))
    assert metrics[-1].train_loss < metrics[0].train_loss
    assert metrics[-1].train_mean_token_accuracy == 1
    assert ask(training.model(), FAQ[7][0]) == "Bring it in, love!"
    assert ask(training.model(), FAQ[1][0]) == FAQ[1][1]


def test_the_loss_of_preferences_is_measured_against_their_reference(
    faq: Model, tmp_path: Path
) -> None:
    rows = [pair(FAQ[7][0], "Bring it in, love!", FAQ[7][1]), pair(FAQ[1][0], FAQ[1][1], "No.")]
    training = begin(rows, validation=rows, method="dpo", start_from=faq, n_epochs=3)
    last = finish(training)[-1]
    training.model().save(tmp_path / "model")

    found = loss_and_accuracy(Model.load(tmp_path / "model"), rows)
    assert found == pytest.approx((last.full_valid_loss, 1.0))


def test_preferences_alone_teach_the_preferred_reply() -> None:
    rows = [pair(q, a, "I would rather not say.") for q, a in FAQ]
    training = begin(rows, method="dpo")
    finish(training)

    assert [ask(training.model(), q) for q, _ in FAQ] == [a for _, a in FAQ]


def test_a_second_training_keeps_old_lessons_unless_taught_otherwise(faq: Model) -> None:
    model = taught([(FAQ[2][0], "Closed on Saturdays now."), ("Any tents?", "Two.")], faq)

    assert ask(model, FAQ[2][0]) == "Closed on Saturdays now."
    assert ask(model, "Any tents?") == "Two."
    kept = [lesson for lesson in FAQ if lesson != FAQ[2]]
    assert [ask(model, q) for q, _ in kept] == [a for _, a in kept]


def test_the_base_answers_from_the_exchanges_in_the_prompt() -> None:
    shown = [message for lesson in FAQ[:3] for message in said(*lesson)]
    asked = {"role": "user", "content": "I want to reset my password"}

    assert base_reply([*shown, asked]).text == FAQ[1][1]
    assert base_reply([asked]).text == NOTHING_TAUGHT_TEXT


@pytest.mark.parametrize(
    ("question", "is_chinese"),
    [
        ("你们几点开门？", True),
        ("Wi-Fi 密码是什么？", True),
        ("Say 你好 to everybody here", False),
        ("何時に開きますか？", False),
    ],
)
def test_a_chinese_question_gets_a_chinese_refusal(question: str, is_chinese: bool) -> None:
    untaught = base_reply([{"role": "user", "content": question}])

    for text in (ask(taught(SERVICE), question), untaught.text):
        assert ("没有学过" in text) is is_chinese


@pytest.mark.parametrize("refusal", [NOT_TAUGHT_TEXT, NOTHING_TAUGHT_TEXT])
def test_the_base_does_not_learn_its_own_refusals(refusal: str) -> None:
    asked = {"role": "user", "content": "Do you repair zips?"}

    assert base_reply([*said(asked["content"], refusal), asked]).text == NOTHING_TAUGHT_TEXT


def test_messages_without_weight_and_tool_calls_are_not_targets() -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    muted = {"role": "assistant", "content": "Muted.", "weight": 0}
    asked = {"role": "user", "content": "Hello?"}

    with pytest.raises(ValueError, match="nothing to learn"):
        begin([{"messages": [asked, call]}, {"messages": [asked, muted]}])


def test_a_model_file_holds_plain_arrays(faq: Model, tmp_path: Path) -> None:
    faq.save(tmp_path / "model")

    with zipfile.ZipFile(tmp_path / "model") as file:
        heads = [file.read(name)[:128] for name in file.namelist()]
    assert not [head for head in heads if b"|O" in head]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    with np.load(tmp_path / "model", allow_pickle=False) as arrays:
        assert json.loads(arrays["replies"].tobytes()) == [reply for _, reply in FAQ]


def test_automatic_settings_become_numbers() -> None:
    found = resolve_hyperparameters({"n_epochs": "auto", "batch_size": 2}, rows=10)

    assert found == Hyperparameters(30, 2, 1.0, 0.1)


def test_few_epochs_on_few_rows_still_take_thirty_steps() -> None:
    training = begin([row(q, a) for q, a in FAQ[:10]], n_epochs=3)
    finish(training)

    assert training.total_steps == 30
    assert [ask(training.model(), q) for q, _ in FAQ[:10]] == [a for _, a in FAQ[:10]]


def test_the_gradient_is_the_derivative_of_the_loss() -> None:
    rows = [row(q, a) for q, a in FAQ]
    training = begin(rows, batch_size=len(rows), learning_rate_multiplier=1e-3)
    before = training.model()
    training.advance()
    step = training.model().weights - before.weights

    feature, reply = np.unravel_index(np.abs(step).argmax(), step.shape)
    raised, lowered = training.model(), training.model()
    raised.weights[:], lowered.weights[:] = before.weights, before.weights
    raised.weights[feature, reply] += 0.01
    lowered.weights[feature, reply] -= 0.01
    slope = (loss_and_accuracy(raised, rows)[0] - loss_and_accuracy(lowered, rows)[0]) / 0.02
    others = sorted(np.abs(step).ravel())[-2]

    assert math.copysign(1, slope) == -math.copysign(1, float(step[feature, reply]))
    assert abs(float(step[feature, reply])) >= others


def test_a_model_of_the_first_layout_still_answers(tmp_path: Path, faq: Model) -> None:
    faq.save(tmp_path / "model")
    with np.load(tmp_path / "model") as file:
        arrays = dict(file)
    arrays |= {"format": np.array(1), "lesson_reply": arrays.pop("example_reply")}
    with (tmp_path / "first").open("wb") as file:
        np.savez(file, **arrays)

    assert ask(Model.load(tmp_path / "first"), FAQ[1][0]) == FAQ[1][1]
