"""The notices of a canary: its status message, one when it is liked more, one at its end."""

from __future__ import annotations

from datetime import datetime

from bot.domain import Canary
from bot.outbox import ASKER_DETAIL, locale_detail
from bot.ports.store import Records

STATUS_NOTICE = "canary.status"
LIKED_NOTICE = "canary.liked"
ENDED_NOTICE = "canary.ended"


async def queue_notice(
    records: Records, canary: Canary, kind: str, *, at: datetime, locale: str = ""
) -> None:
    """Queues a notice in the language in which the canary was started."""
    status = f"{STATUS_NOTICE}.{canary.id}"
    started_in = locale or await records.outbox.locale_of(canary.workspace, [status])
    await records.outbox.put(
        f"{kind}.{canary.id}",
        canary.place,
        kind,
        subject=canary.id,
        details={ASKER_DETAIL: canary.started_by, **locale_detail(started_in)},
        at=at,
    )
