"""Reads Discord's payloads into events and messages of the core; pure functions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.discord.wire_names import (
    ASK_COMMAND,
    FIRST_MESSAGE_SEPARATOR,
    INPUT_NUMBER_SEPARATOR,
    MESSAGE_COMMANDS,
    ROLE_ID_PREFIX,
    SELECT_MENU_ID,
)
from bot.domain import (
    EPHEMERAL_ID_PREFIX,
    Attachment,
    ChannelId,
    ChannelKind,
    Message,
    MessageId,
    Place,
    User,
    UserId,
    WorkspaceId,
)
from bot.domain.ids import id_on_platform
from bot.events import (
    ButtonClicked,
    ChannelDeleted,
    CommandInvoked,
    Event,
    EventContent,
    FormSubmitted,
    MessageEdited,
    MessageReceived,
    MessagesDeleted,
    PersonLeft,
    ReactionChanged,
    ShortcutUsed,
    WorkspaceJoined,
    WorkspaceLeft,
)

Payload = Mapping[str, Any]

# Types of interactions; https://discord.com/developers/docs/interactions/receiving-and-responding
APPLICATION_COMMAND, MESSAGE_COMPONENT, APPLICATION_COMMAND_AUTOCOMPLETE = 2, 3, 4
_SUBCOMMANDS = (1, 2)
_MESSAGE_MENU = 3
_EPHEMERAL_FLAG = 1 << 6
_MESSAGE_TYPES = (0, 19)
_EPOCH_MILLISECONDS = 1_420_070_400_000

_MENTION = re.compile(r"<@!?(\d+)>")
_ROLE = re.compile(r"<@&(\d+)>")
_CHANNEL = re.compile(r"<#(\d+)>")
_EMOJI = re.compile(r"<a?:(\w+):\d+>")
_COMMAND_PREFIX = re.compile(r"\s*/?tune(?:\s+|$)", re.IGNORECASE)
_FIRST_MESSAGE_SUFFIX = re.compile(rf"(.+){FIRST_MESSAGE_SEPARATOR}(\d{{1,20}})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Bot:
    """The bot's own ids, and the names that its messages need."""

    id: str
    application: str
    roles: Mapping[str, str] = field(default_factory=dict)
    """The bot's managed role by guild; people mention that role as often as the bot's user."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Names of channels and roles by id."""


@dataclass(frozen=True, slots=True)
class EventContext:
    """The place of a payload, and what Discord says about its sender beside the payload."""

    place: Place
    is_admin: bool = False
    locale: str = "en"


@dataclass(frozen=True, slots=True)
class InteractionHandle:
    """The id, token and kind of an interaction, with which it can be answered for 15 minutes."""

    id: str
    token: str = field(repr=False)
    kind: int
    message: str | None = None
    is_ephemeral: bool = False
    has_public_response: bool = False
    """Whether the deferred response is public, as for a question asked with `/ask`."""
    is_user_install: bool = False
    """Whether a user installation of the app was used; only that user sees the answers."""


def interaction_handle_of(data: Payload) -> InteractionHandle:
    """Returns the handle of an interaction's payload."""
    message: Payload = data.get("message") or {}
    return InteractionHandle(
        str(data["id"]),
        str(data["token"]),
        int(data["type"]),
        str(message["id"]) if message.get("id") else None,
        _is_ephemeral(message),
        has_public_response=int(data["type"]) == APPLICATION_COMMAND
        and (data.get("data") or {}).get("name") == ASK_COMMAND
        and not is_user_install(data),
        is_user_install=is_user_install(data),
    )


def is_user_install(data: Payload) -> bool:
    """Whether an interaction comes from a user installation where the bot itself is not installed.

    https://docs.discord.com/developers/interactions/receiving-and-responding: `context` 1 is the
    direct message channel with the bot; the key 0 of the owners names a guild installation.
    """
    owners = data.get("authorizing_integration_owners")
    return isinstance(owners, Mapping) and "0" not in owners and data.get("context") != 1


def workspace_of_guild(guild: str) -> WorkspaceId:
    return WorkspaceId(f"discord:{guild}")


