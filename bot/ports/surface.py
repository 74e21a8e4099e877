"""The port to chat platforms: required methods, and optional capabilities (`Can…`)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol, runtime_checkable

from bot.domain import Attachment, Message, MessageId, Place, User, UserId, WorkspaceId
from bot.events import Event
from bot.replies import Document, Drawn, Form, Stream, Text


class Surface(Protocol):
    """Methods that every platform has. Raises only `bot.errors.SurfaceError`s."""

    async def post(self, place: Place, reply: Drawn, *, key: str) -> MessageId:
        """Posts a message; a second call with the same key edits that message."""
        ...

    async def edit(self, place: Place, message: MessageId, reply: Drawn) -> None: ...

    async def react(self, place: Place, message: MessageId, emoji: str) -> None: ...

    async def fetch_message(self, place: Place, message: MessageId) -> Message | None: ...

    async def thread_before(self, place: Place, before: MessageId, limit: int) -> Sequence[Message]:
        """Returns the messages before one in its thread (or reply chain), oldest first."""
        ...

    async def messages_before(
        self, place: Place, before: MessageId, limit: int
    ) -> Sequence[Message]:
        """Returns the messages before one in its channel, oldest first."""
        ...


@runtime_checkable
class CanStream(Protocol):
    """Shows an answer while it is written."""

    async def stream(self, place: Place, stream: Stream, *, key: str, asker: UserId) -> MessageId:
        """Posts a streamed answer. Raises the errors of the stream; posted text stays."""
        ...


@runtime_checkable
class CanOpenThread(Protocol):
    """Optional: opens a thread on a message of a channel."""

    async def open_thread(self, place: Place, message: Message) -> Place | None:
        """Returns the thread on a message; opens it, with the text as title, if it does not exist.

        None if the message cannot have a thread. Raises PermissionMissing.
        """
        ...


@runtime_checkable
class CanSendEphemeral(Protocol):
    """Shows a message to one person in a channel."""

    async def send_ephemeral(self, event: Event, reply: Drawn) -> None: ...


@runtime_checkable
class CanDirectMessage(Protocol):
    """Sends direct messages."""

    async def find_direct_message_place(self, place: Place, user: UserId) -> Place:
        """Returns the direct-message channel of a user of the place's workspace."""
        ...


@runtime_checkable
class CanFetchUser(Protocol):
    """Looks up a user by id."""

    async def fetch_user(self, place: Place, user: UserId) -> User: ...


@runtime_checkable
class CanFindPerson(Protocol):
    """Looks up a person or group that a user typed."""

    async def find_person(self, place: Place, typed: str) -> User | None:
        """Returns a user, server role or user group; None if there is none of that id."""
        ...


@runtime_checkable
class CanFindAdmins(Protocol):
    """Lists the owners and administrators of a workspace."""

    async def find_admins(self, place: Place) -> Sequence[UserId]:
        """Returns the ids that the platform reveals, owners first."""
        ...


@runtime_checkable
class CanFindChannel(Protocol):
    """Checks whether a channel that a user typed exists."""

    async def has_channel(self, place: Place) -> bool:
        """Whether the place's channel is in its workspace."""
        ...


@runtime_checkable
class CanNameChannel(Protocol):
    """Looks up channel names."""

    async def channel_name(self, place: Place) -> str | None:
        """Returns the name as people write it, like `#general`; None if it is not known."""
        ...


@runtime_checkable
class RendersMentionsAndTimes(Protocol):
    """Renders mentions of people and channels, and times, natively: `bot.mentions_and_times`."""

    def renders_mentions_and_times(self) -> bool: ...


@runtime_checkable
class CanFindChannelKind(Protocol):
    """Looks up who may read a channel."""

    async def with_channel_kind(self, place: Place) -> Place:
        """Returns the place with the current kind of its channel; private if it is unknown."""
        ...


@runtime_checkable
class CanSwitchWorkspace(Protocol):
    """A platform where a user's direct messages could belong to several workspaces."""

    async def workspace_note(self, event: Event) -> Text | None:
        """Returns a text that names the workspace that answers, with a button for each other one.

        None if there is only one workspace.
        """
        ...


@runtime_checkable
class CanRetry(Protocol):
    """Prepares for handling an event again that an earlier process did not finish."""

    def prepare_retry(self, event: Event, *, has_begun: bool) -> None:
        """Prepares the event; if `has_begun`, an answer may be posted already and is looked for."""
        ...


@runtime_checkable
class CanCheckInstallation(Protocol):
    """Asks its platform whether the app is still installed in a workspace."""

    async def is_installed(self, workspace: WorkspaceId) -> bool | None:
        """Returns the platform's current answer; None if it does not answer. Never raises."""
        ...


@runtime_checkable
class CanDeleteSentFiles(Protocol):
    """Stores copies of files that were sent to users."""

    async def delete_sent_files(self) -> None:
        """Deletes the copies: they contain personal data, and a user can request a file again."""
        ...


@runtime_checkable
class CanOpenForm(Protocol):
    async def open_form(self, event: Event, form: Form) -> None: ...


@runtime_checkable
class HasFormLimits(Protocol):
    """A platform with limits on the text in a form."""

    def can_hold_form(self, form: Form) -> bool:
        """Whether the form fits: every value is shown complete and returned unchanged."""
        ...


@runtime_checkable
class CanShowFormError(Protocol):
    """Reopens a refused form with the text that the user typed."""

    async def show_form_error(self, event: Event, problem: str) -> None: ...


@runtime_checkable
class CanSendFile(Protocol):
    async def send_file(self, event: Event, document: Document) -> None: ...


@runtime_checkable
class CanReadFile(Protocol):
    def read_file(self, place: Place, attachment: Attachment) -> AsyncIterator[bytes]:
        """Yields the bytes of a file attached to an event, in blocks."""
        ...
