"""Stores when hosts will delete models, and queues notices before that and about idle models."""

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
from bot.ports.model_hosts import Host, Hosts, RemoteDeployment, Serving
from bot.ports.store import Clock, Records, Store
from bot.replies import Button, Card, Drawn, Tone
from bot.tuning import paid_deployments
from bot.words import Words

log = logging.getLogger(__name__)

MODEL_EXPIRY_NOTICE = "model.ending"
NOTICE_DAYS_BEFORE_EXPIRY = (7, 30, 60)
_PAGE = 100

ExpiryDates = Mapping[ModelName, str]


@dataclass(frozen=True, slots=True)
class DeployedModel:
    """The model that answers for an assistant, and the channels in which it does."""

    assistant: Assistant
    model: ModelName
    host: HostName
    job: Job | None
    channels: frozenset[ChannelId]


class ExpiryCalendar:
    """Polls every host for the dates on which its models will be deleted."""

    def __init__(self, *, store: Store, hosts: Hosts, clock: Clock) -> None:
        self._store = store
        self._hosts = hosts
        self._clock = clock

    async def poll(self) -> None:
        """Stores the dates and queues notices, concurrently for all hosts."""
        await asyncio.gather(*(self._poll_host(name) for name in self._hosts.names()))

    async def _poll_host(self, name: HostName) -> None:
        host = self._hosts.get(name)
        try:
            listed = await host.models()
            is_deployed = host.profile.serving is Serving.DEPLOYED_BY_API
            standing = await host.deployments() if is_deployed else ()
        except HostError as error:
            log.warning("The models of a host could not be listed", extra={"why": error.key})
            return
        ends = {model.name: model.expires_on for model in listed if model.expires_on}
        async for answering, models in self._pages():
            await self._store_changes(name, ends, answering, models)
            if standing:
                await self._notify_idle(host, standing, answering, models)

    async def _notify_idle(
        self,
        host: Host,
        standing: Sequence[RemoteDeployment],
        answering: Sequence[DeployedModel],
        models: Sequence[Model],
    ) -> None:
        """Queues notices about deployed models of this host that answer for no assistant."""
        used = {(deployed.assistant.id, deployed.model) for deployed in answering}
        idle = [
            model
            for model in models
            if model.host == host.name
            and model.job
            and model.kind is ModelKind.TUNED
            and (model.assistant, model.name) not in used
        ]
        if not idle:
            return
        async with self._store.writing() as records:
            canaries = await records.canaries.list_running()
            running = {(canary.assistant, canary.model) for canary in canaries}
            idle = [model for model in idle if (model.assistant, model.name) not in running]
            jobs = await records.jobs.get_many(sorted({model.job for model in idle if model.job}))
            now = self._clock.now()
            jobs_by_id = {job.id: job for job in jobs}
            new = paid_deployments.idle_deployment_notices(idle, jobs_by_id, standing, host, at=now)
            await records.outbox.add_new(new, at=now)

    async def _pages(self) -> AsyncIterator[tuple[Sequence[DeployedModel], Sequence[Model]]]:
        """Yields deployed models and all models, for a page of workspaces at a time."""
        last: WorkspaceId | None = None
        while True:
            async with self._store.reading() as records:
                page = [
                    workspace.id
                    for workspace in await records.workspaces.page(after=last, limit=_PAGE)
                ]
                if not page:
                    return
                models = await records.models.list_of_workspaces(page)
                answering = await _deployed_models(page, models, records)
            yield answering, models
            last = page[-1]

    async def _store_changes(
        self,
        host: HostName,
        ends: ExpiryDates,
        answering: Sequence[DeployedModel],
        models: Sequence[Model],
    ) -> None:
        """Stores changed dates and new notices of these workspaces in one transaction."""
        models_by_assistant = _by_assistant(models)
        changed: dict[tuple[WorkspaceId, ModelName], str] = {}
        for model in models:
            end = _expiry_of(model.name, models_by_assistant[model.assistant], ends)
            if model.host == host and end and end != model.expires_on:
                changed[model.workspace, model.name] = end
        facts = [
            fact
            for deployed in answering
            if deployed.host == host
            for fact in self._expiry_notices(
                deployed,
                _expiry_of(deployed.model, models_by_assistant[deployed.assistant.id], ends),
            )
        ]
        if changed or facts:
            async with self._store.writing() as records:
                await records.models.set_expiry_dates(changed)
                await records.outbox.add_new(facts, at=self._clock.now())

    def _expiry_notices(self, answering: DeployedModel, end: str | None) -> Iterator[NewNotice]:
        """Yields a notice for each channel, once for each of `NOTICE_DAYS_BEFORE_EXPIRY`."""
        day = _parse_day(end)
        if day is None:
            return
        days_left = (day - self._clock.now().date()).days
        threshold = next((days for days in NOTICE_DAYS_BEFORE_EXPIRY if days_left <= days), None)
        if threshold is None or days_left < 0:
            return
        workspace, job = answering.assistant.workspace, answering.job
        for channel in sorted(answering.channels):
            yield NewNotice(
                f"{workspace}.{channel}.{answering.model}.ends.{day}.{threshold}",
                Place(workspace, channel),
                MODEL_EXPIRY_NOTICE,
                subject=job.id if job else None,
                details={
                    "model": answering.model,
                    "assistant": answering.assistant.name,
                    "date": day.isoformat(),
                    "days": days_left,
                },
            )


