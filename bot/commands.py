"""What a command and a catalogue are; platform limits are checked when one is built."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from bot.domain import Role
from bot.errors import NotFound, UnknownCommand
from bot.events import ButtonClicked, CommandInvoked, ShortcutUsed, What
from bot.ports.dependencies import Dependencies
from bot.replies import Reply
from bot.request import Request


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


Handler = Callable[[Request, Dependencies], Awaitable[Reply]]


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
