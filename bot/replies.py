"""What goes out, in neutral words: every surface draws the same values."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from bot.domain import MessageId, Place, UserId


class Tone(StrEnum):
    """Severity of a card; a surface may colour it."""

    PLAIN = "plain"
    GOOD = "good"
    BAD = "bad"
    BUSY = "busy"


LONGEST_ACTION = 100
"""Characters of a button's action; Discord's custom_id holds no more."""


VOTE = "feedback."
"""Begins the actions of the two votes on an answer, which a surface may draw its own way."""


@dataclass(frozen=True, slots=True)
class Button:
    """Something to click; `action` is opaque to the surface (at most 100 characters).

    One with a `link` leads to that address instead, and has no action.
    """

    label: str
    action: str = ""
    is_primary: bool = False
    is_danger: bool = False
    link: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """A labelled value; `name` is what it is called in code, for surfaces that arrange by it.

    `about` explains the label, for surfaces that have room to.
    """

    label: str
    value: str
    name: str = ""
    about: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """A line of a chart: points in the order of x; None is a gap."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Chart:
    """Numbers that each surface draws its own way; `summary` says it in words."""

    title: str
    x_label: str
    series: Sequence[Series]
    summary: str


@dataclass(frozen=True, slots=True)
class Progress:
    """A bar: done of total, in the host's own steps."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Column:
    """One of several texts shown side by side."""

    title: str
    text: str
    note: str
    is_refusal: bool = False


OtherWords = Mapping[str, Callable[[str], str]]
"""By language, what puts our own texts into it, for surfaces whose readers switch."""


@dataclass(frozen=True, slots=True)
class Text:
    """Plain words; `private` is for the asker alone where a surface can do that.

    With `is_for_all` it stays open: everybody who reads the channel is to know it.
    """

    text: str
    private: bool = False
    buttons: tuple[Button, ...] = ()
    other_words: OtherWords = field(default_factory=dict, compare=False, repr=False)
    is_for_all: bool = False
    pings: tuple[UserId, ...] = ()
    """Whom it wakes where people can be called by name; nobody else, whatever it says."""


@dataclass(frozen=True, slots=True)
class Card:
    """A framed message; `replaces` puts it in place of the message whose button was clicked.

    `trend` is a chart that still grows, for surfaces that redraw it at no cost. `marks` are texts
    that surfaces which can highlight show highlighted in the columns. `pings` is as for a text.
    """

    title: str
    lines: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()
    columns: tuple[Column, ...] = ()
    buttons: tuple[Button, ...] = ()
    progress: Progress | None = None
    chart: Chart | None = None
    trend: Chart | None = None
    tone: Tone = Tone.PLAIN
    private: bool = False
    replaces: bool = False
    marks: tuple[str, ...] = ()
    other_words: OtherWords = field(default_factory=dict, compare=False, repr=False)
    pings: tuple[UserId, ...] = ()


class FieldKind(StrEnum):
    LINE = "line"
    TEXT = "text"
    NUMBER = "number"
    CHOICE = "choice"
    CHOICES = "choices"
    TOGGLE = "toggle"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Field:
    """One input of a form; values travel as text, several choices with commas between them."""

    name: str
    label: str
    kind: FieldKind = FieldKind.LINE
    value: str = ""
    hint: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    required: bool = True
    max_length: int = 3000


@dataclass(frozen=True, slots=True)
class Form:
    """Asks for text; its `id` comes back with the values (at most 100 characters).

    `reopen_action` is a button's action that opens it anew, where the moment for a form has
    passed.
    """

    id: str
    title: str
    fields: tuple[Field, ...]
    submit_label: str
    note: str = ""
    reopen_action: str = ""


@dataclass(frozen=True, slots=True)
class ListingRow:
    """One row of a listing: a number to call it by, its text, small print, and what can be done.

    `facts` say the same as the small print, one by one, for surfaces with room for columns.
    """

    id: str
    text: str
    note: str = ""
    buttons: tuple[Button, ...] = ()
    facts: tuple[Fact, ...] = ()
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of a noun; `more` shows the next page, `share` shows it to the whole channel.

    `facts` name what the facts of its rows are about, for surfaces that draw a table.
    """

    title: str
    lines: tuple[ListingRow, ...]
    empty: str = ""
    note: str = ""
    facts: tuple[Fact, ...] = ()
    more: Button | None = None
    total: int | None = None
    share: Button | None = None
    private: bool = False
    replaces: bool = False
    other_words: OtherWords = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ReactionReply:
    """An emoji on the message in question, and a word to the person who reacted."""

    emoji: str
    text: Text | None = None
    message: MessageId | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A file for the asker; `chunks` is read once."""

    name: str
    chunks: AsyncIterator[bytes]
    text: str


async def _nothing() -> None:
    """No-op callback."""


def _ignored(message: MessageId) -> None:
    """No-op callback."""


def _unheard() -> None:
    """No-op callback."""


def _no_buttons() -> tuple[Button, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer as it is written: pieces of text, in order.

    `before_first_message` is called right before the first text is shown, `on_posted` with the
    first message once it is posted, `on_continuation_message` with each further one, `on_stopped`
    when the platform's own stop button ended it. `buttons` is read after all pieces and closes a
    whole answer; `buttons_while_written` are shown until then. `unfinished_message` is what an
    interrupted attempt posted; it is overwritten. `place` overrides the place of the event.
    """

    pieces: AsyncGenerator[str]
    on_posted: Callable[[MessageId], Awaitable[None]]
    buttons: Callable[[], tuple[Button, ...]] = _no_buttons
    unfinished_message: MessageId | None = None
    before_first_message: Callable[[], Awaitable[None]] = _nothing
    buttons_while_written: tuple[Button, ...] = ()
    on_continuation_message: Callable[[MessageId], None] = _ignored
    on_stopped: Callable[[], None] = _unheard
    other_words: Callable[[], OtherWords] = dict
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class StreamedColumn:
    """One answer of a comparison while it is written; `note` is whose it is.

    `final_column` gives the whole of it with its cost, once the pieces are read; None if its host
    failed.
    """

    title: str
    note: str
    pieces: AsyncGenerator[str]
    final_column: Callable[[], Column | None]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Answers to one question, written side by side; whoever shows them reads the pieces."""

    lines: tuple[str, ...]
    answers: tuple[StreamedColumn, ...]


@dataclass(frozen=True, slots=True)
class NoReply:
    """Nothing to say."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Why something was not done, in words; a card or list shows how things stand instead."""

    text: str
    card: Card | Listing | None = None


Drawn = Text | Card | Listing
Reply = (
    Text
    | Card
    | Form
    | Listing
    | ReactionReply
    | Document
    | Stream
    | Comparison
    | NoReply
    | Refused
)


def one_line(text: str, longest: int) -> str:
    """The text without its line breaks; beyond so many characters it ends in "…"."""
    flat = " ".join(text.split())
    return flat if len(flat) <= longest else f"{flat[: longest - 1]}…"
