"""Asks the questions of every open evaluation, each host for itself, until all are answered.

An answer is written down as asked before its host is called and with its text after. What was
being asked when the process died is lost: it is never asked a second time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.domain import (
    AnswerState,
    Assistant,
    Contender,
    Evaluation,
    EvaluationAnswer,
    EvaluationId,
    EvaluationQuestion,
    EvaluationState,
    HostName,
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
    serialize,
)
from bot.evaluation import completion, measures, notices, questions
from bot.evaluation.concurrent_calls import run_calls
from bot.evaluation.report import reference_of
from bot.ports.dependencies import TokenReservations
from bot.ports.metered_calls import Answer, read_answer, require_whole
from bot.ports.provider import Hosts
from bot.ports.store import Clock, Store
from bot.prompts import PromptMessage, Shot, nearest, shot_pool
from bot.rows import tokens_of
from bot.words import Words

log = logging.getLogger(__name__)

LONGEST_ANSWER = 300.0
"""Seconds after which an answer that is still being written counts as failed."""
MOST_TRIES = 3
"""So often a host is asked that answers with a fault of its own, or not in time."""
GIVE_UP = timedelta(hours=1)
"""A host that could not be asked anything for so long ends the evaluation."""
_TELL_SECONDS = 2.0
_LONGEST_WAIT = 300.0
_PART = 500
_EXPECTED_TOKENS = 1000
_TO_ASK = (EvaluationState.RUNNING,)

Place = tuple[EvaluationId, HostName]


@dataclass(frozen=True, slots=True)
class _Call:
    """One question to one contender."""

    evaluation: Evaluation
    contender: int
    question: EvaluationQuestion

    @property
    def of(self) -> Contender:
        return self.evaluation.contenders[self.contender]


@dataclass(slots=True)
class _Pause:
    """Why and until when a host is not asked for an evaluation."""

    until: datetime
    since: datetime
    times: int = 1


class EvaluationRunner:
    """Keeps nothing but pauses and what is being asked right now."""

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
        self._seen: set[Place] = set()
        self._pauses: dict[Place, _Pause] = {}
        self._asking: dict[EvaluationId, int] = {}
        self._told: dict[EvaluationId, datetime] = {}
        self._tries: dict[tuple[EvaluationId, int, int], int] = {}
        self._pools: dict[EvaluationId, Sequence[Shot]] = {}

    async def poll(self) -> float | None:
        """At every host, one after the other; for tests and scripts."""
        waits = [await self.poll_host(host) for host in (*self._hosts.names(), None)]
        return min((wait for wait in waits if wait is not None), default=None)

    async def poll_host(self, host: HostName | None) -> float | None:
        """Ask until nothing is left to ask there; seconds until the next try, None if never.

        None stands for hosts that are configured no more.
        """

        async def claim(room: int) -> tuple[Sequence[_Call], Container[int]]:
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

    def _settle(self, call: _Call) -> None:
        self._asking[call.evaluation.id] -= 1

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
        """Choose and write down its questions, in parts; the last step makes it run."""
        async with self._store.reading() as records:
            assistant = await records.assistants.get(evaluation.workspace, evaluation.assistant)
            found = await questions.plan_evaluation(records, evaluation, assistant, self._hosts)
        for first in range(0, len(found.questions), _PART):
            async with self._store.writing() as records:
                part = found.questions[first : first + _PART]
                await records.evaluations.add_questions(evaluation.workspace, evaluation.id, part)
        async with self._store.writing() as records:
            await records.evaluations.change(
                evaluation.workspace,
                evaluation.id,
                when=(EvaluationState.CONFIRMED,),
                state=EvaluationState.RUNNING,
                contenders=found.contenders,
                questions=len(found.questions),
                tokens=found.tokens,
                price=found.price,
            )
            await notices.tell_status(records, evaluation, at=self._clock.now())

    async def _claim(
        self, host: HostName | None, running: Sequence[Evaluation], room: int
    ) -> Sequence[_Call]:
        """The next questions, written down as asked; every evaluation gets its share."""
        calls: list[_Call] = []
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
        place = (evaluation.id, host or HostName(""))
        if place not in self._seen:
            self._seen.add(place)
            async with self._store.writing() as records:
                await records.evaluations.mark_outcome_unknown(
                    evaluation.workspace, evaluation.id, contenders
                )

    async def _claim_of(
        self,
        evaluation: Evaluation,
        host: HostName | None,
        contenders: Sequence[int],
        most: int,
    ) -> Sequence[_Call]:
        pause = self._pauses.get((evaluation.id, host or HostName("")))
        if pause is not None and pause.until > self._clock.now():
            return ()
        calls: list[_Call] = []
        async with self._store.writing() as records:
            fresh = await records.evaluations.get(evaluation.workspace, evaluation.id)
            if fresh.state is not EvaluationState.RUNNING:
                return ()
            for index in contenders:
                left = most - len(calls)
                if left <= 0:
                    break
                found = await records.evaluations.pending_questions(
                    evaluation.workspace, evaluation.id, index, limit=left
                )
                numbers = [one.number for one in found]
                await records.evaluations.ask(evaluation.workspace, evaluation.id, index, numbers)
                calls += [_Call(evaluation, index, one) for one in found]
        self._asking[evaluation.id] = self._asking.get(evaluation.id, 0) + len(calls)
        return calls

    async def _ask(self, call: _Call) -> None:
        """Ask, and keep the outcome; what was surely not asked may be asked again later."""
        answer = Answer()
        try:
            await self._try_to_ask(call, answer)
        except OverCap as error:
            tomorrow = (self._clock.now() + timedelta(days=1)).replace(hour=0, minute=0, second=0)
            await self._put_off(call, error, until=tomorrow)
        except (HostBusy, HostUnreachable) as error:
            await self._put_off(call, error, until=None)
        except (HostServerError, HostTimeout) as error:
            if self._is_last_try(call):
                await self._keep(call, answer, AnswerState.FAILED, trouble=error)
            else:
                await self._put_off(call, error, until=None)
        except (HostError, NotFound) as error:
            await self._keep(call, answer, AnswerState.FAILED, trouble=error)
        except Exception:
            log.exception("A question could not be asked", extra={"id": call.evaluation.id})
            await self._keep(call, answer, AnswerState.FAILED, trouble=AttuneError())

    def _is_last_try(self, call: _Call) -> bool:
        """Counts how often a host broke off or kept silent over one question."""
        question = call.evaluation.id, call.contender, call.question.number
        self._tries[question] = self._tries.get(question, 0) + 1
        return self._tries[question] >= MOST_TRIES

    async def _try_to_ask(self, call: _Call, answer: Answer) -> None:
        evaluation, reference = call.evaluation, reference_of(call.question)
        async with self._store.reading() as records:
            workspace = await records.workspaces.find(evaluation.workspace)
            assistant = await records.assistants.get(evaluation.workspace, evaluation.assistant)
        if workspace is None or reference is None:
            raise NotFound(noun="example", name=call.question.example)
        messages = await self._messages(call, assistant)
        expected = tokens_of(messages) + (assistant.sampling.max_tokens or _EXPECTED_TOKENS)
        today = self._clock.now().date()
        async with self._tokens.reserve(
            workspace, evaluation.asked_by, today, expected=expected, words=Words("en")
        ) as meter:
            host = self._hosts.paid(call.of.host, workspace)
            deltas = meter.chat(
                host, call.of.address, messages, assistant.sampling, is_sent_once=True
            )
            await read_answer(deltas, answer, host=host.name, seconds=LONGEST_ANSWER)
        require_whole(answer, host=host.name)
        answer.usage = meter.usage
        await self._keep(call, answer, AnswerState.DONE, reference=reference)

    async def _messages(self, call: _Call, assistant: Assistant) -> list[PromptMessage]:
        """The question as it would be asked, with as many examples before it as its kind has."""
        found = questions.exchange(call.question.row, assistant.instructions)
        messages = list(found[0]) if found else []
        if call.of.shots == 0:
            return messages
        evaluation = call.evaluation
        if evaluation.id not in self._pools:
            async with self._store.reading() as records:
                pool = await shot_pool(records, evaluation.place, assistant, is_asked=False)
            self._pools[evaluation.id] = pool
        question = messages[-1]["content"]
        shots = nearest(self._pools[evaluation.id], question, count=call.of.shots)
        lead = 1 if messages[0]["role"] in ("system", "developer") else 0
        return [*messages[:lead], *shots, *messages[lead:]]

    async def _keep(
        self,
        call: _Call,
        answer: Answer,
        state: AnswerState,
        *,
        reference: str = "",
        trouble: AttuneError | None = None,
    ) -> None:
        text, usage, is_done = answer.text, answer.usage, state is AnswerState.DONE
        kept = EvaluationAnswer(
            number=call.question.number,
            contender=call.contender,
            state=state,
            text=text,
            is_refusal=answer.is_refusal,
            prompt_tokens=usage.prompt_tokens if usage else None,
            completion_tokens=usage.completion_tokens if usage else None,
            first_text_seconds=answer.first_text_seconds,
            scores=measures.scores(reference, text, is_refusal=answer.is_refusal)
            if is_done
            else {},
            trouble=serialize(trouble) if trouble else {},
        )
        evaluation, now = call.evaluation, self._clock.now()
        is_over_it = self._pauses.pop((evaluation.id, call.of.host), None) is not None
        async with self._store.writing() as records:
            await records.evaluations.put(evaluation.workspace, evaluation.id, kept)
            if is_over_it:
                await records.evaluations.change(
                    evaluation.workspace, evaluation.id, when=_TO_ASK, trouble={}
                )
            if is_over_it or self._is_news(evaluation, now):
                await notices.tell_status(records, evaluation, at=now)

    def _is_news(self, evaluation: Evaluation, now: datetime) -> bool:
        """The live message is changed every two seconds at most."""
        told = self._told.get(evaluation.id)
        if told is not None and (now - told).total_seconds() < _TELL_SECONDS:
            return False
        self._told[evaluation.id] = now
        return True

    async def _put_off(self, call: _Call, error: AttuneError, *, until: datetime | None) -> None:
        """Strike the intention out; a host that cannot be asked for an hour ends the evaluation."""
        evaluation, now = call.evaluation, self._clock.now()
        place = (evaluation.id, call.of.host)
        before = self._pauses.get(place)
        pause = _Pause(now, before.since, before.times + 1) if before else _Pause(now, now)
        wait = min(_LONGEST_WAIT, 2.0 ** min(pause.times, 10))
        pause.until = until or now + timedelta(seconds=wait)
        self._pauses[place] = pause
        log.warning("An evaluation has to wait", extra={"id": evaluation.id, "why": error.key})
        changes: dict[str, object] = {"trouble": serialize(error)}
        if until is None and now - pause.since > GIVE_UP:
            changes["state"] = EvaluationState.STOPPING
            changes["trouble"] = {**serialize(error), completion.FINAL: True}
        async with self._store.writing() as records:
            await records.evaluations.withdraw_call(
                evaluation.workspace, evaluation.id, call.contender, call.question.number
            )
            await records.evaluations.change(
                evaluation.workspace, evaluation.id, when=_TO_ASK, **changes
            )
            await notices.tell_status(records, evaluation, at=now)

    async def _end_finished(self) -> None:
        """Those of which nothing is being asked and nothing is left to ask come to their end."""
        async with self._store.reading() as records:
            found = await records.evaluations.list_open()
            due = [
                one
                for one in found
                if not self._asking.get(one.id) and await completion.is_due(one, records)
            ]
        for one in due:
            await completion.finish_evaluation(
                one, store=self._store, hosts=self._hosts, at=self._clock.now()
            )
            self._forget(one.id)

    def _forget(self, evaluation: EvaluationId) -> None:
        self._pools.pop(evaluation, None)
        self._told.pop(evaluation, None)
        self._asking.pop(evaluation, None)
        self._pauses = {place: one for place, one in self._pauses.items() if place[0] != evaluation}
        self._tries = {key: count for key, count in self._tries.items() if key[0] != evaluation}

    def _wait_at(self, host: HostName | None) -> float | None:
        """Seconds until the first pause at a host is over."""
        now = self._clock.now()
        waits = [
            (pause.until - now).total_seconds()
            for (_, where), pause in self._pauses.items()
            if where == host
        ]
        return max(0.0, min(waits)) if waits else None
