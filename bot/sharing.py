"""Lists are for the asker alone; a button shows one to the whole channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bot import access
from bot.commands import Catalogue, Command
from bot.domain import ChannelKind, Role
from bot.errors import NotFound
from bot.parsing import parse
from bot.ports.dependencies import Dependencies
from bot.replies import Button, Card, Listing, Reply
from bot.request import Request

SHARE = "share"
_LONGEST_ACTION = 100


def for_asker(ask: Request, command: Command, reply: Reply) -> Reply:
    """The reply of a private command, with the button that shares it."""
    button = _button(ask, command)
    match reply:
        case Listing():
            return replace(reply, private=True, share=button)
        case Card():
            buttons = (*reply.buttons, button) if button else reply.buttons
            return replace(reply, private=True, buttons=buttons)
    return reply


def privately(reply: Reply) -> Reply:
    return replace(reply, private=True) if isinstance(reply, Card | Listing) else reply


async def share(ask: Request, deps: Dependencies, commands: Sequence[Command]) -> Reply:
    """Asks again at the right of whoever shares, and leaves out what can be clicked."""
    command, line = Catalogue(tuple(commands)).command(ask.argument)
    if not command.is_shareable:
        raise NotFound(noun="button", name=f"{SHARE}:{command.path}")
    access.require(ask.role, command.role, ask.words)
    options = parse(command, line, ask.words)
    reply = await command.run(replace(ask, options=options, argument=""), deps)
    match reply:
        case Listing():
            lines = tuple(replace(one, buttons=()) for one in reply.lines)
            return replace(reply, lines=lines, more=None, private=False)
        case Card():
            return replace(reply, buttons=(), private=False)
    raise NotFound(noun="button", name=f"{SHARE}:{command.path}")


def _button(ask: Request, command: Command) -> Button | None:
    """None where nobody else would see it, or where it cannot be said in a button."""
    options = [f'{name}:"{value}"' for name, value in ask.options.items() if value]
    action = " ".join([f"{SHARE}:{command.path}", *options])
    is_alone = ask.place.kind is ChannelKind.DIRECT or ask.role is Role.STRANGER
    is_sayable = len(action) <= _LONGEST_ACTION and not any('"' in v for v in ask.options.values())
    if is_alone or not command.is_shareable or not is_sayable:
        return None
    return Button(ask.words("button.share"), action)
