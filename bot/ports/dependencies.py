"""What handlers are given, and the app as adapters use it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Protocol

from bot.check_results import CheckResults
from bot.documents import Documents
from bot.domain import MessageId, Row, UserId, Workspace, WorkspaceId
from bot.events import Event
from bot.ports.engine import LanguageEngine
from bot.ports.import_files import ImportFiles
from bot.ports.links import Links
from bot.ports.metered_calls import Meter
from bot.ports.model_export import ModelExporter
from bot.ports.provider import Hosts
from bot.ports.store import Clock, Store
from bot.ports.surface import Surface
from bot.replies import Progress, Reply
from bot.summaries import Summaries
from bot.words import Words

ProgressCallback = Callable[[Progress], None]


class Surfaces(Protocol):
    def of(self, workspace: WorkspaceId) -> Surface:
        """The surface a workspace lives on. Raises PlaceClosed where it is off."""
        ...


class RunningAnswer(Protocol):
    """An answer that is worked on; `message` is its first one, once it stands."""

    @property
    def asker(self) -> UserId: ...
    @property
    def message(self) -> MessageId | None: ...
    def stop(self) -> None: ...


class RunningAnswers(Protocol):
    """The answers being written right now."""

    @property
    def unstored(self) -> Mapping[MessageId, asyncio.Event]:
        """Answers just posted that are not known by their message yet; set once they are."""
        ...

    def begin(self, event: Event) -> object:
        """From here on what the current task does for the event can be stopped."""
        ...

    def find_by_name(self, name: str) -> RunningAnswer | None:
        """By one of its messages, by its question, or by the key of what asks for it."""
        ...

    def is_stopping(self) -> bool:
        """Whether the running task ends because somebody stopped it, not because the app does."""
        ...


class TokenReservations(Protocol):
    """Tokens of today that the answers being written right now will probably use."""

    def reserve(
        self, workspace: Workspace, user: UserId, day: date, *, expected: int, words: Words
    ) -> AbstractAsyncContextManager[Meter]:
        """Waits until answers in progress leave enough of the day's tokens, and holds them.

        Released at the end, however that comes, once what the calls of the meter have really used
        is stored. Raises OverCap where the tokens of the day are used up.
        """
        ...


@dataclass(frozen=True, slots=True)
class Dependencies:
    """Ports and fixed settings, handed to use-cases by name."""

    store: Store
    hosts: Hosts
    surfaces: Surfaces
    clock: Clock
    links: Links
    imports: ImportFiles
    running_answers: RunningAnswers
    token_reservations: TokenReservations
    admins: frozenset[str]
    starters: Mapping[str, Sequence[Row]]
    wake_runners: Callable[[], None]
    publish_change: Callable[[str], None]
    engine: LanguageEngine | None = None
    """Installs language models here; None in programs that install nothing."""
    exporter: ModelExporter | None = None
    """Gives tuned models as files; None in programs that have none."""
    documents: Documents = field(default_factory=Documents)
    summaries: Summaries = field(default_factory=Summaries)
    checks: CheckResults = field(default_factory=CheckResults)
    erase_after: timedelta = timedelta(days=7)
    """Between the removal of the app from a workspace and the erasure of what was kept of it."""


class App(Protocol):
    """The application, as the chat and web adapters use it."""

    async def handle(self, event: Event) -> asyncio.Task[None] | None:
        """Promise the event durably, then work on it; None if it is known already.

        The platform may be acknowledged as soon as this returns; the task ends
        when the event is answered and never raises.
        """
        ...

    async def handle_for_page(
        self, event: Event, *, progress: ProgressCallback | None = None
    ) -> Reply:
        """The reply itself, for a page to draw; nothing is posted, an error comes as `Refused`.

        `progress` hears how far a long work is.
        """
        ...

    async def query(self, event: Event) -> Reply:
        """As `handle_for_page`, for what changes nothing: nothing is stored, nobody is told."""
        ...

    def watch(self, topic: str) -> AsyncIterator[str]:
        """Names of what changed under a topic (`room`, `notices`; `all` for any), from now on."""
        ...

    async def is_idle(self, workspace: WorkspaceId) -> bool:
        """No job runs and every notice is delivered."""
        ...

    async def has_closed(self, platform: str) -> bool:
        """Whether a workspace of the platform waits to be erased, or to come back."""
        ...

    def translate(self, key: str, locale: str = "en", /, **details: object) -> str:
        """A sentence of the catalogue, for what a surface itself has to tell."""
        ...
