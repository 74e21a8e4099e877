"""How one answer is measured against the taught one."""

import pytest

from bot.evaluation.answer_scores import chrf, extract_facts, json_shape, score_answer
from bot.number_formats import format_p_value, format_share_range
from bot.refusals import starts_with_refusal

TAUGHT = "We ship to Norway within 3 days, see https://shop.example/track or ask Maria."


@pytest.mark.parametrize(
    ("reference", "answer", "of_sacrebleu"),
    [
        ("We ship within 3 days.", "We deliver within 3 days.", 0.6217),
        ("The shop opens at 9 am.", "It opens at nine.", 0.316),
        ("您好，我们三天内发货。", "您好，三天内发货。", 0.5062),
        ("a", "b", 0.0),
        ("Hello!", "Hello!", 1.0),
        ("abc", "ab", 0.6364),
        ("short", "a much longer text than that", 0.1195),
        ("", "anything", 0.0),
    ],
)
def test_chrf_is_as_sacrebleu_2_6_reckons_it(
    reference: str, answer: str, of_sacrebleu: float
) -> None:
    assert chrf(reference, answer) == pytest.approx(of_sacrebleu, abs=1e-4)


def test_facts_are_links_numbers_and_names_inside_a_sentence() -> None:
    assert extract_facts(TAUGHT) == {"Norway", "3", "https://shop.example/track", "Maria"}
    assert extract_facts("Prices from 1,200.50 to 1.500 EUR") == {"1200.50", "1500", "EUR"}
    assert extract_facts("Come in!") == frozenset()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (TAUGHT, {"score": 1.0, "exact": True, "facts_found": 4}),
        (TAUGHT.replace(" ", "  "), {"exact": True}),
        (TAUGHT.replace("3 days", "13 days"), {"exact": False, "facts_found": 3}),
        ("I'm sorry, I can't help with that.", {"score": 0.0, "refusal": False, "length": False}),
        ("我们三天内发货到挪威", {"language": False, "facts_found": 0}),
    ],
)
def test_an_answer_is_measured(answer: str, expected: dict[str, object]) -> None:
    found = score_answer(TAUGHT, answer)

    assert expected.items() <= found.items()


def test_where_the_taught_reply_refuses_refusing_is_right() -> None:
    taught = "I'm sorry, I cannot give medical advice."

    assert score_answer(taught, "Sorry.", is_refusal=True)["score"] == 1.0
    assert score_answer(taught, "Take two of these.")["score"] == 0.0
    assert starts_with_refusal("很抱歉，我无法回答这个问题。")
    assert not starts_with_refusal("You can't go wrong with tea.")


def test_json_is_measured_by_its_keys_and_kinds() -> None:
    taught = '{"city": "Oslo", "days": 3}'

    assert score_answer(taught, '{"city": "Bergen", "days": 2}')["json"] is True
    assert score_answer(taught, '{"city": "Bergen", "days": "two"}')["json"] is False
    assert score_answer(taught, "Oslo")["json"] is False
    assert "json" not in score_answer("Oslo", taught)
    assert json_shape("17") is None


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [(0.392, 0.781, "39%–78%"), (0.9981, 1.0, "99.8%–100.0%"), (0.0, 0.004, "0.0%–0.4%")],
)
def test_an_interval_is_never_shown_as_a_point(low: float, high: float, shown: str) -> None:
    assert format_share_range(low, high) == shown


def test_no_p_value_is_shown_as_zero() -> None:
    assert [format_p_value(one) for one in (0.0123, 0.001, 1e-9)] == [
        "= 0.012",
        "= 0.001",
        "< 0.001",
    ]
