"""Detects outdated events, as two sockets or a second delivery may bring events out of order."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from adapters.bounded_cache import store_bounded
from adapters.slack.api_port import Json
from adapters.slack.emoji import emoji_of_name

_CAPACITY = 10_000
_VOTES = ("👍", "👎")
OrderKey = tuple[str, ...]


class EventOrder:
    """Keeps the latest `event_ts` of each reaction, vote and message text, in memory."""

    def __init__(self) -> None:
        self._latest: OrderedDict[OrderKey, float] = OrderedDict()

    def is_outdated(self, body: Json) -> bool:
        """Whether a later event about the same subject has been received already."""
        event = body.get("event") or {}
        keys, event_ts = list(_subjects(event)), float(event.get("event_ts") or 0)
        if not event_ts or any(event_ts < self._latest.get(key, 0.0) for key in keys):
            return bool(event_ts)
        for key in keys:
            store_bounded(self._latest, key, event_ts, _CAPACITY)
        return False


def _subjects(event: Json) -> Iterator[OrderKey]:
    """Yields the subjects that the event changes; a person's 👎 replaces an earlier 👍."""
    kind, reaction = event.get("type"), str(event.get("reaction"))
    if kind in ("reaction_added", "reaction_removed"):
        item = event.get("item") or {}
        reaction_of = tuple(
            str(part) for part in (item.get("channel"), item.get("ts"), event.get("user"))
        )
        yield (*reaction_of, reaction)
        if kind == "reaction_added" and emoji_of_name(reaction) in _VOTES:
            yield (*reaction_of, "vote")
    elif event.get("subtype") == "message_changed":
        message = event.get("message") or {}
        yield str(event.get("channel")), str(message.get("ts")), "text"
