"""Makes the calls of every open run of a kind until all have an outcome; each host for itself.

A call is written down as asked before its host hears of it. What was being asked when the process
died is lost: no call is made a second time, unless its host has surely done nothing.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from bot.batches import batched
from bot.domain import (
    UNFINISHED_CALLS,
    CallState,
    EvaluationState,
    HostName,
    JudgedPair,
    Judging,
    Sampling,
    SyntheticCall,
    SyntheticRun,
)
from bot.errors import (
    AttuneError,
    HostBusy,
    HostError,
    HostServerError,
    HostTimeout,
    HostUnreachable,
    NotFound,
    OverCap,
)
from bot.evaluation.concurrent_calls import run_calls
from bot.ports.dependencies import TokenReservations
from bot.ports.paid_runs import PaidRuns
from bot.ports.provider import Hosts, Usage
from bot.ports.store import Clock, Records, Store
from bot.prompts import PromptMessage
from bot.rows import text_tokens, tokens_of
from bot.words import Words

log = logging.getLogger(__name__)

LONGEST_ANSWER = 120.0
_PART = 250
_WAIT = timedelta(seconds=30)
_LONGEST_WAIT = timedelta(minutes=10)
_GIVE_UP = timedelta(hours=1)
_MOST_TRIES = 3
_TELL_SECONDS = 2.0
_TO_PREPARE = (EvaluationState.CONFIRMED,)
_ENDING = (EvaluationState.RUNNING, EvaluationState.STOPPING)

R = TypeVar("R", Judging, SyntheticRun)
C = TypeVar("C", JudgedPair, SyntheticCall)


@dataclass(slots=True)
class _Pause:
    """Until when a run asks nothing, and since when nothing could be asked."""

    until: datetime
    since: datetime


class PaidRunner(ABC, Generic[R, C]):
    """Keeps nothing but pauses, tries, and what it last told of each run."""

    def __init__(
        self, *, store: Store, hosts: Hosts, clock: Clock, tokens: TokenReservations
    ) -> None:
        self._store = store
        self._hosts = hosts
        self._clock = clock
        self._tokens = tokens
        self._seen: set[int] = set()
        self._pauses: dict[int, _Pause] = {}
        self._tries: Counter[tuple[int, C]] = Counter()
        self._told: dict[int, datetime] = {}
        self._troubles: dict[int, AttuneError] = {}
        self._given_up: set[int] = set()

    @abstractmethod
    def _runs(self, records: Records) -> PaidRuns[R, C]: ...

    @abstractmethod
    async def _calls(self, run: R) -> Sequence[C]:
        """What is to be asked, waiting."""

    @abstractmethod
    async def _messages(self, run: R, call: C) -> list[PromptMessage] | None:
        """What is sent; None where it may not be asked any more."""

    @abstractmethod
    def _sampling(self, run: R) -> Sampling:
        """With `max_tokens`, which are reserved for each call."""

    @abstractmethod
    async def _outcome(self, records: Records, run: R, call: C, text: str) -> C:
        """What came of a call that was answered, to be written down in the same transaction."""

    @abstractmethod
    async def _report(self, run: R, records: Records) -> Mapping[str, object]: ...

    @abstractmethod
    async def _tell(
        self, records: Records, run: R, *, at: datetime, trouble: AttuneError | None
    ) -> None:
        """Change the message that says how far the run is."""

    async def poll(self) -> float | None:
        """Every host at once; seconds until the next try, None if never."""
        hosts = {one.host for one in await self._open()}
        waits = await asyncio.gather(*(self.poll_host(host) for host in hosts))
        return min((wait for wait in waits if wait is not None), default=None)

    async def poll_host(self, host: HostName) -> float | None:
        """Ask this host until nothing is left to ask there."""

        async def claim(room: int) -> tuple[Sequence[tuple[R, C]], Container[int]]:
            running = await self._running(host)
            return await self._claim(running, room), {one.id for one in running}

        await run_calls(claim, self._ask, of=lambda call: call[0].id)
        for run in await self._open(host):
            await self._end(run)
        now = self._clock.now()
        waits = [(one.until - now).total_seconds() for one in self._pauses.values()]
        return max(0.0, min(waits)) if waits else None

    async def _open(self, host: HostName | None = None) -> Sequence[R]:
        async with self._store.reading() as records:
            found = await self._runs(records).open()
        return [one for one in found if host in (None, one.host)]

    async def _running(self, host: HostName) -> Sequence[R]:
        for run in await self._open(host):
            if run.state is EvaluationState.CONFIRMED:
                await self._prepare(run)
        return [one for one in await self._open(host) if one.state is EvaluationState.RUNNING]

    async def _prepare(self, run: R) -> None:
        """Write down what is to be asked, in parts; the last step makes it run."""
        calls = await self._calls(run)
        for part in batched(calls, _PART):
            async with self._store.writing() as records:
                await self._runs(records).add_calls(run.workspace, run.id, part)
        async with self._store.writing() as records:
            await self._runs(records).change(
                run.workspace, run.id, when=_TO_PREPARE, state=EvaluationState.RUNNING
            )

    async def _claim(self, running: Sequence[R], room: int) -> list[tuple[R, C]]:
        calls: list[tuple[R, C]] = []
        for run in running:
            pause = self._pauses.get(run.id)
            if room <= len(calls) or (pause and pause.until > self._clock.now()):
                continue
            async with self._store.writing() as records:
                runs = self._runs(records)
                if run.id not in self._seen:
                    await runs.mark_outcome_unknown(run.workspace, run.id)
                    self._seen.add(run.id)
                found = await runs.claim(run.workspace, run.id, limit=room - len(calls))
            calls += [(run, call) for call in found]
        return calls

    async def _ask(self, claimed: tuple[R, C]) -> None:
        """Ask, and keep the outcome; what was surely not asked waits again."""
        run, call = claimed
        try:
            text = await self._said(run, call)
        except (OverCap, HostBusy, HostUnreachable) as error:
            await self._put_off(run, call, error)
        except (HostServerError, HostTimeout) as error:
            if self._is_last_try(run, call):
                await self._fail(run, call, error)
            else:
                await self._put_off(run, call, error)
        except (HostError, NotFound) as error:
            await self._fail(run, call, error)
        except Exception:
            log.exception("A call could not be made", extra={"id": run.id})
            await self._fail(run, call, AttuneError())
        else:
            self._pauses.pop(run.id, None)
            await self._settle(run, call, CallState.DONE, text)

    def _is_last_try(self, run: R, call: C) -> bool:
        """Counts how often a host broke off or kept silent over one call."""
        self._tries[run.id, call] += 1
        return self._tries[run.id, call] >= _MOST_TRIES

    async def _fail(self, run: R, call: C, error: AttuneError) -> None:
        log.warning("A paid call came to nothing", extra={"why": error.key})
        self._troubles[run.id] = error
        await self._settle(run, call, CallState.FAILED)

    async def _said(self, run: R, call: C) -> str:
        messages = await self._messages(run, call)
        async with self._store.reading() as records:
            workspace = await records.workspaces.find(run.workspace)
        if workspace is None or messages is None:
            raise NotFound(noun="question", name=run.id)
        sampling, asked = self._sampling(run), tokens_of(messages)
        expected, today = asked + (sampling.max_tokens or 0), self._clock.now().date()
        async with self._tokens.reserve(
            workspace, run.asked_by, today, expected=expected, words=Words("en")
        ):
            host = self._hosts.paid(run.host, workspace)
            usage, text = None, ""
            stream = host.chat(run.model, messages, sampling, is_sent_once=True)
            try:
                async with asyncio.timeout(LONGEST_ANSWER), aclosing(stream) as deltas:
                    async for delta in deltas:
                        text += delta.text
                        usage = delta.usage or usage
            except TimeoutError:
                raise HostTimeout(host=run.host) from None
            finally:
                if text or usage:
                    await self._spend(run, usage or Usage(asked, text_tokens(text)))
        return text

    async def _spend(self, run: R, usage: Usage) -> None:
        """Also what a host broke off, and what was stopped."""
        tokens, today = usage.total, self._clock.now().date()
        async with self._store.writing() as records:
            await records.daily_tokens.add(run.workspace, run.asked_by, today, tokens)

    async def _settle(self, run: R, call: C, state: CallState, text: str = "") -> None:
        async with self._store.writing() as records:
            outcome = replace(call, state=state)
            if state is CallState.DONE:
                outcome = await self._outcome(records, run, outcome, text)
            await self._runs(records).record_outcome(run.workspace, run.id, outcome)
            if self._is_news(run):
                pause, trouble = self._pauses.get(run.id), self._troubles.get(run.id)
                why = trouble if pause else None
                await self._tell(records, run, at=self._clock.now(), trouble=why)

    def _is_news(self, run: R) -> bool:
        """The message is changed every two seconds at most."""
        now, told = self._clock.now(), self._told.get(run.id)
        if told is not None and (now - told).total_seconds() < _TELL_SECONDS:
            return False
        self._told[run.id] = now
        return True

    async def _put_off(self, run: R, call: C, error: AttuneError) -> None:
        """A host that cannot be asked for an hour ends the run with what there is."""
        now = self._clock.now()
        pause = self._pauses.setdefault(run.id, _Pause(now, now))
        pause.until = now + min(max(_WAIT, (now - pause.since) / 2), _LONGEST_WAIT)
        self._troubles[run.id] = error
        log.warning("A paid call has to wait", extra={"id": run.id, "why": error.key})
        await self._settle(run, call, CallState.WAITING)
        if now - pause.since > _GIVE_UP:
            self._given_up.add(run.id)
            async with self._store.writing() as records:
                await self._runs(records).change(
                    run.workspace,
                    run.id,
                    when=(EvaluationState.RUNNING,),
                    state=EvaluationState.STOPPING,
                )

    async def _end(self, run: R) -> None:
        """Once only, when every call has an outcome or it is to stop; nothing is being asked."""
        own = (run.workspace, run.id)
        is_stopping = run.state is EvaluationState.STOPPING
        async with self._store.reading() as records:
            counts = await self._runs(records).counts(*own)
            is_waiting = any(counts.get(state) for state in UNFINISHED_CALLS)
            if run.state is EvaluationState.CONFIRMED or (is_waiting and not is_stopping):
                return
            report = await self._report(run, records)
        state = EvaluationState.STOPPED if is_stopping else EvaluationState.DONE
        state = EvaluationState.FAILED if run.id in self._given_up else state
        trouble, now = self._troubles.get(run.id), self._clock.now()
        async with self._store.writing() as records:
            if await self._runs(records).change(
                *own, when=_ENDING, state=state, report=report, finished_at=now
            ):
                await self._runs(records).mark_outcome_unknown(*own)
                await self._tell(records, run, at=now, trouble=trouble)
        self._forget(run.id)

    def _forget(self, run: int) -> None:
        for kept in (self._pauses, self._told, self._troubles):
            kept.pop(run, None)
        self._given_up.discard(run)
        self._tries = Counter({key: n for key, n in self._tries.items() if key[0] != run})
