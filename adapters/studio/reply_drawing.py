"""Draws replies as elements of a page."""

from __future__ import annotations

import html
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from nicegui import ui

from adapters.plain_text import share_done
from adapters.studio import line_chart
from adapters.studio.dialogs import close_then, in_page, open_dialog
from adapters.studio.safe_html import highlight, quoted_prop, to_html
from adapters.studio.word_differences import split_by_difference as differences
from bot.replies import Button, Card, Chart, Column, Drawn, Fact, Listing, ListingRow, Text, Tone

Click = Callable[[str], Awaitable[None]]

_LONG_VALUE = 60
_FAST_SECONDS = 0.02

_TONES = {Tone.GOOD: "good", Tone.BAD: "bad", Tone.BUSY: "busy", Tone.PLAIN: "plain"}


def draw(reply: Drawn, click: Click) -> Callable[[Drawn], bool] | None:
    """Draws a reply; returns a function that updates it in place, or None.

    The function returns False if the new reply has to be drawn from scratch.
    """
    match reply:
        case Text():
            draw_text(reply.text)
            draw_buttons(reply.buttons, click)
        case Card():
            return CardView(reply, click).update
        case Listing():
            draw_listing(reply, click)
    return None


def draw_text(text: str, marks: Sequence[str] = ()) -> ui.html:
    """Draws a Markdown text and highlights every occurrence of the marks."""
    return ui.html(highlight(to_html(text), marks), sanitize=False).classes("said")


def draw_revisions(card: Card) -> None:
    """Draws the revisions of an example, newest first, with the differences from the previous."""
    befores = [*(column.text for column in card.columns[1:]), ""]
    with ui.element("section").classes("card plain"):
        ui.label(card.title).classes("card-title").props("role=heading aria-level=2")
        with ui.element("div").classes("contenders"):
            for column, before in zip(card.columns, befores, strict=True):
                pieces = "".join(map(_as_html, differences(column.text, before)))
                compared = f'<span class="answer-text">{pieces}</span>'
                _draw_column(column, partial(ui.html, compared, sanitize=False))


def _as_html(piece: tuple[str, bool]) -> str:
    text = html.escape(piece[0])
    return f"<mark>{text}</mark>" if piece[1] else text


class StreamedText:
    """A Markdown text that is being written, with a caret at its end."""

    def __init__(self, text: str = "") -> None:
        self._element = draw_text(text).classes("writing")
        self._next_at = 0.0

    def show(self, text: str) -> None:
        """Draws the text so far; skips calls so that rendering takes a tenth of the time at most.

        Texts that render in less than `_FAST_SECONDS` are always drawn.
        """
        started = time.monotonic()
        if started < self._next_at:
            return
        self._element.set_content(to_html(text))
        elapsed = time.monotonic() - started
        self._next_at = started + 10 * elapsed if elapsed > _FAST_SECONDS else 0.0

    def end(self, text: str) -> None:
        self._element.set_content(to_html(text))
        self._element.classes(remove="writing")


def draw_buttons(buttons: Sequence[Button], click: Click) -> None:
    if not buttons:
        return
    with ui.row().classes("buttons"):
        for button in buttons:
            draw_button(button, click)


def draw_button(button: Button, click: Click, *, is_small: bool = False) -> ui.button:
    """Draws a button, which shows a spinner until its action has ended."""

    in_page_click = in_page(click)

    async def clicked() -> None:
        drawn.props("loading")
        try:
            await in_page_click(button.action)
        finally:
            if not drawn.is_deleted:
                drawn.props(remove="loading")

    if button.link:
        return ui.button(button.label).props(
            f"no-caps outline href={quoted_prop(button.link)} target=_blank"
        )
    drawn = ui.button(button.label, on_click=clicked).props("no-caps")
    drawn.mark(button.action.partition(":")[0])
    if button.is_primary:
        drawn.props("unelevated")
    elif button.is_danger:
        drawn.props("flat color=negative")
    else:
        drawn.props("outline")
    if is_small:
        drawn.props("dense size=sm")
    return drawn


class CardView:
    """A card whose lines, facts, progress bar and chart can be updated in place."""

    def __init__(self, card: Card, click: Click, *, can_zoom: bool = False) -> None:
        """Draws the card; with `can_zoom` the chart is large and comes before the facts."""
        self._click = click
        self._can_zoom = can_zoom
        self._card = card
        with ui.element("section").classes(f"card {_TONES[card.tone]}") as self._frame:
            self._draw()

    def update(self, reply: Drawn) -> bool:
        """Updates the drawn card; returns False if it has to be drawn from scratch."""
        if not isinstance(reply, Card) or _shape(reply) != _shape(self._card):
            return False
        self._card = reply
        for label, line in zip(self._lines, reply.lines, strict=True):
            label.set_content(to_html(line))
        if reply.progress:
            self._bar.set_value(share_done(reply.progress))
        for value, fact in zip(self._values, reply.facts, strict=True):
            value.set_text(fact.value)
        chart = reply.chart or reply.trend
        if self._chart and chart:
            self._chart.options.update(line_chart.chart_options(chart, can_zoom=self._can_zoom))
            self._chart.update()
        return True

    def _draw(self) -> None:
        card = self._card
        with ui.element("div").classes("card-head"):
            ui.label(card.title).classes("card-title").props("role=heading aria-level=2")
        if card.progress:
            self._bar = ui.linear_progress(share_done(card.progress), show_value=False, size="8px")
            self._bar.props(f"rounded aria-label={quoted_prop(card.title)}")
        self._lines = [draw_text(line).classes("line") for line in card.lines]
        if self._can_zoom:
            self._draw_chart()
        self._values = draw_facts(card.facts)
        _draw_columns(card)
        if not self._can_zoom:
            self._draw_chart()
        draw_buttons(card.buttons, self._click)

    def _draw_chart(self) -> None:
        chart = self._card.chart or self._card.trend
        self._chart = draw_chart(chart, can_zoom=self._can_zoom) if chart else None


