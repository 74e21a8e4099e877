"""Runner of paid runs: makes the calls of every open run of a kind, concurrently for all hosts.

A call is stored as asked before its request is sent. Calls that were asked when the process died
are marked as lost: a call is repeated only if its host has certainly done nothing.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from bot.domain import (
    UNFINISHED_CALL_STATES,
    CallState,
    EvaluationState,
    HostName,
    JudgedPair,
    Judging,
    Sampling,
    SyntheticCall,
    SyntheticRun,
)
from bot.errors import AttuneError, NotFound
from bot.evaluation.concurrent_calls import await_call_error, may_retry_call, run_calls
from bot.ports.dependencies import TokenReservations
from bot.ports.metered_calls import Answer, read_answer, require_complete
from bot.ports.model_hosts import Hosts
from bot.ports.paid_runs import PaidRuns
from bot.ports.store import Clock, Records, Store
from bot.prompts import PromptMessage
from bot.rows import estimate_message_tokens
from bot.words import Words

log = logging.getLogger(__name__)

MAX_ANSWER_SECONDS = 120.0
_WAIT = timedelta(seconds=30)
_MAX_WAIT = timedelta(minutes=10)
_GIVE_UP = timedelta(hours=1)
_NOTICE_SECONDS = 2.0
_TO_BEGIN = (EvaluationState.CONFIRMED,)
_ENDING = (EvaluationState.RUNNING, EvaluationState.STOPPING)

R = TypeVar("R", Judging, SyntheticRun)
C = TypeVar("C", JudgedPair, SyntheticCall)


@dataclass(slots=True)
class _Progress:
    """State of an open run in this process.

    No call is made before `paused_until`; all have failed since `failing_since`. `trouble` is the
    last error; `tries` counts broken connections by call.
    """

    is_recovered: bool = False
    paused_until: datetime | None = None
    failing_since: datetime | None = None
    notified_at: datetime | None = None
    trouble: AttuneError | None = None
    is_given_up: bool = False
    tries: Counter[object] = field(default_factory=Counter)


class PaidRunner(ABC, Generic[R, C]):
    """Makes the calls of open runs of one kind; only `_Progress` is kept in memory."""

    _needs_whole_answers = True

    def __init__(
        self, *, store: Store, hosts: Hosts, clock: Clock, tokens: TokenReservations
    ) -> None:
        self._store = store
        self._hosts = hosts
        self._clock = clock
        self._tokens = tokens
        self.wakes = defaultdict[HostName, asyncio.Event](asyncio.Event)
        """Event by host; setting it makes the runner claim calls now."""
        self._progress = defaultdict[int, _Progress](_Progress)

    @abstractmethod
    def _runs(self, records: Records) -> PaidRuns[R, C]: ...

    @abstractmethod
    async def _messages(self, run: R, call: C) -> list[PromptMessage] | None:
        """Returns the prompt of a call; None if the call is not allowed any more."""

    @abstractmethod
    def _sampling(self, run: R) -> Sampling:
        """Returns the sampling parameters; `max_tokens` are reserved for each call."""

    @abstractmethod
    async def _outcome(self, records: Records, run: R, call: C, answer: Answer) -> C:
        """Processes an answer in the caller's transaction; returns the call to store."""

    @abstractmethod
    async def _report(self, run: R, records: Records) -> Mapping[str, object]: ...

    @abstractmethod
    async def _tell(
        self, records: Records, run: R, *, at: datetime, trouble: AttuneError | None
    ) -> None:
        """Queues an edit of the run's progress message."""

    async def poll(self) -> float | None:
        """Polls all hosts concurrently; returns seconds until the next retry, None for none."""
        hosts = {run.host for run in await self._open()}
        waits = await asyncio.gather(*(self.poll_host(host) for host in hosts))
        return min((wait for wait in waits if wait is not None), default=None)

    async def poll_host(self, host: HostName) -> float | None:
        """Makes calls at one host until none is left; returns seconds until the next retry."""

        async def claim(room: int) -> tuple[Sequence[tuple[R, C]], Container[int]]:
            running = await self._running(host)
            return await self._claim(running, room), {run.id for run in running}

        wake = self.wakes[host]
        await run_calls(claim, self._ask, of=lambda call: call[0].id, wake=wake)
        for run in await self._open(host):
            await self._end(run)
        now = self._clock.now()
        pauses = [p.paused_until for p in self._progress.values() if p.paused_until]
        return max(0.0, (min(pauses) - now).total_seconds()) if pauses else None

    async def _open(self, host: HostName | None = None) -> Sequence[R]:
        async with self._store.reading() as records:
            runs = await self._runs(records).list_open()
        return [run for run in runs if host in (None, run.host)]

    async def _running(self, host: HostName) -> Sequence[R]:
        """Returns the runs that ask at `host`, after confirmed ones were set to running."""
        for run in await self._open(host):
            if run.state is EvaluationState.CONFIRMED:
                async with self._store.writing() as records:
                    await self._runs(records).update_if(
                        run.workspace, run.id, when=_TO_BEGIN, state=EvaluationState.RUNNING
                    )
        return [run for run in await self._open(host) if run.state is EvaluationState.RUNNING]

    async def _claim(self, running: Sequence[R], room: int) -> list[tuple[R, C]]:
        calls: list[tuple[R, C]] = []
        for run in running:
            progress = self._progress[run.id]
            pause = progress.paused_until
            if room <= len(calls) or (pause and pause > self._clock.now()):
                continue
            async with self._store.writing() as records:
                runs = self._runs(records)
                if not progress.is_recovered:
                    await runs.mark_outcome_unknown(run.workspace, run.id)
                    progress.is_recovered = True
                claimed = await runs.claim_waiting(run.workspace, run.id, limit=room - len(calls))
            calls += [(run, call) for call in claimed]
        return calls

    async def _ask(self, claimed: tuple[R, C]) -> None:
        """Makes a call and stores the outcome; a call that may be made again waits."""
        run, call = claimed
        error = await await_call_error(self._ask_once(run, call), run=run.id)
        if error is None:
            return
        if may_retry_call(error, self._progress[run.id].tries, call):
            await self._retry_later(run, call, error)
            return
        log.warning("A paid call failed", extra={"why": error.key})
        self._progress[run.id].trouble = error
        await self._settle(run, call, CallState.FAILED)

    async def _ask_once(self, run: R, call: C) -> None:
        answer = await self._answer_to(run, call)
        progress = self._progress[run.id]
        progress.paused_until = progress.failing_since = None
        await self._settle(run, call, CallState.DONE, answer)

    async def _answer_to(self, run: R, call: C) -> Answer:
        messages = await self._messages(run, call)
        async with self._store.reading() as records:
            workspace = await records.workspaces.find(run.workspace)
        if workspace is None or messages is None:
            raise NotFound(noun="question", name=run.id)
        sampling, answer = self._sampling(run), Answer()
        expected = estimate_message_tokens(messages) + (sampling.max_tokens or 0)
        today = self._clock.now().date()
        async with self._tokens.reserve(
            workspace, run.asked_by, today, expected=expected, words=Words("en")
        ) as meter:
            host = self._hosts.get_paid(run.host, workspace)
            deltas = meter.chat(host, run.model, messages, sampling, is_sent_once=True)
            await read_answer(deltas, answer, host=host.name, seconds=MAX_ANSWER_SECONDS)
        if self._needs_whole_answers:
            require_complete(answer, host=host.name)
        return answer

    async def _settle(
        self, run: R, call: C, state: CallState, answer: Answer | None = None
    ) -> None:
        async with self._store.writing() as records:
            outcome = replace(call, state=state)
            if answer is not None:
                outcome = await self._outcome(records, run, outcome, answer)
            await self._runs(records).record_outcome(run.workspace, run.id, outcome)
            if self._may_update_notice(run):
                progress = self._progress[run.id]
                why = progress.trouble if progress.paused_until else None
                await self._tell(records, run, at=self._clock.now(), trouble=why)

    def _may_update_notice(self, run: R) -> bool:
        """Whether the last edit of the message was at least two seconds ago."""
        now, progress = self._clock.now(), self._progress[run.id]
        notified_at = progress.notified_at
        if notified_at is not None and (now - notified_at).total_seconds() < _NOTICE_SECONDS:
            return False
        progress.notified_at = now
        return True

    async def _retry_later(self, run: R, call: C, error: AttuneError) -> None:
        """Pauses a run after an error; after an hour of errors the run ends with its results."""
        now, progress = self._clock.now(), self._progress[run.id]
        since = progress.failing_since = progress.failing_since or now
        progress.paused_until = now + min(max(_WAIT, (now - since) / 2), _MAX_WAIT)
        progress.trouble = error
        log.warning("A paid call failed and is retried", extra={"id": run.id, "why": error.key})
        await self._settle(run, call, CallState.WAITING)
        if now - since > _GIVE_UP:
            progress.is_given_up = True
            async with self._store.writing() as records:
                await self._runs(records).update_if(
                    run.workspace,
                    run.id,
                    when=(EvaluationState.RUNNING,),
                    state=EvaluationState.STOPPING,
                )

    async def _end(self, run: R) -> None:
        """Ends a run whose calls all have an outcome, or that is stopping; at most once.

        No call of the run is in progress then.
        """
        own = (run.workspace, run.id)
        is_stopping = run.state is EvaluationState.STOPPING
        async with self._store.reading() as records:
            counts = await self._runs(records).count_by_state(*own)
            is_waiting = any(counts.get(state) for state in UNFINISHED_CALL_STATES)
            if run.state is EvaluationState.CONFIRMED or (is_waiting and not is_stopping):
                return
            report = await self._report(run, records)
        state = EvaluationState.STOPPED if is_stopping else EvaluationState.DONE
        progress, now = self._progress.pop(run.id, _Progress()), self._clock.now()
        state = EvaluationState.FAILED if progress.is_given_up else state
        async with self._store.writing() as records:
            if await self._runs(records).update_if(
                *own, when=_ENDING, state=state, report=report, finished_at=now
            ):
                await self._runs(records).mark_outcome_unknown(*own)
                await self._tell(records, run, at=now, trouble=progress.trouble)
