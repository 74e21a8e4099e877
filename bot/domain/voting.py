"""The nouns of a blind vote: who prefers which of two answers, without knowing whose they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from bot.domain.ids import EvaluationId, UserId, WorkspaceId


class VoteState(StrEnum):
    """A vote waits until its answers are there; while it is closing no more ballots are taken."""

    WAITING = "waiting"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


OPEN_VOTES = (VoteState.WAITING, VoteState.OPEN, VoteState.CLOSING)


@dataclass(frozen=True, slots=True)
class BlindVote:
    """The vote on the answers of an evaluation of two contenders, by whose number it goes.

    `result` is kept as `bot.votes.tally` writes it.
    """

    workspace: WorkspaceId
    evaluation: EvaluationId
    state: VoteState
    hours: int
    cards: int = 0
    ends_at: datetime | None = None
    result: Mapping[str, object] = field(default_factory=dict)


class Choice(StrEnum):
    """Of two answers: that of the first contender or of the second, none of them, or either."""

    FIRST = "first"
    SECOND = "second"
    NEITHER = "neither"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Ballot:
    """A person's last word on the answers to one question; `is_curator` as they gave it."""

    number: int
    user: UserId
    choice: Choice
    is_curator: bool
    at: datetime