def to_message(message: Payload, place: Place, bot: Bot) -> Message:
    """Returns a message object of the API or a payload as a Message."""
    author: Payload = message.get("author") or {}
    reference: Payload = message.get("message_reference") or {}
    replied_id = reference.get("message_id") if reference.get("type", 0) == 0 else None
    # A follow-up to a click is a reply to the message that has the button.
    clicked_id = (message.get("interaction_metadata") or {}).get("interacted_message_id")
    replied_id = replied_id or clicked_id
    message_id = str(message["id"])
    return Message(
        place=place,
        id=MessageId(message_id),
        author=_user(author, message.get("member") or {}, is_bot=_is_bot(message)),
        text=_message_text(message, bot),
        at=time_of_snowflake(message_id),
        reply_to=MessageId(str(replied_id)) if replied_id else None,
        is_own=str(author.get("id")) == bot.id,
        permalink=_permalink(place, message_id),
        files=tuple(map(_attachment, message.get("attachments") or ())),
    )


def _permalink(place: Place, message: str) -> str:
    guild = "@me" if place.kind is ChannelKind.DIRECT else id_on_platform(place.workspace)
    return f"https://discord.com/channels/{guild}/{place.thread or place.channel}/{message}"


def time_of_snowflake(snowflake: str) -> datetime:
    """Returns the time at which Discord created an id, the epoch if it is malformed.

    https://docs.discord.com/developers/reference#snowflakes
    """
    try:
        milliseconds = (int(snowflake) >> 22) + _EPOCH_MILLISECONDS
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    except (ValueError, OverflowError):
        return datetime.fromtimestamp(0, UTC)


def strip_markup(text: str, bot: Bot, names: Mapping[str, str], *, is_command: bool = False) -> str:
    """Returns a text with names instead of Discord's markup and without mentions of the bot.

    With `is_command`, ids stand instead of names, as commands need them.
    """

    def person(mention: re.Match[str]) -> str:
        if mention[1] == bot.id:
            return ""
        return mention[1] if is_command else f"@{names.get(mention[1], mention[1])}"

    def role(mention: re.Match[str]) -> str:
        if mention[1] in bot.roles.values():
            return ""
        return (
            f"{ROLE_ID_PREFIX}{mention[1]}"
            if is_command
            else f"@{bot.names.get(mention[1], 'role')}"
        )

    def channel(mention: re.Match[str]) -> str:
        return mention[1] if is_command else f"#{bot.names.get(mention[1], mention[1])}"

    text = _ROLE.sub(role, _MENTION.sub(person, text))
    text = _CHANNEL.sub(channel, text)
    return _EMOJI.sub(lambda mention: f":{mention[1]}:", text).strip()


def message_keys_of(name: str, data: Payload) -> list[str]:
    """Returns the messages of an event as `channel/message`; an empty list for interactions."""
    if not isinstance(data, Mapping) or name not in HANDLED_EVENTS or name == "INTERACTION_CREATE":
        return []
    ids = data.get("ids")
    message_ids = ids if isinstance(ids, list) else [data.get("message_id") or data.get("id")]
    return [f"{data.get('channel_id')}/{message_id}" for message_id in message_ids]


def is_ignored(name: str, data: Payload, bot: Bot) -> bool:
    """Whether the payload alone shows that the event is ignored, so that no lookup is needed."""
    match name:
        case "MESSAGE_CREATE":
            return _is_bot(data) or int(data.get("type") or 0) not in _MESSAGE_TYPES
        case "MESSAGE_UPDATE":
            # Discord sends an update without an edit when links are unfurled.
            is_no_edit = "content" not in data or data.get("edited_timestamp", "") is None
            return is_no_edit or _is_bot(data)
        case "MESSAGE_REACTION_ADD" | "MESSAGE_REACTION_REMOVE":
            is_bot_reaction = str(data.get("user_id")) == bot.id or _is_bot_member(data)
            return is_bot_reaction or not emoji_of(data)
        case "GUILD_CREATE" | "GUILD_DELETE":
            return bool(data.get("unavailable"))
        case "GUILD_MEMBER_REMOVE":
            return str(data["user"]["id"]) == bot.id
    return False


@dataclass(frozen=True, slots=True)
class PayloadWithContext:
    """A payload with its context.

    `key_suffix` makes the event key unique if the payload has no id.
    """

    name: str
    data: Payload
    bot: Bot
    context: EventContext
    now: datetime
    key_suffix: str = ""

    def event(self, key: str, user: User, what: EventContent) -> Event:
        """Returns the event of the payload; `key` is prefixed with the workspace."""
        place, locale = self.context.place, self.context.locale
        return Event(f"{place.workspace}/{key}", place, user, self.now, what, locale=locale)


def read_event(payload: PayloadWithContext) -> Event:
    """Returns the event that a payload stands for."""
    return _READERS[payload.name](payload)


