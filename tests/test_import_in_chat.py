"""A file that is brought to Slack or Discord: shown, changed, imported or cancelled."""

from __future__ import annotations

import pytest

from bot.words import Words
from tests.chat_team import Team
from tests.chat_team import team as team

NAME = "desk.csv"
TABLE = b"""Case No,Question asked,Agent reply,Region
1,How much is a tube?,Seven euros.,north
2,Do you fix flats?,Yes.,south
3,When do you open?,At nine.,north
4,Where are you?,In Bern.,south
"""
QUESTIONS = "How much is a tube?", "Do you fix flats?", "When do you open?"


def preview(words: Words) -> str:
    return words("import.preview", name=NAME)


def imported(words: Words) -> str:
    return words("import.title", name=NAME)


@pytest.mark.parametrize("way", ["bring", "share"])
async def test_a_preview_shows_three_rows_and_how_they_were_found(team: Team, way: str) -> None:
    words = team.words
    await getattr(team, way)(NAME, TABLE)

    (card,) = await team.shown(preview(words))
    assert all(question in card for question in QUESTIONS)
    assert "Where are you?" not in card
    assert f"{words('import.purpose.answer')} ← Agent reply" in card
    assert f"{words('import.unused')}: Case No, Region" in card
    buttons = [words("import.submit"), words("import.change"), words("button.cancel")]
    assert team.labels(preview(words))[:3] == buttons


async def test_after_a_restart_the_preview_is_imported_once_however_often_it_is_clicked(
    team: Team,
) -> None:
    words = team.words
    await team.bring(NAME, TABLE)
    await team.restart()

    await team.press(words("import.submit"), on=preview(words))
    (card,) = await team.shown(imported(words))
    assert "4" in card
    await team.press_again()

    await team.shown(words("import.gone"))
    assert len(team.find(imported(words))) == 1


async def test_nobody_else_imports_what_a_curator_brought(team: Team) -> None:
    words = team.words
    await team.bring(NAME, TABLE)

    await team.press(words("import.submit"), on=preview(words), by="ann")
    await team.bring(NAME, TABLE, by="ben")

    assert not team.find(imported(words))
    assert len(team.find(preview(words))) == 1


async def test_changed_columns_show_a_new_card(team: Team) -> None:
    words = team.words
    await team.bring(NAME, TABLE)

    await team.fill(words("import.change"), on=preview(words), question="Region")

    card = (await team.shown("north"))[-1]
    assert "1. north → Seven euros." in card
    await team.press(words("import.submit"), on="north")
    assert await team.shown(imported(words))


async def test_a_cancelled_file_is_gone(team: Team) -> None:
    words = team.words
    await team.bring(NAME, TABLE)

    await team.press(words("button.cancel"), on=preview(words))

    await team.shown(words("import.cancelled", name=NAME))
    assert not team.find(imported(words))


async def test_a_script_says_the_columns_and_sees_no_preview(team: Team) -> None:
    words = team.words
    await team.bring(NAME, TABLE, columns="question=Question asked,answer=Agent reply")

    await team.shown(imported(words))
    assert not team.find(preview(words))
