"""What a command and a catalogue are; platform limits are checked when one is built."""

from __future__ import annotations

import difflib
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from bot.domain import (
    Assistant,
    Binding,
    Deployment,
    Message,
    MessageId,
    Place,
    Role,
    User,
    UserId,
    Workspace,
    WorkspaceId,
)
from bot.errors import BadInput, NotFound, UnknownCommand
from bot.events import Attachment, ButtonClicked, CommandInvoked, Event, ShortcutUsed, What
from bot.numerals import readings, whole_readings
from bot.ports.dependencies import Dependencies, ProgressCallback
from bot.replies import Progress, Reply
from bot.words import Words


class OptionKind(StrEnum):
    """What an option holds; the nouns offer completion. An amount may also be a word, like off."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    AMOUNT = "amount"
    YES_NO = "yes_no"
    CHOICE = "choice"
    FILE = "file"
    ASSISTANT = "assistant"
    MODEL = "model"
    JOB = "job"
    EXAMPLE = "example"
    HOST = "host"
    USER = "user"


@dataclass(frozen=True, slots=True)
class Option:
    """One word of a command, `name:value`; the `rest` option takes what has no name.

    Of a sentence any word may look like an option.
    """

    name: str
    kind: OptionKind = OptionKind.TEXT
    required: bool = False
    rest: bool = False
    is_sentence: bool = False
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """Somebody wants something: the event, and what dispatch found out about it."""

    event: Event
    workspace: Workspace
    role: Role
    words: Words
    now: datetime
    assistant: Assistant
    binding: Binding | None = None
    deployment: Deployment | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    argument: str = ""
    attachment: Attachment | None = None
    message: Message | None = None
    progress: ProgressCallback | None = None
    may_ask: bool = True
    """False for a stranger where no admin lets strangers ask."""
    is_page: bool = False
    """Whether a page of the studio asks, and shows the reply itself."""

    @property
    def id(self) -> WorkspaceId:
        return self.workspace.id

    @property
    def place(self) -> Place:
        return self.event.place

    @property
    def user(self) -> User:
        return self.event.user

    @property
    def by(self) -> UserId:
        return self.event.user.id

    def tell_progress(self, done: int, total: int) -> None:
        """How far the work is, for whoever waits for it."""
        if self.progress is not None:
            self.progress(Progress(done, total))

    @property
    def clicked(self) -> MessageId | None:
        """The message whose button was clicked, or that was reacted to."""
        return getattr(self.event.what, "message", None)

    def text(self, name: str) -> str | None:
        value = self.options.get(name, "").strip()
        return value or None

    def integer(self, name: str) -> int | None:
        """None for a missing option and for "auto"; raises BadInput."""
        value = self._amount(name)
        return None if value is None else int(_whole(name, value, self.words))

    def number(self, name: str, *, may_be_percent: bool = False) -> float | None:
        """None for a missing option and for "auto"; raises BadInput, also where it means two."""
        value = self._amount(name)
        if value is None:
            return None
        return _number(name, value.rstrip("%％") if may_be_percent else value, self.words)

    def _amount(self, name: str) -> str | None:
        value = self.text(name)
        return None if value is None or value.lower() == "auto" else value

    def yes(self, name: str, *, default: bool) -> bool:
        value = (self.text(name) or "").lower()
        if value in ("yes", "on", "true", "1", "是"):
            return True
        if value in ("no", "off", "false", "0", "否"):
            return False
        return default


# The largest number that the store can look for.
_LARGEST = 2**63 - 1

Handler = Callable[[Request, Dependencies], Awaitable[Reply]]

_OPTION_NAME = re.compile(r"[A-Za-z_]{2,32}")
_TOKEN = re.compile(r'(?:[^\s"]|"[^"]*"?)+')
_BEGINS_GROUPS = re.compile(r"[+-]?\d{1,3}(?: \d{3})*")
_GROUP = re.compile(r"\d{3}(?:[,.]\d+)?")
_NUMERIC = (OptionKind.INTEGER, OptionKind.NUMBER, OptionKind.AMOUNT)


@dataclass(frozen=True, slots=True)
class Command:
    """A word after `/tune`; groups have a space in their path ("assistant show").

    One that asks a model costs tokens, so it stands under the caps. Cards and listings of a
    private one are for the asker alone; a shareable one can be shown to the channel then.
    """

    path: str
    role: Role
    run: Handler
    options: tuple[Option, ...] = ()
    costs_tokens: bool = False
    is_private: bool = False
    is_shareable: bool = False

    @property
    def key(self) -> str:
        """Where its summary stands in the catalogue of words."""
        return f"command.{self.path.replace(' ', '.')}"

    @property
    def rest(self) -> Option | None:
        return next((option for option in self.options if option.rest), None)

    def __post_init__(self) -> None:
        _within("path", self.path, 32 * 2 + 1)
        names = [option.name for option in self.options]
        if len(names) > 25 or len(set(names)) != len(names):
            raise ValueError(f"{self.path}: at most 25 options, each name once")
        for option in self.options:
            _within("option name", option.name, 32)
            if len(option.choices) > 25:
                raise ValueError(f"{self.path} {option.name}: at most 25 choices")


@dataclass(frozen=True, slots=True)
class Action:
    """A button, form, reaction or shortcut, by name.

    What only the studio's pages offer is refused where it comes from a chat. Cards and listings
    of a private one are for whoever clicked alone.
    """

    name: str
    role: Role
    run: Handler
    is_for_pages: bool = False
    is_private: bool = False


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything people can do, once; help, completion and manifests are drawn from it."""

    commands: tuple[Command, ...]
    buttons: tuple[Action, ...] = ()
    forms: tuple[Action, ...] = ()
    reactions: tuple[Action, ...] = ()
    unreactions: tuple[Action, ...] = ()
    shortcuts: tuple[Action, ...] = ()
    event_handlers: tuple[Action, ...] = ()
    form_openers: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        top = {command.path.partition(" ")[0] for command in self.commands}
        if len(top) > 25:
            raise ValueError("Discord takes 25 children in a group")
        for deeds in (self.buttons, self.forms, self.reactions, self.shortcuts):
            names = [deed.name for deed in deeds]
            if len(set(names)) != len(names):
                raise ValueError(f"a name stands twice: {names}")

    def command(self, words: str) -> tuple[Command, str]:
        """The command that a line begins with, and the rest of the line. Raises NotFound."""
        tokens = words.split(maxsplit=2)
        for length in (2, 1):
            path = " ".join(tokens[:length]).lower()
            for command in self.commands:
                if command.path == path and len(tokens) >= length:
                    return command, _after(words, length)
        is_group = any(command.path.startswith(f"{path.lower()} ") for command in self.commands)
        known = " ".join(tokens[: 2 if is_group else 1])
        raise UnknownCommand(noun="command", name=known or "/tune")

    def button(self, action: str) -> tuple[Action, str]:
        return _deed(self.buttons, action)

    def form(self, form: str) -> tuple[Action, str]:
        return _deed(self.forms, form)

    def reaction(self, emoji: str, *, is_removed: bool) -> Action | None:
        deeds = self.unreactions if is_removed else self.reactions
        return next((deed for deed in deeds if deed.name == emoji), None)

    def shortcut(self, name: str) -> Action | None:
        return next((deed for deed in self.shortcuts if deed.name == name), None)

    def event_handler(self, kind: str) -> Action:
        return next(deed for deed in self.event_handlers if deed.name == kind)

    def may_open_form(self, what: What) -> bool:
        """Whether a form is the likely answer, so that a surface can make ready for it."""
        match what:
            case CommandInvoked(words=words):
                return " ".join(words.lower().split()) in self.form_openers
            case ButtonClicked(action=action):
                return action.partition(":")[0] in self.form_openers
            case ShortcutUsed(shortcut=shortcut):
                return shortcut in self.form_openers
            case _:
                return False

    def complete(self, line: str) -> Iterator[str]:
        """Words that can stand at the end of what was typed after `/tune `."""
        typed = line.lstrip()
        for command in self.commands:
            if command.path.startswith(typed.lower()):
                yield command.path
            elif typed.lower().startswith(command.path + " "):
                yield from _complete_options(command, typed)


