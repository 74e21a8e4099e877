"""The port to answer statistics: daily totals, and questions that were not answered well."""

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
        """Returns daily totals, ordered by day, then model."""
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
        """Returns questions that were refused or whose answer was disliked, newest first.

        Without `is_marked` returns every complete answer instead. Questions that an example
        answers or that were dismissed are left out; with `is_taught` only the questions that an
        example answers are returned, whatever `is_marked` says. `channel` limits to one channel.
        """
        ...

    async def mark_taught_or_dismissed(
        self,
        workspace: WorkspaceId,
        numbers: Sequence[TurnId],
        example: ExampleId | None,
        *,
        at: datetime,
    ) -> None:
        """Marks turns as answered by an example while it is active; None dismisses them for good.

        Does nothing if the example is not in the workspace.
        """
        ...
