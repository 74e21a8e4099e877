"""“Save as example”: the exchange in a form, edited before anything is kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from bot.domain import Message, MessageId, Row, Sources
from bot.errors import NotNow
from bot.examples.capture import keep_pointer, pointed, proposed
from bot.examples.exchange import Exchange, exchange_of, refuse_excluded
from bot.examples.texts import checked, parts, with_parts
from bot.examples.writing import write_form
from bot.ports.store import Store
from bot.ports.surface import Surface
from bot.replies import Field, FieldKind, Form, Reply
from bot.request import Request
from bot.words import Words

_MESSAGE = re.compile(r"[0-9A-Za-z][0-9A-Za-z.-]{0,63}", re.ASCII)
_DIGITS = 9
_SHOWN = 4
"""Forms are short, so of a long exchange only the end is edited; the rest goes along."""


async def save_form(ask: Request, marked: Message, *, store: Store, surface: Surface) -> Reply:
    """Below `messages` there is only a pointer; where forms teach, an empty form beside it."""
    if ask.workspace.sources >= Sources.MESSAGES:
        exchange = await exchange_of(ask, marked, store=store, surface=surface)
        return _form(marked, exchange.row or {}, ask.words)
    pointer = await keep_pointer(ask, marked, store=store)
    if pointer.row is not None or ask.workspace.sources < Sources.FORMS:
        return pointed(ask, pointer)
    note = f"{ask.words('example.pointer', id=pointer.id)} {ask.words('save.in_own_words')}"
    return replace(write_form(ask, pointer.id), note=note)


async def saved(
    ask: Request, values: Mapping[str, str], *, store: Store, surface: Surface
) -> Reply:
    """The form came back; what stands in the channel now decides who its authors are."""
    marked, shown = await _marked(ask, surface)
    if ask.workspace.sources < Sources.MESSAGES:
        return pointed(ask, await keep_pointer(ask, marked, store=store))
    exchange = await exchange_of(ask, marked, store=store, surface=surface)
    row = exchange.row or {}
    if len(parts(row)) != shown:
        raise NotNow(problem=ask.words("save.changed"))
    edited = _edited(ask, exchange, checked(with_parts(row, values), ask.words))
    return await proposed(ask, marked, edited, store=store)


def _edited(ask: Request, exchange: Exchange, row: Row) -> Exchange:
    """Whoever changed a word is an author too."""
    if row == exchange.row or ask.by in exchange.authors:
        return replace(exchange, row=row)
    found = refuse_excluded(ask, [ask.user])
    people = (*exchange.people, ask.user)
    return replace(exchange, row=row, people=people, exclusions=exchange.exclusions | found)


async def _marked(ask: Request, surface: Surface) -> tuple[Message, int]:
    message, _, shown = ask.argument.rpartition(":")
    marked = await named_message(ask, message, surface)
    if not shown.isdecimal() or len(shown) > _DIGITS:
        raise NotNow(problem=ask.words("message.gone"))
    return marked, int(shown)


async def named_message(ask: Request, said: str, surface: Surface) -> Message:
    """The message of this channel that a button or form names. Raises NotNow."""
    marked = None
    if _MESSAGE.fullmatch(said):
        marked = await surface.fetch(ask.place, MessageId(said))
    if marked is None:
        raise NotNow(problem=ask.words("message.gone"))
    return marked


def _form(marked: Message, row: Row, words: Words) -> Form:
    texts = list(parts(row).items())
    hidden = len(texts[:-_SHOWN])
    return Form(
        id=f"save:{marked.id}:{len(texts)}",
        title=words("save.title"),
        fields=tuple(
            Field(name, words(f"part.{name.rstrip('0123456789')}"), FieldKind.TEXT, text)
            for name, text in texts[-_SHOWN:]
        ),
        submit=words("example.save"),
        note=words("save.earlier", count=hidden) if hidden else "",
        again=f"save:{marked.id}",
    )
