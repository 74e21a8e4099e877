"""Makes replies private, with a button with which the user posts the reply in the channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import TypeAdapter, ValidationError

from bot.access import require_role
from bot.commands import Handlers
from bot.domain import SHAREABLE_PERIOD, ChannelKind, PrivateReply, Role
from bot.errors import Outdated
from bot.events import (
    ButtonClicked,
    CommandInvoked,
    Event,
    FormSubmitted,
    ShortcutUsed,
)
from bot.mentions_and_times import channel_reference, person_reference, resolve_names
from bot.number_formats import parse_id
from bot.ports.dependencies import Dependencies
from bot.ports.surface import CanDirectMessage, CanSendEphemeral
from bot.replies import Button, Card, Drawn, Listing, NoReply, ReactionReply, Reply, Text
from bot.request import Request

handlers = Handlers()

SHARE_BUTTON = "share"


@dataclass(frozen=True, slots=True)
class _StoredReply:
    """A stored reply; exactly one field is set."""

    card: Card | None = None
    listing: Listing | None = None
    text: Text | None = None


_BODY: TypeAdapter[_StoredReply] = TypeAdapter(_StoredReply)


async def as_private_reply(request: Request, reply: Drawn, deps: Dependencies) -> Drawn:
    """Returns the reply as a private one with a button to share it, if the surface can do so.

    A reply that is private already gets no button. A reply for the whole channel stays public,
    for example which model answers in it. Answers and notices are not made private.
    """
    surface = deps.surfaces.surface_of(request.workspace_id)
    can_be_private = (
        isinstance(surface, CanSendEphemeral | CanDirectMessage) and not request.is_page
    )
    if reply.private or not can_be_private:
        return reply
    is_for_all = isinstance(reply, Text) and reply.is_for_all
    if is_for_all or not _is_for_user(request.event, reply):
        return reply
    is_alone = request.place.kind is ChannelKind.DIRECT or request.role is Role.STRANGER
    if is_alone or (isinstance(reply, Card) and reply.replaces):
        return replace(reply, private=True)
    new = PrivateReply(
        event=request.event.key,
        user=request.user_id,
        role=request.role,
        place=request.place,
        body=_to_json(reply),
        at=request.now,
    )
    async with deps.store.writing() as records:
        number = await records.private_replies.add(request.workspace_id, new)
    button = Button(request.words("button.share"), f"{SHARE_BUTTON}:{number}")
    if isinstance(reply, Listing):
        return replace(reply, private=True, share=button)
    return replace(reply, private=True, buttons=(*reply.buttons, button))


@handlers.button(SHARE_BUTTON, Role.MEMBER)
async def share_reply(request: Request, deps: Dependencies) -> Reply:
    """Posts a private reply in its channel, with the user's name and without buttons.

    Raises Outdated if the reply has expired or belongs to somebody else.
    """
    stored, reply = await _shared_reply(request, deps)
    require_role(request.role, stored.role, request.words)
    by = request.words("share.by", name=person_reference(request.user_id, request.user.name))
    surface = deps.surfaces.surface_of(request.workspace_id)
    drawn = await resolve_names(_for_everybody(reply, by), stored.place, surface)
    await surface.post(
        stored.place, drawn, key=f"{request.workspace_id}.{SHARE_BUTTON}.{request.argument}"
    )
    if stored.place.channel == request.place.channel:
        return NoReply()
    return Text(
        request.words("share.done", channel=channel_reference(stored.place.channel)), private=True
    )


def without_forbidden_buttons(reply: Reply, needed: Mapping[str, Role], role: Role) -> Reply:
    """Returns a private reply without buttons that need a higher role; `needed` is by button name.

    Buttons that are not in `needed` are the platform's own, such as the choice of a server.
    """

    def is_allowed(button: Button) -> bool:
        name = button.action.partition(":")[0]
        return bool(button.link) or needed.get(name, role) <= role

    def allowed(buttons: Sequence[Button]) -> tuple[Button, ...]:
        return tuple(filter(is_allowed, buttons))

    match reply:
        case ReactionReply(text=Text(private=True) as text):
            return replace(reply, text=replace(text, buttons=allowed(text.buttons)))
        case Text(private=True) | Card(private=True):
            return replace(reply, buttons=allowed(reply.buttons))
        case Listing(private=True):
            lines = tuple(replace(line, buttons=allowed(line.buttons)) for line in reply.lines)
            return replace(reply, lines=lines)
    return reply


def _is_for_user(event: Event, reply: Drawn) -> bool:
    """Whether a reply is for the user of the event alone.

    A reply that replaces a public card is for everybody.
    """
    match event.what:
        case CommandInvoked() | FormSubmitted() | ShortcutUsed():
            return True
        case ButtonClicked():
            is_beside = isinstance(reply, Text) or not reply.replaces
            return is_beside or event.ephemeral_message_id is not None
    return False


async def _shared_reply(request: Request, deps: Dependencies) -> tuple[PrivateReply, Drawn]:
    """Returns the stored reply that the button names. Raises Outdated."""
    outdated = Outdated(problem=request.words("share.over"))
    try:
        number = parse_id(request.argument)
    except ValueError:
        raise outdated from None
    async with deps.store.reading() as records:
        stored = await records.private_replies.find(request.workspace_id, number)
    is_over = stored is None or stored.at + SHAREABLE_PERIOD < request.now
    if stored is None or is_over or stored.user != request.user_id:
        raise outdated
    try:
        body = _BODY.validate_json(stored.body)
    except ValidationError as error:
        raise outdated from error
    reply = body.card or body.listing or body.text
    if reply is None:
        raise outdated
    return stored, reply


def _to_json(reply: Drawn) -> str:
    match replace(reply, other_words={}):
        case Card() as card:
            body = _StoredReply(card=card)
        case Listing() as listing:
            body = _StoredReply(listing=listing)
        case Text() as text:
            body = _StoredReply(text=text)
    return _BODY.dump_json(body, exclude_defaults=True).decode()


def _for_everybody(reply: Drawn, by: str) -> Drawn:
    """Returns the reply without buttons and with the name of the person who shared it."""
    if isinstance(reply, Text):
        return replace(reply, text=f"{reply.text}\n{by}", buttons=())
    if isinstance(reply, Card):
        return replace(reply, lines=(*reply.lines, by), buttons=())
    lines = tuple(replace(line, buttons=()) for line in reply.lines)
    note = "\n".join(filter(None, (reply.note, by)))
    return replace(reply, lines=lines, more=None, replaces=False, note=note)
