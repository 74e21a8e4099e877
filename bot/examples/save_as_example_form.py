"""“Save as example”: a form to edit the exchange of a message before it is stored."""

from __future__ import annotations

import re
from dataclasses import replace

from bot.commands import Handlers
from bot.domain import Message, MessageId, Role, Row, Sources
from bot.errors import NotNow
from bot.examples.ask_admins_for_permission import pointer_saved_reply
from bot.examples.better_answer_form import better_answer_form
from bot.examples.message_exchange import (
    Exchange,
    exchange_of,
    refused_turn_with_reply,
    require_allowed_authors,
)
from bot.examples.row_texts import editable_texts, replace_texts, require_valid_row, text_fields
from bot.examples.teach_form import write_up_form
from bot.examples.teaching_reactions import propose_marked_exchange, store_pointer
from bot.ports.dependencies import Dependencies
from bot.ports.surface import Surface
from bot.replies import Form, Reply
from bot.request import Request
from bot.words import Words

handlers = Handlers()


_MESSAGE = re.compile(r"[0-9A-Za-z][0-9A-Za-z.-]{0,63}", re.ASCII)
_DIGITS = 9
_SHOWN = 4
"""Number of texts in the form, the last ones of an exchange; earlier ones stay unchanged.

Discord's and Slack's forms hold few fields.
"""


@handlers.shortcut("save", Role.MEMBER, opens_form=True)
async def open_save_form(request: Request, deps: Dependencies) -> Reply:
    return await _save_form(request, request.marked_message(), deps)


@handlers.button("save", Role.MEMBER, opens_form=True)
async def reopen_save_form(request: Request, deps: Dependencies) -> Reply:
    """Opens the form again, for the message named in the button."""
    surface = deps.surfaces.surface_of(request.workspace_id)
    return await _save_form(
        request, await fetch_named_message(request, request.argument, surface), deps
    )


async def _save_form(request: Request, marked: Message, deps: Dependencies) -> Reply:
    """Opens the form; without permission for messages stores a pointer instead.

    If forms are allowed, an empty form to write the pointer's text is opened then.
    """
    if refusal := await refused_turn_with_reply(request, marked, store=deps.store):
        return better_answer_form(request, refusal)
    if request.workspace.sources >= Sources.MESSAGES:
        surface = deps.surfaces.surface_of(request.workspace_id)
        exchange = await exchange_of(request, marked, store=deps.store, surface=surface)
        return _form(marked, exchange.row or {}, request.words)
    pointer = await store_pointer(request, marked, store=deps.store)
    if pointer.row is not None or request.workspace.sources < Sources.FORMS:
        return await pointer_saved_reply(request, pointer, marked, deps)
    note = f"{request.words('example.pointer', id=pointer.id)} {request.words('save.in_own_words')}"
    return replace(write_up_form(request, pointer.id), note=note)


@handlers.form("save", Role.MEMBER)
async def save_from_form(request: Request, deps: Dependencies) -> Reply:
    """Proposes the submitted form; the authors come from the channel's current messages."""
    surface = deps.surfaces.surface_of(request.workspace_id)
    marked, text_count = await _marked_message(request, surface)
    if request.workspace.sources < Sources.MESSAGES:
        pointer = await store_pointer(request, marked, store=deps.store)
        return await pointer_saved_reply(request, pointer, marked, deps)
    exchange = await exchange_of(request, marked, store=deps.store, surface=surface)
    row = exchange.row or {}
    if len(editable_texts(row)) != text_count:
        raise NotNow(problem=request.words("save.changed"))
    edited = _with_edits(
        request, exchange, require_valid_row(replace_texts(row, request.options), request.words)
    )
    return await propose_marked_exchange(request, marked, edited, store=deps.store)


def _with_edits(request: Request, exchange: Exchange, row: Row) -> Exchange:
    """Returns the exchange with the edited row; a user who changed it becomes an author."""
    if row == exchange.row or request.user_id in exchange.authors:
        return replace(exchange, row=row)
    exclusions = exchange.exclusions | require_allowed_authors(request, [request.user])
    people = (*exchange.people, request.user)
    return replace(exchange, row=row, people=people, exclusions=exclusions)


async def _marked_message(request: Request, surface: Surface) -> tuple[Message, int]:
    """Returns the message named in a form, and the number of texts when the form was opened."""
    message, _, text_count = request.argument.rpartition(":")
    marked = await fetch_named_message(request, message, surface)
    if not text_count.isdecimal() or len(text_count) > _DIGITS:
        raise NotNow(problem=request.words("message.gone"))
    return marked, int(text_count)


async def fetch_named_message(request: Request, name: str, surface: Surface) -> Message:
    """Returns the message of this channel that a button or form names. Raises NotNow."""
    marked = None
    if _MESSAGE.fullmatch(name):
        marked = await surface.fetch_message(request.place, MessageId(name))
    if marked is None:
        raise NotNow(problem=request.words("message.gone"))
    return marked


def _form(marked: Message, row: Row, words: Words) -> Form:
    texts = list(editable_texts(row).items())
    hidden = len(texts[:-_SHOWN])
    return Form(
        id=f"save:{marked.id}:{len(texts)}",
        title=words("save.title"),
        fields=text_fields(texts[-_SHOWN:], words),
        submit_label=words("example.save"),
        note=words("save.earlier", count=hidden) if hidden else "",
        reopen_action=f"save:{marked.id}",
    )