async def render_model_expiry_notice(
    notice: Notice, records: Records, words: Words
) -> Drawn | None:
    """Renders the notice that a model will be deleted, with a button to train it again."""
    details, job = notice.details, notice.subject
    action = f"job.again:{job}" if job is not None else "job.start"
    return Card(
        words("ending.title", model=details["model"], date=details["date"]),
        lines=(
            words("ending.days", count=details["days"], assistant=details["assistant"]),
            words("ending.what"),
        ),
        buttons=(Button(words("button.retrain"), action, is_primary=True),),
        tone=Tone.BAD,
    )


async def _deployed_models(
    workspaces: Sequence[WorkspaceId], models: Sequence[Model], records: Records
) -> Sequence[DeployedModel]:
    models_by_assistant = _by_assistant(models)
    standing = [
        (assistant, current, channels, current.model if current else assistant.base)
        for assistant, current, channels in await records.assistants.list_with_deployments(
            workspaces
        )
    ]
    used = {
        assistant.id: models_by_assistant[assistant.id].get(name)
        for assistant, _, _, name in standing
    }
    made = {number: model.job for number, model in used.items() if model and model.job}
    jobs = {job.id: job for job in await records.jobs.get_many(sorted(set(made.values())))}
    deployed = []
    for assistant, current, channels, name in standing:
        job = jobs.get(made[assistant.id]) if assistant.id in made else None
        host = current.host if current else assistant.chat_host
        places = frozenset([*channels, *([job.place.channel] if job else [])])
        deployed.append(DeployedModel(assistant, name, host, job, places))
    return deployed


def _by_assistant(models: Sequence[Model]) -> Mapping[AssistantId, Mapping[ModelName, Model]]:
    by_assistant: dict[AssistantId, dict[ModelName, Model]] = defaultdict(dict)
    for model in models:
        by_assistant[model.assistant][model.name] = model
    return by_assistant


def _expiry_of(name: ModelName, models: Mapping[ModelName, Model], ends: ExpiryDates) -> str | None:
    """Returns the earliest end of a model and its ancestors: no model outlives its base."""
    days = [ends[ancestor] for ancestor in _ancestors(name, models) if ancestor in ends]
    return min(days, default=None)


def _ancestors(name: ModelName, models: Mapping[ModelName, Model]) -> Iterable[ModelName]:
    """Returns the model, its served name, its parent and so on to the base, without cycles."""
    ancestors: dict[ModelName, None] = {}
    current: ModelName | None = name
    while current is not None and current not in ancestors:
        ancestors[current] = None
        model = models.get(current)
        if model is not None and model.served_name:
            ancestors[model.served_name] = None
        current = model.parent if model else None
    return ancestors


def _parse_day(end: str | None) -> date | None:
    try:
        return date.fromisoformat((end or "")[:10])
    except ValueError:
        return None
