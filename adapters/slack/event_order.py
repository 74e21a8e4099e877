"""Which events are outdated: two sockets, or a second delivery, may bring them out of order."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from adapters.slack.api import Json
from adapters.slack.emoji import meaning

_MOST = 10_000
_VOTES = ("👍", "👎")
Key = tuple[str, ...]


class EventOrder:
    """Remembers by Slack's `event_ts` what was told last of a reaction, a vote or a text."""

    def __init__(self) -> None:
        self._latest: OrderedDict[Key, float] = OrderedDict()

    def is_outdated(self, body: Json) -> bool:
        """Whether something later about the same thing has come already."""
        event = body.get("event") or {}
        keys, at = list(_keys(event)), float(event.get("event_ts") or 0)
        if not at or any(at < self._latest.get(key, 0.0) for key in keys):
            return bool(at)
        for key in keys:
            self._latest[key] = at
            self._latest.move_to_end(key)
        while len(self._latest) > _MOST:
            self._latest.popitem(last=False)
        return False


def _keys(event: Json) -> Iterator[Key]:
    """What the event says anew: whoever puts 👎 on takes the place of their earlier 👍."""
    kind, reaction = event.get("type"), str(event.get("reaction"))
    if kind in ("reaction_added", "reaction_removed"):
        item = event.get("item") or {}
        about = tuple(str(one) for one in (item.get("channel"), item.get("ts"), event.get("user")))
        yield (*about, reaction)
        if kind == "reaction_added" and meaning(reaction) in _VOTES:
            yield (*about, "vote")
    elif event.get("subtype") == "message_changed":
        message = event.get("message") or {}
        yield str(event.get("channel")), str(message.get("ts")), "text"
