"""Opens a thread on a question for the answer and what follows."""

from __future__ import annotations

from dataclasses import replace

from adapters.discord.api_port import THREADS_PATH, Api, error_code
from adapters.discord.invite_link import THREAD_PERMISSIONS
from adapters.discord.text_escaping import sanitize
from adapters.thread_titles import title_of
from bot.domain import Message, Place
from bot.errors import MessageGone, PermissionMissing, SurfaceError

_MAX_NAME_LENGTH = 100
# https://docs.discord.com/developers/topics/opcodes-and-status-codes#json
_EXISTS, _WRONG_CHANNEL, _NO_PERMISSIONS = 160004, 50024, (50001, 50013)


async def open_thread(api: Api, place: Place, message: Message, *, missing: int) -> Place | None:
    """Opens a thread on a message and returns the place with the thread's id, the message's own.

    `missing` are permissions that the bot needs for the thread and lacks. Returns None where no
    thread can be opened. Raises PermissionMissing.
    https://docs.discord.com/developers/resources/channel#start-thread-from-message
    """
    if missing:
        raise _permission_error(missing)
    title = title_of(sanitize(message.text), _MAX_NAME_LENGTH)
    body = {"name": title or message.author.name[:_MAX_NAME_LENGTH]}
    try:
        at = {"channel_id": place.channel, "message_id": message.id}
        await api.call("POST", THREADS_PATH, at, body=body)
    except MessageGone:
        return None
    except SurfaceError as error:
        if error_code(error) in _NO_PERMISSIONS:
            raise _permission_error(THREAD_PERMISSIONS["Create Public Threads"]) from error
        if error_code(error) == _WRONG_CHANNEL:
            return None
        if error_code(error) != _EXISTS:
            raise
    return replace(place, thread=message.id)


def _permission_error(bits: int) -> PermissionMissing:
    names = [name for name, bit in THREAD_PERMISSIONS.items() if bits & bit]
    return PermissionMissing(permissions=", ".join(names))
