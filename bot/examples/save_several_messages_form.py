"""“Save several messages”: a form to choose the messages before the marked one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bot.commands import Handlers
from bot.domain import Message, Role, Sources
from bot.errors import NotNow
from bot.examples.message_exchange import (
    MAX_MESSAGES_BEFORE,
    exchange_of,
    messages_before,
    messages_just_before,
)
from bot.examples.save_as_example_form import fetch_named_message, open_save_form
from bot.examples.teaching_reactions import propose_marked_exchange
from bot.ports.dependencies import Dependencies
from bot.replies import Field, FieldKind, Form, Reply, one_line
from bot.request import Request

handlers = Handlers()

_SHOWN = 90


@handlers.shortcut("several", Role.MEMBER, opens_form=True)
async def open_message_choice(request: Request, deps: Dependencies) -> Reply:
    """Opens the form; without permission for messages, like *Save as example*."""
    if request.workspace.sources < Sources.MESSAGES:
        return await open_save_form(request, deps)
    return await _form(request, request.marked_message(), deps)


@handlers.button("several", Role.MEMBER, opens_form=True)
async def reopen_message_choice(request: Request, deps: Dependencies) -> Reply:
    """Opens the form again, for the message named in the button."""
    surface = deps.surfaces.surface_of(request.workspace_id)
    return await _form(request, await fetch_named_message(request, request.argument, surface), deps)


async def _form(request: Request, marked: Message, deps: Dependencies) -> Form:
    """Returns the form, with the messages preselected that a 🎓 would use.

    Raises NotNow if there is no message before the marked one.
    """
    surface, words = deps.surfaces.surface_of(request.workspace_id), request.words
    before = await messages_before(marked, surface)
    offered = _offered(marked, before)
    if not offered:
        raise NotNow(problem=words("several.nothing"))
    is_in_thread = marked.place.thread is not None
    preselected = before if is_in_thread else await messages_just_before(marked, surface, before)
    ids = {message.id for message in preselected}
    return Form(
        id=f"several:{marked.id}",
        title=words("several.title"),
        fields=(
            Field(
                "messages",
                words("several.messages"),
                FieldKind.CHOICES,
                ",".join(message.id for message in offered if message.id in ids),
                choices=tuple((message.id, _line(message)) for message in offered),
            ),
        ),
        submit_label=words("example.save"),
        note=words("several.note", text=_line(marked)),
        reopen_action=f"several:{marked.id}",
    )


def _offered(marked: Message, before: Sequence[Message]) -> Sequence[Message]:
    with_text = [m for m in before if m.text.strip() and m.id != marked.id]
    return with_text[-MAX_MESSAGES_BEFORE:]


def _line(message: Message) -> str:
    return one_line(f"{message.author.name}: {message.text}", _SHOWN)


@handlers.form("several", Role.MEMBER)
async def save_chosen_messages(request: Request, deps: Dependencies) -> Reply:
    """Proposes the chosen messages with their current text, in their order in the channel."""
    surface = deps.surfaces.surface_of(request.workspace_id)
    marked = await fetch_named_message(request, request.argument, surface)
    if request.workspace.sources < Sources.MESSAGES:
        return await open_save_form(replace(request, message=marked), deps)
    chosen = set(filter(None, (request.text_option("messages") or "").split(",")))
    if not chosen:
        raise NotNow(problem=request.words("several.none"))
    offered = _offered(marked, await messages_before(marked, surface))
    before = [message for message in offered if message.id in chosen]
    if len(before) < len(chosen):
        raise NotNow(problem=request.words("message.gone"))
    exchange = await exchange_of(request, marked, store=deps.store, surface=surface, before=before)
    return await propose_marked_exchange(request, marked, exchange, store=deps.store)
