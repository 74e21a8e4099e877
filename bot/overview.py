"""Overview: what there is to do, how far a workspace has come, and what waits in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.commands import Command, Option
from bot.domain import (
    ExampleFilter,
    ExampleState,
    ModelName,
    Phase,
    Role,
    Row,
)
from bot.errors import UnknownCommand
from bot.numerals import plain
from bot.ports.store import Records, Store
from bot.prompts import last_exchange
from bot.replies import Button, Card, Fact, Listing, ListingRow, Reply, Text, Tone
from bot.request import Request
from bot.rows import Method
from bot.words import Words

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


async def tour(ask: Request, *, store: Store, starters: Mapping[str, Sequence[Row]]) -> Reply:
    """The four steps to the first tuned answer; a step is done when it really happened."""
    async with store.reading() as records:
        way = await _way(ask, records)
    words = ask.words
    steps = way.steps
    current = next((name for name, is_done in steps if not is_done), "")
    buttons: Mapping[str, tuple[Button, ...]] = {
        "teach": _starter_buttons(ask, starters),
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
    return Listing(words("tour.title" if current else "tour.done"), lines)


async def counts(ask: Request, *, store: Store) -> Reply:
    """What waits and what there is, a line for each noun."""
    mine = ask.assistant.id
    async with store.reading() as records:
        examples = records.examples
        numbers = {
            "review": await examples.count(
                ask.id, ExampleFilter(assistant=mine, state=ExampleState.PROPOSED)
            ),
            "examples": await examples.count(
                ask.id, ExampleFilter(assistant=mine, method=Method.SUPERVISED)
            ),
            "preferences": await examples.count(
                ask.id, ExampleFilter(assistant=mine, method=Method.DPO)
            ),
            "jobs": len(await records.jobs.open_in(ask.id)),
        }
        if ask.role is Role.OPERATOR:
            removed = await records.workspaces.removed()
            numbers["workspaces"] = sum(one.closed_at is not None for one in removed)
    return Listing("", tuple(ListingRow(name, str(number)) for name, number in numbers.items()))


async def channel(ask: Request) -> Reply:
    """Who answers here, and with which model."""
    answering = ask.deployment.model if ask.deployment else ask.assistant.base
    is_always = ask.binding is not None and ask.binding.always
    key = "channel.always" if is_always else "channel.mentioned"
    return Card(
        ask.assistant.name,
        lines=(ask.words(key),),
        facts=(
            Fact(ask.words("assistant.model"), answering, "model"),
            Fact(ask.words("assistant.training_host"), ask.assistant.training_host, "host"),
            Fact(ask.words("yes"), "yes" if is_always else "no", "always"),
        ),
    )


def _starter_buttons(ask: Request, starters: Mapping[str, Sequence[Row]]) -> tuple[Button, ...]:
    return tuple(
        Button(ask.words(f"starter.{name}"), f"starter:{name}", is_primary=True)
        for name in starters
    )


async def _way(ask: Request, records: Records) -> _Way:
    mine = ask.assistant.id
    first = await records.examples.page(
        ask.id, ExampleFilter(assistant=mine, state=ExampleState.APPROVED), limit=1
    )
    jobs = await records.jobs.page(ask.id, assistant=mine, limit=_RECENT)
    tuned = [job.model for job in jobs if job.phase is Phase.SUCCEEDED and job.model]
    pair = last_exchange(first[0]) if first else None
    return _Way(
        has_examples=bool(first) or bool(jobs),
        has_started=bool(jobs),
        has_trained=bool(tuned),
        has_asked=await _has_asked(ask, records, tuned),
        question=pair[0] if pair else "",
    )


async def _has_asked(ask: Request, records: Records, tuned: Sequence[ModelName]) -> bool:
    return any([await records.turns.has_answered(ask.id, model) for model in tuned])


async def helped(ask: Request, commands: Sequence[Command], note: Text | None = None) -> Reply:
    """The commands the asker may use, or one of them with its options; `note` goes first."""
    words = ask.words
    topic = ask.text("topic")
    mine = [command for command in commands if command.role <= ask.role]
    if topic:
        return _explained(topic, mine if ask.role is Role.STRANGER else commands, words)
    lines = tuple(ListingRow(f"/tune {c.path}", words(c.key)) for c in mine)
    if note is not None:
        lines = (ListingRow("", note.text, buttons=note.buttons), *lines)
    return Listing(words("help.title"), lines, note=words("help.note"))


def _explained(topic: str, commands: Sequence[Command], words: Words) -> Reply:
    """One command with its options; a group's name lists the group."""
    listed = [c for c in commands if c.path == topic or c.path.startswith(f"{topic} ")]
    if not listed:
        raise UnknownCommand(name=topic)
    if len(listed) > 1:
        lines = tuple(ListingRow(f"/tune {c.path}", words(c.key)) for c in listed)
        return Listing(words("help.title"), lines)
    options = tuple(
        ListingRow(f"{option.name}:", words(f"option.{option.name}"), _range(option))
        for option in listed[0].options
    )
    role = words(f"role.{listed[0].role.name.lower()}")
    note = words("help.role", role=role)
    title = f"/tune {listed[0].path}: {words(listed[0].key)}"
    return Listing(title, options, empty=words("help.no_options"), note=note)


def _range(option: Option) -> str:
    if option.choices:
        return " | ".join(option.choices)
    if option.least is not None and option.most is not None:
        return f"{plain(option.least)}…{plain(option.most)}"
    return ""
