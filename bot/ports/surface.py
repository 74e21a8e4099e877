"""The port to chat platforms: what each must do, and optional capabilities (`Can…`)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol, runtime_checkable

from bot.domain import Attachment, Message, MessageId, Place, User, UserId, WorkspaceId
from bot.events import Event
from bot.replies import Document, Drawn, Form, Stream, Text


class Surface(Protocol):
    """What every platform can do. Raises only `bot.errors.SurfaceError`s."""

    async def post(self, place: Place, reply: Drawn, *, key: str) -> MessageId:
        """Post once per key: a second call with the same key edits what stands."""
        ...

    async def edit(self, place: Place, message: MessageId, reply: Drawn) -> None: ...

    async def react(self, place: Place, message: MessageId, emoji: str) -> None: ...

    async def fetch(self, place: Place, message: MessageId) -> Message | None: ...

    async def history(self, place: Place, before: MessageId, limit: int) -> Sequence[Message]:
        """What was said before a message in its thread (or reply chain), oldest first."""
        ...

    async def messages_before(
        self, place: Place, before: MessageId, limit: int
    ) -> Sequence[Message]:
        """What was said just above a message in its channel, oldest first."""
        ...


@runtime_checkable
class CanStream(Protocol):
    """Shows an answer while it is written."""

    async def stream(self, place: Place, stream: Stream, *, key: str, asker: UserId) -> MessageId:
        """Raises what the pieces raise; text already shown stays."""
        ...


@runtime_checkable
class CanOpenThread(Protocol):
    """Opens a thread on a message of a channel."""

    async def open_thread(self, event: Event, title: str) -> Place | None:
        """The thread on the event's message, also one that stands already.

        None where there can be none; raises PermissionMissing.
        """
        ...


@runtime_checkable
class CanSendEphemeral(Protocol):
    """Shows something to one person alone."""

    async def send_ephemeral(self, event: Event, reply: Drawn) -> None: ...


@runtime_checkable
class CanReach(Protocol):
    """Reaches one person where nobody else reads."""

    async def find_direct_place(self, place: Place, user: UserId) -> Place:
        """Where to write to somebody of this place's workspace."""
        ...


@runtime_checkable
class CanDescribe(Protocol):
    """Tells how a person stands, of whom only the id was kept."""

    async def describe(self, place: Place, user: UserId) -> User: ...


@runtime_checkable
class CanFindPerson(Protocol):
    """Knows who is there, so that a name that is typed can be checked."""

    async def find_person(self, place: Place, said: str) -> User | None:
        """Somebody, or a server role or user group; None where there is none of that id."""
        ...


@runtime_checkable
class CanFindAdmins(Protocol):
    """Knows who owns or administers a workspace by its platform's own word."""

    async def find_admins(self, place: Place) -> Sequence[UserId]:
        """Owners first; as far as the platform tells."""
        ...


@runtime_checkable
class CanFindChannel(Protocol):
    """Knows which channels there are, so that a name that is typed can be checked."""

    async def find_channel(self, place: Place) -> bool:
        """Whether the place's channel is one of its workspace."""
        ...


@runtime_checkable
class CanNameChannel(Protocol):
    """Knows what channels are called."""

    async def channel_name(self, place: Place) -> str | None:
        """As people write it, like `#general`; None where the platform does not tell."""
        ...


@runtime_checkable
class ShowsReferences(Protocol):
    """Draws people, channels and moments its own way; see `bot.references`."""

    def draws_references(self) -> bool: ...


@runtime_checkable
class CanLocate(Protocol):
    """Knows who may read a channel of which only the id was kept."""

    async def locate(self, place: Place) -> Place:
        """The place as it is today; private where that cannot be told."""
        ...


@runtime_checkable
class CanSwitchWorkspace(Protocol):
    """One person's direct messages could belong to several workspaces."""

    async def workspace_note(self, event: Event) -> Text | None:
        """Which one answers here, with a button for each other; None where there is no choice."""
        ...


@runtime_checkable
class CanResume(Protocol):
    """Is told of an event of an earlier run before that is worked on again."""

    def resume(self, event: Event, *, has_begun: bool) -> None:
        """If it has begun, an answer may stand already: look before showing one."""
        ...


@runtime_checkable
class CanTellInstalled(Protocol):
    """Asks its platform whether the app is (still) in a workspace."""

    async def is_installed(self, workspace: WorkspaceId) -> bool | None:
        """As the platform answers right now; None where no answer comes. Never raises."""
        ...


@runtime_checkable
class CanForgetFiles(Protocol):
    """Keeps copies of files that people were given."""

    async def forget_files(self) -> None:
        """They hold many people's words, and whoever wants one asks again."""
        ...


@runtime_checkable
class CanOpenForm(Protocol):
    async def open_form(self, event: Event, form: Form) -> None: ...


@runtime_checkable
class HasFormLimits(Protocol):
    """Its forms hold only so much text."""

    def can_hold_form(self, form: Form) -> bool:
        """Whether a form shows every value whole, and gives each back unchanged."""
        ...


@runtime_checkable
class CanReturnForm(Protocol):
    """Gives a form that was refused back to its sender, with what was typed."""

    async def return_form(self, event: Event, problem: str) -> None: ...


@runtime_checkable
class CanSendFile(Protocol):
    async def send_file(self, event: Event, document: Document) -> None: ...


@runtime_checkable
class CanReadFile(Protocol):
    def read_file(self, place: Place, attachment: Attachment) -> AsyncIterator[bytes]:
        """The bytes of a file that came with an event, in blocks."""
        ...
