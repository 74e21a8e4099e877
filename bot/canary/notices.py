"""The notices of a canary: one standing message, one when it is decided, one at its end."""

from __future__ import annotations

from datetime import datetime

from bot.domain import Canary
from bot.outbox import ASKER
from bot.ports.store import Records

STATUS = "canary.status"
LIKED = "canary.liked"
ENDED = "canary.ended"


async def queue_notice(records: Records, canary: Canary, kind: str, *, at: datetime) -> None:
    await records.outbox.put(
        f"{kind}.{canary.id}",
        canary.place,
        kind,
        subject=canary.id,
        details={ASKER: canary.started_by},
        at=at,
    )
