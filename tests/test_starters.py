"""The ready sets an empty workspace can start from."""

from collections import Counter
from collections.abc import Mapping, Sequence

import pytest

from attune.starters import Starters
from bot.domain import Row
from bot.rows import MIN_TRAINING_ROWS, Method, check_row, fingerprint, prompt_fingerprint
from bot.words import LANGUAGES, Words

SETS = sorted(Starters())


def answers(rows: Sequence[Row]) -> list[str]:
    return [last_text(row) for row in rows]


def last_text(row: Mapping[str, object]) -> str:
    messages = row["messages"]
    assert isinstance(messages, list)
    return str(messages[-1]["content"])


@pytest.mark.parametrize("name", SETS)
def test_every_row_of_a_starter_may_train(name: str) -> None:
    problems = [check_row(row, Method.SUPERVISED) for row in Starters()[name]]

    assert [problem for problem in problems if problem is not None] == []


@pytest.mark.parametrize("name", SETS)
def test_a_starter_is_enough_to_train_on_with_a_fifth_held_back(name: str) -> None:
    assert len(Starters()[name]) * 0.8 > MIN_TRAINING_ROWS


@pytest.mark.parametrize("name", SETS)
def test_a_starter_asks_nothing_twice(name: str) -> None:
    rows = Starters()[name]

    assert len({prompt_fingerprint(row) for row in rows}) == len(rows)
    assert Counter(answers(rows)).most_common(1)[0][1] == 1


def test_no_row_stands_in_two_starters() -> None:
    prints = [fingerprint(row) for rows in Starters().values() for row in rows]

    assert len(set(prints)) == len(prints)


def test_a_limerick_has_five_lines() -> None:
    assert {len(answer.split("\n")) for answer in answers(Starters()["limericks"])} == {5}


def test_a_name_that_is_no_starter_reads_no_file() -> None:
    assert Starters().get("../starters/limericks") is None
    assert "__init__" not in Starters()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", SETS)
def test_every_starter_is_named_where_people_choose(language: str, name: str) -> None:
    assert name in Words(language)("option.starter")
