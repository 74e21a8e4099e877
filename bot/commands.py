"""Types of commands, actions and their catalogue, and the registration of handlers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partialmethod
from typing import TypeVar

from bot.domain import Role
from bot.errors import NotFound, UnknownCommand
from bot.events import ButtonClicked, CommandInvoked, EventContent, ShortcutUsed
from bot.ports.dependencies import Dependencies
from bot.replies import Reply
from bot.request import Request
from bot.rows import Method


class OptionKind(StrEnum):
    """Type of an option's value; ASSISTANT and the kinds after it offer completion of names.

    The word of a NUMBER_OR_WORD is one such as "off". A USER_OR_GROUP is a person, a server role
    or a user group.
    """

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    NUMBER_OR_WORD = "amount"
    YES_NO = "yes_no"
    CHOICE = "choice"
    FILE = "file"
    ASSISTANT = "assistant"
    MODEL = "model"
    JOB = "job"
    EXAMPLE = "example"
    HOST = "host"
    USER = "user"
    USER_OR_GROUP = "grantee"


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a command, typed as `name:value`.

    The option with `takes_rest` takes all words without a name. With `is_sentence` its text may
    itself contain words that look like an option.
    """

    name: str
    kind: OptionKind = OptionKind.TEXT
    required: bool = False
    takes_rest: bool = False
    is_sentence: bool = False
    choices: tuple[str, ...] = ()
    suggestions: tuple[str, ...] = ()
    """Values for autocompletion; other values are accepted as well."""
    minimum: float | None = None
    maximum: float | None = None
    required_role: Role | None = None
    """Role that the option needs, if it is higher than the role of its command."""
    excludes_others: bool = False
    """Whether the option must be the only one."""

    @classmethod
    def text(cls, name: str, *, takes_rest: bool = False, required: bool = False) -> Option:
        return cls(name, takes_rest=takes_rest, required=required)

    @classmethod
    def choice(cls, name: str, *choices: str, takes_rest: bool = False) -> Option:
        return cls(name, OptionKind.CHOICE, choices=choices, takes_rest=takes_rest)

    @classmethod
    def yes_no(cls, name: str) -> Option:
        return cls(name, OptionKind.YES_NO, choices=("yes", "no"))

    @classmethod
    def integer(
        cls, name: str, minimum: int, maximum: int | None = None, *, suggestions: Sequence[str] = ()
    ) -> Option:
        offered = tuple(suggestions)
        return cls(name, OptionKind.INTEGER, minimum=minimum, maximum=maximum, suggestions=offered)

    @classmethod
    def number(
        cls, name: str, minimum: float, maximum: float, *, suggestions: Sequence[str] = ()
    ) -> Option:
        offered = tuple(suggestions)
        return cls(name, OptionKind.NUMBER, minimum=minimum, maximum=maximum, suggestions=offered)

    @classmethod
    def number_or_word(cls, name: str, *, suggestions: Sequence[str] = ()) -> Option:
        return cls(name, OptionKind.NUMBER_OR_WORD, suggestions=tuple(suggestions))


METHOD_OPTION = Option.choice("method", *(method.value for method in Method))
JOB_OPTION = Option("job", OptionKind.JOB, takes_rest=True)


Handler = Callable[[Request, Dependencies], Awaitable[Reply]]
H = TypeVar("H", bound=Handler)


@dataclass(frozen=True, slots=True)
class Command:
    """A command after `/tune`; the path of a subcommand contains a space ("assistant show").

    `costs_tokens` marks commands that call a model and are refused once a token cap is used up.
    """

    path: str
    role: Role
    run: Handler
    options: tuple[Option, ...] = ()
    costs_tokens: bool = False
    opens_form: bool = False
    """Whether the reply is likely a form; Slack then opens a modal before the handler has run."""

    @property
    def summary_key(self) -> str:
        """Key of the command's summary in `bot/words`."""
        return f"command.{self.path.replace(' ', '.')}"

    @property
    def rest_option(self) -> Option | None:
        return next((option for option in self.options if option.takes_rest), None)

    def __post_init__(self) -> None:
        _require_length("path", self.path, 32 * 2 + 1)
        names = [option.name for option in self.options]
        if len(names) > 25 or len(set(names)) != len(names):
            raise ValueError(f"{self.path}: at most 25 options, each name once")
        for option in self.options:
            _require_length("option name", option.name, 32)
            if len(option.choices) > 25:
                raise ValueError(f"{self.path} {option.name}: at most 25 choices")


@dataclass(frozen=True, slots=True)
class Action:
    """A handler of a button, form, reaction, shortcut or event.

    With `is_for_pages` the action is refused unless it comes from a page of the studio.
    """

    name: str
    role: Role
    run: Handler
    is_for_pages: bool = False
    opens_form: bool = False


class ActionKind(StrEnum):
    BUTTON = "button"
    FORM = "form"
    REACTION = "reaction"
    REACTION_REMOVED = "unreaction"
    SHORTCUT = "shortcut"
    EVENT = "event"