def parse(
    command: Command, line: str, words: Words, given: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The options in what follows a command's path.

    `name:value` and `name=value`, quotes where there are blanks; what has no
    name goes to the `rest` option as it was written. `given` are those that the surface knows
    apart already. Raises BadInput.
    """
    named: dict[str, str] = dict(given or {})
    loose: list[str] = []
    names = {option.name for option in command.options}
    for token in _with_whole_numbers(command, _TOKEN.findall(line)):
        name, colon, value = _named(token)
        if not colon or name.lower() not in names:
            loose.append(token)
        elif name.lower() in named:
            raise BadInput(problem=words("option.twice", option=name.lower()))
        else:
            named[name.lower()] = value.replace('"', "")
    _refuse_unknown(command, loose, named, words)
    if loose and command.rest:
        named[command.rest.name] = _bare(" ".join(loose))
    return checked(command, named, words)


def _refuse_unknown(
    command: Command, loose: Sequence[str], named: Mapping[str, str], words: Words
) -> None:
    """Names what stands where nothing can stand, and what looks like an option and is none."""
    if loose and (command.rest is None or command.rest.name in named):
        raise BadInput(problem=_unknown(command, loose[0], words))
    for token in loose:
        if command.rest is not None and _is_misspelt(token, command, command.rest):
            raise BadInput(problem=_unknown(command, token, words))


def _is_misspelt(token: str, command: Command, rest: Option) -> bool:
    """In a question anything may stand, in a model's name colons; so only near misses count."""
    name, colon, value = _named(token)
    if not colon or not value or not _OPTION_NAME.fullmatch(name):
        return False
    if rest.kind is not OptionKind.MODEL and not rest.is_sentence:
        return True
    known = [option.name for option in command.options]
    return bool(difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.75))


