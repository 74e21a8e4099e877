"""What somebody asks for is shown to them first; a button posts it where they asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import TypeAdapter, ValidationError

from bot.access import require_role
from bot.commands import Handlers
from bot.domain import SHAREABLE_FOR, ChannelKind, PrivateReply, Role
from bot.errors import Outdated
from bot.events import (
    ButtonClicked,
    CommandInvoked,
    Event,
    FormSubmitted,
    ShortcutUsed,
)
from bot.numerals import whole_number
from bot.ports.dependencies import Dependencies
from bot.ports.surface import CanReach, CanSendEphemeral
from bot.references import channel_reference, person_reference, resolve_names
from bot.replies import Button, Card, Drawn, Listing, NoReply, ReactionReply, Reply, Text
from bot.request import Request

handlers = Handlers()

SHARE = "share"


@dataclass(frozen=True, slots=True)
class _Body:
    """A reply as it is kept: exactly one of these."""

    card: Card | None = None
    listing: Listing | None = None
    text: Text | None = None


_BODY: TypeAdapter[_Body] = TypeAdapter(_Body)


async def as_private_reply(request: Request, reply: Reply, deps: Dependencies) -> Reply:
    """A reply for whoever asked alone, where the surface can, and its button to share it.

    What is private by itself is shared with nobody. What the whole channel is to know stays open,
    such as which model answers in it; answers and notices are no replies of this kind.
    """
    surface = deps.surfaces.of(request.workspace_id)
    can_be_private = isinstance(surface, CanSendEphemeral | CanReach) and not request.is_page
    if not isinstance(reply, Drawn) or reply.private or not can_be_private:
        return reply
    is_for_all = isinstance(reply, Text) and reply.is_for_all
    if is_for_all or not _is_asked_for(request.event, reply):
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
        number = await records.private_replies.keep(request.workspace_id, new)
    button = Button(request.words("button.share"), f"{SHARE}:{number}")
    if isinstance(reply, Listing):
        return replace(reply, private=True, share=button)
    return replace(reply, private=True, buttons=(*reply.buttons, button))


@handlers.button(SHARE, Role.MEMBER)
async def share(request: Request, deps: Dependencies) -> Reply:
    """Posts what somebody was shown where they asked for it, in their name and without buttons.

    Raises Outdated for what is nobody's any more, or somebody else's.
    """
    kept, shown = await _kept(request, deps)
    require_role(request.role, kept.role, request.words)
    by = request.words("share.by", name=person_reference(request.user_id, request.user.name))
    surface = deps.surfaces.of(request.workspace_id)
    drawn = await resolve_names(_for_everybody(shown, by), kept.place, surface)
    await surface.post(kept.place, drawn, key=f"{request.workspace_id}.{SHARE}.{request.argument}")
    if kept.place.channel == request.place.channel:
        return NoReply()
    return Text(
        request.words("share.done", channel=channel_reference(kept.place.channel)), private=True
    )


def without_forbidden_buttons(reply: Reply, needed: Mapping[str, Role], role: Role) -> Reply:
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


def _is_asked_for(event: Event, reply: Drawn) -> bool:
    """Whether somebody wants to see it; what takes the place of a card that all see is for all."""
    match event.what:
        case CommandInvoked() | FormSubmitted() | ShortcutUsed():
            return True
        case ButtonClicked():
            is_beside = isinstance(reply, Text) or not reply.replaces
            return is_beside or event.ephemeral_message_id is not None
    return False


async def _kept(request: Request, deps: Dependencies) -> tuple[PrivateReply, Drawn]:
    gone = Outdated(problem=request.words("share.over"))
    try:
        number = whole_number(request.argument)
    except ValueError:
        raise gone from None
    async with deps.store.reading() as records:
        kept = await records.private_replies.find(request.workspace_id, number)
    is_over = kept is None or kept.at + SHAREABLE_FOR < request.now
    if kept is None or is_over or kept.user != request.user_id:
        raise gone
    try:
        body = _BODY.validate_json(kept.body)
    except ValidationError as error:
        raise gone from error
    shown = body.card or body.listing or body.text
    if shown is None:
        raise gone
    return kept, shown


def _to_json(reply: Drawn) -> str:
    match replace(reply, other_words={}):
        case Card() as card:
            body = _Body(card=card)
        case Listing() as listing:
            body = _Body(listing=listing)
        case Text() as text:
            body = _Body(text=text)
    return _BODY.dump_json(body, exclude_defaults=True).decode()


def _for_everybody(reply: Drawn, by: str) -> Drawn:
    """Without what can be clicked, and with the name of who shared it."""
    if isinstance(reply, Text):
        return replace(reply, text=f"{reply.text}\n{by}", buttons=())
    if isinstance(reply, Card):
        return replace(reply, lines=(*reply.lines, by), buttons=())
    lines = tuple(replace(one, buttons=()) for one in reply.lines)
    note = "\n".join(filter(None, (reply.note, by)))
    return replace(reply, lines=lines, more=None, replaces=False, note=note)
