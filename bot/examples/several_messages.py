"""“Save several messages”: chosen among those before the marked one, in a form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bot.commands import Handlers
from bot.domain import Message, Role, Sources
from bot.errors import NotNow
from bot.examples.capture import propose_by_mark
from bot.examples.exchange import exchange_of, said_just_before
from bot.examples.save_form import named_message, save_marked
from bot.ports.dependencies import Dependencies
from bot.ports.surface import Surface
from bot.replies import Field, FieldKind, Form, Reply, one_line
from bot.request import Request

handlers = Handlers()

_MOST = 24
"""So many messages before the marked one are offered; Discord's menus hold 25 lines."""
_SHOWN = 90


@handlers.shortcut("several", Role.MEMBER, opens_form=True)
async def save_several(request: Request, deps: Dependencies) -> Reply:
    """Where no message may be kept, the marked one is treated as *Save as example* treats it."""
    if request.workspace.sources < Sources.MESSAGES:
        return await save_marked(request, deps)
    return await _form(request, request.marked_message(), deps)


@handlers.button("several", Role.MEMBER, opens_form=True)
async def choose_again(request: Request, deps: Dependencies) -> Reply:
    """The form anew, for a message that is named."""
    surface = deps.surfaces.of(request.workspace_id)
    return await _form(request, await named_message(request, request.argument, surface), deps)


async def _form(request: Request, marked: Message, deps: Dependencies) -> Form:
    """Preselects what a 🎓 would have kept. Raises NotNow where nothing was said before it."""
    surface, words = deps.surfaces.of(request.workspace_id), request.words
    said = await _read(marked, surface)
    offered = _offered(marked, said)
    if not offered:
        raise NotNow(problem=words("several.nothing"))
    is_in_thread = marked.place.thread is not None
    kept = said if is_in_thread else await said_just_before(marked, surface, said)
    nearest = {one.id for one in kept}
    return Form(
        id=f"several:{marked.id}",
        title=words("several.title"),
        fields=(
            Field(
                "messages",
                words("several.messages"),
                FieldKind.CHOICES,
                ",".join(one.id for one in offered if one.id in nearest),
                choices=tuple((one.id, _line(one)) for one in offered),
            ),
        ),
        submit_label=words("example.save"),
        note=words("several.note", text=_line(marked)),
        reopen_action=f"several:{marked.id}",
    )


async def _read(marked: Message, surface: Surface) -> Sequence[Message]:
    """What was said in its thread before it; else just above it in its channel."""
    read = surface.history if marked.place.thread is not None else surface.messages_before
    return await read(marked.place, marked.id, _MOST)


def _offered(marked: Message, said: Sequence[Message]) -> Sequence[Message]:
    return [one for one in said if one.text.strip() and one.id != marked.id][-_MOST:]


def _line(said: Message) -> str:
    return one_line(f"{said.author.name}: {said.text}", _SHOWN)


@handlers.form("several", Role.MEMBER)
async def save_chosen(request: Request, deps: Dependencies) -> Reply:
    """The chosen messages as they stand now, in the order in which they were said."""
    surface = deps.surfaces.of(request.workspace_id)
    marked = await named_message(request, request.argument, surface)
    if request.workspace.sources < Sources.MESSAGES:
        return await save_marked(replace(request, message=marked), deps)
    names = set(filter(None, (request.text_option("messages") or "").split(",")))
    if not names:
        raise NotNow(problem=request.words("several.none"))
    said = await _read(marked, surface)
    before = [one for one in _offered(marked, said) if one.id in names]
    if len(before) < len(names):
        raise NotNow(problem=request.words("message.gone"))
    exchange = await exchange_of(request, marked, store=deps.store, surface=surface, before=before)
    return await propose_by_mark(request, marked, exchange, store=deps.store)
