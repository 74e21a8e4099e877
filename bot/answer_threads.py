"""Where a question is answered: below it, or in a thread of its own where that is set."""

from __future__ import annotations

import logging
from dataclasses import replace

from bot.domain import ChannelKind, Message, Notice
from bot.errors import PermissionMissing, SurfaceError
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.ports.surface import CanOpenThread
from bot.replies import Drawn, Text
from bot.request import Request
from bot.words import Words

log = logging.getLogger(__name__)

NO_THREADS = "chat.no_threads"


async def open_answer_thread(request: Request, message: Message, deps: Dependencies) -> Request:
    """The request as asked in a new thread on its message; as it is where none is to be opened.

    What already stands in a thread, answers another message, or is said between two stays there.
    """
    surface = deps.surfaces.of(request.workspace_id)
    is_in_channel = request.place.thread is None and request.place.kind is not ChannelKind.DIRECT
    is_wanted = is_in_channel and message.reply_to is None
    if not is_wanted or not isinstance(surface, CanOpenThread):
        return request
    try:
        place = await surface.open_thread(request.event, message.text)
    except PermissionMissing as error:
        await _tell_once(request, str(error.details.get("permissions") or ""), deps)
        return request
    except SurfaceError as error:
        log.warning("A thread could not be opened", extra={"why": error.key})
        return request
    return replace(request, event=replace(request.event, place=place)) if place else request


async def _tell_once(request: Request, permissions: str, deps: Dependencies) -> None:
    """Whoever reads the channel hears once why its questions get no threads."""
    key = f"{request.workspace_id}.{request.place.channel}.{permissions}.{NO_THREADS}"
    details = {"permissions": permissions}
    async with deps.store.writing() as records:
        await records.outbox.put(
            key, request.place, NO_THREADS, details=details, at=request.now, once=True
        )


async def render_missing_thread_permission_notice(
    notice: Notice, records: Records, words: Words
) -> Drawn | None:
    return Text(words(NO_THREADS, permissions=notice.details.get("permissions")))
