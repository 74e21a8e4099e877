"""Makes conversations of JSON tickets, each of which holds its messages in a list.

So do Zendesk (comments), Intercom (conversation_parts) and Freshdesk (conversations).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from bot.imports.tickets import (
    MOST_CHARACTERS,
    Ticket,
    is_note,
    rows_of,
    side_of,
    too_long,
)

_LISTS: Final = (
    *("comments", "conversation_parts", "conversations", "messages", "replies", "notes"),
    *("thread", "threads", "parts", "events", "posts", "emails"),
)
_TEXTS: Final = ("plain_body", "body_text", "text_body", "text", "body", "content", "message")
_OPENINGS: Final = ("source", "description_text", "description", "question", "body", "message")
_SIDES: Final = ("author_role", "role", "sender_type", "author_type", "direction", "from", "sender")
_AUTHORS: Final = ("author_id", "user_id", "sender_id", "from_id", "from", "sender", "author")
_CUSTOMERS: Final = ("requester_id", "customer_id", "contact_id", "user_id")
_KINDS: Final = ("part_type", "type", "event", "kind", "visibility", "channel")
_EVENTS: Final = frozenset(
    (
        *("close", "open", "assignment", "snoozed", "unsnoozed", "status", "change", "event"),
        *("conversation_rating", "participant_added", "participant_removed", "rating"),
    )
)
# https://developer.zendesk.com/api-reference/ticketing/tickets/ticket_comments/
_SYSTEM_AUTHOR: Final = "-1"
_TIMES: Final = ("created_at", "created", "timestamp", "time", "date", "sent_at", "updated_at")


def is_thread(record: Mapping[str, object]) -> bool:
    """Whether an object is a ticket with messages of which each says something."""
    return bool(_messages(record)) and any(
        _text(one) and (_author(one) or _said_side(one)) for one in _messages(record)
    )


def read_threads(records: Iterator[tuple[int, object]]) -> Iterator[tuple[int, object]]:
    """Yield a chat row for each ticket; as for tickets in tables."""
    tickets: dict[str, Ticket] = {}
    size = 0
    for line, record in records:
        if not isinstance(record, Mapping):
            yield line, record
            continue
        name = str(record.get("id") or record.get("ticket_id") or line)
        # Two tickets with one number, as of two desks, stay two.
        ticket = tickets[f"{name} {line}"] = _ticket(record, line)
        size += ticket.characters
        if size > MOST_CHARACTERS:
            yield line, too_long(line)
            return
    yield from rows_of(tickets)


def _ticket(record: Mapping[str, object], line: int) -> Ticket:
    ticket, messages = Ticket(line), _messages(record)
    opening = _opening(record)
    if opening and opening.strip() not in {_text(one).strip() for one in messages}:
        ticket.add(time="", author="", side="user", text=opening)
    customers = {str(record[key]) for key in _CUSTOMERS if record.get(key)}
    for one in messages:
        if _is_left_out(one):
            continue
        author = _author(one)
        side = _said_side(one)
        if side is None and author and customers:
            side = "user" if author in customers else "assistant"
        side = "system" if author == _SYSTEM_AUTHOR else side
        ticket.add(time=_first(one, _TIMES), author=author, side=side, text=_text(one))
    return ticket


def _messages(record: Mapping[str, object]) -> Sequence[Mapping[str, object]]:
    for key in _LISTS:
        listed = record.get(key)
        if isinstance(listed, Mapping):
            listed = listed.get(key)
        if isinstance(listed, list) and listed and isinstance(listed[0], Mapping):
            return [one for one in listed if isinstance(one, Mapping)]
    return ()


def _opening(record: Mapping[str, object]) -> str:
    for key in _OPENINGS:
        value = record.get(key)
        text = _text(value) if isinstance(value, Mapping) else value
        if isinstance(text, str) and text.strip():
            return text
    return ""


def _text(message: Mapping[str, object]) -> str:
    return _first(message, _TEXTS)


def _first(message: Mapping[str, object], keys: Sequence[str]) -> str:
    return next((str(message[key]) for key in keys if message.get(key) not in (None, "")), "")


def _author(message: Mapping[str, object]) -> str:
    """Who wrote it, by number, address or name."""
    for key in _AUTHORS:
        value = message.get(key)
        if isinstance(value, Mapping):
            value = value.get("id") or value.get("email") or value.get("name")
        if value not in (None, ""):
            return str(value)
    return ""


def _said_side(message: Mapping[str, object]) -> str | None:
    if isinstance(message.get("incoming"), bool):
        return "user" if message["incoming"] else "assistant"
    for key in ("author", *_SIDES):
        value = message.get(key)
        if isinstance(value, Mapping):
            value = value.get("type") or value.get("role")
        if isinstance(value, str) and (side := side_of(value, key)):
            return side
    return None


def _is_left_out(message: Mapping[str, object]) -> bool:
    """A note among colleagues, or an event."""
    flags = [key for key in ("public", "private", "internal", "is_private") if key in message]
    if any(is_note(message[key], key) for key in flags):
        return True
    kind = next((str(message[key]) for key in _KINDS if message.get(key)), "")
    return is_note(kind, "kind") or kind.lower() in _EVENTS
