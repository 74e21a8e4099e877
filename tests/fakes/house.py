"""A house that does what a test tells it: events in, scripted answers through the room."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta

from bot.errors import Details
from bot.events import Event
from bot.model import WorkspaceId

SENTENCES: Mapping[str, str] = {
    "console.unknown": "There is no /{word} here. There is {words}.",
    "console.usage": "Write it as {usage}.",
    "console.no_message": "There is no message {number}.",
    "console.none_fits": "There is no message here that this could mean.",
    "console.no_buttons": "Message {number} has no buttons.",
    "console.no_button": "Message {number} has no button “{label}”. It has {labels}.",
    "console.several_buttons": "“{label}” is several buttons of message {number}: {labels}.",
    "console.not_yours": "Message {number} is not one of {name}'s own.",
    "console.no_file": "There is no file {path}.",
    "console.form": "Form: {title}",
    "console.form_help": (
        "Fill it in with /fill FIELD TEXT, then /submit ({submit}), or /dismiss it."
    ),
    "console.required": "required",
    "console.choices": "one of {choices}",
    "console.filled": "{field}",
    "console.no_form": "No form is open.",
    "console.no_field": "The form has no field “{field}”. It has {fields}.",
    "console.no_choice": "“{value}” is no choice for {field}. Choose one of {choices}.",
    "console.too_long": "{field} takes at most {most} characters.",
    "console.missing_fields": "Still to be filled in: {fields}.",
    "console.dismissed": "The form is closed, and nothing was sent.",
    "console.speaker": "You speak as {name} now.",
    "console.name_taken": "“{name}” is the assistant's own name. Choose another.",
    "console.deleted": "(deleted)",
    "console.reacted": "{name} put {emoji} on #{number}.",
    "console.missed": "Some messages came too fast to be shown. The room has kept them.",
    "console.quiet": "All is quiet: no job runs, and everything has been said.",
    "console.toolbar": ("/ for commands · /click LABEL · Ctrl-C stops an answer · Ctrl-D leaves"),
    "console.welcome": "Teach your assistant in four steps",
    "console.welcome.import": "Bring in a starter: /tune import starter:limericks",
    "console.welcome.train": "Train: /tune start, then /click LAST Confirm",
    "console.welcome.wait": "Wait until it is done; the room shows how it goes.",
    "console.welcome.ask": "Ask: @attune write me a limerick about tea",
    "console.welcome.more": "/tune help tells the rest.",
}


class StillClock:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self._now = datetime(2026, 11, 3, 10, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self._now

    async def sleep(self, wait: timedelta) -> None:
        self._now += wait
        await asyncio.sleep(0)


async def _silence(event: Event) -> None:
    return None


class FakeHouse:
    """Remembers every event and lets `answer` deal with it."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.answer: Callable[[Event], Awaitable[None]] = _silence
        self.is_busy: Callable[[], bool] = lambda: False
        self._tasks: set[asyncio.Task[None]] = set()

    async def handle(self, event: Event) -> asyncio.Task[None] | None:
        if event.key in {known.key for known in self.events}:
            return None
        self.events.append(event)
        task = asyncio.create_task(self._answer(event), name=f"house: {event.key}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def watch(self, topic: str) -> AsyncIterator[str]:
        yield topic

    async def is_quiet(self, workspace: WorkspaceId) -> bool:
        return not self.is_busy()

    def say(self, key: str, locale: str = "en", **details: object) -> str:
        return SENTENCES[key].format_map(Details(details))

    async def _answer(self, event: Event) -> None:
        await self.answer(event)
