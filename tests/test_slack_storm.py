"""A storm over the whole program; `ATTUNE_STORM=1000` is the whole storm, with five kills."""

from __future__ import annotations

import os
from pathlib import Path

from tests.storm import storm

EVENTS = int(os.environ.get("ATTUNE_STORM", "40"))


async def test_every_event_has_one_effect_though_the_bot_is_killed(tmp_path: Path) -> None:
    async with storm(tmp_path, events=EVENTS) as made:
        outcome = await made.run(kills=1 + EVENTS // 250)

    assert outcome.faults == []
    assert outcome.slowest_ack < 3
