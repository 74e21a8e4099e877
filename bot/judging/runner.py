"""Asks judges for every open judging until all pairs have an outcome; each host for itself.

A pair is written down as asked before its host is called. What was being asked when the process
died is lost: no pair is asked a second time, unless its host has surely done nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.batches import batched
from bot.domain import (
    Evaluation,
    EvaluationState,
    HostName,
    JudgedPair,
    Judging,
    PairState,
    Preferred,
    Sampling,
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
from bot.judging import command, verdicts
from bot.judging.prompt import messages_for
from bot.ports.dependencies import TokenReservations
from bot.ports.provider import Hosts, Usage
from bot.ports.store import Clock, Store
from bot.prompts import PromptMessage
from bot.rows import text_tokens, tokens_of
from bot.votes.tally import tallies
from bot.words import Words

log = logging.getLogger(__name__)

LONGEST_ANSWER = 120.0
_PART = 250
_WAIT = timedelta(seconds=30)
_LONGEST_WAIT = timedelta(minutes=10)
_GIVE_UP = timedelta(hours=1)
_MOST_TOKENS = 16
_MOST_TRIES = 3
_TELL_SECONDS = 2.0
_TO_PREPARE = (EvaluationState.CONFIRMED,)
_ENDING = (EvaluationState.RUNNING, EvaluationState.STOPPING)

_Call = tuple[Judging, JudgedPair]


@dataclass(slots=True)
class _Pause:
    """Until when a judging asks nothing, and since when nothing could be asked."""

    until: datetime
    since: datetime


class JudgeRunner:
    """Keeps nothing but pauses, tries, and what it last told of each judging."""

    def __init__(
        self, *, store: Store, hosts: Hosts, clock: Clock, tokens: TokenReservations
    ) -> None:
        self._store = store
        self._hosts = hosts
        self._clock = clock
        self._tokens = tokens
        self._seen: set[int] = set()
        self._pauses: dict[int, _Pause] = {}
        self._tries: Counter[tuple[int, int, bool]] = Counter()
        self._told: dict[int, datetime] = {}
        self._troubles: dict[int, AttuneError] = {}
        self._given_up: set[int] = set()

    async def poll(self) -> float | None:
        """Every host at once; seconds until the next try, None if never."""
        async with self._store.reading() as records:
            hosts = {one.host for one in await records.judgings.open()}
        waits = await asyncio.gather(*(self.poll_host(host) for host in hosts))
        return min((wait for wait in waits if wait is not None), default=None)

    async def poll_host(self, host: HostName) -> float | None:
        """Ask this host until nothing is left to ask there."""

        async def claim(room: int) -> tuple[Sequence[_Call], Container[int]]:
            running = await self._running(host)
            return await self._claim(running, room), {one.id for one in running}

        await run_calls(claim, self._ask, of=lambda call: call[0].id)
        await self._end_finished(host)
        now = self._clock.now()
        waits = [(one.until - now).total_seconds() for one in self._pauses.values()]
        return max(0.0, min(waits)) if waits else None

    async def _running(self, host: HostName) -> Sequence[Judging]:
        async with self._store.reading() as records:
            found = [one for one in await records.judgings.open() if one.host == host]
        for judging in found:
            if judging.state is EvaluationState.CONFIRMED:
                await self._prepare(judging)
        async with self._store.reading() as records:
            found = [one for one in await records.judgings.open() if one.host == host]
        return [one for one in found if one.state is EvaluationState.RUNNING]

    async def _prepare(self, judging: Judging) -> None:
        """Write down what is to be asked, in parts; the last step makes it run."""
        async with self._store.reading() as records:
            evaluation = await records.evaluations.get(judging.workspace, judging.evaluation)
        numbers = await command.judgeable_questions(evaluation, judging, self._store)
        for part in batched(numbers, _PART):
            async with self._store.writing() as records:
                await records.judgings.add_pairs(judging.workspace, judging.id, part)
        async with self._store.writing() as records:
            await records.judgings.change(
                judging.workspace, judging.id, when=_TO_PREPARE, state=EvaluationState.RUNNING
            )

    async def _claim(self, running: Sequence[Judging], room: int) -> list[_Call]:
        calls: list[_Call] = []
        for judging in running:
            pause = self._pauses.get(judging.id)
            if room <= len(calls) or (pause and pause.until > self._clock.now()):
                continue
            async with self._store.writing() as records:
                if judging.id not in self._seen:
                    await records.judgings.mark_outcome_unknown(judging.workspace, judging.id)
                    self._seen.add(judging.id)
                found = await records.judgings.claim(
                    judging.workspace, judging.id, limit=room - len(calls)
                )
            calls += [(judging, pair) for pair in found]
        return calls

    async def _ask(self, call: _Call) -> None:
        """Ask, and keep the outcome; what was surely not asked waits again."""
        judging, pair = call
        try:
            preferred = await self._said(judging, pair)
        except (OverCap, HostBusy, HostUnreachable) as error:
            await self._put_off(judging, pair, error)
        except (HostServerError, HostTimeout) as error:
            if self._is_last_try(judging, pair):
                await self._fail(judging, pair, error)
            else:
                await self._put_off(judging, pair, error)
        except (HostError, NotFound) as error:
            await self._fail(judging, pair, error)
        except Exception:
            log.exception("A pair could not be judged", extra={"id": judging.id})
            await self._fail(judging, pair, AttuneError())
        else:
            self._pauses.pop(judging.id, None)
            await self._settle(judging, pair, PairState.DONE, preferred)

    def _is_last_try(self, judging: Judging, pair: JudgedPair) -> bool:
        """Counts how often a host broke off or kept silent over one pair."""
        shown = judging.id, pair.number, pair.is_swapped
        self._tries[shown] += 1
        return self._tries[shown] >= _MOST_TRIES

    async def _fail(self, judging: Judging, pair: JudgedPair, error: AttuneError) -> None:
        log.warning("A judge gave no verdict", extra={"why": error.key})
        self._troubles[judging.id] = error
        await self._settle(judging, pair, PairState.FAILED)

    async def _said(self, judging: Judging, pair: JudgedPair) -> Preferred | None:
        messages = await self._messages(judging, pair)
        async with self._store.reading() as records:
            workspace = await records.workspaces.find(judging.workspace)
        if workspace is None or messages is None:
            raise NotFound(noun="question", name=pair.number)
        asked = tokens_of(messages)
        today = self._clock.now().date()
        async with self._tokens.reserve(
            workspace, judging.asked_by, today, expected=asked + _MOST_TOKENS, words=Words("en")
        ):
            host = self._hosts.paid(judging.host, workspace)
            usage, text = None, ""
            sampling = Sampling(temperature=0.0, max_tokens=_MOST_TOKENS)
            stream = host.chat(judging.model, messages, sampling, is_sent_once=True)
            try:
                async with asyncio.timeout(LONGEST_ANSWER), aclosing(stream) as deltas:
                    async for delta in deltas:
                        text += delta.text
                        usage = delta.usage or usage
            except TimeoutError:
                raise HostTimeout(host=judging.host) from None
            finally:
                if text or usage:
                    await self._spend(judging, usage or Usage(asked, text_tokens(text)))
        return verdicts.preferred_in(text)

    async def _spend(self, judging: Judging, usage: Usage) -> None:
        """Also what a host broke off, and what was stopped."""
        tokens, today = usage.total, self._clock.now().date()
        async with self._store.writing() as records:
            await records.daily_tokens.add(judging.workspace, judging.asked_by, today, tokens)

    async def _messages(self, judging: Judging, pair: JudgedPair) -> list[PromptMessage] | None:
        own, number = (judging.workspace, judging.evaluation), pair.number
        async with self._store.reading() as records:
            asked = await records.evaluations.questions(*own, after=number - 1, limit=1)
            answers = await records.evaluations.answers(*own, after=number - 1, until=number)
        both = command.two_of(answers, judging.against)
        if both is None or not asked or asked[0].number != number:
            return None
        return messages_for(asked[0], both, judging.criteria, is_swapped=pair.is_swapped)

    async def _settle(
        self,
        judging: Judging,
        pair: JudgedPair,
        state: PairState,
        preferred: Preferred | None = None,
    ) -> None:
        async with self._store.writing() as records:
            await records.judgings.record_outcome(
                judging.workspace, judging.id, pair, state, preferred
            )
            if self._is_news(judging):
                pause, trouble = self._pauses.get(judging.id), self._troubles.get(judging.id)
                why = trouble if pause else None
                await command.tell_status(records, judging, at=self._clock.now(), trouble=why)

    def _is_news(self, judging: Judging) -> bool:
        """The message is changed every two seconds at most."""
        now, told = self._clock.now(), self._told.get(judging.id)
        if told is not None and (now - told).total_seconds() < _TELL_SECONDS:
            return False
        self._told[judging.id] = now
        return True

    async def _put_off(self, judging: Judging, pair: JudgedPair, error: AttuneError) -> None:
        """A judge that cannot be asked for an hour ends the judging with what there is."""
        now = self._clock.now()
        pause = self._pauses.setdefault(judging.id, _Pause(now, now))
        pause.until = now + min(max(_WAIT, (now - pause.since) / 2), _LONGEST_WAIT)
        self._troubles[judging.id] = error
        log.warning("A judge has to wait", extra={"id": judging.id, "why": error.key})
        await self._settle(judging, pair, PairState.WAITING)
        if now - pause.since > _GIVE_UP:
            self._given_up.add(judging.id)
            async with self._store.writing() as records:
                await records.judgings.change(
                    judging.workspace,
                    judging.id,
                    when=(EvaluationState.RUNNING,),
                    state=EvaluationState.STOPPING,
                )

    async def _end_finished(self, host: HostName) -> None:
        async with self._store.reading() as records:
            found = [one for one in await records.judgings.open() if one.host == host]
        for judging in found:
            await self._end(judging)

    async def _end(self, judging: Judging) -> None:
        """Once only, when every pair has an outcome or it is to stop; nothing is being asked."""
        own = (judging.workspace, judging.id)
        async with self._store.reading() as records:
            pairs = await records.judgings.pairs(*own)
            evaluation = await records.evaluations.get(judging.workspace, judging.evaluation)
        is_stopping = judging.state is EvaluationState.STOPPING
        is_waiting = any(one.state in (PairState.WAITING, PairState.ASKED) for one in pairs)
        if judging.state is EvaluationState.CONFIRMED or (is_waiting and not is_stopping):
            return
        votes = await self._votes(evaluation)
        made = verdicts.report_of(pairs, votes)
        state = EvaluationState.STOPPED if is_stopping else EvaluationState.DONE
        state = EvaluationState.FAILED if judging.id in self._given_up else state
        trouble, now = self._troubles.get(judging.id), self._clock.now()
        async with self._store.writing() as records:
            if await records.judgings.change(
                *own, when=_ENDING, state=state, report=verdicts.dump(made), finished_at=now
            ):
                await records.judgings.mark_outcome_unknown(*own)
                await command.tell_status(records, judging, at=now, trouble=trouble)
        self._forget(judging.id)

    def _forget(self, judging: int) -> None:
        for kept in (self._pauses, self._told, self._troubles):
            kept.pop(judging, None)
        self._given_up.discard(judging)
        self._tries = Counter({key: n for key, n in self._tries.items() if key[0] != judging})

    async def _votes(self, evaluation: Evaluation) -> Mapping[int, str]:
        """What people chose of the same answers in a blind vote, by question."""
        if not evaluation.is_vote:
            return {}
        async with self._store.reading() as records:
            ballots = await records.blind_votes.ballots(evaluation.workspace, evaluation.id)
        sides = {0: verdicts.FIRST, 1: verdicts.SECOND, None: verdicts.EVEN}
        return {number: sides[tally.winner] for number, tally in tallies(ballots).items()}
