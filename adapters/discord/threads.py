"""A thread on a question, for its answer and what follows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from adapters.discord.api import THREADS, Api, error_code
from adapters.discord.manifest import THREAD_PERMISSIONS
from adapters.discord.texts import sanitize
from adapters.thread_titles import title_of
from bot.domain import MessageId, Place
from bot.errors import MessageGone, PermissionMissing, SurfaceError
from bot.events import Event, MessageReceived

_LONGEST_NAME = 100
# https://docs.discord.com/developers/topics/opcodes-and-status-codes#json
_EXISTS, _WRONG_CHANNEL, _NO_PERMISSIONS = 160004, 50024, (50001, 50013)


async def open_thread(
    api: Api, event: Event, title: str, lacking: Callable[[Place, int], Awaitable[int]]
) -> Place | None:
    """https://docs.discord.com/developers/resources/channel#start-thread-from-message.

    Such a thread bears the id of its message. Raises PermissionMissing.
    """
    place, what = event.place, event.what
    if not isinstance(what, MessageReceived) or "/interaction/" in event.key:
        return None
    missed = await lacking(place, sum(THREAD_PERMISSIONS.values()))
    if missed:
        raise _missing(missed)
    message = what.message.id
    body = {"name": title_of(sanitize(title), _LONGEST_NAME) or event.user.name[:_LONGEST_NAME]}
    try:
        at = {"channel_id": place.channel, "message_id": message}
        await api.call("POST", THREADS, at, body=body)
    except MessageGone:
        return None
    except SurfaceError as error:
        if error_code(error) in _NO_PERMISSIONS:
            raise _missing(THREAD_PERMISSIONS["Create Public Threads"]) from error
        if error_code(error) == _WRONG_CHANNEL:
            return None
        if error_code(error) != _EXISTS:
            raise
    return replace(place, thread=MessageId(message))


def _missing(bits: int) -> PermissionMissing:
    names = [name for name, bit in THREAD_PERMISSIONS.items() if bits & bit]
    return PermissionMissing(permissions=", ".join(names))
