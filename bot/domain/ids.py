"""Id types, and `Place`, the address of a channel or thread."""

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

EPHEMERAL_ID_PREFIX = "ephemeral:"
"""Prefix of the id of an ephemeral message, which the platform shows to one person."""


class ChannelKind(StrEnum):
    """Who can read a channel; every kind except `OPEN` is an `Exclusion`."""

    OPEN = "open"
    PRIVATE = "private"
    SHARED = "shared"
    DIRECT = "direct"
    RESTRICTED = "restricted"


@dataclass(frozen=True, slots=True)
class Place:
    """A channel, or a thread in it; `kind` does not count in comparisons."""

    workspace: WorkspaceId
    channel: ChannelId
    thread: MessageId | None = None
    kind: ChannelKind = field(default=ChannelKind.OPEN, compare=False)

    def contains(self, other: Place) -> bool:
        """Whether `other` is this place, or a thread of this channel."""
        is_same_channel = (self.workspace, self.channel) == (other.workspace, other.channel)
        return is_same_channel and (self.thread is None or self == other)


def platform_of(workspace: WorkspaceId) -> str:
    """Returns `slack`, `discord` or `local`."""
    return workspace.partition(":")[0]


def id_on_platform(workspace: WorkspaceId) -> str:
    """Returns the id of the Slack team or Discord guild; "" for the local workspace."""
    return workspace.partition(":")[2]
