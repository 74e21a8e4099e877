"""Models end when their hosts say so; the channels they answer in hear of it in time, once each."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from bot.errors import HostError, NotFound
from bot.model import (
    Assistant,
    ChannelId,
    HostName,
    Job,
    Model,
    ModelName,
    Notice,
    Place,
    WorkspaceId,
)
from bot.ports.provider import Hosts
from bot.ports.store import Clock, Records, Store
from bot.replies import Button, Card, Drawn, Tone
from bot.words import Words

log = logging.getLogger(__name__)

ENDING = "model.ending"
DAYS_BEFORE = (7, 30, 60)

Ends = Mapping[ModelName, str]


@dataclass(frozen=True, slots=True)
class Answering:
    """A model that answers for an assistant, and where that is."""

    assistant: Assistant
    model: ModelName
    host: HostName
    job: Job | None
    channels: frozenset[ChannelId]


class Calendar:
    """Asks every host for the days on which its models end."""

    def __init__(self, *, store: Store, hosts: Hosts, clock: Clock) -> None:
        self._store = store
        self._hosts = hosts
        self._clock = clock

    async def look(self) -> None:
        """Note each end, and tell those that are near."""
        for name in self._hosts.names():
            try:
                listed = await self._hosts.get(name).models()
            except HostError as error:
                log.warning("A host does not tell its models", extra={"why": error.key})
                continue
            ends = {model.name: model.expires_on for model in listed if model.expires_on}
            async with self._store.writing() as records:
                for workspace in await records.workspaces.all():
                    await self._look_at(workspace.id, name, ends, records)

    async def _look_at(
        self, workspace: WorkspaceId, host: HostName, ends: Ends, records: Records
    ) -> None:
        for assistant in await records.assistants.all(workspace):
            models = {m.name: m for m in await records.models.all(workspace, assistant.id)}
            for model in models.values():
                end = _end_of(model.name, models, ends)
                if model.host == host and end and end != model.expires_on:
                    await records.models.set_end(workspace, model.name, end)
            answering = await _answering(assistant, models, records)
            if answering.host == host:
                await self._tell(answering, _end_of(answering.model, models, ends), records)

    async def _tell(self, answering: Answering, end: str | None, records: Records) -> None:
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
            await records.outbox.put(
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
                at=self._clock.now(),
                once=True,
            )


async def word_ending(notice: Notice, records: Records, words: Words) -> Drawn | None:
    """When, what happens then, and the way out."""
    told, job = notice.details, notice.subject
    again = f"job.again:{job}" if job is not None else "job.start"
    return Card(
        words("ending.title", model=told["model"], date=told["date"]),
        lines=(
            words("ending.days", count=told["days"], assistant=told["assistant"]),
            words("ending.what"),
        ),
        buttons=(Button(words("button.retrain"), again, is_primary=True),),
        tone=Tone.BAD,
    )


async def _answering(
    assistant: Assistant, models: Mapping[ModelName, Model], records: Records
) -> Answering:
    current = await records.deployments.current(assistant.workspace, assistant.id)
    name = current.model if current else assistant.base
    job = await _job_of(models.get(name), records)
    bound = await records.assistants.bindings(assistant.workspace)
    channels = {one.channel for one in bound if one.assistant == assistant.id}
    return Answering(
        assistant,
        name,
        current.host if current else assistant.chat_host,
        job,
        frozenset(channels | ({job.place.channel} if job else set())),
    )


async def _job_of(model: Model | None, records: Records) -> Job | None:
    if model is None or model.job is None:
        return None
    try:
        return await records.jobs.get(model.workspace, model.job)
    except NotFound:
        return None


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
        if model is not None and model.called:
            seen[model.called] = None
        at = model.parent if model else None
    return seen


def _day(end: str | None) -> date | None:
    try:
        return date.fromisoformat((end or "")[:10])
    except ValueError:
        return None
