"""Runs the calls of every open evaluation, with a separate loop for each host.

A call is stored as asked before its host is called, and its answer is stored afterwards. A call
that was running when the process ended is lost and never made again.
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
from bot.evaluation import completion, notices, planning
from bot.evaluation.concurrent_calls import await_call_error, may_retry_call, run_calls
from bot.evaluation.question_calls import AskedQuestion, Call, GapCall, QuestionCall
from bot.paid_run_actions import queue_run_notice
from bot.ports.dependencies import TokenReservations
from bot.ports.metered_calls import Answer, read_answer, require_complete
from bot.ports.model_hosts import Hosts
from bot.ports.nearest_examples import NearestExamples
from bot.ports.store import Clock, Records, Store
from bot.prompts import PromptMessage, example_messages
from bot.rows import estimate_message_tokens
from bot.words import Words

log = logging.getLogger(__name__)

MAX_ANSWER_SECONDS = 300.0
"""Seconds after which an answer that is still being written counts as failed."""
GIVE_UP_AFTER = timedelta(hours=1)
"""Time without a successful call of a host after which the evaluation is stopped."""
_STATUS_SECONDS = 2.0
_MAX_WAIT = 300.0
_EXPECTED_TOKENS = 1000
_WHILE_RUNNING = (EvaluationState.RUNNING,)


@dataclass(slots=True)
class _Pause:
    """A pause of a host after errors.

    `until` is its end, `since` the time of the first error, `times` the number of errors.
    """

    until: datetime
    since: datetime
    times: int = 1


@dataclass(slots=True)
class _Progress:
    """The state of an open evaluation in memory.

    `recovered` has the hosts whose calls of an earlier process were marked as lost. `tries` counts
    host errors by call.
    """

    running_calls: int = 0
    status_queued_at: datetime | None = None
    recovered: set[HostName] = field(default_factory=set)
    pauses: dict[HostName, _Pause] = field(default_factory=dict)
    tries: Counter[object] = field(default_factory=Counter)


class EvaluationRunner:
    """Runs the calls of open evaluations."""

    def __init__(
        self,
        *,
        store: Store,
        hosts: Hosts,
        clock: Clock,
        tokens: TokenReservations,
        nearest_examples: NearestExamples,
    ) -> None:
        self._store = store
        self._hosts = hosts
        self._clock = clock
        self._tokens = tokens
        self._nearest_examples = nearest_examples
        self.wakes = defaultdict[HostName | None, asyncio.Event](asyncio.Event)
        """Events that wake the loop of a host; None is for hosts that are no longer configured."""
        self._progress = defaultdict[EvaluationId, _Progress](_Progress)

    async def poll(self) -> float | None:
        """Polls every host in turn, for tests and scripts."""
        waits = [await self.poll_host(host) for host in (*self._hosts.names(), None)]
        return min((wait for wait in waits if wait is not None), default=None)

    async def poll_host(self, host: HostName | None) -> float | None:
        """Runs the calls of a host until none are left.

        Returns the seconds until the next try, or None if no host is paused. The host None stands
        for hosts that are no longer configured.
        """

        async def claim(free_calls: int) -> tuple[Sequence[Call], Container[int]]:
            await self._finish_ready()
            running = await self._running(host)
            calls = await self._claim(host, running, free_calls)
            return calls, {evaluation.id for evaluation in running}

        await run_calls(
            claim,
            self._ask,
            of=lambda call: call.evaluation.id,
            wake=self.wakes[host],
            ended=self._count_ended,
        )
        await self._finish_ready()
        return self._wait_at(host)

    def _count_ended(self, call: Call) -> None:
        self._progress[call.evaluation.id].running_calls -= 1

    async def _running(self, host: HostName | None) -> Sequence[Evaluation]:
        """Returns the running evaluations; the loop of the first host prepares new ones first."""
        async with self._store.reading() as records:
            evaluations = await records.evaluations.list_open()
        new = [
            evaluation
            for evaluation in evaluations
            if evaluation.state is EvaluationState.CONFIRMED
        ]
        if new and host == self._hosts.names()[0]:
            for evaluation in new:
                with contextlib.suppress(NotFound):
                    await self._prepare(evaluation)
            for wake in self.wakes.values():
                wake.set()
            return await self._running(host)
        return [
            evaluation for evaluation in evaluations if evaluation.state is EvaluationState.RUNNING
        ]

    async def _prepare(self, evaluation: Evaluation) -> None:
        """Drops priced questions that may not be asked any more and sets the state to running."""
        own, now = (evaluation.workspace, evaluation.id), self._clock.now()
        async with self._store.reading() as records:
            askable = await planning.questions_still_askable(records, evaluation)
        async with self._store.writing() as records:
            if len(askable) < evaluation.questions:
                await records.evaluations.replace_questions(*own, askable)
            await records.evaluation_gaps.refresh_waiting_questions(*own)
            await records.evaluations.update_if(
                *own,
                when=(EvaluationState.CONFIRMED,),
                state=EvaluationState.RUNNING,
                questions=len(askable),
            )
            await queue_run_notice(records, evaluation, notices.STATUS_NOTICE, at=now)

    async def _claim(
        self, host: HostName | None, running: Sequence[Evaluation], free_calls: int
    ) -> Sequence[Call]:
        """Returns the next calls, stored as asked; divides the free calls among evaluations."""
        calls: list[Call] = []
        share = max(1, free_calls // max(1, len(running)))
        for evaluation in running:
            here = [
                index
                for index, contender in enumerate(evaluation.contenders)
                if self._is_on_host(contender.host, host)
            ]
            if here and (min(share, free_calls - len(calls))) > 0:
                await self._recover(evaluation, host, here)
                most = min(share, free_calls - len(calls))
                calls += await self._claim_calls(evaluation, host, here, most)
        return calls

    def _is_on_host(self, name: HostName, host: HostName | None) -> bool:
        return name == host or (host is None and name not in self._hosts.names())

    async def _recover(
        self, evaluation: Evaluation, host: HostName | None, contenders: Sequence[int]
    ) -> None:
        """Marks the calls of an earlier process at this host as lost, once."""
        recovered, place = self._progress[evaluation.id].recovered, host or HostName("")
        if place not in recovered:
            recovered.add(place)
            own = evaluation.workspace, evaluation.id
            async with self._store.writing() as records:
                await records.evaluations.mark_outcome_unknown(*own, contenders)
                if 0 in contenders:
                    await records.evaluation_gaps.mark_outcome_unknown(*own)

    async def _claim_calls(
        self,
        evaluation: Evaluation,
        host: HostName | None,
        contenders: Sequence[int],
        most: int,
    ) -> Sequence[Call]:
        progress = self._progress[evaluation.id]
        pause = progress.pauses.get(host or HostName(""))
        if pause is not None and pause.until > self._clock.now():
            return ()
        calls: list[QuestionCall] = []
        own = evaluation.workspace, evaluation.id
        async with self._store.writing() as records:
            current = await records.evaluations.get(*own)
            if current.state is not EvaluationState.RUNNING:
                return ()
            # Question by question, so that a stop leaves answers that can be compared.
            pending = [
                QuestionCall(evaluation, index, question)
                for index in contenders
                for question in await records.evaluations.pending_questions(*own, index, limit=most)
            ]
            calls += sorted(pending, key=lambda call: call.key[::-1])[:most]
            for index in contenders:
                numbers = [c.question.number for c in calls if c.contender_index == index]
                await records.evaluations.mark_asked(*own, index, numbers)
            gaps: list[GapCall] = []
            if 0 in contenders and most > len(calls):
                waiting = await records.evaluation_gaps.claim_waiting(*own, limit=most - len(calls))
                gaps = [GapCall(evaluation, gap) for gap in waiting]
        progress.running_calls += len(calls) + len(gaps)
        return [*calls, *gaps]

    async def _ask(self, call: Call) -> None:
        """Asks and stores the outcome; a call that may be made again waits."""
        answer, evaluation = Answer(), call.evaluation
        error = await await_call_error(self._ask_and_store(call, answer), run=evaluation.id)
        if error is None:
            return
        if may_retry_call(error, self._progress[evaluation.id].tries, call.key):
            await self._postpone(call, error)
        else:
            await self._store_outcome(
                call, partial(call.store_failure, answer=answer, trouble=error)
            )

    async def _ask_and_store(self, call: Call, answer: Answer) -> None:
        asked = await self._read_answer(call, answer)
        await self._store_outcome(call, partial(call.store_answer, answer=answer, asked=asked))

    async def _read_answer(self, call: Call, answer: Answer) -> AskedQuestion:
        """Reads the whole answer into `answer` and returns the question."""
        evaluation = call.evaluation
        async with self._store.reading() as records:
            workspace = await records.workspaces.find(evaluation.workspace)
            assistant = await records.assistants.get(evaluation.workspace, evaluation.assistant)
            asked = await call.read_question(records)
        messages = await self._messages(call, asked.row, assistant)
        if workspace is None or not messages:
            raise NotFound(noun="question", name=evaluation.id)
        expected = estimate_message_tokens(messages) + (
            assistant.sampling.max_tokens or _EXPECTED_TOKENS
        )
        today = self._clock.now().date()
        async with self._tokens.reserve(
            workspace, evaluation.asked_by, today, expected=expected, words=Words("en")
        ) as meter:
            host = self._hosts.get_paid(call.called_contender.host, workspace)
            deltas = meter.chat(
                host, call.called_contender.address, messages, assistant.sampling, is_sent_once=True
            )
            await read_answer(deltas, answer, host=host.name, seconds=MAX_ANSWER_SECONDS)
        require_complete(answer, host=host.name)
        answer.usage = meter.usage
        return asked

    async def _messages(self, call: Call, row: Row, assistant: Assistant) -> list[PromptMessage]:
        """Returns the prompt, with the contender's number of few-shot examples before it."""
        pair = planning.prompt_and_reference(row, assistant.instructions)
        messages = list(pair[0]) if pair else []
        if not messages or call.called_contender.shots == 0:
            return messages
        async with self._store.reading() as records:
            nearest = await self._nearest_examples.find(
                records,
                call.evaluation.place,
                assistant,
                messages[-1]["content"],
                count=call.called_contender.shots,
                for_evaluation=True,
            )
        first = 1 if messages[0]["role"] in ("system", "developer") else 0
        return [*messages[:first], *example_messages(nearest), *messages[first:]]

    async def _store_outcome(self, call: Call, write: Callable[[Records], Awaitable[None]]) -> None:
        """Stores the outcome and queues the status notice in the same transaction."""
        evaluation, now = call.evaluation, self._clock.now()
        was_paused = (
            self._progress[evaluation.id].pauses.pop(call.called_contender.host, None) is not None
        )
        async with self._store.writing() as records:
            await write(records)
            if was_paused:
                await records.evaluations.update_if(
                    evaluation.workspace, evaluation.id, when=_WHILE_RUNNING, error={}
                )
            if self._is_status_due(evaluation, now) or was_paused:
                await queue_run_notice(records, evaluation, notices.STATUS_NOTICE, at=now)

    def _is_status_due(self, evaluation: Evaluation, now: datetime) -> bool:
        """Whether the status message may be updated: every `_STATUS_SECONDS` at most."""
        progress = self._progress[evaluation.id]
        last = progress.status_queued_at
        if last is not None and (now - last).total_seconds() < _STATUS_SECONDS:
            return False
        progress.status_queued_at = now
        return True

    async def _postpone(self, call: Call, error: AttuneError) -> None:
        """Withdraws the call and pauses the host.

        Stops the evaluation if the host has failed for longer than `GIVE_UP_AFTER`.
        """
        evaluation, now = call.evaluation, self._clock.now()
        pauses = self._progress[evaluation.id].pauses
        before = pauses.get(call.called_contender.host)
        pause = _Pause(now, before.since, before.times + 1) if before else _Pause(now, now)
        wait = min(_MAX_WAIT, 2.0 ** min(pause.times, 10))
        is_capped = isinstance(error, OverCap)
        tomorrow = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0)
        pause.until = tomorrow if is_capped else now + timedelta(seconds=wait)
        pauses[call.called_contender.host] = pause
        log.warning("An evaluation has to wait", extra={"id": evaluation.id, "why": error.key})
        changes: dict[str, object] = {"error": serialize(error)}
        if not is_capped and now - pause.since > GIVE_UP_AFTER:
            changes["state"] = EvaluationState.STOPPING
            changes["error"] = {**serialize(error), completion.ENDED_EVALUATION_KEY: True}
        async with self._store.writing() as records:
            await call.unmark_as_asked(records)
            await records.evaluations.update_if(
                evaluation.workspace, evaluation.id, when=_WHILE_RUNNING, **changes
            )
            await queue_run_notice(records, evaluation, notices.STATUS_NOTICE, at=now)

    async def _finish_ready(self) -> None:
        """Finishes the evaluations without running or remaining calls."""
        async with self._store.reading() as records:
            evaluations = await records.evaluations.list_open()
            due = [
                evaluation
                for evaluation in evaluations
                if not self._progress[evaluation.id].running_calls
                and await completion.is_ready_to_finish(evaluation, records)
            ]
        for evaluation in due:
            await completion.finish_evaluation(
                evaluation, store=self._store, hosts=self._hosts, at=self._clock.now()
            )
            self._progress.pop(evaluation.id, None)

    def _wait_at(self, host: HostName | None) -> float | None:
        """Returns the seconds until the first pause of a host ends, or None without a pause."""
        now, states = self._clock.now(), self._progress.values()
        pauses = [
            state.pauses[host] for state in states if host is not None and host in state.pauses
        ]
        waits = [(pause.until - now).total_seconds() for pause in pauses]
        return max(0.0, min(waits)) if waits else None
