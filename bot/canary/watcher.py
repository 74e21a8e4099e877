"""Polls canaries: stops one that fails or is disliked, and queues a notice if one is liked more.

The state of a canary is in the store, so polling continues after a restart.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from bot.canary import notices, stop_rules
from bot.domain import Canary, CanaryEnd, CanaryState, ModelFeedback
from bot.ports.store import Clock, Records, Store
from bot.significance import Verdict


class CanaryWatcher:
    """Polls the running canaries; set `wake` after a canary was started or ended.

    Remembers the last queued status of each canary, so that an unchanged one is not queued again.
    """

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self.wake = asyncio.Event()
        self._store = store
        self._clock = clock
        self._queued_status: dict[int, tuple[int, ModelFeedback, ModelFeedback]] = {}

    async def poll(self) -> bool:
        """Polls every running canary once; returns whether anything was changed or queued."""
        async with self._store.reading() as records:
            running = await records.canaries.list_running()
        running_ids = {canary.id for canary in running}
        self._queued_status = {
            number: status
            for number, status in self._queued_status.items()
            if number in running_ids
        }
        return any([await self._step(canary) for canary in running])

    async def _step(self, canary: Canary) -> bool:
        async with self._store.reading() as records:
            own, other = await stop_rules.model_feedback(canary, records)
            end = await _end(canary, own, other, records)
        if end is not None:
            return await self._stop(canary, end)
        if stop_rules.is_vote_test_due(canary, own, other):
            return await self._test(canary, own, other)
        current_status = canary.failures, own, other
        if self._queued_status.get(canary.id) == current_status:
            return False
        async with self._store.writing() as records:
            await notices.queue_notice(records, canary, notices.STATUS_NOTICE, at=self._clock.now())
        self._queued_status[canary.id] = current_status
        return True

    async def _test(self, canary: Canary, own: ModelFeedback, other: ModelFeedback) -> bool:
        """Tests the votes once and counts the test, so that it is not repeated for these votes."""
        verdict = stop_rules.vote_verdict(canary, own, other)
        if verdict is Verdict.WORSE:
            return await self._stop(canary, CanaryEnd.DISLIKED)
        is_liked = canary.is_liked or verdict is Verdict.BETTER
        async with self._store.writing() as records:
            if not await records.canaries.update_if_running(
                canary.workspace, canary.id, vote_checks=canary.vote_checks + 1, is_liked=is_liked
            ):
                return False
            if is_liked and not canary.is_liked:
                await notices.queue_notice(
                    records, canary, notices.LIKED_NOTICE, at=self._clock.now()
                )
        return True

    async def _stop(self, canary: Canary, why: CanaryEnd) -> bool:
        now = self._clock.now()
        async with self._store.writing() as records:
            if not await records.canaries.update_if_running(
                canary.workspace,
                canary.id,
                state=CanaryState.STOPPED,
                why=why,
                ended_at=now,
            ):
                return False
            await records.audit.add(
                canary.workspace, None, "canary.stopped", at=now, model=canary.model, why=why
            )
            kinds = [notices.STATUS_NOTICE, notices.ENDED_NOTICE]
            for kind in kinds + ([notices.LIKED_NOTICE] if canary.is_liked else []):
                await notices.queue_notice(records, replace(canary), kind, at=now)
        return True


async def _end(
    canary: Canary, own: ModelFeedback, other: ModelFeedback, records: Records
) -> CanaryEnd | None:
    """Returns the reason why the canary has to stop, or None if it may continue."""
    current = await records.deployments.current(canary.workspace, canary.assistant)
    if (current.id if current else 0) != canary.deployment:
        return CanaryEnd.REPLACED
    model = await records.models.find(canary.workspace, canary.model)
    assistant = await records.assistants.get(canary.workspace, canary.assistant)
    if canary.model != assistant.base and (model is None or model.is_deleted):
        return CanaryEnd.DELETED
    return CanaryEnd.FAILING if stop_rules.is_failing(canary, own, other) else None
