"""Opens a thread for an answer where the assistant or the channel is set to do so."""

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

MISSING_PERMISSION_NOTICE = "chat.no_threads"


async def open_answer_thread(request: Request, message: Message, deps: Dependencies) -> Request:
    """Opens a thread on the message and returns the request with the thread as its place.

    Returns the request unchanged for a message in a thread, a reply to another message or a direct
    message, and if the platform refuses the thread.
    """
    surface = deps.surfaces.surface_of(request.workspace_id)
    is_in_channel = request.place.thread is None and request.place.kind is not ChannelKind.DIRECT
    needs_thread = is_in_channel and message.reply_to is None
    if not needs_thread or not isinstance(surface, CanOpenThread):
        return request
    try:
        place = await surface.open_thread(request.place, message)
    except PermissionMissing as error:
        await _send_permission_notice(request, str(error.details.get("permissions") or ""), deps)
        return request
    except SurfaceError as error:
        log.warning("A thread could not be opened", extra={"why": error.key})
        return request
    return replace(request, event=replace(request.event, place=place)) if place else request


async def _send_permission_notice(request: Request, permissions: str, deps: Dependencies) -> None:
    """Tells the channel once which permissions the bot lacks to open threads."""
    channel = f"{request.workspace_id}.{request.place.channel}"
    key = f"{channel}.{permissions}.{MISSING_PERMISSION_NOTICE}"
    details = {"permissions": permissions}
    async with deps.store.writing() as records:
        await records.outbox.put(
            key,
            request.place,
            MISSING_PERMISSION_NOTICE,
            details=details,
            at=request.now,
            only_if_new=True,
        )


async def render_missing_permission_notice(
    notice: Notice, records: Records, words: Words
) -> Drawn | None:
    return Text(words(MISSING_PERMISSION_NOTICE, permissions=notice.details.get("permissions")))
