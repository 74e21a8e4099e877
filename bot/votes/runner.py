"""Opens blind votes once their answers are stored, and closes them at their end.

Each step is one transaction. After a crash a step is repeated; it stores no preference twice.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import timedelta

from bot.domain import (
    OPEN_EVALUATION_STATES,
    AnswerState,
    BlindVote,
    Evaluation,
    EvaluationAnswer,
    EvaluationState,
    VoteState,
)
from bot.evaluation.planning import answered_pages
from bot.ports.store import Clock, Records, Store
from bot.votes import notices, tally
from bot.votes.preferences import store_preference


class VoteRunner:
    """Polls the open votes, without state in memory; set `wake` after a vote was ended."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self.wake = asyncio.Event()
        self._store = store
        self._clock = clock

    async def poll(self) -> bool:
        """Runs every step that is due; returns whether anything was changed."""
        is_changed = False
        while True:
            async with self._store.reading() as records:
                votes = await records.blind_votes.list_open()
            if not any([await self._step(vote) for vote in votes]):
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
            return await records.blind_votes.update_if(
                vote.workspace,
                vote.evaluation,
                when=(VoteState.OPEN,),
                state=VoteState.CLOSING,
            )

    async def _open(self, vote: BlindVote) -> bool:
        """Posts a card for each question with two different answers, once all are answered."""
        async with self._store.reading() as records:
            evaluation = await records.evaluations.get(vote.workspace, vote.evaluation)
        if evaluation.state in OPEN_EVALUATION_STATES:
            return False
        is_whole = evaluation.state is EvaluationState.DONE
        numbers = await self._numbers_to_vote_on(evaluation) if is_whole else []
        now = self._clock.now()
        async with self._store.writing() as records:
            if not await records.blind_votes.update_if(
                vote.workspace,
                vote.evaluation,
                when=(VoteState.WAITING,),
                state=VoteState.OPEN if numbers else VoteState.CLOSED,
                cards=len(numbers),
                ends_at=now + timedelta(hours=vote.hours),
            ):
                return False
            if numbers:
                await records.outbox.add_new(
                    await notices.opening_notices(records, evaluation, numbers), at=now
                )
            elif is_whole:
                await notices.queue_ended_notice(records, evaluation, [], at=now)
        return True

    async def _numbers_to_vote_on(self, evaluation: Evaluation) -> list[int]:
        """Returns the numbers of the questions that both models answered differently."""
        numbers: list[int] = []
        async for questions, answers in answered_pages(self._store, evaluation):
            by_number: dict[int, list[EvaluationAnswer]] = {}
            for answer in answers:
                if answer.state is AnswerState.DONE and answer.text.strip():
                    by_number.setdefault(answer.number, []).append(answer)
            numbers += [
                question.number
                for question in questions
                if len({a.text.strip() for a in by_number.get(question.number, ())}) == 2
            ]
        return numbers

    async def _close(self, vote: BlindVote) -> bool:
        """Stores the preferences, each in its transaction, then the result with its notices."""
        async with self._store.reading() as records:
            evaluation = await records.evaluations.get(vote.workspace, vote.evaluation)
            ballots = await records.blind_votes.ballots(vote.workspace, vote.evaluation)
        now = self._clock.now()
        numbers = await self._numbers_to_vote_on(evaluation)
        counts = {True: 0, False: 0}
        for number in tally.tally_questions(ballots):
            question_ballots = [ballot for ballot in ballots if ballot.number == number]
            async with self._store.writing() as records:
                is_approved = await store_preference(
                    records, evaluation, number, question_ballots, at=now
                )
            if is_approved is not None:
                counts[is_approved] += 1
        async with self._store.writing() as records:
            if not await self._store_result(vote, records, counts):
                return False
            await notices.queue_ended_notice(records, evaluation, numbers, at=now)
        return True

    async def _store_result(
        self, vote: BlindVote, records: Records, counts: dict[bool, int]
    ) -> bool:
        ballots = await records.blind_votes.ballots(vote.workspace, vote.evaluation)
        result = asdict(tally.vote_result(ballots))
        return await records.blind_votes.update_if(
            vote.workspace,
            vote.evaluation,
            when=(VoteState.CLOSING,),
            state=VoteState.CLOSED,
            result={**result, "kept": counts[True], "waiting": counts[False]},
        )
