"""Replies in a form that is the same for all platforms; adapters render them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from bot.domain import MessageId, Place, UserId


class Tone(StrEnum):
    """Severity of a card, which a surface may show as a colour."""

    PLAIN = "plain"
    GOOD = "good"
    BAD = "bad"
    BUSY = "busy"


MAX_ACTION_LENGTH = 100
"""Maximum characters of a button's action, which is the limit of Discord's custom_id."""


VOTE_BUTTON_PREFIX = "feedback."
"""Prefix of the actions of the two vote buttons below an answer."""


@dataclass(frozen=True, slots=True)
class Button:
    """A button; `action` is opaque to the surface and has at most 100 characters.

    A button with a `link` opens that address and has no action.
    """

    label: str
    action: str = ""
    is_primary: bool = False
    is_danger: bool = False
    link: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """A value with a label.

    `name` identifies the fact in code, for surfaces that arrange facts by name. `about` explains
    the label, for surfaces with room for an explanation.
    """

    label: str
    value: str
    name: str = ""
    about: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """A line of a chart: its points (x, y) by x; points that are not finite are left out."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Chart:
    """A line chart; `summary` describes it in words."""

    title: str
    x_label: str
    series: Sequence[Series]
    summary: str


@dataclass(frozen=True, slots=True)
class Progress:
    """A progress bar; the unit of `done` and `total` is the host's own."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Column:
    """One of several texts that are shown side by side."""

    title: str
    text: str
    note: str
    is_refusal: bool = False


TranslatorsByLanguage = Mapping[str, Callable[[str], str]]
"""Functions that translate Attune's own texts, by language, for surfaces with a language switch."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text message.

    `private` shows it only to the user of the event, on surfaces that can do so. `is_for_all`
    keeps it public even if a private reply would be the rule.
    """

    text: str
    private: bool = False
    buttons: tuple[Button, ...] = ()
    other_words: TranslatorsByLanguage = field(default_factory=dict, compare=False, repr=False)
    is_for_all: bool = False
    pings: tuple[UserId, ...] = ()
    """Users who are notified of a mention; mentions of others in the text notify nobody."""


@dataclass(frozen=True, slots=True)
class Card:
    """A message with a title, facts, columns, buttons and a chart.

    `replaces` edits the message whose button was clicked instead of posting a new one. `trend` is
    a chart of a job that still runs, for surfaces that redraw it at no cost. `marks` are words to
    highlight in the columns. `private` and `pings` mean the same as in `Text`.
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
    other_words: TranslatorsByLanguage = field(default_factory=dict, compare=False, repr=False)
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
    """An input of a form; its value is text, in which several choices are separated by commas."""

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
    """A form; its `id` has at most 100 characters and is sent back with the values.

    `reopen_action` is the action of a button that opens the form again, for a platform that no
    longer accepts a form for the event.
    """

    id: str
    title: str
    fields: tuple[Field, ...]
    submit_label: str
    note: str = ""
    reopen_action: str = ""


@dataclass(frozen=True, slots=True)
class ListingRow:
    """A row of a listing: its number, text, small print and buttons.

    `facts` hold the values of the small print one by one, for surfaces that draw a table.
    """

    id: str
    text: str
    note: str = ""
    buttons: tuple[Button, ...] = ()
    facts: tuple[Fact, ...] = ()
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of a list; `more` shows the next page, `share` posts the list to the channel.

    `facts` hold the column labels of the rows' facts, for surfaces that draw a table.
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
    other_words: TranslatorsByLanguage = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ReactionReply:
    """A reaction of the bot to a message, and optionally a text for the user of the event."""

    emoji: str
    text: Text | None = None
    message: MessageId | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A file for the user of the event; `chunks` can be read only once."""

    name: str
    chunks: AsyncIterator[bytes]
    text: str


async def _no_op() -> None:
    """No-op callback."""


def _no_op_for_message(message: MessageId) -> None:
    """No-op callback."""


def _no_op_when_stopped() -> None:
    """No-op callback."""


def _no_buttons() -> tuple[Button, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer while it is written: its pieces of text, in order.

    `before_first_message` is called right before the first text is shown, `on_posted` with the
    first message once it is posted, `on_continuation_message` with each further message,
    `on_stopped` when the person used the platform's own stop button. `buttons` is called after the
    last piece and returns the buttons of the complete answer; `buttons_while_written` are shown
    until then. `unfinished_message` is the message of an interrupted attempt, which is
    overwritten. `place` overrides the place of the event.
    """

    pieces: AsyncGenerator[str]
    on_posted: Callable[[MessageId], Awaitable[None]]
    buttons: Callable[[], tuple[Button, ...]] = _no_buttons
    unfinished_message: MessageId | None = None
    before_first_message: Callable[[], Awaitable[None]] = _no_op
    buttons_while_written: tuple[Button, ...] = ()
    on_continuation_message: Callable[[MessageId], None] = _no_op_for_message
    on_stopped: Callable[[], None] = _no_op_when_stopped
    other_words: Callable[[], TranslatorsByLanguage] = dict
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class StreamedColumn:
    """An answer of a comparison while it is written; `note` says which model writes it.

    `final_column` returns the complete answer with its cost after all pieces were read, or None
    if the host failed.
    """

    title: str
    note: str
    pieces: AsyncGenerator[str]
    final_column: Callable[[], Column | None]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Answers to one question, shown side by side while they are written."""

    lines: tuple[str, ...]
    answers: tuple[StreamedColumn, ...]


@dataclass(frozen=True, slots=True)
class NoReply:
    """The absence of a reply."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The reason why an action was not done; `card` optionally shows the current state."""

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
    """Returns the text on one line, cut to `longest` characters with "…" at its end."""
    flat = " ".join(text.split())
    return flat if len(flat) <= longest else f"{flat[: longest - 1]}…"
