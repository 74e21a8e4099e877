"""Summaries of the older parts of long conversations, in memory only: they are personal data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.domain import ChannelId, Message, MessageId, Place, WorkspaceId

_MAX_SUMMARIES = 200


@dataclass(frozen=True, slots=True)
class Summary:
    """Summary of the messages in `covered`, which maps each message to a hash of its text."""

    text: str
    hashes_of_messages: Mapping[MessageId, int]

    def is_current(self, history: Sequence[Message]) -> bool:
        """Whether none of the covered messages in the history was edited or deleted."""
        hashes = {message.id: hash(message.text) for message in history}
        first = next(
            (message.id for message in history if message.id in self.hashes_of_messages), None
        )
        if first is None:
            return False
        visible = list(self.hashes_of_messages)[list(self.hashes_of_messages).index(first) :]
        return all(hashes.get(message) == self.hashes_of_messages[message] for message in visible)


class ConversationSummaries:
    """The newest summaries, at most 200."""

    def __init__(self) -> None:
        self._summaries: list[tuple[Place, Summary]] = []

    def find(self, place: Place, history: Sequence[Message]) -> Summary | None:
        """Returns the channel's newest summary that is current for a history."""
        of_channel = (
            s for at, s in reversed(self._summaries) if _channel_of(at) == _channel_of(place)
        )
        return next((summary for summary in of_channel if summary.is_current(history)), None)

    def put(self, place: Place, summary: Summary) -> None:
        """Stores a summary; replaces the one that it continues."""
        first = next(iter(summary.hashes_of_messages))
        others = [
            (at, other) for at, other in self._summaries if first not in other.hashes_of_messages
        ]
        self._summaries = [*others, (place, summary)][-_MAX_SUMMARIES:]

    def forget(self, workspace: WorkspaceId, channel: ChannelId | None = None) -> None:
        """Deletes the summaries of a channel, or of the whole workspace."""
        self._summaries = [
            (place, summary)
            for place, summary in self._summaries
            if place.workspace != workspace or channel not in (None, place.channel)
        ]


def _channel_of(place: Place) -> tuple[WorkspaceId, ChannelId]:
    return place.workspace, place.channel
