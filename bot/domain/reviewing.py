"""Reviews of a proposed example: verdicts, assignments, and the author's answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bot.domain.ids import UserId


class ReviewKind(StrEnum):
    """A reviewer's verdict, an assignment, a question to the author, or the author's answer."""

    APPROVED = "approved"
    REJECTED = "rejected"
    ASSIGNED = "assigned"
    AUTHOR_ASKED = "asked"
    AUTHOR_SAYS_RIGHT = "right"
    AUTHOR_SAYS_WRONG = "wrong"


VERDICT_KINDS = (ReviewKind.APPROVED, ReviewKind.REJECTED)
AUTHOR_KINDS = (ReviewKind.AUTHOR_ASKED, ReviewKind.AUTHOR_SAYS_RIGHT, ReviewKind.AUTHOR_SAYS_WRONG)


@dataclass(frozen=True, slots=True)
class Review:
    """One review of one revision of an example; `note` is the author's text."""

    user: UserId
    kind: ReviewKind
    revision: int
    at: datetime
    note: str = ""
