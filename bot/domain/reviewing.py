"""What people said about a proposed example, and who is to look at it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bot.domain.ids import UserId


class ReviewKind(StrEnum):
    """A reviewer's verdict, an assignment, or a question to the author with what came back."""

    APPROVED = "approved"
    REJECTED = "rejected"
    ASSIGNED = "assigned"
    ASKED = "asked"
    RIGHT = "right"
    WRONG = "wrong"


VERDICTS = (ReviewKind.APPROVED, ReviewKind.REJECTED)
AUTHOR_SAID = (ReviewKind.ASKED, ReviewKind.RIGHT, ReviewKind.WRONG)


@dataclass(frozen=True, slots=True)
class Review:
    """One statement about one revision of an example; `note` is the author's own words."""

    user: UserId
    kind: ReviewKind
    revision: int
    at: datetime
    note: str = ""
