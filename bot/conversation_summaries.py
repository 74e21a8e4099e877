"""Summaries of the older parts of long conversations, in memory only: they are personal data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.domain import ChannelId, Message, MessageId, Place, WorkspaceId

_MOST = 200


@dataclass(frozen=True, slots=True)
class Summary:
    """Summary of the messages in `covered`, which maps each message to a hash of its text."""

    text: str
    covered: Mapping[MessageId, int]

    def is_current(self, history: Sequence[Message]) -> bool:
        """Whether none of the covered messages in the history was edited or deleted."""
        hashes = {message.id: hash(message.text) for message in history}
        first = next((message.id for message in history if message.id in self.covered), None)
        if first is None:
            return False
        visible = list(self.covered)[list(self.covered).index(first) :]
        return all(hashes.get(message) == self.covered[message] for message in visible)


class Summaries:
    """The newest summaries, at most 200."""

    def __init__(self) -> None:
        self._summaries: list[tuple[Place, Summary]] = []

    def find(self, place: Place, history: Sequence[Message]) -> Summary | None:
        """Returns the channel's newest summary that is current for a history."""
        of_channel = (
            s for at, s in reversed(self._summaries) if _channel_of(at) == _channel_of(place)
        )
        return next((summary for summary in of_channel if summary.is_current(history)), None)

    def keep(self, place: Place, summary: Summary) -> None:
        """Stores a summary; replaces the one that it continues."""
        first = next(iter(summary.covered))
        others = [(at, other) for at, other in self._summaries if first not in other.covered]
        self._summaries = [*others, (place, summary)][-_MOST:]

    def forget(self, workspace: WorkspaceId, channel: ChannelId | None = None) -> None:
        """Deletes the summaries of a channel, or of the whole workspace."""
        self._summaries = [
            (place, summary)
            for place, summary in self._summaries
            if place.workspace != workspace or channel not in (None, place.channel)
        ]


def _channel_of(place: Place) -> tuple[WorkspaceId, ChannelId]:
    return place.workspace, place.channel
