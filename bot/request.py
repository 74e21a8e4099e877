"""A request: an event with the workspace, role, options and assistant that the dispatcher found."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from bot.domain import (
    LOCAL,
    Assistant,
    Attachment,
    Binding,
    Deployment,
    Message,
    MessageId,
    Place,
    Role,
    User,
    UserId,
    Workspace,
    WorkspaceId,
)
from bot.errors import NotNow
from bot.events import (
    ButtonClicked,
    CommandInvoked,
    Event,
    MessageReceived,
    ReactionChanged,
)
from bot.option_validation import parse_integer, parse_number
from bot.ports.dependencies import ProgressCallback
from bot.ports.store import Records
from bot.replies import Progress
from bot.words import Words


@dataclass(frozen=True, slots=True)
class Request:
    """Argument of a handler: the event, the user's role, the options, and the assistant."""

    event: Event
    workspace: Workspace
    role: Role
    words: Words
    now: datetime
    assistant: Assistant
    binding: Binding | None = None
    deployment: Deployment | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    """Values of a command by option name, or of a form by field name."""
    argument: str = ""
    """The text after the colon in the action of a button or the id of a form."""
    attachment: Attachment | None = None
    message: Message | None = None
    """The message of a reaction or a shortcut."""
    progress: ProgressCallback | None = None
    may_ask: bool = True
    """False for a stranger in a channel where no admin allows strangers to ask."""
    is_page: bool = False
    """Whether the request is from a page of the studio, which renders the reply itself."""

    @property
    def workspace_id(self) -> WorkspaceId:
        return self.workspace.id

    @property
    def place(self) -> Place:
        return self.event.place

    @property
    def user(self) -> User:
        return self.event.user

    @property
    def user_id(self) -> UserId:
        return self.event.user.id

    @property
    def idempotency_key(self) -> str:
        """Key derived from the event, so that an event handled again creates nothing twice."""
        return sha256(f"{self.workspace_id}/{self.event.key}".encode()).hexdigest()[:16]

    @property
    def month_start(self) -> datetime:
        """Midnight UTC of the first of this month, from which monthly budgets count."""
        return self.now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)

    @property
    def may_quote_host(self) -> bool:
        """Whether the reply is shown only to curators or the operator.

        A host's own message may quote rows or settings, so it is not shown to members.
        """
        return self.role >= Role.CURATOR and (self.is_page or self.workspace_id == LOCAL)

    @property
    def opens_threads(self) -> bool:
        """Whether a question in this channel is answered in a thread of its own."""
        bound = self.binding.threads if self.binding is not None else None
        return self.assistant.threads if bound is None else bound

    @property
    def is_click(self) -> bool:
        """Whether the user clicked something that was shown, instead of typing a command."""
        return not isinstance(self.event.what, CommandInvoked | MessageReceived)

    @property
    def clicked_message(self) -> MessageId | None:
        """The message of the clicked button or of the reaction."""
        what = self.event.what
        return what.message if isinstance(what, ButtonClicked | ReactionChanged) else None

    def marked_message(self) -> Message:
        """Returns the message of the reaction or shortcut. Raises NotNow if it is deleted."""
        if self.message is None:
            raise NotNow(problem=self.words("message.gone"))
        return self.message

    def report_progress(self, done: int, total: int) -> None:
        """Calls `progress`, if there is one."""
        if self.progress is not None:
            self.progress(Progress(done, total))

    def progress_of_thread(self) -> Callable[[int, int], None]:
        """Returns `report_progress` for a worker thread; reports each percent once."""
        loop, reported = asyncio.get_running_loop(), -1

        def report(done: int, total: int) -> None:
            nonlocal reported
            percent = 100 * done // max(total, 1)
            if percent > reported:
                reported = percent
                loop.call_soon_threadsafe(self.report_progress, done, max(total, 1))

        return report

    async def audit(self, records: Records, what: str, **details: object) -> None:
        """Writes an audit entry for the user; `what` is the key of its text."""
        await records.audit.add(self.workspace_id, self.user_id, what, at=self.now, **details)

    def text_option(self, name: str) -> str | None:
        """Returns an option's text without outer spaces; None for a missing or empty option."""
        value = self.options.get(name, "").strip()
        return value or None

    def integer_option(self, name: str) -> int | None:
        """Returns an integer; None for a missing option and for "auto". Raises BadInput."""
        value = self._number_text(name)
        return None if value is None else parse_integer(name, value, self.words)

    def number_option(self, name: str, *, may_be_percent: bool = False) -> float | None:
        """Returns a number; None for a missing option and for "auto".

        Raises BadInput, also for a text that may mean two numbers.
        """
        value = self._number_text(name)
        if value is None:
            return None
        return parse_number(name, value.rstrip("%％") if may_be_percent else value, self.words)

    def yes_no_option(self, name: str, *, default: bool) -> bool:
        """Returns a boolean option; `default` for a missing option and other text."""
        value = (self.text_option(name) or "").lower()
        if value in ("yes", "on", "true", "1", "是"):
            return True
        if value in ("no", "off", "false", "0", "否"):
            return False
        return default

    def _number_text(self, name: str) -> str | None:
        value = self.text_option(name)
        return None if value is None or value.lower() == "auto" else value