def reaction_key(data: Payload) -> tuple[str, ...]:
    """Returns what identifies a reaction, which can be added and removed many times."""
    emoji: Payload = data.get("emoji") or {}
    names = ("channel_id", "message_id", "user_id")
    return (*(str(data.get(name)) for name in names), str(emoji.get("name")))


def emoji_of(data: Payload) -> str | None:
    """Returns a Unicode emoji without its variation selector.

    None for a custom emoji of a guild.
    """
    emoji: Payload = data.get("emoji") or {}
    return None if emoji.get("id") else str(emoji.get("name") or "").replace("\ufe0f", "")


def is_addressed(data: Payload, bot: Bot) -> bool:
    """Whether a message mentions the bot or its role, or replies to a message of the bot."""
    mentioned = {str(user.get("id")) for user in data.get("mentions") or ()}
    content = str(data.get("content") or "")
    replied_message: Payload = data.get("referenced_message") or {}
    author: Payload = replied_message.get("author") or {}
    roles = {str(role) for role in data.get("mention_roles") or ()} | set(_ROLE.findall(content))
    own_role = bot.roles.get(str(data.get("guild_id")))
    return (
        bot.id in mentioned
        or bot.id in _MENTION.findall(content)
        or str(author.get("id")) == bot.id
        or (own_role is not None and own_role in roles)
    )


def replied_message_id(data: Payload) -> str | None:
    """Returns the id of the replied message if the payload does not contain that message."""
    reference: Payload = data.get("message_reference") or {}
    if data.get("referenced_message") or not reference.get("message_id"):
        return None
    return str(reference["message_id"])


def path_and_options(data: Payload) -> tuple[str, list[Payload]]:
    """Returns the path of a slash command and the command's options."""
    inner: Payload = data.get("data") or {}
    words: list[str] = []
    options: list[Payload] = list(inner.get("options") or ())
    while options and options[0].get("type") in _SUBCOMMANDS:
        words.append(str(options[0]["name"]))
        options = list(options[0].get("options") or ())
    return " ".join(words), options


def _message_created(payload: PayloadWithContext) -> Event:
    data, bot, context = payload.data, payload.bot, payload.context
    place = context.place
    message = to_message(data, place, bot)
    is_direct = not data.get("guild_id")
    is_addressed_here = is_direct or is_addressed(data, bot)
    what: EventContent = MessageReceived(
        message, is_addressed=is_addressed_here, is_direct=is_direct
    )
    if is_addressed_here and _COMMAND_PREFIX.match(message.text):
        line = strip_markup(str(data.get("content") or ""), bot, _names(data), is_command=True)
        prefix = _COMMAND_PREFIX.match(line)
        line = line[prefix.end() if prefix else 0 :]
        question = None if message.text.lstrip().startswith("/") else message
        what = CommandInvoked(line, attachment=next(iter(message.files), None), said=question)
    user = _user(data.get("author") or {}, data.get("member") or {}, is_admin=context.is_admin)
    key = f"{place.workspace}/{place.channel}/{message.id}"
    return Event(key, place, user, message.at, what, locale=context.locale)


def _message_edited(payload: PayloadWithContext) -> Event:
    data = payload.data
    key = f"edit/{data['id']}/{data.get('edited_timestamp') or payload.key_suffix}"
    text = strip_markup(str(data.get("content") or ""), payload.bot, _names(data))
    user = _user(data.get("author") or {}, {})
    return payload.event(key, user, MessageEdited(MessageId(str(data["id"])), text))


def _message_deleted(payload: PayloadWithContext) -> Event:
    message_ids = (MessageId(str(payload.data["id"])),)
    return payload.event(f"delete/{payload.data['id']}", _DISCORD, MessagesDeleted(message_ids))


def deleted_place(name: str, data: Payload) -> Place:
    """Returns the place of a deleted channel or thread from the payload.

    It can no longer be looked up.
    """
    workspace_id, channel_id = workspace_of_guild(str(data["guild_id"])), str(data["id"])
    if name == "THREAD_DELETE":
        parent = str(data.get("parent_id") or channel_id)
        return Place(workspace_id, ChannelId(parent), MessageId(channel_id))
    return Place(workspace_id, ChannelId(channel_id))


def _place_deleted(payload: PayloadWithContext) -> Event:
    """Returns the event of a deleted channel or thread; the parent is the thread's channel."""
    return payload.event(f"place/{payload.data['id']}", _DISCORD, ChannelDeleted())