def show_card(card: Card) -> None:
    """Shows a card in a dialog; Escape or a click outside closes the dialog."""
    with (
        open_dialog(f"aria-label={quoted_prop(card.title)}") as dialog,
        ui.element("div").classes("asking"),
    ):
        CardView(card, close_then(dialog, _no_action))


async def _no_action(action: str) -> None:
    """No-op callback of a card without buttons."""


def draw_chart(chart: Chart, *, can_zoom: bool = False) -> ui.echart:
    drawn = ui.echart(line_chart.chart_options(chart, can_zoom=can_zoom)).classes("chart")
    if can_zoom:
        drawn.classes("tall")
    drawn.props(f"role=img aria-label={quoted_prop(f'{chart.title}: {chart.summary}')}")
    if chart.summary:
        ui.label(chart.summary).classes("fine")
    return drawn


def draw_option(*, is_chosen: bool) -> ui.element:
    """Draws an option of a list from which people choose with arrows and Enter."""
    row = ui.element("div").classes("offer" + (" chosen" if is_chosen else ""))
    return row.props(f"role=option aria-selected={'true' if is_chosen else 'false'}")


def facts_by_name(holder: Card | ListingRow) -> dict[str, str]:
    """Returns the values of the facts by name."""
    return {fact.name: fact.value for fact in holder.facts}


def draw_facts(facts: Sequence[Fact]) -> list[ui.label]:
    """Draws facts as a definition list for screen readers; returns the labels of the values."""
    values: list[ui.label] = []
    if not facts:
        return values
    with ui.element("dl").classes("facts"):
        for fact in facts:
            with ui.element("div").classes("wide" if len(fact.value) > _LONG_VALUE else ""):
                with ui.element("dt"):
                    ui.label(fact.label)
                    if fact.about:
                        _draw_about(fact)
                with ui.element("dd"):
                    values.append(ui.label(fact.value))
    return values


def _draw_about(fact: Fact) -> None:
    """Draws a question mark with a tooltip that explains the label, also by keyboard."""
    mark = ui.element("span").classes("about").props("tabindex=0 role=note")
    mark.props(f"aria-label={quoted_prop(fact.about)}")
    with mark:
        ui.label("?").props("aria-hidden=true")
        ui.tooltip(fact.about).props("max-width=260px")


def draw_listing(listing: Listing, click: Click) -> None:
    with ui.element("section").classes("card plain"):
        title = listing.title
        if title:
            ui.label(title).classes("card-title").props("role=heading aria-level=2")
        if not listing.lines and listing.empty:
            ui.label(listing.empty).classes("fine")
        with ui.element("ul").classes("lines"):
            for line in listing.lines:
                draw_listing_row(line, click)
        if listing.note:
            ui.label(listing.note).classes("fine")
        if listing.more:
            draw_buttons((listing.more,), click)


def draw_listing_row(line: ListingRow, click: Click) -> None:
    with ui.element("li").classes(f"line-row {_TONES[line.tone]}"):
        ui.label(line.id).classes("line-id")
        with ui.element("div").classes("line-body"):
            draw_text(line.text)
            if line.note:
                ui.label(line.note).classes("fine")
        if line.buttons:
            with ui.element("div").classes("line-buttons"):
                for button in line.buttons:
                    draw_button(button, click, is_small=True)


def _draw_columns(card: Card) -> None:
    if not card.columns:
        return
    with ui.element("div").classes("contenders"):
        for column in card.columns:
            _draw_column(column, partial(draw_text, column.text))


def _draw_column(column: Column, draw_inside: Callable[[], ui.html]) -> None:
    with ui.element("article").classes("contender"):
        ui.label(column.title).classes("contender-title").props("role=heading aria-level=3")
        draw_inside().classes("said")
        if column.note:
            ui.label(column.note).classes("fine")


def _shape(card: Card) -> tuple[object, ...]:
    """Returns all parts of a card that `update` cannot change."""
    return (
        card.title,
        len(card.lines),
        tuple(fact.label for fact in card.facts),
        card.columns,
        card.buttons,
        card.progress is None,
        card.chart is None,
        card.trend is None,
        card.tone,
    )
