"""Renders replies, forms and progress bars as plain text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, assert_never

from adapters.text_chart import legend, plot_lines
from bot.replies import (
    Button,
    Card,
    Chart,
    Column,
    Drawn,
    Field,
    Form,
    Listing,
    ListingRow,
    Progress,
    Text,
)

_PLAIN_BAR_LENGTH = 20
_NEWLINES = re.compile("\r\n?|[\u2028\u2029]")
# Unicode controls of the text direction could make a line look like another text.
_DIRECTION_CONTROLS = re.compile("[\u202a-\u202e\u2066-\u2069]")

_BAR_LENGTH = 20


class Say(Protocol):
    """Returns a sentence of `bot/words` in the reader's language."""

    def __call__(self, key: str, /, **details: object) -> str: ...


def draw_reply(reply: Drawn) -> str:
    """Returns a reply as text, with its buttons in brackets."""
    return "\n".join(_lines_of(reply, with_buttons=True))


def draw_reply_without_buttons(reply: Drawn) -> str:
    """Returns a reply as text without its buttons."""
    return "\n".join(_lines_of(reply, with_buttons=False))


def draw_form(form: Form, values: Mapping[str, str], say: Say) -> str:
    """Returns a form as text with the values that are filled in so far."""
    lines = [say("console.form", title=form.title)]
    lines += [f"  {line}" for line in form.note.splitlines()]
    lines += [f"  {draw_field(field, values.get(field.name, ''), say)}" for field in form.fields]
    return "\n".join([*lines, say("console.form_help", submit=form.submit_label)])


def draw_field(field: Field, value: str, say: Say) -> str:
    """Returns a field as `name: label [value] (notes)`."""
    notes = [say("console.required")] if field.required else []
    if field.choices:
        choices = ", ".join(value for value, _ in field.choices)
        notes.append(say("console.choices", choices=choices))
    if field.hint:
        notes.append(field.hint)
    one_line = value.replace("\n", "\\n")
    return f"{field.name}: {field.label} [{one_line}]" + (f" ({'; '.join(notes)})" if notes else "")


def draw_buttons(buttons: Sequence[Button]) -> str:
    return " ".join(f"[{button.label}]" for button in buttons)


def draw_progress(progress: Progress) -> str:
    """Returns a progress bar with its percentage and steps."""
    share = share_done(progress)
    bar = "#" * round(share * _PLAIN_BAR_LENGTH)
    return f"[{bar:·<{_PLAIN_BAR_LENGTH}}] {share:.0%} ({progress.done}/{progress.total})".replace(
        "%", " %"
    )


def share_done(progress: Progress) -> float:
    """Returns the share of the progress that is done, between 0 and 1."""
    return min(1.0, max(0.0, progress.done / progress.total)) if progress.total > 0 else 0.0


def strip_control_characters(text: str) -> str:
    """Returns a text without control characters, except newlines and tabs."""
    text = _DIRECTION_CONTROLS.sub("", _NEWLINES.sub("\n", text))
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) != "Cc")


def to_single_line(text: str) -> str:
    """Returns a text on one line without control characters."""
    return " ".join(strip_control_characters(text).split())


def _lines_of(reply: Drawn, *, with_buttons: bool) -> Iterator[str]:
    match reply:
        case Text():
            yield reply.text
            yield from _buttons(reply.buttons if with_buttons else ())
        case Card():
            yield from _card(reply)
            yield from _buttons(reply.buttons if with_buttons else ())
        case Listing():
            yield from _listing(reply, with_buttons=with_buttons)
        case _:
            assert_never(reply)


def _card(card: Card) -> Iterator[str]:
    yield card.title
    yield from card.lines
    yield from (f"{fact.label}: {fact.value}" for fact in card.facts)
    for column in card.columns:
        yield from _column(column)
    if card.progress:
        yield draw_progress(card.progress)
    if card.chart:
        yield from _chart(card.chart)


def _column(column: Column) -> Iterator[str]:
    yield f"{column.title} ({column.note})" if column.note else column.title
    yield from (f"  {line}" for line in column.text.splitlines())


def _chart(chart: Chart) -> Iterator[str]:
    lines = plot_lines(chart)
    if lines:
        yield f"{chart.title} ({legend(chart)})"
        yield from lines
    if chart.summary:
        yield chart.summary


def _listing(listing: Listing, *, with_buttons: bool) -> Iterator[str]:
    yield listing.title if listing.total is None else f"{listing.title} ({listing.total})"
    if not listing.lines and listing.empty:
        yield listing.empty
    for line in listing.lines:
        yield from _row(line, with_buttons=with_buttons)
    if listing.note:
        yield listing.note
    if listing.more and with_buttons:
        yield draw_buttons([listing.more])


def _row(line: ListingRow, *, with_buttons: bool) -> Iterator[str]:
    first, *rest = line.text.splitlines() or [""]
    yield f"{line.id}  {first}".strip()
    yield from (f"    {more}" for more in rest)
    if line.note:
        yield f"    {line.note}"
    if line.buttons and with_buttons:
        yield f"    {draw_buttons(line.buttons)}"


def _buttons(buttons: Sequence[Button]) -> Iterator[str]:
    if buttons:
        yield draw_buttons(buttons)


def reply_text(reply: Drawn) -> str:
    """Returns the text of a reply without its buttons."""
    match reply:
        case Text():
            return reply.text
        case Card():
            facts = (f"{fact.label}: {fact.value}" for fact in reply.facts)
            columns = (f"{column.title}: {column.text}" for column in reply.columns)
            return "\n".join((reply.title, *reply.lines, *facts, *columns))
        case Listing():
            lines = (f"{line.text} {line.note}".strip() for line in reply.lines)
            return "\n".join((reply.title, *lines) if reply.lines else (reply.title, reply.empty))
        case _:
            assert_never(reply)


def progress_bar(progress: Progress) -> str:
    """Returns a progress bar of characters with the percentage and the steps."""
    share = share_done(progress)
    full = round(share * _BAR_LENGTH)
    return (
        f"{'█' * full}{'░' * (_BAR_LENGTH - full)} {share:.0%} ({progress.done}/{progress.total})"
    )