class Handlers:
    """The commands and actions of one module, in the order in which they are registered.

    Each registering method is a decorator that returns its function unchanged.
    """

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self._actions: list[tuple[ActionKind, Action]] = []

    def command(
        self,
        path: str,
        role: Role,
        *options: Option,
        costs_tokens: bool = False,
        opens_form: bool = False,
    ) -> Callable[[H], H]:
        def register(run: H) -> H:
            self.commands.append(Command(path, role, run, options, costs_tokens, opens_form))
            return run

        return register

    def _action(
        self,
        kind: ActionKind,
        name: str,
        role: Role,
        *,
        is_for_pages: bool = False,
        opens_form: bool = False,
    ) -> Callable[[H], H]:
        def register(run: H) -> H:
            self._actions.append((kind, Action(name, role, run, is_for_pages, opens_form)))
            return run

        return register

    button = partialmethod(_action, ActionKind.BUTTON)
    form = partialmethod(_action, ActionKind.FORM)
    reaction = partialmethod(_action, ActionKind.REACTION)
    removed_reaction = partialmethod(_action, ActionKind.REACTION_REMOVED)
    shortcut = partialmethod(_action, ActionKind.SHORTCUT)
    event = partialmethod(_action, ActionKind.EVENT)

    def actions(self, kind: ActionKind) -> list[Action]:
        return [action for registered, action in self._actions if registered is kind]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All commands and actions; help, completion and app manifests are generated from it."""

    commands: tuple[Command, ...]
    buttons: tuple[Action, ...] = ()
    forms: tuple[Action, ...] = ()
    reactions: tuple[Action, ...] = ()
    removed_reactions: tuple[Action, ...] = ()
    shortcuts: tuple[Action, ...] = ()
    event_handlers: tuple[Action, ...] = ()

    @classmethod
    def from_modules(cls, *modules: Handlers) -> Catalogue:
        """Returns the catalogue of all modules' handlers, with subcommands after commands."""
        commands = [command for module in modules for command in module.commands]
        actions = {
            kind: tuple(action for module in modules for action in module.actions(kind))
            for kind in ActionKind
        }
        return cls(
            commands=tuple(sorted(commands, key=lambda command: " " in command.path)),
            buttons=actions[ActionKind.BUTTON],
            forms=actions[ActionKind.FORM],
            reactions=actions[ActionKind.REACTION],
            removed_reactions=actions[ActionKind.REACTION_REMOVED],
            shortcuts=actions[ActionKind.SHORTCUT],
            event_handlers=actions[ActionKind.EVENT],
        )

    def __post_init__(self) -> None:
        top = {command.path.partition(" ")[0] for command in self.commands}
        if len(top) > 25:
            raise ValueError("Discord accepts at most 25 subcommands in a command")
        paths = [command.path for command in self.commands]
        kinds = (self.buttons, self.forms, self.reactions, self.removed_reactions, self.shortcuts)
        for names in (paths, *([action.name for action in kind] for kind in kinds)):
            if len(set(names)) != len(names):
                raise ValueError(f"a name stands twice: {names}")

    def find_command(self, words: str) -> tuple[Command, str]:
        """Returns the command that a line begins with, and the rest of the line.

        Raises UnknownCommand.
        """
        tokens = words.split(maxsplit=2)
        for length in (2, 1):
            path = " ".join(tokens[:length]).lower()
            for command in self.commands:
                if command.path == path and len(tokens) >= length:
                    return command, _rest_after(words, length)
        is_group = any(command.path.startswith(f"{path.lower()} ") for command in self.commands)
        path_typed = " ".join(tokens[: 2 if is_group else 1])
        raise UnknownCommand(noun="command", name=path_typed or "/tune")

    def has_command(self, words: str) -> bool:
        """Whether the first of the words begins a command."""
        first = words.split(maxsplit=1)[0].lower()
        return any(command.path.partition(" ")[0] == first for command in self.commands)

    def find_button(self, action: str) -> tuple[Action, str]:
        """Returns the action of a button, and its argument after the colon. Raises NotFound."""
        return _named_action(self.buttons, action)

    def find_form(self, form: str) -> tuple[Action, str]:
        """Returns the action of a form, and its argument after the colon. Raises NotFound."""
        return _named_action(self.forms, form)

    def find_shortcut(self, name: str) -> Action | None:
        return next((action for action in self.shortcuts if action.name == name), None)

    def may_open_form(self, what: EventContent) -> bool:
        """Whether the reply to the event is likely a form."""
        match what:
            case CommandInvoked(words=words):
                path = " ".join(words.lower().split())
                return any(command.opens_form for command in self.commands if command.path == path)
            case ButtonClicked(action=clicked):
                name = clicked.partition(":")[0]
                return any(action.opens_form for action in self.buttons if action.name == name)
            case ShortcutUsed(shortcut=name):
                return any(action.opens_form for action in self.shortcuts if action.name == name)
            case _:
                return False

    def completions(self, line: str) -> Iterator[str]:
        """Yields completions of the text that was typed after `/tune `."""
        typed = line.lstrip()
        for command in self.commands:
            if command.path.startswith(typed.lower()):
                yield command.path
            elif typed.lower().startswith(command.path + " "):
                yield from _complete_options(command, typed)


def _rest_after(line: str, tokens: int) -> str:
    parts = line.split(maxsplit=tokens)
    return parts[tokens] if len(parts) > tokens else ""


def _named_action(actions: tuple[Action, ...], name: str) -> tuple[Action, str]:
    head, _, argument = name.partition(":")
    for action in actions:
        if action.name == head:
            return action, argument
    raise NotFound(noun="button", name=head)


def _complete_options(command: Command, typed: str) -> Iterator[str]:
    head, _, last = typed.rpartition(" ")
    for option in command.options:
        if f"{option.name}:" in head:
            continue
        values = option.choices or option.suggestions or ("",)
        for value in values:
            word = f"{option.name}:{value}"
            if word.startswith(last.lower()):
                yield f"{head} {word}"


def _require_length(what: str, text: str, most: int) -> None:
    if not 1 <= len(text) <= most:
        raise ValueError(f"{what} {text!r} must have 1 to {most} characters")
