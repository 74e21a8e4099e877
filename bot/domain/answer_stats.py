"""The nouns of what became of answers: sums by day, and questions that nobody answered well."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from bot.domain.ids import ChannelId, ExampleId, HostName, MessageId, ModelName, TurnId


@dataclass(frozen=True, slots=True)
class DailyAnswers:
    """What one model answered on one UTC day. Likes and dislikes are votes, not answers."""

    day: date
    model: ModelName
    host: HostName
    answered: int
    refused: int
    liked: int
    disliked: int
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class UnansweredTurn:
    """A question with what `model` answered it; `is_refusal` as the host marked it.

    `taught_at` is when a better answer was taught that still stands, by the example `taught_by`.
    """

    id: TurnId
    model: ModelName
    channel: ChannelId
    thread: MessageId | None
    question: str
    reply: str
    at: datetime
    is_refusal: bool
    dislikes: int
    taught_at: datetime | None = None
    taught_by: ExampleId | None = None
