"""Overview: what there is to do, how far a workspace has come, and what waits in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.commands import Handlers
from bot.deployments import find_display_name
from bot.domain import (
    ExampleFilter,
    ExampleState,
    ModelName,
    Phase,
    Role,
    Row,
)
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.prompts import last_exchange
from bot.replies import Button, Card, Fact, Listing, ListingRow, Reply, Tone
from bot.request import Request
from bot.rows import Method

handlers = Handlers()


_RECENT = 20


@dataclass(frozen=True, slots=True)
class _Way:
    """Which steps of the tour are done, and what to ask at its end."""

    has_examples: bool
    has_started: bool
    has_trained: bool
    has_asked: bool
    question: str

    @property
    def steps(self) -> tuple[tuple[str, bool], ...]:
        return (
            ("teach", self.has_examples),
            ("train", self.has_started),
            ("wait", self.has_trained),
            ("ask", self.has_asked),
        )


@handlers.button("tour", Role.CURATOR, is_for_pages=True)
async def show_tour(request: Request, deps: Dependencies) -> Reply:
    """The four steps to the first tuned answer; a step is done when it really happened."""
    async with deps.store.reading() as records:
        way = await _way(request, records)
    words = request.words
    steps = way.steps
    current = next((name for name, is_done in steps if not is_done), "")
    buttons: Mapping[str, tuple[Button, ...]] = {
        "teach": _starter_buttons(request, deps.starters),
        "train": (Button(words("tour.train.button"), "job.start", is_primary=True),),
    }
    lines = tuple(
        ListingRow(
            id=name,
            text=words(f"tour.{name}"),
            note=words(f"tour.{name}.note"),
            buttons=buttons.get(name, ()) if name == current else (),
            facts=(Fact(words("part.question"), way.question, "question"),),
            tone=Tone.GOOD if is_done else Tone.BUSY if name == current else Tone.PLAIN,
        )
        for name, is_done in steps
    )
    offered = words("tour.engine") if _may_install(request, deps) else ""
    return Listing(words("tour.title" if current else "tour.done"), lines, note=offered)


def _may_install(request: Request, deps: Dependencies) -> bool:
    """Whether a language model of one's own is still to come, by the hand that may bring it."""
    is_missing = deps.engine is not None and not deps.engine.models()
    return is_missing and request.role is Role.OPERATOR


@handlers.button("counts", Role.CURATOR, is_for_pages=True)
async def show_counts(request: Request, deps: Dependencies) -> Reply:
    """What waits and what there is, a line for each noun."""
    mine = request.assistant.id
    async with deps.store.reading() as records:
        examples = records.examples
        numbers = {
            "review": await examples.count(
                request.workspace_id, ExampleFilter(assistant=mine, state=ExampleState.PROPOSED)
            ),
            "examples": await examples.count(
                request.workspace_id, ExampleFilter(assistant=mine, method=Method.SUPERVISED)
            ),
            "preferences": await examples.count(
                request.workspace_id, ExampleFilter(assistant=mine, method=Method.DPO)
            ),
            "jobs": len(await records.jobs.open_in(request.workspace_id)),
        }
        if request.role is Role.OPERATOR:
            removed = await records.workspaces.list_removed()
            numbers["workspaces"] = sum(one.closed_at is not None for one in removed)
    return Listing("", tuple(ListingRow(name, str(number)) for name, number in numbers.items()))


@handlers.button("channel", Role.CURATOR, is_for_pages=True)
async def show_channel(request: Request, deps: Dependencies) -> Reply:
    """Who answers here, and with which model."""
    answering = str(request.assistant.base)
    async with deps.store.reading() as records:
        new = await _new_rows(request, records)
        if request.deployment is not None:
            answering = await find_display_name(
                records, request.workspace_id, request.deployment.model
            )
    is_always = request.binding is not None and request.binding.answers_unasked
    key = "channel.always" if is_always else "channel.mentioned"
    return Card(
        request.assistant.name,
        lines=(request.words(key),),
        facts=(
            Fact(request.words("assistant.model"), answering, "model"),
            Fact(request.words("assistant.training_host"), request.assistant.training_host, "host"),
            Fact(request.words("yes"), "yes" if is_always else "no", "always"),
            Fact(request.words("fact.examples"), str(new), "new"),
        ),
    )


async def _new_rows(request: Request, records: Records) -> int:
    """Examples that the next training would be the first to learn."""
    mine = request.assistant.id
    last = await records.jobs.newest_success(request.workspace_id, mine, method=Method.SUPERVISED)
    return await records.training_offers.new_rows(
        request.workspace_id, mine, Method.SUPERVISED, learned=last.snapshot if last else None
    )


def _starter_buttons(request: Request, starters: Mapping[str, Sequence[Row]]) -> tuple[Button, ...]:
    return tuple(
        Button(request.words(f"starter.{name}"), f"starter:{name}", is_primary=True)
        for name in starters
    )


async def _way(request: Request, records: Records) -> _Way:
    mine = request.assistant.id
    first = await records.examples.page(
        request.workspace_id, ExampleFilter(assistant=mine, state=ExampleState.APPROVED), limit=1
    )
    jobs = await records.jobs.page(request.workspace_id, assistant=mine, limit=_RECENT)
    tuned = [job.model for job in jobs if job.phase is Phase.SUCCEEDED and job.model]
    pair = last_exchange(first[0]) if first else None
    return _Way(
        has_examples=bool(first) or bool(jobs),
        has_started=bool(jobs),
        has_trained=bool(tuned),
        has_asked=await _has_asked(request, records, tuned),
        question=pair[0] if pair else "",
    )


async def _has_asked(request: Request, records: Records, tuned: Sequence[ModelName]) -> bool:
    return any([await records.turns.has_answered(request.workspace_id, model) for model in tuned])
