"""Data of the overview page: the tour's progress, counts, and the channel's assistant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.commands import Handlers
from bot.domain import (
    ExampleFilter,
    ExampleState,
    ModelName,
    Phase,
    Role,
    Row,
)
from bot.models_in_use import find_display_name
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.prompts import last_exchange
from bot.replies import Button, Card, Fact, Listing, ListingRow, Reply, Tone
from bot.request import Request
from bot.rows import Method

handlers = Handlers()


_RECENT = 20


@dataclass(frozen=True, slots=True)
class _TourProgress:
    """Finished steps of the tour, and the question to ask at its end."""

    has_examples: bool
    has_started: bool
    has_trained: bool
    has_asked: bool
    is_in_use: bool
    question: str

    @property
    def steps(self) -> tuple[tuple[str, bool], ...]:
        return (
            ("teach", self.has_examples),
            ("train", self.has_started),
            ("wait", self.has_trained),
            ("ask", self.has_asked),
        )

    def note_of(self, step: str) -> str:
        """Returns the key of the sentence about a step."""
        is_ready_only = step == "ask" and self.has_trained and not self.is_in_use
        return "tour.ask.unused" if is_ready_only else f"tour.{step}.note"


@handlers.button("tour", Role.CURATOR, is_for_pages=True)
async def show_tour(request: Request, deps: Dependencies) -> Reply:
    """Lists the four steps to the first tuned answer; each is checked in the database."""
    async with deps.store.reading() as records:
        progress = await _tour_progress(request, records)
    words = request.words
    steps = progress.steps
    current = next((name for name, is_done in steps if not is_done), "")
    buttons: Mapping[str, tuple[Button, ...]] = {
        "teach": _starter_buttons(request, deps.starters),
        "train": (Button(words("tour.train.button"), "job.start", is_primary=True),),
    }
    lines = tuple(
        ListingRow(
            id=name,
            text=words(f"tour.{name}"),
            note=words(progress.note_of(name)),
            buttons=buttons.get(name, ()) if name == current else (),
            facts=(Fact(words("part.question"), progress.question, "question"),),
            tone=Tone.GOOD if is_done else Tone.BUSY if name == current else Tone.PLAIN,
        )
        for name, is_done in steps
    )
    note = words("tour.engine") if _may_install(request, deps) else ""
    return Listing(words("tour.title" if current else "tour.done"), lines, note=note)


def _may_install(request: Request, deps: Dependencies) -> bool:
    """Whether the user may install a language model and none is installed."""
    is_missing = deps.engine is not None and not deps.engine.installed_models()
    return is_missing and request.role is Role.OPERATOR


@handlers.button("counts", Role.CURATOR, is_for_pages=True)
async def show_counts(request: Request, deps: Dependencies) -> Reply:
    """Lists counts: proposed examples, examples, preferences, open jobs, closed workspaces."""
    own = request.assistant.id
    async with deps.store.reading() as records:
        examples = records.examples
        numbers = {
            "review": await examples.count(
                request.workspace_id, ExampleFilter(assistant=own, state=ExampleState.PROPOSED)
            ),
            "examples": await examples.count(
                request.workspace_id, ExampleFilter(assistant=own, method=Method.SUPERVISED)
            ),
            "preferences": await examples.count(
                request.workspace_id, ExampleFilter(assistant=own, method=Method.DPO)
            ),
            "jobs": len(await records.jobs.list_open_in_workspace(request.workspace_id)),
        }
        if request.role is Role.OPERATOR:
            removed = await records.workspaces.list_removed_or_closed()
            numbers["workspaces"] = sum(workspace.closed_at is not None for workspace in removed)
    return Listing("", tuple(ListingRow(name, str(number)) for name, number in numbers.items()))


@handlers.button("channel", Role.CURATOR, is_for_pages=True)
async def show_channel(request: Request, deps: Dependencies) -> Reply:
    """Shows the assistant of the channel and its model."""
    model = str(request.assistant.base)
    async with deps.store.reading() as records:
        new = await _new_rows(request, records)
        if request.deployment is not None:
            model = await find_display_name(records, request.workspace_id, request.deployment.model)
    is_always = request.binding is not None and request.binding.answers_unasked
    key = "channel.always" if is_always else "channel.mentioned"
    return Card(
        request.assistant.name,
        lines=(request.words(key),),
        facts=(
            Fact(request.words("assistant.model"), model, "model"),
            Fact(request.words("assistant.training_host"), request.assistant.training_host, "host"),
            Fact(request.words("yes"), "yes" if is_always else "no", "always"),
            Fact(request.words("fact.examples"), str(new), "new"),
        ),
    )


async def _new_rows(request: Request, records: Records) -> int:
    """Returns how many trainable examples the last successful training did not have."""
    own = request.assistant.id
    last = await records.jobs.newest_success(request.workspace_id, own, method=Method.SUPERVISED)
    return await records.training_offers.count_new_rows(
        request.workspace_id, own, Method.SUPERVISED, learned=last.snapshot if last else None
    )


def _starter_buttons(request: Request, starters: Mapping[str, Sequence[Row]]) -> tuple[Button, ...]:
    return tuple(
        Button(request.words(f"starter.{name}"), f"starter:{name}", is_primary=True)
        for name in starters
    )


async def _tour_progress(request: Request, records: Records) -> _TourProgress:
    own = request.assistant.id
    first = await records.examples.page(
        request.workspace_id, ExampleFilter(assistant=own, state=ExampleState.APPROVED), limit=1
    )
    jobs = await records.jobs.page(request.workspace_id, assistant=own, limit=_RECENT)
    tuned = [job.model for job in jobs if job.phase is Phase.SUCCEEDED and job.model]
    pair = last_exchange(first[0]) if first else None
    answering = request.deployment.model if request.deployment else None
    # A trained model is taken into use once it was compared with what answers now.
    evaluations = await records.evaluations.list_open_in_workspace(request.workspace_id)
    is_compared = not any(one.is_gate and one.assistant == own for one in evaluations)
    return _TourProgress(
        has_examples=bool(first) or bool(jobs),
        has_started=bool(jobs),
        has_trained=bool(tuned) and (answering in tuned or is_compared),
        has_asked=await _has_asked(request, records, tuned),
        is_in_use=answering in tuned,
        question=pair[0] if pair else "",
    )


async def _has_asked(request: Request, records: Records, tuned: Sequence[ModelName]) -> bool:
    return any([await records.turns.has_answered(request.workspace_id, model) for model in tuned])
