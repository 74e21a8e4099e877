"""Summaries of the older parts of long conversations, in memory only: they hold people's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.domain import ChannelId, Message, MessageId, Place, WorkspaceId

_KEPT = 200


@dataclass(frozen=True, slots=True)
class Summary:
    """What the messages in `covered` said; each is known by a hash of its text."""

    text: str
    covered: Mapping[MessageId, int]

    def is_current(self, said: Sequence[Message]) -> bool:
        """False once one of its messages was edited or deleted, as far as that can be seen."""
        now = {one.id: hash(one.text) for one in said}
        first = next((one.id for one in said if one.id in self.covered), None)
        if first is None:
            return False
        seen = list(self.covered)[list(self.covered).index(first) :]
        return all(now.get(one) == self.covered[one] for one in seen)


class Summaries:
    """The last few hundred."""

    def __init__(self) -> None:
        self._known: list[tuple[Place, Summary]] = []

    def find(self, place: Place, said: Sequence[Message]) -> Summary | None:
        """The newest of the channel that holds for these messages."""
        here = (one for at, one in reversed(self._known) if _channel(at) == _channel(place))
        return next((one for one in here if one.is_current(said)), None)

    def keep(self, place: Place, summary: Summary) -> None:
        """In place of the one that it continues."""
        first = next(iter(summary.covered))
        others = [(at, one) for at, one in self._known if first not in one.covered]
        self._known = [*others, (place, summary)][-_KEPT:]

    def forget(self, workspace: WorkspaceId, channel: ChannelId | None = None) -> None:
        """Those of a channel, or of the whole workspace."""
        self._known = [
            (at, one)
            for at, one in self._known
            if at.workspace != workspace or channel not in (None, at.channel)
        ]


def _channel(place: Place) -> tuple[WorkspaceId, ChannelId]:
    return place.workspace, place.channel
