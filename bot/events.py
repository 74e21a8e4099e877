"""What comes in, in neutral words: adapters translate, the core knows no platform."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from bot.domain import (
    EPHEMERAL,
    Attachment,
    ChannelId,
    ChannelKind,
    Message,
    MessageId,
    Place,
    User,
)

STOP = "❌"
"""The emoji that ends an answer."""


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """Somebody wrote a message; `text` of the message is without the bot's mention."""

    message: Message
    is_addressed: bool
    is_direct: bool = False
    kind: Literal["spoken"] = "spoken"


@dataclass(frozen=True, slots=True)
class CommandInvoked:
    """`/tune …` in any of its doors; `options` where the surface parsed them itself.

    `said` is the message in which it was said to us without a slash: it may be a question.
    """

    words: str
    options: Mapping[str, str] = field(default_factory=dict)
    attachment: Attachment | None = None
    said: Message | None = None
    kind: Literal["commanded"] = "commanded"


@dataclass(frozen=True, slots=True)
class ReactionChanged:
    """An emoji was put on, or taken off, a message."""

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
    """A form came back."""

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
    """A message's text changed at its source."""

    message: MessageId
    text: str
    kind: Literal["edited"] = "edited"


@dataclass(frozen=True, slots=True)
class MessagesDeleted:
    """Messages are gone at their source."""

    messages: tuple[MessageId, ...]
    kind: Literal["deleted"] = "deleted"


@dataclass(frozen=True, slots=True)
class PlaceDeleted:
    """A channel is gone with all its messages; where the event's place has a thread, that alone."""

    kind: Literal["place_deleted"] = "place_deleted"


@dataclass(frozen=True, slots=True)
class WorkspaceJoined:
    """The bot was invited."""

    name: str
    kind: Literal["joined"] = "joined"


@dataclass(frozen=True, slots=True)
class WorkspaceLeft:
    """The bot was uninstalled: everything of the workspace goes."""

    kind: Literal["left"] = "left"


@dataclass(frozen=True, slots=True)
class PersonLeft:
    """The event's person is no longer in the workspace."""

    kind: Literal["person_left"] = "person_left"


@dataclass(frozen=True, slots=True)
class HomeOpened:
    """Somebody opened the bot's own page; its place is that page."""

    kind: Literal["visited"] = "visited"


What = (
    MessageReceived
    | CommandInvoked
    | ReactionChanged
    | ButtonClicked
    | FormSubmitted
    | ShortcutUsed
    | MessageEdited
    | MessagesDeleted
    | PlaceDeleted
    | WorkspaceJoined
    | WorkspaceLeft
    | PersonLeft
    | HomeOpened
)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, once.

    `key` is the platform's own id of the happening; `token` is its short-lived
    handle for forms and private replies and is never stored. `assistant` names
    the one that is meant where the channel does not say it. `looks_at` is the channel that
    somebody looks at while they write a direct message.
    """

    key: str
    place: Place
    user: User
    at: datetime
    what: Annotated[What, Field(discriminator="kind")]
    locale: str = "en"
    token: str | None = None
    assistant: str | None = None
    looks_at: ChannelId | None = None

    @property
    def message_key(self) -> str | None:
        """One message may arrive as several events (Slack: `app_mention` and `message`)."""
        if isinstance(self.what, MessageReceived):
            return self._key_of(self.what.message.id)
        return None

    @property
    def ordering_keys(self) -> tuple[str, ...]:
        """Keys of what the event is about; events that share one take effect in their order.

        A click concerns the card and whoever clicked it: others are not kept waiting. A shortcut
        reads the message for itself, and its form must open within seconds. What stops an answer
        waits for nothing, least of all for that answer.
        """
        what = self.what
        match what:
            case ReactionChanged(emoji=emoji) if emoji == STOP:
                return ()
            case ButtonClicked(action=action) if action.partition(":")[0] == "stop":
                return ()
            case MessageReceived():
                return (self._key_of(what.message.id),)
            case ReactionChanged() | MessageEdited():
                return (self._key_of(what.message),)
            case MessagesDeleted():
                return tuple(map(self._key_of, what.messages))
            case ButtonClicked(message=message) if message is not None:
                return (f"{self._key_of(message)}/{self.user.id}",)
        return ()

    def _key_of(self, message: MessageId) -> str:
        return f"{self.place.workspace}/{self.place.channel}/{message}"

    @property
    def ephemeral_message_id(self) -> MessageId | None:
        """The clicked message, if nobody but the clicker sees it."""
        what = self.what
        if not isinstance(what, ButtonClicked) or what.message is None:
            return None
        is_alone = what.message.startswith(EPHEMERAL) or self.place.kind is ChannelKind.DIRECT
        return what.message if is_alone else None

    @property
    def root_key(self) -> str | None:
        """The message key of the message that began the thread this one stands in."""
        if isinstance(self.what, MessageReceived) and self.what.message.place.thread is not None:
            thread = self.what.message.place.thread
            return f"{self.place.workspace}/{self.place.channel}/{thread}"
        return None


def person_left_event(event: Event) -> Event:
    """That its person had left the workspace, some time before they joined it again."""
    user = event.user
    at = user.joined_at or event.at
    key = f"{event.place.workspace}/person_left/{user.id}/{at.isoformat()}"
    place = Place(event.place.workspace, ChannelId(""))
    return Event(key, place, replace(user, joined_at=None), at, PersonLeft())


_ADAPTER: TypeAdapter[Event] = TypeAdapter(Event)


def to_json(event: Event) -> str:
    """The event as text for the inbox, without its token."""
    return _ADAPTER.dump_json(event, exclude={"token"}).decode()


def from_json(text: str) -> Event:
    return _ADAPTER.validate_json(text)
