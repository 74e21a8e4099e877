"""Incoming events in a form that is the same for all platforms; adapters create them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from bot.domain import (
    EPHEMERAL_ID_PREFIX,
    Attachment,
    ChannelId,
    ChannelKind,
    Message,
    MessageId,
    Place,
    User,
)

STOP_EMOJI = "❌"
"""The emoji whose reaction stops an answer."""


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A person wrote a message; its text does not contain the mention of the bot."""

    message: Message
    is_addressed: bool
    is_direct: bool = False
    kind: Literal["spoken"] = "spoken"


@dataclass(frozen=True, slots=True)
class CommandInvoked:
    """A person invoked `/tune` as a slash command or in a message.

    `words` is the text after `/tune`. `options` holds options that the platform has parsed, as
    Discord does. `said` is the message if the command came as one: it may be a question instead.
    """

    words: str
    options: Mapping[str, str] = field(default_factory=dict)
    attachment: Attachment | None = None
    said: Message | None = None
    kind: Literal["commanded"] = "commanded"


@dataclass(frozen=True, slots=True)
class ReactionChanged:
    """A reaction was added to a message or removed from it."""

    message: MessageId
    emoji: str
    is_removed: bool = False
    kind: Literal["reacted"] = "reacted"


@dataclass(frozen=True, slots=True)
class ButtonClicked:
    """A button was clicked; `message` is the one that carries it."""

    action: str
    message: MessageId | None = None
    kind: Literal["clicked"] = "clicked"


@dataclass(frozen=True, slots=True)
class FormSubmitted:
    """A form was submitted; `values` holds the text of each field by its name."""

    form: str
    values: Mapping[str, str]
    attachment: Attachment | None = None
    kind: Literal["submitted"] = "submitted"


@dataclass(frozen=True, slots=True)
class ShortcutUsed:
    """A message shortcut or context menu was used on a message."""

    shortcut: str
    message: Message
    kind: Literal["marked"] = "marked"


@dataclass(frozen=True, slots=True)
class MessageEdited:
    """A message was edited on its platform."""

    message: MessageId
    text: str
    kind: Literal["edited"] = "edited"


@dataclass(frozen=True, slots=True)
class MessagesDeleted:
    """Messages were deleted on their platform."""

    messages: tuple[MessageId, ...]
    kind: Literal["deleted"] = "deleted"


@dataclass(frozen=True, slots=True)
class ChannelDeleted:
    """A channel was deleted, or only a thread if the place of the event has one."""

    kind: Literal["place_deleted"] = "place_deleted"


@dataclass(frozen=True, slots=True)
class WorkspaceJoined:
    """The bot was installed in a workspace."""

    name: str
    kind: Literal["joined"] = "joined"


@dataclass(frozen=True, slots=True)
class WorkspaceLeft:
    """The bot was uninstalled from a workspace."""

    kind: Literal["left"] = "left"


@dataclass(frozen=True, slots=True)
class PersonLeft:
    """The user of the event has left the workspace."""

    kind: Literal["person_left"] = "person_left"


@dataclass(frozen=True, slots=True)
class HomeOpened:
    """A person opened the App Home of the bot, which is the place of the event."""

    kind: Literal["visited"] = "visited"


EventContent = (
    MessageReceived
    | CommandInvoked
    | ReactionChanged
    | ButtonClicked
    | FormSubmitted
    | ShortcutUsed
    | MessageEdited
    | MessagesDeleted
    | ChannelDeleted
    | WorkspaceJoined
    | WorkspaceLeft
    | PersonLeft
    | HomeOpened
)


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a platform.

    `key` is the platform's own id of the event, by which duplicates are found. `token` is the
    platform's short-lived token for forms and ephemeral replies; it is never stored. `assistant`
    names an assistant other than the one of the channel. `looks_at` is the channel that the person
    has open while they write a direct message.
    """

    key: str
    place: Place
    user: User
    at: datetime
    what: Annotated[EventContent, Field(discriminator="kind")]
    locale: str = "en"
    token: str | None = None
    assistant: str | None = None
    looks_at: ChannelId | None = None

    @property
    def message_key(self) -> str | None:
        """Key of a received message; Slack sends one as both `app_mention` and `message`."""
        if isinstance(self.what, MessageReceived):
            return self._message_key(self.what.message.id)
        return None

    @property
    def ordering_keys(self) -> tuple[str, ...]:
        """Keys of the messages of the event; events that share a key are handled in order.

        The key of a click contains the user, so that a click does not wait for those of others.
        A shortcut has no key, as its form must open within seconds. Neither has an event that
        stops an answer, as it must not wait for that answer.
        """
        what = self.what
        match what:
            case ReactionChanged(emoji=emoji) if emoji == STOP_EMOJI:
                return ()
            case ButtonClicked(action=action) if action.partition(":")[0] == "stop":
                return ()
            case MessageReceived():
                return (self._message_key(what.message.id),)
            case ReactionChanged() | MessageEdited():
                return (self._message_key(what.message),)
            case MessagesDeleted():
                return tuple(map(self._message_key, what.messages))
            case ButtonClicked(message=message) if message is not None:
                return (f"{self._message_key(message)}/{self.user.id}",)
        return ()

    def _message_key(self, message: MessageId) -> str:
        return f"{self.place.workspace}/{self.place.channel}/{message}"

    @property
    def ephemeral_message_id(self) -> MessageId | None:
        """Id of the clicked message if only the user who clicked can see it, else None."""
        what = self.what
        if not isinstance(what, ButtonClicked) or what.message is None:
            return None
        is_private = (
            what.message.startswith(EPHEMERAL_ID_PREFIX) or self.place.kind is ChannelKind.DIRECT
        )
        return what.message if is_private else None

    @property
    def root_key(self) -> str | None:
        """Key of the first message of the thread in which the message was received."""
        if isinstance(self.what, MessageReceived) and self.what.message.place.thread is not None:
            thread = self.what.message.place.thread
            return f"{self.place.workspace}/{self.place.channel}/{thread}"
        return None


def person_left_event(event: Event) -> Event:
    """Returns the `PersonLeft` event of a user who has left the workspace and joined it again."""
    user = event.user
    at = user.joined_at or event.at
    key = f"{event.place.workspace}/person_left/{user.id}/{at.isoformat()}"
    place = Place(event.place.workspace, ChannelId(""))
    return Event(key, place, replace(user, joined_at=None), at, PersonLeft())


_ADAPTER: TypeAdapter[Event] = TypeAdapter(Event)


def to_json(event: Event) -> str:
    """Returns the event as JSON for the inbox, without its token."""
    return _ADAPTER.dump_json(event, exclude={"token"}).decode()


def from_json(text: str) -> Event:
    """Returns the event of a JSON text; raises ValueError if it does not fit."""
    return _ADAPTER.validate_json(text)
