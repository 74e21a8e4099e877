"""The commands as Discord is told about them, drawn from the catalogue, and the link; pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import urlencode

from adapters.discord.api import Json
from adapters.discord.names import ASK, COMMAND, MENUS
from bot.commands import Catalogue, Command, Option, OptionKind

Say = Callable[..., str]

PERMISSIONS = {
    "Add Reactions": 1 << 6,
    "View Channels": 1 << 10,
    "Send Messages": 1 << 11,
    "Embed Links": 1 << 14,
    "Attach Files": 1 << 15,
    "Read Message History": 1 << 16,
    "Send Messages in Threads": 1 << 38,
}
"""The least that everything needs, by the names that Discord shows."""
THREAD_PERMISSIONS = {
    "Create Public Threads": 1 << 35,
    "Send Messages in Threads": PERMISSIONS["Send Messages in Threads"],
}
"""What a thread for each question needs; asked for along with the rest, missed by nothing else."""
SCOPES = ("bot", "applications.commands")

_MAY_WRITE = PERMISSIONS["Send Messages"]
_SUBCOMMAND, _GROUP = 1, 2
_STRING, _INTEGER, _BOOLEAN, _USER, _MENTIONABLE, _NUMBER, _ATTACHMENT = 3, 4, 5, 6, 9, 10, 11
_KINDS = {
    OptionKind.INTEGER: _INTEGER,
    OptionKind.NUMBER: _NUMBER,
    OptionKind.YES_NO: _BOOLEAN,
    OptionKind.USER: _USER,
    OptionKind.GRANTEE: _MENTIONABLE,
    OptionKind.FILE: _ATTACHMENT,
}
COMPLETED = (
    OptionKind.ASSISTANT,
    OptionKind.MODEL,
    OptionKind.JOB,
    OptionKind.EXAMPLE,
    OptionKind.HOST,
)
_DESCRIPTION, _CHOICE = 100, 100
_CHINESE = ("zh-CN", "zh-TW")


def invitation(application: str) -> str:
    """The link that brings the bot into a guild."""
    query = {
        "client_id": application,
        "scope": " ".join(SCOPES),
        "permissions": sum((PERMISSIONS | THREAD_PERMISSIONS).values()),
    }
    return f"https://discord.com/oauth2/authorize?{urlencode(query)}"


def commands(catalogue: Catalogue, say: Say, *, is_for_users: bool = False) -> list[Json]:
    """One group, one command to ask with, and what stands in a message's menu.

    `is_for_users`: people may add the application to their own account, and then ask anywhere.
    """
    group = _described(COMMAND, "discord.tune", say)
    group |= {"type": 1, "options": list(_words(catalogue, say)), **_where()}
    asking = _described(ASK, "discord.ask", say) | {"type": 1, **_where()}
    if is_for_users:
        # https://docs.discord.com/developers/resources/application#installation-context
        asking |= {"contexts": [0, 1, 2], "integration_types": [0, 1]}
    question: Json = {"type": _STRING, "required": True, "max_length": 4000}
    asking["options"] = [_described("question", "option.question", say) | question]
    known = {one.name for one in catalogue.shortcuts}
    menus = [_menu(name, say) for name in MENUS if name in known]
    return [group, asking, *menus]


def fingerprint(drawn: Sequence[Json], *where: str) -> str:
    """Changes when the commands do, or the place where they are registered."""
    text = json.dumps([list(where), list(drawn)], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def missing_permissions(held: int) -> list[str]:
    """The permissions that are not there, by their names."""
    if held & (1 << 3):
        return []
    return [name for name, bit in PERMISSIONS.items() if not held & bit]


def _words(catalogue: Catalogue, say: Say) -> Iterator[Json]:
    groups: dict[str, Json] = {}
    for command in catalogue.commands:
        head, _, tail = command.path.partition(" ")
        if not tail:
            yield _subcommand(command, head, say)
        elif head in groups:
            groups[head]["options"].append(_subcommand(command, tail, say))
        else:
            groups[head] = _described(head, f"command.{head}", say)
            groups[head] |= {"type": _GROUP, "options": [_subcommand(command, tail, say)]}
    yield from groups.values()


def _subcommand(command: Command, name: str, say: Say) -> Json:
    # Discord wants what must be given before what may be.
    options = sorted(command.options, key=lambda option: not option.required)
    drawn = _described(name, command.summary_key, say) | {"type": _SUBCOMMAND}
    return {**drawn, "options": [_option(option, say) for option in options]}


def _option(option: Option, say: Say) -> Json:
    drawn = _described(option.name, f"option.{option.name}", say)
    # Discord lets nobody type a word, like auto, into a number.
    kind = _STRING if option.suggestions else _KINDS.get(option.kind, _STRING)
    drawn |= {"type": kind, "required": option.required}
    if option.kind is OptionKind.CHOICE:
        drawn["choices"] = [{"name": one[:_CHOICE], "value": one} for one in option.choices]
    if option.suggestions or option.kind in COMPLETED:
        drawn["autocomplete"] = True
    elif option.kind is OptionKind.INTEGER:
        drawn |= _bounds(option, int)
    elif option.kind is OptionKind.NUMBER:
        drawn |= _bounds(option, float)
    return drawn


def _bounds(option: Option, as_number: type[int] | type[float]) -> Json:
    known = {"min_value": option.least, "max_value": option.most}
    return {name: as_number(bound) for name, bound in known.items() if bound is not None}


def _menu(shortcut: str, say: Say) -> Json:
    key = f"discord.menu.{shortcut}"
    name = MENUS[shortcut]
    return {
        "type": 3,
        "name": name,
        "name_localizations": {locale: say(key, locale) for locale in _CHINESE},
        **_where(is_guild_only=True),
    }


def _described(name: str, key: str, say: Say) -> Json:
    """A name stays what it is in English; what people see of it is in their own language."""
    shown = f"name.{name}"
    return {
        "name": name,
        "name_localizations": {locale: say(shown, locale) for locale in _CHINESE},
        "description": say(key)[:_DESCRIPTION],
        "description_localizations": {
            locale: say(key, locale)[:_DESCRIPTION] for locale in _CHINESE
        },
    }


def _where(*, is_guild_only: bool = False) -> Json:
    """In guilds, and between the two of us; whoever may write may also ask."""
    return {
        "contexts": [0] if is_guild_only else [0, 1],
        "integration_types": [0],
        "default_member_permissions": _MAY_WRITE,
    }
