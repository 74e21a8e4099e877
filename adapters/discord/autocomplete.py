"""What can stand in an option of a command: looked up while somebody types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from adapters.discord.api import Json
from adapters.discord.inbound import options_of
from adapters.discord.texts import shorten
from bot.commands import Catalogue, OptionKind
from bot.events import ButtonClicked, CommandInvoked, What
from bot.replies import Listing, ListingRow, Reply

_MOST, _LONGEST = 25, 100


@dataclass(frozen=True, slots=True)
class AutocompleteRequest:
    """The option in question and what was typed of it."""

    kind: OptionKind
    typed: str
    suggestions: tuple[str, ...] = ()


_QUESTIONS: Mapping[OptionKind, What] = {
    OptionKind.ASSISTANT: CommandInvoked("assistant list"),
    OptionKind.MODEL: CommandInvoked("models"),
    OptionKind.JOB: CommandInvoked("jobs"),
    OptionKind.HOST: ButtonClicked("hosts"),
}


def parse_autocomplete(data: Json, catalogue: Catalogue) -> AutocompleteRequest | None:
    path, options = options_of(data)
    focused = next((one for one in options if one.get("focused")), None)
    command = next((one for one in catalogue.commands if one.path == path), None)
    if focused is None or command is None:
        return None
    named = {option.name: option for option in command.options}
    option, typed = named.get(str(focused.get("name"))), str(focused.get("value") or "").strip()
    return AutocompleteRequest(option.kind, typed, option.suggestions) if option else None


def suggest(wanted: AutocompleteRequest) -> list[Json]:
    """Fixed values that begin as what was typed, after that itself: it need not be one of them."""
    if not wanted.suggestions:
        return []
    typed = wanted.typed.lower()
    found = [one for one in wanted.suggestions if one.startswith(typed)]
    shown = dict.fromkeys([*([wanted.typed] if typed else ()), *found])
    return [{"name": one[:_LONGEST], "value": one[:_LONGEST]} for one in shown][:_MOST]


def choices_query(wanted: AutocompleteRequest) -> What | None:
    """Which of the app's own lists holds the choices."""
    if wanted.kind is OptionKind.EXAMPLE:
        is_number = wanted.typed.isdecimal()
        options = {"limit": "25"}
        if wanted.typed and not is_number:
            options["search"] = wanted.typed
        return CommandInvoked("examples", options)
    return _QUESTIONS.get(wanted.kind)


def choices(wanted: AutocompleteRequest, reply: Reply) -> list[Json]:
    """At most 25 lines of the list that go on from what was typed."""
    if not isinstance(reply, Listing):
        return []
    typed = wanted.typed.lower()
    found = [line for line in reply.lines if typed in f"{line.id} {line.text}".lower()]
    return [_choice(wanted.kind, line) for line in found[:_MOST]]


def _choice(kind: OptionKind, line: ListingRow) -> Json:
    is_named = kind in (OptionKind.ASSISTANT, OptionKind.MODEL)
    value = line.text if is_named else line.id
    label = value if is_named or not line.text else f"{line.id}  {line.text}"
    return {"name": shorten(label, _LONGEST) or "–", "value": value[-_LONGEST:]}
