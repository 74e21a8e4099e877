"""The dependencies of handlers, and the application's interface for adapters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Protocol

from bot.check_results import CheckResults
from bot.conversation_summaries import ConversationSummaries
from bot.domain import MessageId, Row, UserId, Workspace, WorkspaceId
from bot.events import Event
from bot.pdf_docx_text import PdfDocxReader
from bot.ports.engine_installation import LanguageEngine
from bot.ports.form_links import Links
from bot.ports.import_files import ImportFiles
from bot.ports.metered_calls import TokenMeter
from bot.ports.model_export import ModelExporter
from bot.ports.model_hosts import Hosts
from bot.ports.nearest_examples import NearestExamples
from bot.ports.store import Clock, Store
from bot.ports.surface import Surface
from bot.replies import Progress, Reply
from bot.words import Words

ProgressCallback = Callable[[Progress], None]


class Surfaces(Protocol):
    def surface_of(self, workspace: WorkspaceId) -> Surface:
        """Returns the surface of a workspace. Raises PlaceClosed if its platform is off."""
        ...


class RunningAnswer(Protocol):
    """An answer in progress; `message` is the first message posted for it, None before."""

    @property
    def asker(self) -> UserId: ...
    @property
    def message(self) -> MessageId | None: ...
    def cancel_task(self) -> None: ...


class RunningAnswers(Protocol):
    """The answers in progress."""

    @property
    def turn_stored_events(self) -> Mapping[MessageId, asyncio.Event]:
        """Messages of answers whose turn is not stored yet; each event is set when it is."""
        ...

    def register_current_task(self, event: Event) -> object:
        """Registers the current task as the event's, so that the answer can be stopped."""
        ...

    def find_by_message_or_event(self, name: str) -> RunningAnswer | None:
        """Returns an answer by the id of one of its messages or its question, or by event key."""
        ...

    def is_stopping(self) -> bool:
        """Whether the current task is being cancelled because a user stopped the answer."""
        ...


class TokenReservations(Protocol):
    """Reservations of daily tokens for answers in progress."""

    def reserve(
        self, workspace: Workspace, user: UserId, day: date, *, expected: int, words: Words
    ) -> AbstractAsyncContextManager[TokenMeter]:
        """Waits until answers in progress leave enough of the day's tokens, and reserves them.

        On exit, also after an error, the tokens that the meter's calls really used are stored and
        the reservation is released. Raises OverCap if the tokens of the day are used up.
        """
        ...


@dataclass(frozen=True, slots=True)
class Dependencies:
    """Ports and fixed settings that use-cases get as an argument."""

    store: Store
    hosts: Hosts
    surfaces: Surfaces
    clock: Clock
    links: Links
    imports: ImportFiles
    running_answers: RunningAnswers
    token_reservations: TokenReservations
    nearest_examples: NearestExamples
    admins: frozenset[str]
    starters: Mapping[str, Sequence[Row]]
    wake_runners: Callable[[], None]
    publish_change: Callable[[str], None]
    engine: LanguageEngine | None = None
    """Installs language models on this machine; None in programs that install nothing."""
    exporter: ModelExporter | None = None
    """Packs tuned models into files; None in programs without local models."""
    documents: PdfDocxReader = field(default_factory=PdfDocxReader)
    summaries: ConversationSummaries = field(default_factory=ConversationSummaries)
    checks: CheckResults = field(default_factory=CheckResults)
    erase_after: timedelta = timedelta(days=7)
    """Time between the removal of the app from a workspace and the erasure of its data."""


class App(Protocol):
    """The application's interface for chat and web adapters."""

    async def handle(self, event: Event) -> asyncio.Task[None] | None:
        """Stores the event in the inbox and starts a task for it; None if it was received before.

        The platform may be acknowledged as soon as this returns. The task ends when the event is
        answered, and never raises.
        """
        ...

    async def handle_for_page(
        self, event: Event, *, progress: ProgressCallback | None = None
    ) -> Reply:
        """Returns the reply for a web page instead of posting it; an error comes as `Refused`.

        `progress` is called with the progress of long work.
        """
        ...

    async def handle_read_only(self, event: Event) -> Reply:
        """Like `handle_for_page`, for a read-only event: not stored, no change is published."""
        ...

    def watch_changes(self, topic: str) -> AsyncIterator[str]:
        """Yields the names of changes under a topic (`room`, `notices`, `all`) from now on."""
        ...

    async def is_idle(self, workspace: WorkspaceId) -> bool:
        """Whether no job runs in the workspace and every notice is delivered."""
        ...

    async def has_closed_workspace(self, platform: str) -> bool:
        """Whether a workspace of the platform is closed and not erased yet."""
        ...

    def translate(self, key: str, locale: str = "en", /, **details: object) -> str:
        """Returns a text of `bot.words`, for messages that come from a surface itself."""
        ...
