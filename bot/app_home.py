"""The App Home of the bot: the workspace's state and the user's consent and erasure."""

from __future__ import annotations

from bot.commands import Handlers
from bot.consent import consent_buttons
from bot.domain import ExampleFilter, ExampleState, Role
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.replies import Button, Card, Fact, Reply, Text
from bot.request import Request

handlers = Handlers()


@handlers.event("visited", Role.STRANGER)
async def show_app_home(request: Request, deps: Dependencies) -> Reply:
    """Shows counts, the running training, the model in use, and the user's own switches."""
    words = request.words
    async with deps.store.reading() as records:
        facts = await _facts(request, records) if request.role > Role.STRANGER else ()
        consent = await records.consents.get(request.workspace_id, request.user_id)
    is_given = consent.given if consent else request.workspace.platform == "local"
    agree, withhold = consent_buttons(words, consent)
    return Card(
        words("home.title", name=request.assistant.name),
        lines=(words("consent.given" if is_given else "consent.not_given"),),
        facts=facts,
        buttons=(
            withhold if is_given else agree,
            Button(words("home.my_data"), "privacy.my_data"),
            Button(words("home.forget"), "privacy.ask_forget", is_danger=True),
        ),
    )


async def _facts(request: Request, records: Records) -> tuple[Fact, ...]:
    words = request.words
    return (
        Fact(words("home.examples"), await _counts(request, records)),
        Fact(words("home.model"), await _model(request, records)),
        Fact(words("home.job"), await _job(request, records)),
        Fact(words("home.sources"), words(f"learning.{request.workspace.sources.name.lower()}")),
    )


def welcome_card(request: Request, note: str) -> Text:
    """Returns the bot's first message in a workspace; `note` says what must be done first."""
    words = request.words
    buttons = (
        Button(words("welcome.try"), "welcome.try", is_primary=True),
        Button(words("welcome.approvers"), "welcome.approvers"),
        Button(words("welcome.sources"), "welcome.sources"),
    )
    learning = words(f"welcome.{request.workspace.sources.name.lower()}")
    text = words("welcome", learning=learning)
    return Text(f"{text}\n\n{note}" if note else text, buttons=buttons)


@handlers.button("welcome.try", Role.MEMBER)
async def show_how_to_try(request: Request, deps: Dependencies) -> Reply:
    return Text(request.words("welcome.how"), private=True)


async def _counts(request: Request, records: Records) -> str:
    counts = {
        state: await records.examples.count(
            request.workspace_id, ExampleFilter(assistant=request.assistant.id, state=state)
        )
        for state in (ExampleState.APPROVED, ExampleState.PROPOSED)
    }
    return " · ".join(
        f"{count} {request.words(f'state.{state}')}" for state, count in counts.items()
    )


async def _model(request: Request, records: Records) -> str:
    deployment = await records.deployments.current(request.workspace_id, request.assistant.id)
    return deployment.model if deployment else request.assistant.base


async def _job(request: Request, records: Records) -> str:
    running = await records.jobs.list_open_in_workspace(request.workspace_id)
    if not running:
        return request.words("none")
    return ", ".join(f"{job.id} ({job.status or job.phase})" for job in running)