def _messages_deleted(payload: PayloadWithContext) -> Event:
    message_ids = tuple(MessageId(str(message_id)) for message_id in payload.data.get("ids") or ())
    return payload.event(f"delete/{payload.key_suffix}", _DISCORD, MessagesDeleted(message_ids))


def _reaction(payload: PayloadWithContext) -> Event:
    data, is_removed = payload.data, payload.name == "MESSAGE_REACTION_REMOVE"
    member: Payload = data.get("member") or {}
    person = member.get("user") or {"id": data.get("user_id")}
    what = ReactionChanged(
        MessageId(str(data["message_id"])), emoji_of(data) or "", is_removed=is_removed
    )
    change = "off" if is_removed else "on"
    key = f"reaction/{'/'.join(reaction_key(data))}/{change}/{payload.key_suffix}"
    return payload.event(key, _user(person, member, is_admin=payload.context.is_admin), what)


def _guild_joined(payload: PayloadWithContext) -> Event:
    key = f"joined/{payload.data.get('joined_at') or ''}"
    return payload.event(key, _DISCORD, WorkspaceJoined(str(payload.data.get("name") or "")))


def _guild_left(payload: PayloadWithContext) -> Event:
    return payload.event(f"left/{payload.key_suffix}", _DISCORD, WorkspaceLeft())


def _person_left(payload: PayloadWithContext) -> Event:
    user = _user(payload.data["user"], {})
    return payload.event(f"person_left/{user.id}/{payload.key_suffix}", user, PersonLeft())


def _interaction(payload: PayloadWithContext) -> Event:
    data = payload.data
    member: Payload = data.get("member") or {}
    person: Payload = member.get("user") or data.get("user") or {}
    user = _user(person, member, is_admin=payload.context.is_admin)
    what = _interaction_content(data, payload.bot, payload.context, user)
    event = payload.event(f"interaction/{data['id']}", user, what)
    return replace(event, locale=str(data.get("locale") or "en"))


def _interaction_content(
    data: Payload, bot: Bot, context: EventContext, user: User
) -> EventContent:
    inner: Payload = data.get("data") or {}
    match int(data["type"]):
        case 2 if int(inner.get("type") or 1) == _MESSAGE_MENU:
            return _menu_shortcut(inner, bot, context)
        case 2 if inner.get("name") == ASK_COMMAND:
            question = "".join(str(option.get("value")) for option in inner.get("options") or ())
            message_id = MessageId(str(data["id"]))
            message = Message(
                context.place, message_id, user, question, time_of_snowflake(str(data["id"]))
            )
            return MessageReceived(message, is_addressed=True, is_direct=not data.get("guild_id"))
        case 2:
            return _command(data)
        case 3:
            return _click(data)
        case _:
            values, attachment = _form_values(inner)
            return FormSubmitted(str(inner.get("custom_id")), values, attachment)


def _command(data: Payload) -> CommandInvoked:
    path, path_options = path_and_options(data)
    resolved = (data.get("data") or {}).get("resolved") or {}
    files = resolved.get("attachments") or {}
    options: dict[str, str] = {}
    attachment = None
    for option in path_options:
        value = option.get("value")
        if str(value) in files:
            attachment = _attachment(files[str(value)])
        else:
            is_role = str(value) in (resolved.get("roles") or {})
            options[str(option["name"])] = (
                f"{ROLE_ID_PREFIX if is_role else ''}{_option_text(value)}"
            )
    return CommandInvoked(path, options, attachment)


def _click(data: Payload) -> ButtonClicked:
    inner: Payload = data.get("data") or {}
    message: Payload = data.get("message") or {}
    action, message_id = str(inner.get("custom_id")), str(message.get("id") or "")
    selected = inner.get("values") or ()
    if action.startswith(SELECT_MENU_ID) and selected:
        action = str(selected[0])
    first_message = _FIRST_MESSAGE_SUFFIX.fullmatch(action)
    if first_message is not None:
        return ButtonClicked(first_message[1], MessageId(first_message[2]))
    if _is_ephemeral(message):
        message_id = f"{EPHEMERAL_ID_PREFIX}{message_id}"
    return ButtonClicked(action, MessageId(message_id) if message_id else None)


def _menu_shortcut(inner: Payload, bot: Bot, context: EventContext) -> ShortcutUsed:
    messages: Payload = (inner.get("resolved") or {}).get("messages") or {}
    target = str(inner.get("target_id"))
    message: Payload = messages.get(target) or {"id": target}
    shortcuts = {menu_name: shortcut for shortcut, menu_name in MESSAGE_COMMANDS.items()}
    menu_name = str(inner.get("name"))
    return ShortcutUsed(
        shortcuts.get(menu_name, menu_name), to_message(message, context.place, bot)
    )


