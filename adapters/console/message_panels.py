"""Renders messages for the terminal with rich; their texts are not interpreted as markup."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import assert_never

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.rule import Rule
from rich.table import Table
from rich.text import Text as Words

from adapters.local_room import is_deleted, render_message
from adapters.plain_text import Say, share_done, strip_control_characters, to_single_line
from adapters.text_chart import SERIES_MARKS, legend, plot_lines
from bot.domain import RoomMessage
from bot.replies import Button, Card, Chart, Column, Drawn, Fact, Listing, Progress, Text, Tone

_OWN = "bold #7986cb"
_AUTHORS = ("#f06292", "#26a69a", "#ffb74d", "#64b5f6", "#aed581", "#ba68c8", "#4dd0e1")
_TONES = {
    Tone.PLAIN: "#7986cb",
    Tone.GOOD: "#26a69a",
    Tone.BAD: "#e57373",
    Tone.BUSY: "#5c6bc0",
}
_SERIES = ("#7986cb", "#26a69a")
_BAR = 44
_WIDEST = 88


def message_panel(message: RoomMessage, say: Say, *, is_edit: bool = False) -> RenderableType:
    """Returns a message below its head; the number of an edited one has an asterisk."""
    if is_deleted(message):
        body: RenderableType = Words(say("console.deleted"), style="dim italic")
    else:
        body = render_reply(render_message(message))
    return Group(render_header(message, is_edit=is_edit), Padding(body, (0, 0, 1, 2)))


def render_header(message: RoomMessage, *, is_edit: bool = False) -> Words:
    """Returns the line above a message: number, author, time, replied-to message, reactions."""
    line = Words()
    line.append(f"#{message.number}{'*' if is_edit else ''} ", style="dim")
    line.append(to_single_line(message.author.name), style=author_style(message))
    line.append(message.at.astimezone().strftime("  %H:%M"), style="dim")
    if message.reply_to is not None and message.reply_to != message.number - 1:
        line.append(f"  ↳ #{message.reply_to}", style="dim")
    if message.reactions:
        marks = dict.fromkeys(to_single_line(emoji) for emoji, _ in message.reactions)
        line.append("  " + " ".join(marks))
    return line


def render_reply(reply: Drawn) -> RenderableType:
    """Returns the rendering of a reply."""
    match reply:
        case Text():
            return Group(Words(strip_control_characters(reply.text)), *_buttons(reply.buttons))
        case Card():
            return _card(reply)
        case Listing():
            return _listing(reply)
        case _:
            assert_never(reply)


def author_style(message: RoomMessage) -> str:
    """Returns the style of an author's name, which is the same in every run."""
    if message.is_own:
        return _OWN
    return f"bold {_AUTHORS[zlib.crc32(message.author.id.encode()) % len(_AUTHORS)]}"


def _card(card: Card) -> RenderableType:
    parts = [
        *(Words(strip_control_characters(line)) for line in card.lines),
        *_facts(card.facts),
        *_columns(card.columns),
        *_progress(card.progress),
        *_chart(card.chart),
        *_buttons(card.buttons),
    ]
    return _panel(card.title, parts, tone=card.tone)


def _panel(title: str, parts: Sequence[RenderableType], *, tone: Tone) -> Panel:
    return Panel(
        Group(*parts),
        title=Words(to_single_line(title), style="bold"),
        title_align="left",
        border_style=_TONES[tone],
        padding=(0, 1),
        width=_WIDEST,
    )


def _facts(facts: Sequence[Fact]) -> Iterator[RenderableType]:
    if facts:
        grid = Table.grid(padding=(0, 2))
        for fact in facts:
            grid.add_row(
                Words(to_single_line(fact.label), style="dim"),
                Words(strip_control_characters(fact.value)),
            )
        yield grid


def _columns(columns: Sequence[Column]) -> Iterator[RenderableType]:
    if columns:
        grid = Table.grid(padding=(0, 2), expand=True)
        for _ in columns:
            grid.add_column(ratio=1)
        grid.add_row(*(Words(to_single_line(column.title), style="bold") for column in columns))
        grid.add_row(*(Words(strip_control_characters(column.text)) for column in columns))
        grid.add_row(
            *(Words(strip_control_characters(column.note), style="dim") for column in columns)
        )
        yield grid


def _progress(progress: Progress | None) -> Iterator[RenderableType]:
    if progress:
        share = share_done(progress)
        bar = ProgressBar(
            total=1.0, completed=share, width=_BAR, complete_style=_SERIES[0], style="grey30"
        )
        grid = Table.grid(padding=(0, 2))
        grid.add_row(bar, Words(f"{share * 100:.0f} %  {progress.done}/{progress.total}"))
        yield grid


def _chart(chart: Chart | None) -> Iterator[RenderableType]:
    if chart is None:
        return
    lines = plot_lines(chart)
    if lines:
        yield _coloured(strip_control_characters(f"{chart.title}  {legend(chart)}"))
        yield _coloured("\n".join(strip_control_characters(line) for line in lines))
    if chart.summary:
        yield Words(strip_control_characters(chart.summary), style="dim")


def _coloured(text: str) -> Words:
    words = Words(text, no_wrap=True)
    for mark, colour in zip(SERIES_MARKS, _SERIES, strict=True):
        # A mark of the chart is a single character; the same letter in a word is not coloured.
        words.highlight_regex(rf"(?<![A-Za-z])[{mark}](?![A-Za-z])", style=colour)
    return words


def _listing(listing: Listing) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    for line in listing.lines:
        text = Group(
            Words(strip_control_characters(line.text)),
            *([Words(strip_control_characters(line.note), style="dim")] if line.note else []),
            *_buttons(line.buttons),
        )
        grid.add_row(Words(to_single_line(line.id), style="bold"), text)
    parts: list[RenderableType] = (
        [grid] if listing.lines else [Words(strip_control_characters(listing.empty))]
    )
    if listing.note:
        parts += [Rule(style="grey30"), Words(strip_control_characters(listing.note), style="dim")]
    parts += _buttons((listing.more,) if listing.more else ())
    total = "" if listing.total is None else f" ({listing.total})"
    return _panel(listing.title + total, parts, tone=Tone.PLAIN)


def _buttons(buttons: Sequence[Button]) -> Iterator[RenderableType]:
    if buttons:
        line = Words()
        for button in buttons:
            line.append(f" {to_single_line(button.label)} ", style=_button_style(button))
            line.append(" ")
        yield line


def _button_style(button: Button) -> str:
    if button.is_danger:
        return "white on #b71c1c"
    return "bold white on #3f51b5" if button.is_primary else "white on grey30"
