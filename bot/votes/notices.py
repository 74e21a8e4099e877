"""The notices of a blind vote: its standing message, a card for each question, and the result."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bot.domain import Evaluation, NewNotice
from bot.outbox import ASKER
from bot.ports.store import Records

STATUS = "vote.status"
CARD = "vote.card"
ENDED = "vote.ended"
NUMBER, POSITION = "number", "position"
"""Details of a card: the number of its question, and which of the cards it is."""


def opening_notices(evaluation: Evaluation, numbers: Sequence[int]) -> Sequence[NewNotice]:
    """All that is posted as the vote opens, in order."""
    asker = {ASKER: evaluation.asked_by}
    status = NewNotice(f"{STATUS}.{evaluation.id}", evaluation.place, STATUS, evaluation.id, asker)
    cards = [
        NewNotice(
            f"{CARD}.{evaluation.id}.{number}",
            evaluation.place,
            CARD,
            evaluation.id,
            {**asker, NUMBER: number, POSITION: position},
        )
        for position, number in enumerate(numbers, start=1)
    ]
    return [status, *cards]


async def queue_status_notice(records: Records, evaluation: Evaluation, *, at: datetime) -> None:
    await _put(records, opening_notices(evaluation, ())[0], at)


async def queue_ended_notice(
    records: Records, evaluation: Evaluation, numbers: Sequence[int], *, at: datetime
) -> None:
    """The result as a message of its own; the cards, if there are any, say now who wrote what."""
    for notice in opening_notices(evaluation, numbers) if numbers else ():
        await _put(records, notice, at)
    key = f"{ENDED}.{evaluation.id}"
    asker = {ASKER: evaluation.asked_by}
    await _put(records, NewNotice(key, evaluation.place, ENDED, evaluation.id, asker), at)


async def _put(records: Records, notice: NewNotice, at: datetime) -> None:
    await records.outbox.put(
        notice.key,
        notice.place,
        notice.kind,
        subject=notice.subject,
        details=notice.details,
        at=at,
    )
