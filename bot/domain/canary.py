"""The nouns of a canary: a model that answers a share of the questions, beside the one in use."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bot.domain.ids import AssistantId, CanaryId, HostName, ModelName, Place, UserId, WorkspaceId


class CanaryState(StrEnum):
    RUNNING = "running"
    PROMOTED = "promoted"
    STOPPED = "stopped"


class CanaryEnd(StrEnum):
    """Why a canary is over; all but the first happen by themselves."""

    BY_HAND = "by_hand"
    FAILING = "failing"
    DISLIKED = "disliked"
    REPLACED = "replaced"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Canary:
    """`idempotency_key` makes it unique, and draws whose questions go to the model.

    `in_use` answered as it began, as `deployment`, 0 for the base; once something else does, the
    canary is over. `share` is between 0 and 1. `failures` counts answers that had not begun when
    the host failed, `vote_checks` how often the votes were tested; `is_liked` once they decided
    for it.
    """

    id: CanaryId
    workspace: WorkspaceId
    assistant: AssistantId
    place: Place
    idempotency_key: str
    started_by: UserId
    state: CanaryState
    model: ModelName
    host: HostName
    served_name: ModelName | None
    share: float
    deployment: int
    in_use: ModelName
    started_at: datetime
    vote_checks: int = 0
    failures: int = 0
    is_liked: bool = False
    why: CanaryEnd | None = None
    ended_by: UserId | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ModelFeedback:
    """Of the answers of one model: how many, how many broke off, and the votes on them."""

    answers: int = 0
    failed: int = 0
    liked: int = 0
    disliked: int = 0

    @property
    def votes(self) -> int:
        return self.liked + self.disliked
