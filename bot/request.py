"""A request: an event, and what the dispatcher found out about it."""

from __future__ import annotations

from collections.abc import Mapping
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
from bot.option_values import read_number, read_whole
from bot.ports.dependencies import ProgressCallback
from bot.ports.store import Records
from bot.replies import Progress
from bot.words import Words


@dataclass(frozen=True, slots=True)
class Request:
    """What a handler is given: the event, who sent it with which role, and its options."""

    event: Event
    workspace: Workspace
    role: Role
    words: Words
    now: datetime
    assistant: Assistant
    binding: Binding | None = None
    deployment: Deployment | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    """Of a command by option, of a form by field."""
    argument: str = ""
    """What follows the colon in the name of a button or form."""
    attachment: Attachment | None = None
    message: Message | None = None
    """The message that was reacted to, or on which a shortcut was used."""
    progress: ProgressCallback | None = None
    may_ask: bool = True
    """False for a stranger where no admin lets strangers ask."""
    is_page: bool = False
    """Whether a page of the studio sent it, and shows the reply itself."""

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
        """The same for an event that runs again, so that what it creates is created once."""
        return sha256(f"{self.workspace_id}/{self.event.key}".encode()).hexdigest()[:16]

    @property
    def month_start(self) -> datetime:
        """Midnight UTC of the first of this month; budgets of money count from there."""
        return self.now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)

    @property
    def may_quote_host(self) -> bool:
        """Whether curators or the operator alone read the reply, wherever it is shown.

        What a host says in its own words may quote rows or settings, so members read none of it.
        """
        return self.role >= Role.CURATOR and (self.is_page or self.workspace_id == LOCAL)

    @property
    def opens_threads(self) -> bool:
        """Whether a question in this channel is answered in a thread of its own."""
        bound = self.binding.threads if self.binding is not None else None
        return self.assistant.threads if bound is None else bound

    @property
    def is_click(self) -> bool:
        """A button, a form or a reaction, which was shown something; not typed."""
        return not isinstance(self.event.what, CommandInvoked | MessageReceived)

    @property
    def clicked_message(self) -> MessageId | None:
        """The message whose button was clicked, or that was reacted to."""
        what = self.event.what
        return what.message if isinstance(what, ButtonClicked | ReactionChanged) else None

    def marked_message(self) -> Message:
        """The message that was reacted to. Raises NotNow where it is gone."""
        if self.message is None:
            raise NotNow(problem=self.words("message.gone"))
        return self.message

    def report_progress(self, done: int, total: int) -> None:
        """Reports how far the work is to whoever waits for it."""
        if self.progress is not None:
            self.progress(Progress(done, total))

    async def audit(self, records: Records, what: str, **details: object) -> None:
        """Notes in the audit that whoever sent this did it now; `what` is a key of its words."""
        await records.audit.add(self.workspace_id, self.user_id, what, at=self.now, **details)

    def text_option(self, name: str) -> str | None:
        value = self.options.get(name, "").strip()
        return value or None

    def integer_option(self, name: str) -> int | None:
        """None for a missing option and for "auto". Raises BadInput."""
        value = self._amount(name)
        return None if value is None else read_whole(name, value, self.words)

    def number_option(self, name: str, *, may_be_percent: bool = False) -> float | None:
        """None for a missing option and for "auto". Raises BadInput, also where it means two."""
        value = self._amount(name)
        if value is None:
            return None
        return read_number(name, value.rstrip("%％") if may_be_percent else value, self.words)

    def yes_no_option(self, name: str, *, default: bool) -> bool:
        value = (self.text_option(name) or "").lower()
        if value in ("yes", "on", "true", "1", "是"):
            return True
        if value in ("no", "off", "false", "0", "否"):
            return False
        return default

    def _amount(self, name: str) -> str | None:
        value = self.text_option(name)
        return None if value is None or value.lower() == "auto" else value