def _form_values(inner: Payload) -> tuple[dict[str, str], Attachment | None]:
    files: Payload = (inner.get("resolved") or {}).get("attachments") or {}
    values: dict[str, str] = {}
    attachment = None
    for component in inputs_of(inner.get("components") or ()):
        name = str(component["custom_id"]).partition(INPUT_NUMBER_SEPARATOR)[0]
        selected = [str(value) for value in component.get("values") or ()]
        if selected and selected[0] in files:
            attachment = _attachment(files[selected[0]])
            continue
        value = component.get("value")
        values[name] = values.get(name, "") + (_option_text(value) if value is not None else "")
        values[name] += ",".join(selected)
    return values, attachment


def inputs_of(components: Any) -> Iterator[Payload]:
    """Yields the inputs of a modal or its submission from inside labels and rows."""
    for component in components:
        if component.get("custom_id"):
            yield component
        yield from inputs_of(component.get("components") or ())
        if component.get("component"):
            yield from inputs_of([component["component"]])


def _option_text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _attachment(file: Payload) -> Attachment:
    return Attachment(str(file.get("filename") or "file"), str(file["url"]), file.get("size"))


def _message_text(message: Payload, bot: Bot) -> str:
    """Returns the text of a message; without content, the titles and descriptions of its embeds."""
    text = strip_markup(str(message.get("content") or ""), bot, _names(message))
    if text:
        return text
    parts = [
        str(embed[name])
        for embed in message.get("embeds") or ()
        for name in ("title", "description")
        if embed.get(name)
    ]
    return "\n".join(parts)


def _names(message: Payload) -> dict[str, str]:
    return {str(user["id"]): _name(user, {}) for user in message.get("mentions") or ()}


def _name(user: Payload, member: Payload) -> str:
    names = (member.get("nick"), user.get("global_name"), user.get("username"), user.get("id"))
    return next((str(name) for name in names if name), "?")


def _user(user: Payload, member: Payload, *, is_bot: bool = False, is_admin: bool = False) -> User:
    return User(
        UserId(str(user.get("id") or "discord")),
        _name(user, member),
        is_bot=is_bot or bool(user.get("bot")),
        is_guest=bool(member.get("pending")),
        is_platform_admin=is_admin,
        joined_at=_joined_at(member),
        groups=tuple(UserId(f"{ROLE_ID_PREFIX}{role}") for role in member.get("roles") or ()),
    )


def _joined_at(member: Payload) -> datetime | None:
    """Returns when the member last joined; the time changes when a person leaves and rejoins."""
    try:
        joined_at = datetime.fromisoformat(str(member["joined_at"]))
    except (KeyError, ValueError):
        return None
    return joined_at if joined_at.tzinfo else joined_at.replace(tzinfo=UTC)


def member_of(member: Payload) -> User:
    """Returns a member object of a guild as a User."""
    return _user(member.get("user") or {}, member)


def _is_bot(message: Payload) -> bool:
    author: Payload = message.get("author") or {}
    return bool(author.get("bot") or message.get("webhook_id"))


def _is_bot_member(data: Payload) -> bool:
    member: Payload = data.get("member") or {}
    return bool((member.get("user") or {}).get("bot"))


def _is_ephemeral(message: Payload) -> bool:
    return bool(int(message.get("flags") or 0) & _EPHEMERAL_FLAG)


_DISCORD = User(UserId("discord"), "discord")
_READERS: Mapping[str, Callable[[PayloadWithContext], Event]] = {
    "MESSAGE_CREATE": _message_created,
    "MESSAGE_UPDATE": _message_edited,
    "MESSAGE_DELETE": _message_deleted,
    "MESSAGE_DELETE_BULK": _messages_deleted,
    "CHANNEL_DELETE": _place_deleted,
    "THREAD_DELETE": _place_deleted,
    "MESSAGE_REACTION_ADD": _reaction,
    "MESSAGE_REACTION_REMOVE": _reaction,
    "GUILD_CREATE": _guild_joined,
    "GUILD_DELETE": _guild_left,
    "GUILD_MEMBER_REMOVE": _person_left,
    "INTERACTION_CREATE": _interaction,
}
HANDLED_EVENTS = frozenset(_READERS)
"""The gateway events that are handled."""
