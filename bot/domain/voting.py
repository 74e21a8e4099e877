"""Entities of a blind vote: people choose between two answers without seeing their models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from bot.domain.ids import EvaluationId, UserId, WorkspaceId


class VoteState(StrEnum):
    """`WAITING` until the answers are written; `CLOSING` accepts no more ballots."""

    WAITING = "waiting"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


OPEN_VOTE_STATES = (VoteState.WAITING, VoteState.OPEN, VoteState.CLOSING)


@dataclass(frozen=True, slots=True)
class BlindVote:
    """The vote on the answers of an evaluation of two contenders; its id is the evaluation's.

    `bot.votes.tally` writes `result`.
    """

    workspace: WorkspaceId
    evaluation: EvaluationId
    state: VoteState
    hours: int
    cards: int = 0
    ends_at: datetime | None = None
    result: Mapping[str, object] = field(default_factory=dict)


class Choice(StrEnum):
    """The preferred answer: the first contender's, the second's, neither or both."""

    FIRST = "first"
    SECOND = "second"
    NEITHER = "neither"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Ballot:
    """A person's newest vote on one question; `is_curator` is the role at that moment."""

    number: int
    user: UserId
    choice: Choice
    is_curator: bool
    at: datetime
