"""The port to what became of answers: sums by day, and what nobody answered well."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from bot.domain import (
    AssistantId,
    ChannelId,
    DailyAnswers,
    ExampleId,
    TurnId,
    UnansweredTurn,
    WorkspaceId,
)


class AnswerStats(Protocol):
    async def daily(
        self,
        workspace: WorkspaceId,
        assistant: AssistantId,
        *,
        since: datetime,
        limit: int = 1000,
    ) -> Sequence[DailyAnswers]:
        """By day, then model."""
        ...

    async def unanswered_turns(
        self,
        workspace: WorkspaceId,
        assistant: AssistantId,
        *,
        since: datetime,
        channel: ChannelId | None = None,
        is_marked: bool = True,
        is_taught: bool = False,
        limit: int = 500,
    ) -> Sequence[UnansweredTurn]:
        """Newest first, without those that were taught or set aside.

        Marked are those that the host refused or somebody disliked; without `is_marked` every
        whole answer. With `is_taught` those alone that an example answers by now. With `channel`
        only those of that channel.
        """
        ...

    async def mark_resolved(
        self,
        workspace: WorkspaceId,
        numbers: Sequence[TurnId],
        example: ExampleId | None,
        *,
        at: datetime,
    ) -> None:
        """Taught by an example, as long as that lives; over for good with None."""
        ...
