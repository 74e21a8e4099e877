"""Registers the slash commands and message commands at Discord, and makes the invite link."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

from adapters.discord.api_port import Api, Json
from adapters.discord.invite_link import BOT_PERMISSIONS
from adapters.discord.session_file import SessionFile
from adapters.discord.wire_names import ASK_COMMAND, COMMAND_GROUP, MESSAGE_COMMANDS
from bot.commands import Catalogue, Command, Option, OptionKind
from bot.errors import SurfaceError
from bot.ports.store import Clock

log = logging.getLogger(__name__)


Say = Callable[..., str]


_MEMBER_PERMISSIONS = BOT_PERMISSIONS["Send Messages"]


_SUBCOMMAND, _GROUP = 1, 2


_STRING, _INTEGER, _BOOLEAN, _USER, _MENTIONABLE, _NUMBER, _ATTACHMENT = 3, 4, 5, 6, 9, 10, 11


_OPTION_TYPES = {
    OptionKind.INTEGER: _INTEGER,
    OptionKind.NUMBER: _NUMBER,
    OptionKind.YES_NO: _BOOLEAN,
    OptionKind.USER: _USER,
    OptionKind.USER_OR_GROUP: _MENTIONABLE,
    OptionKind.FILE: _ATTACHMENT,
}


AUTOCOMPLETED_KINDS = (
    OptionKind.ASSISTANT,
    OptionKind.MODEL,
    OptionKind.JOB,
    OptionKind.EXAMPLE,
    OptionKind.HOST,
)


_DESCRIPTION_LENGTH, _CHOICE_LENGTH = 100, 100


_MAX_WAIT_SECONDS = 600.0


_CHINESE = ("zh-CN", "zh-TW")


def commands_of(catalogue: Catalogue, say: Say, *, is_for_users: bool = False) -> list[Json]:
    """Returns the command group, the command `/ask` and the message commands.

    With `is_for_users`, people can add the application to their own account and use `/ask`
    anywhere.
    """
    group = _with_description(COMMAND_GROUP, "discord.tune", say)
    group |= {"type": 1, "options": list(_subcommands(catalogue, say)), **_availability()}
    ask = _with_description(ASK_COMMAND, "discord.ask", say) | {"type": 1, **_availability()}
    if is_for_users:
        # https://docs.discord.com/developers/resources/application#installation-context
        ask |= {"contexts": [0, 1, 2], "integration_types": [0, 1]}
    question: Json = {"type": _STRING, "required": True, "max_length": 4000}
    ask["options"] = [_with_description("question", "option.question", say) | question]
    shortcuts = {shortcut.name for shortcut in catalogue.shortcuts}
    menus = [_menu(name, say) for name in MESSAGE_COMMANDS if name in shortcuts]
    return [group, ask, *menus]


async def register_commands(
    commands: Sequence[Json],
    *,
    api: Api,
    application: str,
    guild: str,
    file: SessionFile,
    clock: Clock,
    say: Say,
) -> None:
    """Registers the commands, unless Discord has exactly these already; retries until it succeeds.

    With a `guild` (`DISCORD_GUILD`) they are registered in that guild only, where a change is
    visible at once.
    """
    path, at = "/applications/{application_id}/commands", {"application_id": application}
    if guild:
        path = "/applications/{application_id}/guilds/{guild_id}/commands"
        at["guild_id"] = guild
    hashed = commands_hash(commands, api.base, application, guild)
    wait = 1.0
    while file.kept.commands != hashed:
        try:
            await api.call("PUT", path, at, body=commands)
        except SurfaceError as error:
            log.error(say("discord.no_commands", why=str(error)))
            await clock.sleep(timedelta(seconds=wait))
            wait = min(_MAX_WAIT_SECONDS, wait * 4)
            continue
        file.keep(replace(file.kept, commands=hashed))


def commands_hash(definitions: Sequence[Json], *scope: str) -> str:
    """Returns a hash that changes with the commands or with the place where they are registered."""
    text = json.dumps([list(scope), list(definitions)], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _subcommands(catalogue: Catalogue, say: Say) -> Iterator[Json]:
    groups: dict[str, Json] = {}
    for command in catalogue.commands:
        head, _, tail = command.path.partition(" ")
        if not tail:
            yield _subcommand(command, head, say)
        elif head in groups:
            groups[head]["options"].append(_subcommand(command, tail, say))
        else:
            groups[head] = _with_description(head, f"command.{head}", say)
            groups[head] |= {"type": _GROUP, "options": [_subcommand(command, tail, say)]}
    yield from groups.values()


def _subcommand(command: Command, name: str, say: Say) -> Json:
    # Discord requires the required options to stand first.
    options = sorted(command.options, key=lambda option: not option.required)
    definition = _with_description(name, command.summary_key, say) | {"type": _SUBCOMMAND}
    return {**definition, "options": [_option(option, say) for option in options]}


def _option(option: Option, say: Say) -> Json:
    definition = _with_description(option.name, f"option.{option.name}", say)
    # Discord accepts no word, like auto, in a number option.
    kind = _STRING if option.suggestions else _OPTION_TYPES.get(option.kind, _STRING)
    definition |= {"type": kind, "required": option.required}
    if option.kind is OptionKind.CHOICE:
        definition["choices"] = [
            {"name": choice[:_CHOICE_LENGTH], "value": choice} for choice in option.choices
        ]
    if option.suggestions or option.kind in AUTOCOMPLETED_KINDS:
        definition["autocomplete"] = True
    elif option.kind is OptionKind.INTEGER:
        definition |= _bounds(option, int)
    elif option.kind is OptionKind.NUMBER:
        definition |= _bounds(option, float)
    return definition


def _bounds(option: Option, as_number: type[int] | type[float]) -> Json:
    bounds = {"min_value": option.minimum, "max_value": option.maximum}
    return {name: as_number(bound) for name, bound in bounds.items() if bound is not None}


def _menu(shortcut: str, say: Say) -> Json:
    key = f"discord.menu.{shortcut}"
    name = MESSAGE_COMMANDS[shortcut]
    return {
        "type": 3,
        "name": name,
        "name_localizations": {locale: say(key, locale) for locale in _CHINESE},
        **_availability(is_guild_only=True),
    }


def _with_description(name: str, key: str, say: Say) -> Json:
    """Returns the name and the description of a command or option with their translations."""
    key_of_name = f"name.{name}"
    return {
        "name": name,
        "name_localizations": {locale: say(key_of_name, locale) for locale in _CHINESE},
        "description": say(key)[:_DESCRIPTION_LENGTH],
        "description_localizations": {
            locale: say(key, locale)[:_DESCRIPTION_LENGTH] for locale in _CHINESE
        },
    }


def _availability(*, is_guild_only: bool = False) -> Json:
    """Returns where a command can be used, by people who may post messages there."""
    return {
        "contexts": [0] if is_guild_only else [0, 1],
        "integration_types": [0],
        "default_member_permissions": _MEMBER_PERMISSIONS,
    }
