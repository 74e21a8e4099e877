"""Converts JSON tickets, each of which has a list of its messages, to chat rows.

Zendesk, Freshdesk, Intercom, HubSpot, Help Scout, Front, Jira, Gorgias, LiveChat and Crisp export
tickets in this form.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from bot.imports.tickets import (
    MAX_CHARACTERS,
    Ticket,
    is_discarded,
    is_note,
    rows_of,
    side_of,
    too_long,
)

_LISTS: Final = (
    *("messages", "conversation_parts", "conversations", "comments", "replies"),
    *("thread", "threads", "parts", "events", "posts", "emails", "notes"),
)
# Keys of the wrappers of tickets: Help Scout, Jira, Freshdesk's export, LiveChat.
_WRAPPINGS: Final = ("_embedded", "fields", "helpdesk_ticket", "ticket", "thread", "comment")
_DEEPEST: Final = 4
_TEXTS: Final = (
    *("stripped_text", "plain_body", "body_text", "text_body", "text", "body", "content"),
    "message",
)
_OPENINGS: Final = ("source", "description_text", "description", "question", "body", "message")
_SIDES: Final = (
    *("author", "createdBy", "created_by", "author_role", "role", "sender_type", "author_type"),
    *("user_type", "direction", "from", "sender"),
)
_AUTHORS: Final = ("author_id", "user_id", "sender_id", "from_id", "from", "sender", "author")
_CUSTOMERS: Final = (
    *("requester_id", "customer_id", "contact_id", "user_id", "contactId"),
    *("requester", "customer", "contact", "visitor", "reporter"),
)
_DISPLAY_NAMES: Final = ("name", "display_name", "displayName", "full_name", "author_name")
_STATES: Final = ("status", "state", "spam", "is_spam")
_PEOPLE: Final = ("users", "participants", "members")
_NAMES: Final = ("id", "accountId", "email", "name")
_KINDS: Final = (
    *("part_type", "type", "event", "kind", "visibility", "channel", "message_type", "state"),
)
_FLAGS: Final = ("public", "private", "internal", "is_private", "is_public", "jsdPublic")
_EVENTS: Final = frozenset(
    (
        *("close", "open", "assignment", "snoozed", "unsnoozed", "status", "change", "event"),
        *("conversation_rating", "participant_added", "participant_removed", "rating"),
        *("lineitem", "system_message", "activity", "thread_status_change", "draft"),
        # https://developers.chatwoot.com/api-reference/messages: an activity is 2.
        "2",
    )
)
# https://developer.zendesk.com/api-reference/ticketing/tickets/ticket_comments/
_SYSTEM_AUTHOR: Final = "-1"
_TIMES: Final = (
    *("created_at", "created", "createdAt", "createdTime", "created_datetime", "timestamp"),
    *("time", "date", "sent_at", "sentAt", "sent_datetime", "posted_at", "updated_at"),
)


def is_json_ticket(record: Mapping[str, object]) -> bool:
    """Whether an object is or contains a ticket with a message that has a text and an author."""
    return any(
        _text(message) and (_author(message) or _stated_side(message))
        for ticket in _tickets_in(record)
        for message in _messages(ticket)
    )


def is_timed_message(value: object) -> bool:
    """Whether a list has messages with a time and none with a role, unlike published chats."""
    listed = value if isinstance(value, list) else []
    messages = [message for message in listed if isinstance(message, Mapping)]
    return any(_first(message, _TIMES) for message in messages) and not any(
        "role" in m for m in messages
    )


def read_json_tickets(records: Iterator[tuple[int, object]]) -> Iterator[tuple[int, object]]:
    """Yields a chat row for each ticket, by the same rules as `read_tickets`."""
    tickets: dict[str, Ticket] = {}
    size = 0
    for line, record in records:
        if not isinstance(record, Mapping):
            yield line, record
            continue
        for number, record_ticket in enumerate(_tickets_in(record)):
            ticket = _ticket(record_ticket, line)
            size += ticket.characters
            if _is_audit(record_ticket):
                whole = tickets.setdefault(f"audits {record_ticket['ticket_id']}", Ticket(line))
                whole.add_all(ticket)
                continue
            name = str(record_ticket.get("id") or record_ticket.get("ticket_id") or line)
            # Two tickets with the same number, as of two help desks, stay separate.
            tickets[f"{name} {line} {number}" if name in tickets else name] = ticket
        if size > MAX_CHARACTERS:
            yield line, too_long(line)
            return
    yield from rows_of(tickets)


def _tickets_in(record: Mapping[str, object], depth: int = 0) -> Iterator[Mapping[str, object]]:
    """Yields the tickets of an object without their wrappers."""
    ticket = dict(record)
    for _ in range(_DEEPEST):
        inner = [part for key in _WRAPPINGS if isinstance(part := ticket.pop(key, None), Mapping)]
        if not inner:
            break
        for part in inner:
            ticket = {**part, **ticket} if _messages(ticket) else {**ticket, **part}
    listed = _messages(ticket)
    inside = [part for part in listed if any(key in part for key in (*_WRAPPINGS, *_LISTS))]
    if inside and depth < _DEEPEST and not any(map(_text, inside)):
        for part in inside:
            yield from _tickets_in(part, depth + 1)
    else:
        yield ticket


def _ticket(record: Mapping[str, object], line: int) -> Ticket:
    """Returns a ticket with its opening text and messages, without internal notes and events."""
    ticket, messages = Ticket(line), _messages(record)
    ticket.is_discarded = any(is_discarded(record.get(key), key) for key in _STATES)
    opening = _opening(record)
    if opening and opening.strip() not in {_text(message).strip() for message in messages}:
        ticket.add(time="", author="", side="user", text=opening)
    customers = {name for key in _CUSTOMERS if (name := _name_of(record.get(key)))}
    people = _people_of(record)
    kinds = {str(message.get("type", "")).lower() for message in messages}
    for message in messages:
        # At HubSpot a comment beside messages is internal.
        is_comment = str(message.get("type", "")).lower() == "comment" and "message" in kinds
        if is_comment or _is_left_out(message):
            continue
        author = _author(message)
        side = _stated_side(message) or people.get(author)
        if side is None and author and customers:
            side = "user" if author in customers else "assistant"
        side = "system" if author == _SYSTEM_AUTHOR else side
        ticket.add(
            time=_first(message, _TIMES),
            author=author,
            side=side,
            text=_text(message),
            name=_display_name(message),
        )
    return ticket


def _people_of(record: Mapping[str, object]) -> Mapping[str, str]:
    """Returns the sides of the people whom a ticket lists, by their id."""
    lists = [people for key in _PEOPLE if isinstance(people := record.get(key), list)]
    listed = [person for people in lists for person in people if isinstance(person, Mapping)]
    sides = {_name_of(person): side_of(person.get("type"), "type") for person in listed}
    return {name: side for name, side in sides.items() if side}


def _is_audit(record: Mapping[str, object]) -> bool:
    """Whether a record is an audit of a ticket, whose comments are among its events."""
    # https://developer.zendesk.com/api-reference/ticketing/tickets/ticket_audits/
    return isinstance(record.get("events"), list) and {"ticket_id", "author_id"} <= record.keys()


def _comments_of(audit: Mapping[str, object]) -> list[Mapping[str, object]]:
    """Returns the comments of an audit, each with the author and time of the audit."""
    events = audit.get("events")
    own = {key: audit[key] for key in ("author_id", "created_at") if key in audit}
    return [
        {**own, **event}
        for event in (events if isinstance(events, list) else [])
        if isinstance(event, Mapping) and event.get("type") == "Comment"
    ]


def _messages(record: Mapping[str, object]) -> Sequence[Mapping[str, object]]:
    """Returns the messages of a ticket from the first key that has a list of objects."""
    if _is_audit(record):
        return _comments_of(record)
    audits = record.get("audits")
    if isinstance(audits, list):
        return [
            message
            for audit in audits
            if isinstance(audit, Mapping)
            for message in _comments_of(audit)
        ]
    for key in _LISTS:
        listed = record.get(key)
        if isinstance(listed, Mapping):
            listed = listed.get(key)
        if isinstance(listed, list) and listed and isinstance(listed[0], Mapping):
            return [message for message in listed if isinstance(message, Mapping)]
    return ()


def _opening(record: Mapping[str, object]) -> str:
    for key in _OPENINGS:
        value = record.get(key)
        text = _text(value) if isinstance(value, Mapping) else value
        if isinstance(text, str) and text.strip():
            return text
    return ""


def _text(message: Mapping[str, object]) -> str:
    return next(
        (text for key in _TEXTS if (text := message.get(key)) and isinstance(text, str)), ""
    )


def _first(message: Mapping[str, object], keys: Sequence[str]) -> str:
    return next((str(message[key]) for key in keys if message.get(key) not in (None, "")), "")


def _name_of(value: object) -> str:
    """Returns a person's number, address or name."""
    if isinstance(value, Mapping):
        return _first(value, _NAMES)
    return "" if value is None else str(value)