def checked(command: Command, options: Mapping[str, str], words: Words) -> dict[str, str]:
    """The options again, or BadInput: required ones there, numbers in range, choices known.

    Numbers come back without separators.
    """
    names = {option.name for option in command.options}
    for name in options:
        if name not in names:
            raise BadInput(problem=_unknown(command, name, words))
    checked_values = dict(options)
    for option in command.options:
        value = options.get(option.name, "").strip()
        if option.required and not value:
            problem = words("option.missing", option=option.name, command=command.path)
            raise BadInput(problem=problem)
        if value:
            checked_values[option.name] = _checked_value(option, value, words)
    return checked_values


def _checked_value(option: Option, value: str, words: Words) -> str:
    lowered = value.lower()
    if option.choices and lowered not in option.choices:
        known = ", ".join(option.choices)
        problem = words("option.choice", option=option.name, choices=known, value=value)
        raise BadInput(problem=problem)
    if option.choices:
        return lowered
    if option.kind in (OptionKind.INTEGER, OptionKind.NUMBER) and lowered != "auto":
        return _checked_number(option, value, words)
    return value


def _checked_number(option: Option, value: str, words: Words) -> str:
    low = option.least if option.least is not None else float("-inf")
    high = option.most if option.most is not None else float("inf")
    if option.kind is OptionKind.INTEGER:
        number = _whole(option.name, value, words)
    else:
        number = _number(option.name, value, words, low=low, high=high)
    if not low <= number <= high:
        raise BadInput(problem=_out_of_range(option, words))
    return str(int(number)) if number == int(number) else repr(number)


def _whole(name: str, value: str, words: Words) -> float:
    number = next(iter(whole_readings(value)), None)
    if number is None:
        raise BadInput(problem=words("option.number", option=name, value=value))
    if number != int(number) or abs(number) > _LARGEST:
        raise BadInput(problem=words("option.integer", option=name))
    return number


