"""The notices of a blind vote: its status message, a card for each question, and the result."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bot.domain import Evaluation, NewNotice
from bot.evaluation import notices as evaluation_notices
from bot.outbox import ASKER_DETAIL, locale_detail
from bot.ports.store import Records

STATUS_NOTICE = "vote.status"
QUESTION_NOTICE = "vote.card"
ENDED_NOTICE = "vote.ended"
NUMBER_DETAIL, POSITION_DETAIL = "number", "position"
"""Details of a card: the number of its question, and its position among the cards, from 1."""


async def opening_notices(
    records: Records, evaluation: Evaluation, numbers: Sequence[int]
) -> Sequence[NewNotice]:
    """Returns all that is posted as the vote opens, in order."""
    asker = await _details(records, evaluation)
    status = NewNotice(
        f"{STATUS_NOTICE}.{evaluation.id}", evaluation.place, STATUS_NOTICE, evaluation.id, asker
    )
    cards = [
        NewNotice(
            f"{QUESTION_NOTICE}.{evaluation.id}.{number}",
            evaluation.place,
            QUESTION_NOTICE,
            evaluation.id,
            {**asker, NUMBER_DETAIL: number, POSITION_DETAIL: position},
        )
        for position, number in enumerate(numbers, start=1)
    ]
    return [status, *cards]


async def queue_status_notice(records: Records, evaluation: Evaluation, *, at: datetime) -> None:
    await _put(records, (await opening_notices(records, evaluation, ()))[0], at)


async def queue_ended_notice(
    records: Records, evaluation: Evaluation, numbers: Sequence[int], *, at: datetime
) -> None:
    """Queues the result as a new message, and redraws the cards with the names of the models."""
    for notice in await opening_notices(records, evaluation, numbers) if numbers else ():
        await _put(records, notice, at)
    key = f"{ENDED_NOTICE}.{evaluation.id}"
    details = await _details(records, evaluation)
    await _put(records, NewNotice(key, evaluation.place, ENDED_NOTICE, evaluation.id, details), at)


async def _details(records: Records, evaluation: Evaluation) -> dict[str, object]:
    """Returns the details of the notices, with the language in which the vote was confirmed."""
    status = f"{evaluation_notices.STATUS_NOTICE}.{evaluation.id}"
    locale = await records.outbox.locale_of(evaluation.workspace, [status])
    return {ASKER_DETAIL: evaluation.asked_by, **locale_detail(locale)}


async def _put(records: Records, notice: NewNotice, at: datetime) -> None:
    await records.outbox.put(
        notice.key,
        notice.place,
        notice.kind,
        subject=notice.subject,
        details=notice.details,
        at=at,
    )
