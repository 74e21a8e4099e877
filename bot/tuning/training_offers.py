"""Offers a training in a channel, once, when an assistant has enough new rows.

The assistant's options `offer_after_examples` and `offer_after_preferences` set how many. The
newest trained snapshot is stored with the offer, so that there is one offer for each snapshot.
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
from bot.number_formats import parse_number_argument
from bot.ports.dependencies import Dependencies
from bot.ports.model_hosts import Host
from bot.ports.store import Records
from bot.replies import Button, Card, Drawn, Reply
from bot.request import Request
from bot.rows import Method
from bot.tuning import start
from bot.words import Words

log = logging.getLogger(__name__)
handlers = Handlers()

TRAINING_OFFER_NOTICE = "training.offered"
_RETRY = timedelta(hours=1)
"""Time after which planning is tried again that failed, for example because of the host."""
_AUTHOR = User(UserId("attune"), "Attune")


@dataclass(frozen=True, slots=True)
class TrainingOffer:
    """A training that can be offered, with the number of rows new since `learned_snapshot`."""

    method: Method
    learned_snapshot: int
    new: int

    @property
    def start_options(self) -> dict[str, str]:
        """Options for `/tune start`; preferences train the newest tuned model, if there is one."""
        base = {"base": "latest"} if self.method is Method.DPO and self.learned_snapshot else {}
        return {"method": self.method.value, **base}


class TrainingOfferer:
    """Polls every assistant with automatic offers."""

    def __init__(self, deps: Dependencies) -> None:
        self._deps = deps
        self._retries: dict[tuple[AssistantId, Method], datetime] = {}

    async def poll(self) -> None:
        async with self._deps.store.reading() as records:
            assistants = await records.training_offers.assistants_with_offers()
        for assistant in assistants:
            try:
                await self._poll_assistant(assistant)
            except AttuneError as error:
                log.info("No training can be offered", extra={"why": error.key})

    async def _poll_assistant(self, assistant: Assistant) -> None:
        async with self._deps.store.reading() as records:
            offer = await _due_offer(assistant, records)
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
        event = Event(f"offer.{assistant.id}", place, _AUTHOR, now, CommandInvoked("start"))
        request = Request(
            event,
            workspace,
            Role.TRAINER,
            Words(assistant.language or "en"),
            now,
            assistant,
            options=offer.start_options,
        )
        planned = await start.plan_training(request, self._deps)
        await self._make_offer(request, offer, planned.estimate)

    async def _make_offer(self, request: Request, offer: TrainingOffer, estimate: Estimate) -> None:
        assistant = request.assistant
        host = self._deps.hosts.get(assistant.training_host)
        async with self._deps.store.writing() as records:
            if not await records.training_offers.record_posted(
                request.workspace_id,
                assistant.id,
                offer.method,
                offer.learned_snapshot,
                at=request.now,
            ):
                return
            await records.outbox.put(
                f"{TRAINING_OFFER_NOTICE}.{assistant.id}.{offer.method}.{offer.learned_snapshot}",
                request.place,
                TRAINING_OFFER_NOTICE,
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
                only_if_new=True,
            )
        self._deps.publish_change("jobs")


async def _due_offer(assistant: Assistant, records: Records) -> TrainingOffer | None:
    """Returns the first offer that is due and not made yet; None while a training runs."""
    open_jobs = await records.jobs.list_open_in_workspace(assistant.workspace)
    if any(job.assistant == assistant.id for job in open_jobs):
        return None
    where = (assistant.workspace, assistant.id)
    for method, state, learned, threshold in await _thresholds(assistant, records):
        new = await records.training_offers.count_new_rows(*where, method, learned=learned)
        if new >= threshold and not await records.training_offers.was_posted(*where, method, state):
            return TrainingOffer(method, state, new)
    return None


async def _thresholds(
    assistant: Assistant, records: Records
) -> Sequence[tuple[Method, int, SnapshotId | None, int]]:
    """Returns (method, snapshot id or 0, snapshot to compare, threshold) for each wanted method.

    A new supervised model was not trained on preferences, so after it all of them are new.
    """
    thresholds: list[tuple[Method, int, SnapshotId | None, int]] = []
    newest_success, where = records.jobs.newest_success, (assistant.workspace, assistant.id)
    if assistant.offer_after_examples:
        newest_supervised = await newest_success(*where, method=Method.SUPERVISED)
        learned = newest_supervised.snapshot if newest_supervised else None
        thresholds.append(
            (Method.SUPERVISED, learned or 0, learned, assistant.offer_after_examples)
        )
    if assistant.offer_after_preferences:
        newest = await newest_success(*where)
        learned = newest.snapshot if newest and newest.method is Method.DPO else None
        state = newest.snapshot if newest else 0
        thresholds.append((Method.DPO, state, learned, assistant.offer_after_preferences))
    return thresholds


async def _preferences_after(
    assistant: Assistant, offer: TrainingOffer, host: Host, records: Records
) -> int:
    """Returns how many preferences a second training, after the offered one, would have; else 0."""
    threshold, methods = assistant.offer_after_preferences, host.profile.methods
    if Method.DPO not in methods or offer.method is Method.DPO or not threshold:
        return 0
    count = await records.training_offers.count_new_rows(
        assistant.workspace, assistant.id, Method.DPO, learned=None
    )
    return count if count >= threshold else 0


async def render_training_offer_notice(
    notice: Notice, records: Records, words: Words
) -> Drawn | None:
    """Renders an offer: new rows, the cost of a training, and the button to start one."""
    details = notice.details
    method = str(details["method"])
    lines = [words(f"offer.new.{method}", count=details["new"])]
    price = details["price"]
    cost = words.price_text(float(price) if isinstance(price, int | float) else None)
    lines.append(
        words("offer.cost", rows=details["rows"], tokens=f"{details['tokens']:,}", price=cost)
    )
    if details.get("then"):
        lines.append(words("offer.then", count=details["then"]))
    if method == Method.DPO.value and details["state"]:
        lines.append(words("offer.on_top"))
    action = f"offer.train:{notice.subject}.{method}.{details['state']}"
    return Card(
        words("offer.title", assistant=details["assistant"]),
        lines=tuple(lines),
        buttons=(Button(words("button.train"), action, is_primary=True),),
    )


@handlers.button("offer.train", Role.TRAINER)
async def estimate_offered_training(request: Request, deps: Dependencies) -> Reply:
    """Shows a new estimate for the offered training, like `/tune start`."""
    assistant_text, _, rest = request.argument.partition(".")
    method, _, state = rest.partition(".")
    if method not in set(Method) or not state.isdecimal():
        raise NotFound(noun="button", name=request.argument)
    async with deps.store.reading() as records:
        assistant = await records.assistants.get(
            request.workspace_id, _assistant_id(assistant_text)
        )
    offer = TrainingOffer(Method(method), int(state), 0)
    return await start.estimate_training(
        replace(request, assistant=assistant, argument="", options=offer.start_options), deps
    )


def _assistant_id(text: str) -> AssistantId:
    return AssistantId(parse_number_argument(text, "assistant"))
