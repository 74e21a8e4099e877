"""Asks the questions of every open evaluation, each host for itself, until all are answered.

An answer is written down as asked before its host is called and with its text after. What was
being asked when the process died is lost: it is never asked a second time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Container, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from bot.domain import Assistant, Evaluation, EvaluationId, EvaluationState, HostName, Row
from bot.errors import AttuneError, NotFound, OverCap, serialize
from bot.evaluation import completion, notices, questions
from bot.evaluation.calls import AskedQuestion, Call, GapCall, QuestionCall
from bot.evaluation.concurrent_calls import error_of, may_ask_again, run_calls
from bot.paid_run_actions import queue_run_notice
from bot.ports.dependencies import TokenReservations
from bot.ports.metered_calls import Answer, read_answer, require_whole
from bot.ports.provider import Hosts
from bot.ports.store import Clock, Records, Store
from bot.prompts import PromptMessage, Shot, nearest_shots, shot_pool
from bot.rows import tokens_of
from bot.words import Words

log = logging.getLogger(__name__)

LONGEST_ANSWER = 300.0
"""Seconds after which an answer that is still being written counts as failed."""
GIVE_UP = timedelta(hours=1)
"""A host that could not be asked anything for so long ends the evaluation."""
_TELL_SECONDS = 2.0
_LONGEST_WAIT = 300.0
_EXPECTED_TOKENS = 1000
_TO_ASK = (EvaluationState.RUNNING,)


@dataclass(slots=True)
class _Pause:
    """Why and until when a host is not asked for an evaluation."""

    until: datetime
    since: datetime
    times: int = 1


@dataclass(slots=True)
class _Progress:
    """What is known of an open evaluation in this life of the process.

    `asking` counts the calls of now; `recovered` are the hosts at which what an earlier life was
    asking is lost, `tries` how often a host broke off over one question, `shots` the examples that
    may go along, once they were read.
    """

    asking: int = 0
    told_at: datetime | None = None
    shots: Sequence[Shot] | None = None
    recovered: set[HostName] = field(default_factory=set)
    pauses: dict[HostName, _Pause] = field(default_factory=dict)
    tries: Counter[object] = field(default_factory=Counter)


class EvaluationRunner:
    """Asks what open evaluations are to ask; `_known` is lost with the process."""

    def __init__(
        self,
        *,
        store: Store,
        hosts: Hosts,
        clock: Clock,
        tokens: TokenReservations,
    ) -> None:
        self._store = store
        self._hosts = hosts
        self._clock = clock
        self._tokens = tokens
        self.wakes = defaultdict[HostName | None, asyncio.Event](asyncio.Event)
        """Set to have a host looked at now; None is for hosts that are configured no more."""
        self._known = defaultdict[EvaluationId, _Progress](_Progress)

    async def poll(self) -> float | None:
        """At every host, one after the other; for tests and scripts."""
        waits = [await self.poll_host(host) for host in (*self._hosts.names(), None)]
        return min((wait for wait in waits if wait is not None), default=None)

    async def poll_host(self, host: HostName | None) -> float | None:
        """Ask until nothing is left to ask there; seconds until the next try, None if never.

        None stands for hosts that are configured no more.
        """

        async def claim(room: int) -> tuple[Sequence[Call], Container[int]]:
            await self._end_finished()
            running = await self._running(host)
            calls = await self._claim(host, running, room)
            return calls, {one.id for one in running}

        await run_calls(
            claim,
            self._ask,
            of=lambda call: call.evaluation.id,
            wake=self.wakes[host],
            ended=self._settle,
        )
        await self._end_finished()
        return self._wait_at(host)

    def _settle(self, call: Call) -> None:
        self._known[call.evaluation.id].asking -= 1

    async def _running(self, host: HostName | None) -> Sequence[Evaluation]:
        """Those that are asking; the loop of the first host gives each its questions first."""
        async with self._store.reading() as records:
            found = await records.evaluations.list_open()
        new = [one for one in found if one.state is EvaluationState.CONFIRMED]
        if new and host == self._hosts.names()[0]:
            for one in new:
                with contextlib.suppress(NotFound):
                    await self._prepare(one)
            for wake in self.wakes.values():
                wake.set()
            return await self._running(host)
        return [one for one in found if one.state is EvaluationState.RUNNING]

    async def _prepare(self, evaluation: Evaluation) -> None:
        """Drops priced questions that may not be asked any more and sets the state to running."""
        own, now = (evaluation.workspace, evaluation.id), self._clock.now()
        async with self._store.reading() as records:
            asked = await questions.still_askable(records, evaluation)
        async with self._store.writing() as records:
            if len(asked) < evaluation.questions:
                await records.evaluations.put_questions(*own, asked)
            await records.evaluation_gaps.refresh_waiting(*own)
            await records.evaluations.change(
                *own,
                when=(EvaluationState.CONFIRMED,),
                state=EvaluationState.RUNNING,
                questions=len(asked),
            )
            await queue_run_notice(records, evaluation, notices.STATUS, at=now)

    async def _claim(
        self, host: HostName | None, running: Sequence[Evaluation], room: int
    ) -> Sequence[Call]:
        """The next questions, written down as asked; every evaluation gets its share."""
        calls: list[Call] = []
        share = max(1, room // max(1, len(running)))
        for evaluation in running:
            here = [
                index
                for index, one in enumerate(evaluation.contenders)
                if self._is_at(one.host, host)
            ]
            if here and (min(share, room - len(calls))) > 0:
                await self._recover(evaluation, host, here)
                most = min(share, room - len(calls))
                calls += await self._claim_of(evaluation, host, here, most)
        return calls

    def _is_at(self, wanted: HostName, host: HostName | None) -> bool:
        return wanted == host or (host is None and wanted not in self._hosts.names())

    async def _recover(
        self, evaluation: Evaluation, host: HostName | None, contenders: Sequence[int]
    ) -> None:
        """What an earlier life of the process was asking there is lost."""
        recovered, place = self._known[evaluation.id].recovered, host or HostName("")
        if place not in recovered:
            recovered.add(place)
            own = evaluation.workspace, evaluation.id
            async with self._store.writing() as records:
                await records.evaluations.mark_outcome_unknown(*own, contenders)
                if 0 in contenders:
                    await records.evaluation_gaps.mark_outcome_unknown(*own)

    async def _claim_of(
        self,
        evaluation: Evaluation,
        host: HostName | None,
        contenders: Sequence[int],
        most: int,
    ) -> Sequence[Call]:
        progress = self._known[evaluation.id]
        pause = progress.pauses.get(host or HostName(""))
        if pause is not None and pause.until > self._clock.now():
            return ()
        calls: list[Call] = []
        own = evaluation.workspace, evaluation.id
        async with self._store.writing() as records:
            fresh = await records.evaluations.get(*own)
            if fresh.state is not EvaluationState.RUNNING:
                return ()
            for index in contenders:
                if (left := most - len(calls)) <= 0:
                    break
                found = await records.evaluations.pending_questions(*own, index, limit=left)
                numbers = [one.number for one in found]
                await records.evaluations.mark_asked(*own, index, numbers)
                calls += [QuestionCall(evaluation, index, one) for one in found]
            if 0 in contenders and most > len(calls):
                waiting = await records.evaluation_gaps.claim(*own, limit=most - len(calls))
                calls += [GapCall(evaluation, one) for one in waiting]
        progress.asking += len(calls)
        return calls

    async def _ask(self, call: Call) -> None:
        """Asks and stores the outcome; a call that may be made again waits."""
        answer, evaluation = Answer(), call.evaluation
        error = await error_of(self._ask_once(call, answer), run=evaluation.id)
        if error is None:
            return
        if may_ask_again(error, self._known[evaluation.id].tries, call.key):
            await self._put_off(call, error)
        else:
            await self._keep(call, partial(call.fail, answer=answer, trouble=error))

    async def _ask_once(self, call: Call, answer: Answer) -> None:
        asked = await self._try_to_ask(call, answer)
        await self._keep(call, partial(call.keep, answer=answer, asked=asked))

    async def _try_to_ask(self, call: Call, answer: Answer) -> AskedQuestion:
        """What was asked, once its whole answer is there."""
        evaluation = call.evaluation
        async with self._store.reading() as records:
            workspace = await records.workspaces.find(evaluation.workspace)
            assistant = await records.assistants.get(evaluation.workspace, evaluation.assistant)
            asked = await call.read(records)
        messages = await self._messages(call, asked.row, assistant)
        if workspace is None or not messages:
            raise NotFound(noun="question", name=evaluation.id)
        expected = tokens_of(messages) + (assistant.sampling.max_tokens or _EXPECTED_TOKENS)
        today = self._clock.now().date()
        async with self._tokens.reserve(
            workspace, evaluation.asked_by, today, expected=expected, words=Words("en")
        ) as meter:
            host = self._hosts.paid(call.called_contender.host, workspace)
            deltas = meter.chat(
                host, call.called_contender.address, messages, assistant.sampling, is_sent_once=True
            )
            await read_answer(deltas, answer, host=host.name, seconds=LONGEST_ANSWER)
        require_whole(answer, host=host.name)
        answer.usage = meter.usage
        return asked

    async def _messages(self, call: Call, row: Row, assistant: Assistant) -> list[PromptMessage]:
        """The question as it would be asked, with as many examples before it as its kind has."""
        found = questions.prompt_and_reference(row, assistant.instructions)
        messages = list(found[0]) if found else []
        if not messages or call.called_contender.shots == 0:
            return messages
        progress = self._known[call.evaluation.id]
        if progress.shots is None:
            place = call.evaluation.place
            async with self._store.reading() as records:
                progress.shots = await shot_pool(records, place, assistant, is_asked=False)
        shots = nearest_shots(
            progress.shots, messages[-1]["content"], count=call.called_contender.shots
        )
        lead = 1 if messages[0]["role"] in ("system", "developer") else 0
        return [*messages[:lead], *shots, *messages[lead:]]

    async def _keep(self, call: Call, write: Callable[[Records], Awaitable[None]]) -> None:
        """Write the outcome, and with it what has changed for people."""
        evaluation, now = call.evaluation, self._clock.now()
        is_over_it = (
            self._known[evaluation.id].pauses.pop(call.called_contender.host, None) is not None
        )
        async with self._store.writing() as records:
            await write(records)
            if is_over_it:
                await records.evaluations.change(
                    evaluation.workspace, evaluation.id, when=_TO_ASK, error={}
                )
            if self._is_news(evaluation, now) or is_over_it:
                await queue_run_notice(records, evaluation, notices.STATUS, at=now)

    def _is_news(self, evaluation: Evaluation, now: datetime) -> bool:
        """The live message is changed every two seconds at most."""
        progress = self._known[evaluation.id]
        told = progress.told_at
        if told is not None and (now - told).total_seconds() < _TELL_SECONDS:
            return False
        progress.told_at = now
        return True

    async def _put_off(self, call: Call, error: AttuneError) -> None:
        """Strike the intention out; a host that cannot be asked for an hour ends the evaluation."""
        evaluation, now = call.evaluation, self._clock.now()
        pauses = self._known[evaluation.id].pauses
        before = pauses.get(call.called_contender.host)
        pause = _Pause(now, before.since, before.times + 1) if before else _Pause(now, now)
        wait = min(_LONGEST_WAIT, 2.0 ** min(pause.times, 10))
        is_capped = isinstance(error, OverCap)
        tomorrow = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0)
        pause.until = tomorrow if is_capped else now + timedelta(seconds=wait)
        pauses[call.called_contender.host] = pause
        log.warning("An evaluation has to wait", extra={"id": evaluation.id, "why": error.key})
        changes: dict[str, object] = {"error": serialize(error)}
        if not is_capped and now - pause.since > GIVE_UP:
            changes["state"] = EvaluationState.STOPPING
            changes["error"] = {**serialize(error), completion.FINAL: True}
        async with self._store.writing() as records:
            await call.withdraw(records)
            await records.evaluations.change(
                evaluation.workspace, evaluation.id, when=_TO_ASK, **changes
            )
            await queue_run_notice(records, evaluation, notices.STATUS, at=now)

    async def _end_finished(self) -> None:
        """Those of which nothing is being asked and nothing is left to ask come to their end."""
        async with self._store.reading() as records:
            found = await records.evaluations.list_open()
            due = [
                one
                for one in found
                if not self._known[one.id].asking
                and await completion.is_ready_to_finish(one, records)
            ]
        for one in due:
            await completion.finish_evaluation(
                one, store=self._store, hosts=self._hosts, at=self._clock.now()
            )
            self._known.pop(one.id, None)

    def _wait_at(self, host: HostName | None) -> float | None:
        """Seconds until the first pause at a host is over."""
        now, known = self._clock.now(), self._known.values()
        pauses = [one.pauses[host] for one in known if host is not None and host in one.pauses]
        waits = [(pause.until - now).total_seconds() for pause in pauses]
        return max(0.0, min(waits)) if waits else None
