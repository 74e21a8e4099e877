"""Models end when their hosts say so; the channels they answer in hear of it in time, once each."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from bot.domain import (
    Assistant,
    AssistantId,
    ChannelId,
    HostName,
    Job,
    Model,
    ModelKind,
    ModelName,
    NewNotice,
    Notice,
    Place,
    WorkspaceId,
)
from bot.errors import HostError
from bot.ports.provider import Host, Hosts, RemoteDeployment, Serving
from bot.ports.store import Clock, Records, Store
from bot.replies import Button, Card, Drawn, Tone
from bot.tuning import serving
from bot.words import Words

log = logging.getLogger(__name__)

ENDING = "model.ending"
DAYS_BEFORE = (7, 30, 60)
_PAGE = 100

Ends = Mapping[ModelName, str]


@dataclass(frozen=True, slots=True)
class DeployedModel:
    """A model that answers for an assistant, and where that is."""

    assistant: Assistant
    model: ModelName
    host: HostName
    job: Job | None
    channels: frozenset[ChannelId]


class ExpiryCalendar:
    """Asks every host for the days on which its models end."""

    def __init__(self, *, store: Store, hosts: Hosts, clock: Clock) -> None:
        self._store = store
        self._hosts = hosts
        self._clock = clock

    async def poll(self) -> None:
        """Note each end, and tell those that are near; each host for itself."""
        await asyncio.gather(*(self._look_at_host(name) for name in self._hosts.names()))

    async def _look_at_host(self, name: HostName) -> None:
        host = self._hosts.get(name)
        try:
            listed = await host.models()
            is_deployed = host.profile.serving is Serving.BY_CALL
            standing = await host.deployments() if is_deployed else ()
        except HostError as error:
            log.warning("A host does not tell its models", extra={"why": error.key})
            return
        ends = {model.name: model.expires_on for model in listed if model.expires_on}
        async for answering, models in self._everywhere():
            await self._write(name, ends, answering, models)
            if standing:
                await self._tell_idle(host, standing, answering, models)

    async def _tell_idle(
        self,
        host: Host,
        standing: Sequence[RemoteDeployment],
        answering: Sequence[DeployedModel],
        models: Sequence[Model],
    ) -> None:
        """Models of this host that are paid for by the hour, and that nobody is answered by."""
        used = {(one.assistant.id, one.model) for one in answering}
        idle = [
            one
            for one in models
            if one.host == host.name
            and one.job
            and one.kind is ModelKind.TUNED
            and (one.assistant, one.name) not in used
        ]
        if not idle:
            return
        async with self._store.writing() as records:
            running = {(one.assistant, one.model) for one in await records.canaries.all_running()}
            idle = [one for one in idle if (one.assistant, one.name) not in running]
            jobs = await records.jobs.many(sorted({one.job for one in idle if one.job}))
            now = self._clock.now()
            known = {job.id: job for job in jobs}
            facts = serving.idle_deployment_notices(idle, known, standing, host, at=now)
            await records.outbox.announce(facts, at=now)

    async def _everywhere(self) -> AsyncIterator[tuple[Sequence[DeployedModel], Sequence[Model]]]:
        """Workspaces by the hundred: who answers there, and every model they have."""
        last: WorkspaceId | None = None
        while True:
            async with self._store.reading() as records:
                page = [one.id for one in await records.workspaces.page(after=last, limit=_PAGE)]
                if not page:
                    return
                models = await records.models.of_workspaces(page)
                answering = await _answering(page, models, records)
            yield answering, models
            last = page[-1]

    async def _write(
        self,
        host: HostName,
        ends: Ends,
        answering: Sequence[DeployedModel],
        models: Sequence[Model],
    ) -> None:
        """What changed, in one transaction for all of these workspaces."""
        own = _by_assistant(models)
        changed: dict[tuple[WorkspaceId, ModelName], str] = {}
        for model in models:
            end = _end_of(model.name, own[model.assistant], ends)
            if model.host == host and end and end != model.expires_on:
                changed[model.workspace, model.name] = end
        facts = [
            fact
            for one in answering
            if one.host == host
            for fact in self._facts(one, _end_of(one.model, own[one.assistant.id], ends))
        ]
        if changed or facts:
            async with self._store.writing() as records:
                await records.models.set_ends(changed)
                await records.outbox.announce(facts, at=self._clock.now())

    def _facts(self, answering: DeployedModel, end: str | None) -> Iterator[NewNotice]:
        """The nearest of the days before its end on which one should hear of it."""
        day = _day(end)
        if day is None:
            return
        left = (day - self._clock.now().date()).days
        threshold = next((days for days in DAYS_BEFORE if left <= days), None)
        if threshold is None or left < 0:
            return
        workspace, job = answering.assistant.workspace, answering.job
        for channel in sorted(answering.channels):
            yield NewNotice(
                f"{workspace}.{channel}.{answering.model}.ends.{day}.{threshold}",
                Place(workspace, channel),
                ENDING,
                subject=job.id if job else None,
                details={
                    "model": answering.model,
                    "assistant": answering.assistant.name,
                    "date": day.isoformat(),
                    "days": left,
                },
            )


async def render_model_expiry_notice(
    notice: Notice, records: Records, words: Words
) -> Drawn | None:
    """When, what happens then, and the way out."""
    known, job = notice.details, notice.subject
    again = f"job.again:{job}" if job is not None else "job.start"
    return Card(
        words("ending.title", model=known["model"], date=known["date"]),
        lines=(
            words("ending.days", count=known["days"], assistant=known["assistant"]),
            words("ending.what"),
        ),
        buttons=(Button(words("button.retrain"), again, is_primary=True),),
        tone=Tone.BAD,
    )


async def _answering(
    workspaces: Sequence[WorkspaceId], models: Sequence[Model], records: Records
) -> Sequence[DeployedModel]:
    own = _by_assistant(models)
    standing = [
        (assistant, current, channels, current.model if current else assistant.base)
        for assistant, current, channels in await records.assistants.of_workspaces(workspaces)
    ]
    used = {one.id: own[one.id].get(name) for one, _, _, name in standing}
    made = {number: model.job for number, model in used.items() if model and model.job}
    jobs = {job.id: job for job in await records.jobs.many(sorted(set(made.values())))}
    found = []
    for assistant, current, channels, name in standing:
        job = jobs.get(made[assistant.id]) if assistant.id in made else None
        host = current.host if current else assistant.chat_host
        places = frozenset([*channels, *([job.place.channel] if job else [])])
        found.append(DeployedModel(assistant, name, host, job, places))
    return found


def _by_assistant(models: Sequence[Model]) -> Mapping[AssistantId, Mapping[ModelName, Model]]:
    own: dict[AssistantId, dict[ModelName, Model]] = defaultdict(dict)
    for model in models:
        own[model.assistant][model.name] = model
    return own


def _end_of(name: ModelName, models: Mapping[ModelName, Model], ends: Ends) -> str | None:
    """Its own end, else that of what it was made from: no model outlives its base."""
    days = [ends[each] for each in _line(name, models) if each in ends]
    return min(days, default=None)


def _line(name: ModelName, models: Mapping[ModelName, Model]) -> Iterable[ModelName]:
    """A model, its parent, and so on to the base; each once, whatever the records say."""
    seen: dict[ModelName, None] = {}
    at: ModelName | None = name
    while at is not None and at not in seen:
        seen[at] = None
        model = models.get(at)
        if model is not None and model.served_name:
            seen[model.served_name] = None
        at = model.parent if model else None
    return seen


def _day(end: str | None) -> date | None:
    try:
        return date.fromisoformat((end or "")[:10])
    except ValueError:
        return None
