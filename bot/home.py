"""The bot's own page for one person: how things stand, and their own switches."""

from __future__ import annotations

from bot.domain import ExampleFilter, ExampleState, Role
from bot.ports.store import Records, Store
from bot.replies import Button, Card, Fact, Reply, Text
from bot.request import Request


async def home(ask: Request, *, store: Store) -> Reply:
    """Counts, the running training, the model that answers, consent and erasure."""
    words = ask.words
    async with store.reading() as records:
        facts = await _facts(ask, records) if ask.role > Role.STRANGER else ()
        held = await records.consents.get(ask.id, ask.by)
    is_given = held.given if held else ask.workspace.platform == "local"
    switch = (
        Button(words("button.consent_off"), "consent.off")
        if is_given
        else Button(words("button.consent_on"), "consent.on")
    )
    return Card(
        words("home.title", name=ask.assistant.name),
        lines=(words("consent.given" if is_given else "consent.not_given"),),
        facts=facts,
        buttons=(
            switch,
            Button(words("home.my_data"), "privacy.my_data"),
            Button(words("home.forget"), "privacy.ask_forget", is_danger=True),
        ),
    )


async def _facts(ask: Request, records: Records) -> tuple[Fact, ...]:
    words = ask.words
    return (
        Fact(words("home.examples"), await _counts(ask, records)),
        Fact(words("home.model"), await _model(ask, records)),
        Fact(words("home.job"), await _job(ask, records)),
        Fact(words("home.sources"), words(f"sources.{ask.workspace.sources.name.lower()}")),
    )


def welcome(ask: Request, note: str) -> Text:
    """What the bot says where it was invited; `note` is what must be done first, if anything."""
    words = ask.words
    buttons = (
        Button(words("welcome.try"), "welcome.try", is_primary=True),
        Button(words("welcome.approvers"), "welcome.approvers"),
        Button(words("welcome.sources"), "welcome.sources"),
    )
    learning = words(f"welcome.{ask.workspace.sources.name.lower()}")
    text = words("welcome", learning=learning)
    return Text(f"{text}\n\n{note}" if note else text, buttons=buttons)


async def try_me(ask: Request) -> Reply:
    return Text(ask.words("welcome.how"), private=True)


async def _counts(ask: Request, records: Records) -> str:
    counted = {
        state: await records.examples.count(
            ask.id, ExampleFilter(assistant=ask.assistant.id, state=state)
        )
        for state in (ExampleState.APPROVED, ExampleState.PROPOSED)
    }
    return " · ".join(f"{count} {ask.words(f'state.{state}')}" for state, count in counted.items())


async def _model(ask: Request, records: Records) -> str:
    deployment = await records.deployments.current(ask.id, ask.assistant.id)
    return deployment.model if deployment else ask.assistant.base


async def _job(ask: Request, records: Records) -> str:
    running = await records.jobs.open_in(ask.id)
    if not running:
        return ask.words("none")
    return ", ".join(f"{job.id} ({job.status or job.phase})" for job in running)
