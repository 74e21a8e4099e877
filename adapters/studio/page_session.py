"""The session of a browser window: user, language, and calls to the app."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from nicegui import ui

from adapters.local_room import WINDOW_KEY_PREFIX, LocalRoom
from bot import events
from bot.commands import Catalogue
from bot.domain import LOCAL, ChannelId, Place, User, UserId, WorkspaceId
from bot.ports.dependencies import App, ProgressCallback
from bot.ports.form_links import Links
from bot.ports.store import Clock
from bot.replies import Reply

STUDIO_OWNER = User(UserId("you"), "you", is_platform_admin=True, is_operator=True)
PEOPLE_FIELD_CLASS = "of-people"
"""The class of fields that offer the names of people; studio.js gives them the page's list."""
GENERAL, DIRECT = ChannelId("general"), ChannelId("direct")
is_refreshing: ContextVar[bool] = ContextVar("is_refresh", default=False)
"""Whether the task refreshes a page by itself, so that no working line is shown."""


@dataclass(frozen=True, slots=True)
class Studio:
    """The dependencies of every window."""

    app: App
    room: LocalRoom
    catalogue: Catalogue
    clock: Clock
    links: Links
    has_password: bool


class WorkingLine:
    """An animated line below the bar, shown while an action of the person is running."""

    def __init__(self) -> None:
        self._count = 0
        self._line = ui.element("div").classes("working").props("aria-hidden=true")
        self._line.set_visibility(False)

    @contextmanager
    def shown(self) -> Iterator[None]:
        self._change(1)
        try:
            yield
        finally:
            self._change(-1)

    def _change(self, by: int) -> None:
        self._count += by
        if not self._line.is_deleted:
            self._line.set_visibility(self._count > 0)


@dataclass(slots=True)
class PageSession:
    """The state of a window and its calls to the app; the only state that its pages share."""

    studio: Studio
    locale: str = "en"
    channel: ChannelId = GENERAL
    workspace: WorkspaceId = LOCAL
    assistant: str | None = None
    speaker: User = STUDIO_OWNER
    view_id: str = field(default_factory=lambda: f"{WINDOW_KEY_PREFIX}{secrets.token_hex(4)}")
    own_event_keys: set[str] = field(default_factory=set)
    working_line: WorkingLine | None = None

    @property
    def place(self) -> Place:
        return Place(self.workspace, self.channel)

    def translate(self, key: str, /, **details: object) -> str:
        """Returns a sentence of `bot/words` in this window's language."""
        return self.studio.app.translate(key, self.locale, **details)

    async def send(
        self, what: events.EventContent, place: Place | None = None, *, key: str | None = None
    ) -> asyncio.Task[None] | None:
        """Sends an event as the speaker; the app posts the reply in the room."""
        event = self._event(what, place or Place(LOCAL, self.channel), self.speaker, key)
        self.own_event_keys.add(event.key)
        return await self.studio.app.handle(event)

    def new_key(self) -> str:
        """Returns a new event key, for an event without a message."""
        return self.studio.room.new_key(self.view_id)

    async def ask(
        self,
        what: events.EventContent,
        place: Place | None = None,
        *,
        by: User = STUDIO_OWNER,
        progress: ProgressCallback | None = None,
    ) -> Reply:
        """Sends an event and returns the reply; the user is the owner unless `by` is given."""
        event = self._event(what, place or self.place, by, None)
        with self.working():
            return await self.studio.app.handle_for_page(event, progress=progress)

    async def query(self, what: events.EventContent, place: Place | None = None) -> Reply:
        """Like `ask`, for events that change nothing."""
        event = self._event(what, place or self.place, STUDIO_OWNER, None)
        with self.working():
            return await self.studio.app.handle_read_only(event)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Shows the working line within the block, except in a refresh."""
        if self.working_line is None or is_refreshing.get():
            yield
            return
        with self.working_line.shown():
            yield

    async def click(self, action: str) -> Reply:
        return await self.ask(events.ButtonClicked(action))

    async def query_button(self, action: str) -> Reply:
        """Returns the reply to a button that changes nothing."""
        return await self.query(events.ButtonClicked(action))

    async def command(self, words: str, options: Mapping[str, str] | None = None) -> Reply:
        """Runs a `/tune` command with its options by name; empty options are omitted."""
        return await self.ask(events.CommandInvoked(words, _without_empty(options)))

    async def query_command(self, words: str, options: Mapping[str, str] | None = None) -> Reply:
        """Returns the reply to a command that changes nothing."""
        return await self.query(events.CommandInvoked(words, _without_empty(options)))

    def speak_as(self, name: str) -> None:
        self.speaker = STUDIO_OWNER if name in ("", STUDIO_OWNER.name) else User(UserId(name), name)

    def _event(
        self, what: events.EventContent, place: Place, user: User, key: str | None
    ) -> events.Event:
        return events.Event(
            key=key or self.new_key(),
            place=place,
            user=user,
            at=self.studio.clock.now(),
            what=what,
            locale=self.locale,
            assistant=self.assistant,
        )


def _without_empty(options: Mapping[str, str] | None) -> Mapping[str, str]:
    return {name: value for name, value in (options or {}).items() if value}


def set_browser_cookie(name: str, value: str) -> None:
    """Stores a setting of this browser in a cookie, which must not contain secrets."""
    ui.run_javascript(f"attune.remember({json.dumps(name)}, {json.dumps(value)})")
