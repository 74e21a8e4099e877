"""Trainings that are offered by themselves: one card once enough is new, and never a second.

An assistant asks for it with `offer_after_examples:` or `offer_after_preferences:`. What was
learned last is the state that an offer is made for; it is kept together with the card.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bot.commands import Handlers
from bot.domain import (
    Assistant,
    AssistantId,
    ChannelId,
    Estimate,
    Notice,
    Place,
    Role,
    SnapshotId,
    User,
    UserId,
)
from bot.errors import AttuneError, NotFound
from bot.events import CommandInvoked, Event
from bot.numerals import whole_number
from bot.ports.dependencies import Dependencies
from bot.ports.provider import Host
from bot.ports.store import Records
from bot.replies import Button, Card, Drawn, Reply
from bot.request import Request
from bot.rows import Method
from bot.tuning import start
from bot.words import Words

log = logging.getLogger(__name__)
handlers = Handlers()

OFFERED = "training.offered"
_RETRY = timedelta(hours=1)
"""Until what cannot be planned now, because a host forbids it, is looked at again."""
_ITSELF = User(UserId("attune"), "Attune")


@dataclass(frozen=True, slots=True)
class Offer:
    """A training that could be offered: and how many rows are new since `state`."""

    method: Method
    learned_snapshot: int
    new: int

    @property
    def options(self) -> dict[str, str]:
        """As of `/tune start`: preferences go on from the newest tuned model, if there is one."""
        goes_on = {"base": "latest"} if self.method is Method.DPO and self.learned_snapshot else {}
        return {"method": self.method.value, **goes_on}


class TrainingOffers:
    """Looks at every assistant that wants to be offered trainings."""

    def __init__(self, deps: Dependencies) -> None:
        self._deps = deps
        self._retries: dict[tuple[AssistantId, Method], datetime] = {}

    async def poll(self) -> None:
        async with self._deps.store.reading() as records:
            wanted = await records.training_offers.assistants_with_offers()
        for assistant in wanted:
            try:
                await self._look_at(assistant)
            except AttuneError as error:
                log.info("No training can be offered", extra={"why": error.key})

    async def _look_at(self, assistant: Assistant) -> None:
        async with self._deps.store.reading() as records:
            offer = await _due(assistant, records)
        if offer is None:
            return
        now, key = self._deps.clock.now(), (assistant.id, offer.method)
        until = self._retries.get(key)
        if until is not None and now < until:
            return
        self._retries[key] = now + _RETRY
        async with self._deps.store.reading() as records:
            workspace = await records.workspaces.find(assistant.workspace)
        if workspace is None:
            return
        place = Place(assistant.workspace, assistant.offer_channel or ChannelId(""))
        asked = Event(f"offer.{assistant.id}", place, _ITSELF, now, CommandInvoked("start"))
        request = Request(
            asked,
            workspace,
            Role.TRAINER,
            Words(assistant.language or "en"),
            now,
            assistant,
            options=offer.options,
        )
        planned = await start.plan_training(request, self._deps)
        await self._make(request, offer, planned.estimate)

    async def _make(self, request: Request, offer: Offer, estimate: Estimate) -> None:
        assistant = request.assistant
        host = self._deps.hosts.get(assistant.training_host)
        async with self._deps.store.writing() as records:
            if not await records.training_offers.make(
                request.workspace_id,
                assistant.id,
                offer.method,
                offer.learned_snapshot,
                at=request.now,
            ):
                return
            await records.outbox.put(
                f"{OFFERED}.{assistant.id}.{offer.method}.{offer.learned_snapshot}",
                request.place,
                OFFERED,
                subject=assistant.id,
                details={
                    "assistant": assistant.name,
                    "method": offer.method.value,
                    "state": offer.learned_snapshot,
                    "new": offer.new,
                    "rows": estimate.rows,
                    "tokens": estimate.tokens,
                    "price": estimate.price,
                    "then": await _preferences_after(assistant, offer, host, records),
                },
                at=request.now,
                once=True,
            )
        self._deps.publish_change("jobs")


async def _due(assistant: Assistant, records: Records) -> Offer | None:
    """The first that is due and was not made yet; none while a training runs."""
    open_jobs = await records.jobs.open_in(assistant.workspace)
    if any(job.assistant == assistant.id for job in open_jobs):
        return None
    where = (assistant.workspace, assistant.id)
    for method, state, learned, enough in await _steps(assistant, records):
        new = await records.training_offers.new_rows(*where, method, learned=learned)
        if new >= enough and not await records.training_offers.is_made(*where, method, state):
            return Offer(method, state, new)
    return None


async def _steps(
    assistant: Assistant, records: Records
) -> Sequence[tuple[Method, int, SnapshotId | None, int]]:
    """Each method that is wanted, what was learned last, and how many new rows it takes.

    A new supervised model has learned no preferences, so on top of it all of them are new.
    """
    found: list[tuple[Method, int, SnapshotId | None, int]] = []
    newest_of, where = records.jobs.newest_success, (assistant.workspace, assistant.id)
    if assistant.offer_after_examples:
        answers = await newest_of(*where, method=Method.SUPERVISED)
        learned = answers.snapshot if answers else None
        found.append((Method.SUPERVISED, learned or 0, learned, assistant.offer_after_examples))
    if assistant.offer_after_preferences:
        newest = await newest_of(*where)
        learned = newest.snapshot if newest and newest.method is Method.DPO else None
        state = newest.snapshot if newest else 0
        found.append((Method.DPO, state, learned, assistant.offer_after_preferences))
    return found


async def _preferences_after(
    assistant: Assistant, offer: Offer, host: Host, records: Records
) -> int:
    """How many preferences the second step of the sequence would have; 0 where it has none."""
    enough, methods = assistant.offer_after_preferences, host.profile.methods
    if Method.DPO not in methods or offer.method is Method.DPO or not enough:
        return 0
    count = await records.training_offers.new_rows(
        assistant.workspace, assistant.id, Method.DPO, learned=None
    )
    return count if count >= enough else 0


async def render_training_offer_notice(
    notice: Notice, records: Records, words: Words
) -> Drawn | None:
    """What is new, what a training would cost, and the button that begins one."""
    known = notice.details
    method = str(known["method"])
    lines = [words(f"offer.new.{method}", count=known["new"])]
    price = known["price"]
    cost = words.price(float(price) if isinstance(price, int | float) else None)
    lines.append(words("offer.cost", rows=known["rows"], tokens=f"{known['tokens']:,}", price=cost))
    if known.get("then"):
        lines.append(words("offer.then", count=known["then"]))
    if method == Method.DPO.value and known["state"]:
        lines.append(words("offer.on_top"))
    train = f"offer.train:{notice.subject}.{method}.{known['state']}"
    return Card(
        words("offer.title", assistant=known["assistant"]),
        lines=tuple(lines),
        buttons=(Button(words("button.train"), train, is_primary=True),),
    )


@handlers.button("offer.train", Role.TRAINER)
async def train(request: Request, deps: Dependencies) -> Reply:
    """The estimate as of now, to be confirmed or not, as of `/tune start`."""
    named, _, rest = request.argument.partition(".")
    method, _, state = rest.partition(".")
    if method not in set(Method) or not state.isdecimal():
        raise NotFound(noun="button", name=request.argument)
    async with deps.store.reading() as records:
        assistant = await records.assistants.get(request.workspace_id, _assistant(named))
    offer = Offer(Method(method), int(state), 0)
    return await start.start(
        replace(request, assistant=assistant, argument="", options=offer.options), deps
    )


def _assistant(named: str) -> AssistantId:
    try:
        return AssistantId(whole_number(named))
    except ValueError:
        raise NotFound(noun="assistant", name=named) from None
