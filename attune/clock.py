"""The system clock."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta


class SystemClock:
    """Implements `bot.ports.store.Clock` with the time of the machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, wait: timedelta) -> None:
        await asyncio.sleep(wait.total_seconds())
