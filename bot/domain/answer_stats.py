"""Entities of answer statistics: daily totals, and questions that were not answered well."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from bot.domain.ids import ChannelId, ExampleId, HostName, MessageId, ModelName, TurnId


@dataclass(frozen=True, slots=True)
class DailyAnswers:
    """Totals of one model's answers on one UTC day. Likes and dislikes count votes, not answers."""

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
    """A question and the reply of `model`; `is_refusal` as the host marked the reply.

    `taught_by` is an example with a better answer, saved at `taught_at` and still active; None
    where there is none.
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