def _number(
    name: str,
    value: str,
    words: Words,
    *,
    low: float = float("-inf"),
    high: float = float("inf"),
) -> float:
    """The number that a text means; raises BadInput where it can be two, both within the range."""
    found = sorted(readings(value))
    # A dot before three digits is how programs write decimals, a comma may be either.
    is_written_by_hand = "," in value or "，" in value
    fitting = [one for one in found if low <= one <= high and not is_written_by_hand] or found
    if not fitting:
        raise BadInput(problem=words("option.number", option=name, value=value))
    if len(fitting) > 1:
        one, other = map(plain, fitting)
        raise BadInput(
            problem=words("option.ambiguous", option=name, value=value, one=one, other=other)
        )
    return fitting[0]


def _with_whole_numbers(command: Command, tokens: Sequence[str]) -> list[str]:
    """The tokens, but "max_tokens:100 000" is one: groups of three digits go with their number."""
    numeric = {option.name for option in command.options if option.kind in _NUMERIC}
    joined: list[str] = []
    for token in tokens:
        name, _, value = _named(joined[-1]) if joined else ("", "", "")
        is_number = name.lower() in numeric and _BEGINS_GROUPS.fullmatch(value)
        if is_number and _GROUP.fullmatch(token):
            joined[-1] += f" {token}"
        else:
            joined.append(token)
    return joined


def plain(number: float) -> str:
    """A number as people write it: no exponent, no needless zeros."""
    return str(int(number)) if number == int(number) else f"{number:g}"


def whole_number(text: str) -> int:
    """The number that names a thing. Raises ValueError, also where no thing can have it."""
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(_LARGEST))
    if not is_number or not 0 < int(text) <= _LARGEST:
        raise ValueError(text)
    return int(text)


def month_of(at: datetime) -> datetime:
    """Where the month of a moment begins, in UTC; budgets of money count from there."""
    return at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _out_of_range(option: Option, words: Words) -> str:
    if option.most is None:
        return words("option.least", option=option.name, least=plain(option.least or 0))
    least, most = plain(option.least or 0), plain(option.most)
    return words("option.range", option=option.name, least=least, most=most)


def _unknown(command: Command, token: str, words: Words) -> str:
    known = ", ".join(f"{option.name}:…" for option in command.options)
    if not known:
        return words("option.none", command=command.path, token=token)
    return words("option.unknown", command=command.path, token=token, options=known)


def _bare(text: str) -> str:
    """Without the quotes around all of it; quotes inside a sentence are its own."""
    is_quoted = len(text) > 1 and text[0] == text[-1] == '"' and text.count('"') == 2
    return text[1:-1] if is_quoted else text


def _named(token: str) -> tuple[str, str, str]:
    at = min((place for place in map(token.find, ":=：") if place > 0), default=-1)
    if at < 0:
        return token, "", ""
    return token[:at].lstrip("-"), token[at], token[at + 1 :]


def _after(line: str, tokens: int) -> str:
    parts = line.split(maxsplit=tokens)
    return parts[tokens] if len(parts) > tokens else ""


def _deed(deeds: tuple[Action, ...], name: str) -> tuple[Action, str]:
    head, _, argument = name.partition(":")
    for deed in deeds:
        if deed.name == head:
            return deed, argument
    raise NotFound(noun="button", name=head)


def _complete_options(command: Command, typed: str) -> Iterator[str]:
    head, _, last = typed.rpartition(" ")
    for option in command.options:
        if f"{option.name}:" in head:
            continue
        values = option.choices or ("",)
        for value in values:
            word = f"{option.name}:{value}"
            if word.startswith(last.lower()):
                yield f"{head} {word}"


def _within(what: str, text: str, most: int) -> None:
    if not 1 <= len(text) <= most:
        raise ValueError(f"{what} {text!r} must have 1 to {most} characters")
