"""Entities of a canary: a model that answers a share of the questions beside the deployed one."""

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
    """Why a canary ended; only `BY_HAND` is a person's decision."""

    BY_HAND = "by_hand"
    FAILING = "failing"
    DISLIKED = "disliked"
    REPLACED = "replaced"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Canary:
    """A canary of one assistant.

    `idempotency_key` makes the canary unique and seeds the choice of the users whose questions
    `model` answers; `share` of them is between 0 and 1. `in_use` is the model that was deployed
    when the canary started, `deployment` the id of that deployment, 0 for the base; another
    deployment ends the canary. `failures` counts requests that the host failed before any text,
    `vote_checks` how often the votes were tested; `is_liked` once a test was in favour of `model`.
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
    """Number of one model's answers and of failed ones, and the votes on these answers."""

    answers: int = 0
    failed: int = 0
    liked: int = 0
    disliked: int = 0

    @property
    def votes(self) -> int:
        return self.liked + self.disliked
