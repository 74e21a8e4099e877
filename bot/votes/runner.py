"""Opens blind votes once their answers are there, and closes them in time.

Each step is one transaction; one that was cut off is done again from what stands, and adds nothing
twice: of one preference there is never a second.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import timedelta

from bot.domain import (
    OPEN_EVALUATIONS,
    AnswerState,
    BlindVote,
    Evaluation,
    EvaluationAnswer,
    EvaluationState,
    VoteState,
)
from bot.evaluation.questions import answered_pages
from bot.ports.store import Clock, Records, Store
from bot.votes import notices, tally
from bot.votes.preferences import keep_preference


class VoteRunner:
    """Keeps nothing between two polls; whoever ends a vote sets `wake`."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self.wake = asyncio.Event()
        self._store = store
        self._clock = clock

    async def poll(self) -> bool:
        """Every step that is due; whether there was any."""
        is_changed = False
        while True:
            async with self._store.reading() as records:
                found = await records.blind_votes.list_open()
            if not any([await self._step(vote) for vote in found]):
                return is_changed
            is_changed = True

    async def _step(self, vote: BlindVote) -> bool:
        if vote.state is VoteState.WAITING:
            return await self._open(vote)
        if vote.state is VoteState.CLOSING:
            return await self._close(vote)
        if vote.ends_at is None or vote.ends_at > self._clock.now():
            return False
        async with self._store.writing() as records:
            return await records.blind_votes.change(
                vote.workspace,
                vote.evaluation,
                when=(VoteState.OPEN,),
                state=VoteState.CLOSING,
            )

    async def _open(self, vote: BlindVote) -> bool:
        """A card for each question that both answered, and not in the same words."""
        async with self._store.reading() as records:
            evaluation = await records.evaluations.get(vote.workspace, vote.evaluation)
        if evaluation.state in OPEN_EVALUATIONS:
            return False
        is_whole = evaluation.state is EvaluationState.DONE
        numbers = await self._differing(evaluation) if is_whole else []
        now = self._clock.now()
        async with self._store.writing() as records:
            if not await records.blind_votes.change(
                vote.workspace,
                vote.evaluation,
                when=(VoteState.WAITING,),
                state=VoteState.OPEN if numbers else VoteState.CLOSED,
                cards=len(numbers),
                ends_at=now + timedelta(hours=vote.hours),
            ):
                return False
            if numbers:
                await records.outbox.announce(
                    await notices.opening_notices(records, evaluation, numbers), at=now
                )
            elif is_whole:
                await notices.queue_ended_notice(records, evaluation, [], at=now)
        return True

    async def _differing(self, evaluation: Evaluation) -> list[int]:
        found: list[int] = []
        async for asked, answers in answered_pages(self._store, evaluation):
            by_number: dict[int, list[EvaluationAnswer]] = {}
            for answer in answers:
                if answer.state is AnswerState.DONE and answer.text.strip():
                    by_number.setdefault(answer.number, []).append(answer)
            found += [
                one.number
                for one in asked
                if len({a.text.strip() for a in by_number.get(one.number, ())}) == 2
            ]
        return found

    async def _close(self, vote: BlindVote) -> bool:
        """First the preferences, one in a transaction, then the result with all that is told."""
        async with self._store.reading() as records:
            evaluation = await records.evaluations.get(vote.workspace, vote.evaluation)
            ballots = await records.blind_votes.ballots(vote.workspace, vote.evaluation)
        now = self._clock.now()
        numbers = await self._differing(evaluation)
        kept = {True: 0, False: 0}
        for number in tally.tallies(ballots):
            on_it = [ballot for ballot in ballots if ballot.number == number]
            async with self._store.writing() as records:
                is_approved = await keep_preference(records, evaluation, number, on_it, at=now)
            if is_approved is not None:
                kept[is_approved] += 1
        async with self._store.writing() as records:
            if not await self._end(vote, records, kept):
                return False
            await notices.queue_ended_notice(records, evaluation, numbers, at=now)
        return True

    async def _end(self, vote: BlindVote, records: Records, kept: dict[bool, int]) -> bool:
        ballots = await records.blind_votes.ballots(vote.workspace, vote.evaluation)
        result = asdict(tally.result_of(ballots))
        return await records.blind_votes.change(
            vote.workspace,
            vote.evaluation,
            when=(VoteState.CLOSING,),
            state=VoteState.CLOSED,
            result={**result, "kept": kept[True], "waiting": kept[False]},
        )
