"""Lists are for the asker alone; a button shows one to the whole channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bot.commands import Command
from bot.domain import ChannelKind, Role
from bot.errors import NotFound
from bot.parsing import in_button
from bot.replies import Button, Card, Listing, ReactionReply, Reply, Text
from bot.request import Request

SHARE = "share"


def for_asker(request: Request, command: Command, reply: Reply) -> Reply:
    """The reply of a private command, with the button that shares it."""
    button = _button(request, command)
    match reply:
        case Listing():
            return replace(reply, private=True, share=button)
        case Card():
            buttons = (*reply.buttons, button) if button else reply.buttons
            return replace(reply, private=True, buttons=buttons)
    return reply


def privately(reply: Reply) -> Reply:
    return replace(reply, private=True) if isinstance(reply, Card | Listing) else reply


def pressable(reply: Reply, needed: Mapping[str, Role], role: Role) -> Reply:
    """A private reply without the buttons that need a higher role; `needed` by the button's name.

    Those without a role are the platform's own, such as the choice of a server.
    """

    def is_pressable(button: Button) -> bool:
        name = button.action.partition(":")[0]
        return bool(button.link) or needed.get(name, role) <= role

    def kept(buttons: Sequence[Button]) -> tuple[Button, ...]:
        return tuple(filter(is_pressable, buttons))

    match reply:
        case ReactionReply(text=Text(private=True) as text):
            return replace(reply, text=replace(text, buttons=kept(text.buttons)))
        case Text(private=True) | Card(private=True):
            return replace(reply, buttons=kept(reply.buttons))
        case Listing(private=True):
            lines = tuple(replace(one, buttons=kept(one.buttons)) for one in reply.lines)
            return replace(reply, lines=lines)
    return reply


def for_channel(command: Command, reply: Reply) -> Reply:
    """The reply of a shareable command without what can be clicked; NotFound for no list."""
    match reply:
        case Listing():
            lines = tuple(replace(one, buttons=()) for one in reply.lines)
            return replace(reply, lines=lines, more=None, private=False)
        case Card():
            return replace(reply, buttons=(), private=False)
    raise NotFound(noun="button", name=f"{SHARE}:{command.path}")


def _button(request: Request, command: Command) -> Button | None:
    """None where nobody else would see it, or where it cannot be said in a button."""
    action = in_button(f"{SHARE}:{command.path} ", request.options)
    is_alone = request.place.kind is ChannelKind.DIRECT or request.role is Role.STRANGER
    if is_alone or not command.is_shareable or action is None:
        return None
    return Button(request.words("button.share"), action)
