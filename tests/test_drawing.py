"""Replies as plain text."""

from __future__ import annotations

import math

import pytest

from adapters.plain_text import (
    draw_form,
    draw_progress,
    draw_reply,
    draw_reply_without_buttons,
    strip_control_characters,
)
from adapters.text_chart import plot_lines
from bot.replies import (
    Button,
    Card,
    Chart,
    Column,
    Fact,
    Field,
    FieldKind,
    Form,
    Listing,
    ListingRow,
    Progress,
    Series,
    Text,
)
from tests.fakes.app import FakeApp


def _chart(*series: Series) -> Chart:
    return Chart("Loss", "step", series, "Loss fell from 4 to 1.")


def _say(key: str, /, **details: object) -> str:
    return FakeApp().translate(key, "en", **details)


def test_a_text_shows_its_buttons_below() -> None:
    reply = Text("Hello", buttons=(Button("Confirm", "yes"), Button("Cancel", "no")))

    assert draw_reply(reply) == "Hello\n[Confirm] [Cancel]"


def test_the_words_of_a_reply_leave_its_buttons_out() -> None:
    listing = Listing(
        "Jobs",
        (ListingRow("1", "one", buttons=(Button("Open", "open:1"),)),),
        more=Button("More", "more"),
    )

    assert draw_reply_without_buttons(Text("Hello", buttons=(Button("Confirm", "yes"),))) == "Hello"
    assert draw_reply_without_buttons(listing) == "Jobs\n1  one"


def test_a_card_shows_lines_facts_columns_bar_and_buttons() -> None:
    card = Card(
        "Training",
        lines=("It runs.",),
        facts=(Fact("Rows", "42"),),
        columns=(Column("Base", "a\nb", "0.2 s"),),
        progress=Progress(78, 126),
        buttons=(Button("Pause", "pause"),),
    )

    assert draw_reply(card).split("\n") == [
        "Training",
        "It runs.",
        "Rows: 42",
        "Base (0.2 s)",
        "  a",
        "  b",
        "[############········] 62 % (78/126)",
        "[Pause]",
    ]


def test_a_listing_shows_ids_notes_buttons_and_more() -> None:
    line = ListingRow("7", "first\nsecond", note="by Mina", buttons=(Button("Approve", "a:7"),))
    listing = Listing("Examples", (line,), note="page 1", more=Button("More", "more"), total=30)

    assert draw_reply(listing).split("\n") == [
        "Examples (30)",
        "7  first",
        "    second",
        "    by Mina",
        "    [Approve]",
        "page 1",
        "[More]",
    ]


def test_an_empty_listing_says_so() -> None:
    assert draw_reply(Listing("Jobs", (), empty="None yet.")) == "Jobs\nNone yet."


def test_a_form_shows_what_each_field_needs() -> None:
    fields = (
        Field("prompt", "Question", FieldKind.TEXT, hint="as it was asked"),
        Field("kind", "Kind", FieldKind.CHOICE, choices=(("a", "A"), ("b", "B")), required=False),
    )
    form = Form("teach", "Teach", fields, "Save", note="One exchange.")

    lines = draw_form(form, {"prompt": "one\ntwo"}, _say).split("\n")

    assert lines[:4] == [
        "Form: Teach",
        "  One exchange.",
        "  prompt: Question [one\\ntwo] (required; as it was asked)",
        "  kind: Kind [] (one of a, b)",
    ]


@pytest.mark.parametrize(
    ("progress", "percent"),
    [(Progress(0, 0), "0 %"), (Progress(9, 3), "100 %"), (Progress(-1, 3), "0 %")],
)
def test_a_bar_survives_strange_counts(progress: Progress, percent: str) -> None:
    assert f"] {percent} (" in draw_progress(progress)


def test_a_chart_with_axes_fits_into_sixty_by_ten() -> None:
    train = Series("training", [(step, 4 / (1 + step / 50)) for step in range(200)])
    valid = Series("validation", [(0, 4.2), (100, 2.0), (199, 1.4)])

    lines = plot_lines(_chart(train, valid))

    assert len(lines) == 10
    assert max(map(len, lines)) <= 60
    assert lines[-1].split() == ["0", "step", "199"]
    assert "4.2 ┤o" in lines[0]
    assert sum(line.count("o") for line in lines) == 3


@pytest.mark.parametrize("points", [[(1.0, 2.0)], [(1.0, 3.0), (2.0, 3.0)], [(0.0, 0.0)]])
def test_a_chart_of_one_point_or_equal_values_is_drawn(points: list[tuple[float, float]]) -> None:
    lines = plot_lines(_chart(Series("training", points)))

    assert sum(line.count("*") for line in lines) == len(points)


@pytest.mark.parametrize("series", [(), (Series("training", [(1, math.nan), (math.inf, 1)]),)])
def test_a_chart_without_finite_points_is_its_summary(series: tuple[Series, ...]) -> None:
    card = Card("Training", chart=_chart(*series))

    assert draw_reply(card) == "Training\nLoss fell from 4 to 1."


def test_huge_numbers_and_long_names_stay_within_the_chart() -> None:
    series = Series("training", [(-1e300, 1e300), (1e300, -1e300)])
    chart = Chart("Loss", "a very long name for an axis " * 9, [series], "")

    assert max(map(len, plot_lines(chart))) <= 60


def test_control_characters_are_taken_out_and_lines_stay() -> None:
    hostile = "a\x1b[31mred\x07\r\nb\tc\x9b\u202edrow\u2028d\x00"

    assert strip_control_characters(hostile) == "a[31mred\nb\tcdrow\nd"
