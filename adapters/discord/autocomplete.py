"""Autocomplete of slash command options: which choices Discord shows while a person types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from adapters.discord.api_port import Json
from adapters.discord.payload_parsing import path_and_options
from adapters.discord.text_escaping import shorten
from bot.commands import Catalogue, OptionKind
from bot.events import ButtonClicked, CommandInvoked, EventContent
from bot.replies import Listing, ListingRow, Reply

_MAX_CHOICES, _CHOICE_LENGTH = 25, 100


@dataclass(frozen=True, slots=True)
class AutocompleteRequest:
    """The option that is being typed, the text so far, and the option's fixed suggestions."""

    kind: OptionKind
    typed: str
    suggestions: tuple[str, ...] = ()


_SOURCES: Mapping[OptionKind, EventContent] = {
    OptionKind.ASSISTANT: CommandInvoked("assistant list"),
    OptionKind.MODEL: CommandInvoked("models"),
    OptionKind.JOB: CommandInvoked("jobs"),
    OptionKind.HOST: ButtonClicked("hosts"),
}


def parse_autocomplete(data: Json, catalogue: Catalogue) -> AutocompleteRequest | None:
    """Returns the focused option of an interaction of type 4; None if the catalogue lacks it."""
    path, options = path_and_options(data)
    focused = next((option for option in options if option.get("focused")), None)
    command = next((command for command in catalogue.commands if command.path == path), None)
    if focused is None or command is None:
        return None
    by_name = {option.name: option for option in command.options}
    option, typed = by_name.get(str(focused.get("name"))), str(focused.get("value") or "").strip()
    return AutocompleteRequest(option.kind, typed, option.suggestions) if option else None


def suggested_choices(request: AutocompleteRequest) -> list[Json]:
    """Returns the typed text and the suggestions that start with it; other values are valid too."""
    if not request.suggestions:
        return []
    typed = request.typed.lower()
    matches = [value for value in request.suggestions if value.startswith(typed)]
    values = dict.fromkeys([*([request.typed] if typed else ()), *matches])
    cut = [value[:_CHOICE_LENGTH] for value in values][:_MAX_CHOICES]
    return [{"name": value, "value": value} for value in cut]


def choices_query(request: AutocompleteRequest) -> EventContent | None:
    """Returns the command or button whose list holds the choices; None if there is none."""
    if request.kind is OptionKind.EXAMPLE:
        is_number = request.typed.isdecimal()
        options = {"limit": "25"}
        if request.typed and not is_number:
            options["search"] = request.typed
        return CommandInvoked("examples", options)
    return _SOURCES.get(request.kind)


def choices_of_reply(request: AutocompleteRequest, reply: Reply) -> list[Json]:
    """Returns at most 25 rows of the list that contain the typed text."""
    if not isinstance(reply, Listing):
        return []
    typed = request.typed.lower()
    rows = [row for row in reply.lines if typed in f"{row.id} {row.text}".lower()]
    return [_choice(request.kind, row) for row in rows[:_MAX_CHOICES]]


def _choice(kind: OptionKind, row: ListingRow) -> Json:
    is_named = kind in (OptionKind.ASSISTANT, OptionKind.MODEL)
    value = row.text if is_named else row.id
    label = value if is_named or not row.text else f"{row.id}  {row.text}"
    return {"name": shorten(label, _CHOICE_LENGTH) or "–", "value": value[-_CHOICE_LENGTH:]}