def _author(message: Mapping[str, object]) -> str:
    """Returns the number, address or name of a message's author."""
    return next((name for key in _AUTHORS if (name := _name_of(message.get(key)))), "")


def _display_name(message: Mapping[str, object]) -> str:
    """Returns the name of a message's author, as other people see it."""
    people = (person for key in _SIDES if isinstance(person := message.get(key), Mapping))
    return next((name for each in (*people, message) if (name := _first(each, _DISPLAY_NAMES))), "")


def _stated_side(message: Mapping[str, object]) -> str | None:
    """Returns the side of a message by its keys, None if no key names the side."""
    # At Help Scout the type of a message names its author; elsewhere it is a word for any message.
    for key in (*_SIDES, "type"):
        value = message.get(key)
        if isinstance(value, Mapping):
            value = _first(value, ("type", "role", "accountType"))
        if isinstance(value, str) and (side := side_of(value, key)):
            return side
    for key, value in message.items():
        # Keys such as is_inbound and from_agent.
        if isinstance(value, bool) and (side := side_of(value, key)):
            return side
    return None


def _is_left_out(message: Mapping[str, object]) -> bool:
    """Whether a message is an internal note or an event."""
    if any(is_note(message[key], key) for key in _FLAGS if key in message):
        return True
    kinds = {key: str(message[key]) for key in _KINDS if message.get(key) not in (None, "")}
    return any(
        kind.lower() in _EVENTS or (not kind.isdigit() and is_note(kind, key))
        for key, kind in kinds.items()
    )
