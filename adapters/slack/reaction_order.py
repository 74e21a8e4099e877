"""Which reactions are outdated: two sockets, or a second delivery, may bring them out of order."""

from __future__ import annotations

from collections import OrderedDict

from adapters.slack.api import Json

_MOST = 10_000


class ReactionOrder:
    """Remembers when each reaction was last put on or taken off, by Slack's `event_ts`."""

    def __init__(self) -> None:
        self._latest: OrderedDict[tuple[str, ...], float] = OrderedDict()

    def is_outdated(self, body: Json) -> bool:
        """Whether a later event about the same person's same reaction has come already."""
        event = body.get("event") or {}
        if event.get("type") not in ("reaction_added", "reaction_removed"):
            return False
        item = event.get("item") or {}
        named = (item.get("channel"), item.get("ts"), event.get("user"), event.get("reaction"))
        key, at = tuple(str(one) for one in named), float(event.get("event_ts") or 0)
        if at < self._latest.get(key, 0.0):
            return True
        self._latest[key] = at
        self._latest.move_to_end(key)
        if len(self._latest) > _MOST:
            self._latest.popitem(last=False)
        return False
