"""What things are called by, and where they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

WorkspaceId = NewType("WorkspaceId", str)
ChannelId = NewType("ChannelId", str)
MessageId = NewType("MessageId", str)
UserId = NewType("UserId", str)
AssistantId = NewType("AssistantId", int)
ExampleId = NewType("ExampleId", int)
SnapshotId = NewType("SnapshotId", int)
EvaluationId = NewType("EvaluationId", int)
CanaryId = NewType("CanaryId", int)
JobId = NewType("JobId", int)
TurnId = NewType("TurnId", int)
NoticeId = NewType("NoticeId", int)
HostName = NewType("HostName", str)
ModelName = NewType("ModelName", str)

Row = Mapping[str, object]

LOCAL = WorkspaceId("local")

EPHEMERAL = "ephemeral:"
"""Before the id of a message that the platform shows to one person alone."""


class ChannelKind(StrEnum):
    """Who can read a channel; any but an open one is an `Exclusion`."""

    OPEN = "open"
    PRIVATE = "private"
    SHARED = "shared"
    DIRECT = "direct"
    RESTRICTED = "restricted"


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is said; two that differ only in what is known of their kind are one."""

    workspace: WorkspaceId
    channel: ChannelId
    thread: MessageId | None = None
    kind: ChannelKind = field(default=ChannelKind.OPEN, compare=False)

    def contains(self, other: Place) -> bool:
        """Whether the other is this place, or a thread of this channel."""
        here = self.workspace, self.channel
        is_whole = self.thread is None
        return here == (other.workspace, other.channel) and (is_whole or self == other)
