"""The notices of an evaluation: one live message, and one at its end."""

from __future__ import annotations

from datetime import datetime

from bot.domain import Evaluation
from bot.outbox import ASKER
from bot.ports.store import Records

STATUS = "evaluation.status"
ENDED = "evaluation.ended"


async def tell_status(
    records: Records, evaluation: Evaluation, *, at: datetime, locale: str = ""
) -> None:
    await _tell(records, evaluation, STATUS, at, **({"locale": locale} if locale else {}))


async def tell_ended(records: Records, evaluation: Evaluation, *, at: datetime) -> None:
    await _tell(records, evaluation, ENDED, at)


async def _tell(
    records: Records, evaluation: Evaluation, kind: str, at: datetime, **details: object
) -> None:
    await records.outbox.put(
        f"{kind}.{evaluation.id}",
        evaluation.place,
        kind,
        subject=evaluation.id,
        details={ASKER: evaluation.asked_by, **details},
        at=at,
    )
