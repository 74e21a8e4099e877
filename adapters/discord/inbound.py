"""What comes from Discord, in neutral words; pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.discord.names import ASK, CHOOSE, FIRST, MENUS, PART, ROLE
from bot.domain import (
    EPHEMERAL,
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
    CommandInvoked,
    Event,
    FormSubmitted,
    MessageEdited,
    MessageReceived,
    MessagesDeleted,
    PersonLeft,
    PlaceDeleted,
    ReactionChanged,
    ShortcutUsed,
    What,
    WorkspaceJoined,
    WorkspaceLeft,
)

Payload = Mapping[str, Any]

SLASH, CLICK, COMPLETION, SUBMISSION = 2, 3, 4, 5
_SUBCOMMANDS = (1, 2)
_MESSAGE_MENU = 3
_EPHEMERAL_FLAG = 1 << 6
_SPOKEN_TYPES = (0, 19)
_EPOCH_MILLISECONDS = 1_420_070_400_000

_MENTION = re.compile(r"<@!?(\d+)>")
_ROLE = re.compile(r"<@&(\d+)>")
_CHANNEL = re.compile(r"<#(\d+)>")
_EMOJI = re.compile(r"<a?:(\w+):\d+>")
_LEADING = re.compile(r"\s*/?tune(?:\s+|$)", re.IGNORECASE)
_FIRST = re.compile(rf"(.+){FIRST}(\d{{1,20}})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Bot:
    """Who we are."""

    id: str
    application: str
    roles: Mapping[str, str] = field(default_factory=dict)
    """Our own role in each guild, which people call as often as our name."""
    names: Mapping[str, str] = field(default_factory=dict)
    """What channels and roles are called, by id."""


@dataclass(frozen=True, slots=True)
class EventContext:
    """What is known beside the payload: where it happened, and how the platform sees a person."""

    place: Place
    is_admin: bool = False
    locale: str = "en"


@dataclass(frozen=True, slots=True)
class InteractionHandle:
    """What an interaction lets us do for a short while."""

    id: str
    token: str = field(repr=False)
    kind: int
    message: str | None = None
    is_ephemeral: bool = False
    has_public_response: bool = False
    """Whether the deferred response is public: a question asked with `/ask`."""
    is_user_install: bool = False
    """Used by the application on a person's own account, where its bot is not: theirs alone."""


def handle_of(data: Payload) -> InteractionHandle:
    message: Payload = data.get("message") or {}
    return InteractionHandle(
        str(data["id"]),
        str(data["token"]),
        int(data["type"]),
        str(message["id"]) if message.get("id") else None,
        _is_ephemeral(message),
        has_public_response=int(data["type"]) == SLASH
        and (data.get("data") or {}).get("name") == ASK
        and not is_user_install(data),
        is_user_install=is_user_install(data),
    )


def is_user_install(data: Payload) -> bool:
    """Whether an interaction comes from where the application is on a person's account alone.

    https://docs.discord.com/developers/interactions/receiving-and-responding: `context` 1 are
    direct messages with our bot; an installation in a server is named by the key 0.
    """
    owners = data.get("authorizing_integration_owners")
    return isinstance(owners, Mapping) and "0" not in owners and data.get("context") != 1


def workspace(guild: str) -> WorkspaceId:
    return WorkspaceId(f"discord:{guild}")


def to_message(message: Payload, place: Place, bot: Bot) -> Message:
    """A message as the API or a payload holds it."""
    author: Payload = message.get("author") or {}
    reference: Payload = message.get("message_reference") or {}
    answered = reference.get("message_id") if reference.get("type", 0) == 0 else None
    # What a click has brought answers the message that bears the button.
    clicked = (message.get("interaction_metadata") or {}).get("interacted_message_id")
    answered = answered or clicked
    number = str(message["id"])
    return Message(
        place=place,
        id=MessageId(number),
        author=_user(author, message.get("member") or {}, is_bot=_is_bot(message)),
        text=_text(message, bot),
        at=time_of_snowflake(number),
        reply_to=MessageId(str(answered)) if answered else None,
        is_own=str(author.get("id")) == bot.id,
        permalink=_permalink(place, number),
        files=tuple(map(_attachment, message.get("attachments") or ())),
    )


def _permalink(place: Place, message: str) -> str:
    guild = "@me" if place.kind is ChannelKind.DIRECT else id_on_platform(place.workspace)
    return f"https://discord.com/channels/{guild}/{place.thread or place.channel}/{message}"


def time_of_snowflake(snowflake: str) -> datetime:
    """When an id was given; https://docs.discord.com/developers/reference#snowflakes."""
    try:
        milliseconds = (int(snowflake) >> 22) + _EPOCH_MILLISECONDS
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    except (ValueError, OverflowError):
        return datetime.fromtimestamp(0, UTC)


def strip_markup(text: str, bot: Bot, names: Mapping[str, str], *, is_command: bool = False) -> str:
    """What a person wrote, without Discord's markup and without our own name."""

    def person(found: re.Match[str]) -> str:
        if found[1] == bot.id:
            return ""
        return found[1] if is_command else f"@{names.get(found[1], found[1])}"

    def role(found: re.Match[str]) -> str:
        if found[1] in bot.roles.values():
            return ""
        return f"{ROLE}{found[1]}" if is_command else f"@{bot.names.get(found[1], 'role')}"

    def channel(found: re.Match[str]) -> str:
        return found[1] if is_command else f"#{bot.names.get(found[1], found[1])}"

    text = _ROLE.sub(role, _MENTION.sub(person, text))
    text = _CHANNEL.sub(channel, text)
    return _EMOJI.sub(lambda found: f":{found[1]}:", text).strip()


def messages_of(name: str, data: Payload) -> list[str]:
    """The messages that an event is about; an interaction is about none."""
    if not isinstance(data, Mapping) or name not in TAKEN or name == "INTERACTION_CREATE":
        return []
    several = data.get("ids")
    named = several if isinstance(several, list) else [data.get("message_id") or data.get("id")]
    return [f"{data.get('channel_id')}/{one}" for one in named]


def means_nothing(name: str, data: Payload, bot: Bot) -> bool:
    """Known by the payload alone, so that nothing need be looked up for it."""
    match name:
        case "MESSAGE_CREATE":
            return _is_bot(data) or int(data.get("type") or 0) not in _SPOKEN_TYPES
        case "MESSAGE_UPDATE":
            # Discord also tells of links that were unfurled; those are no edits.
            is_silent = "content" not in data or data.get("edited_timestamp", "") is None
            return is_silent or _is_bot(data)
        case "MESSAGE_REACTION_ADD" | "MESSAGE_REACTION_REMOVE":
            is_ours = str(data.get("user_id")) == bot.id or _is_bot_member(data)
            return is_ours or not emoji_of(data)
        case "GUILD_CREATE" | "GUILD_DELETE":
            return bool(data.get("unavailable"))
        case "GUILD_MEMBER_REMOVE":
            return str(data["user"]["id"]) == bot.id
    return False


@dataclass(frozen=True, slots=True)
class PayloadWithContext:
    """A payload with all that is known around it; `mark` tells apart what has no id of its own."""

    name: str
    data: Payload
    bot: Bot
    context: EventContext
    now: datetime
    key_suffix: str = ""

    def event(self, key: str, user: User, what: What) -> Event:
        place, locale = self.context.place, self.context.locale
        return Event(f"{place.workspace}/{key}", place, user, self.now, what, locale=locale)


def read(told: PayloadWithContext) -> Event:
    """What a payload means."""
    return _READERS[told.name](told)


def reaction_key(data: Payload) -> tuple[str, ...]:
    """A person's emoji on a message, which can be put and taken off many times."""
    emoji: Payload = data.get("emoji") or {}
    names = ("channel_id", "message_id", "user_id")
    return (*(str(data.get(name)) for name in names), str(emoji.get("name")))


def emoji_of(data: Payload) -> str | None:
    """A plain emoji; those a guild made itself mean nothing to us."""
    emoji: Payload = data.get("emoji") or {}
    return None if emoji.get("id") else str(emoji.get("name") or "").replace("\ufe0f", "")


def is_addressed(data: Payload, bot: Bot) -> bool:
    """Called by name or by our role, or answered."""
    called = {str(user.get("id")) for user in data.get("mentions") or ()}
    content = str(data.get("content") or "")
    answered: Payload = data.get("referenced_message") or {}
    author: Payload = answered.get("author") or {}
    roles = {str(role) for role in data.get("mention_roles") or ()} | set(_ROLE.findall(content))
    own_role = bot.roles.get(str(data.get("guild_id")))
    return (
        bot.id in called
        or bot.id in _MENTION.findall(content)
        or str(author.get("id")) == bot.id
        or (own_role is not None and own_role in roles)
    )


def replied_message_id(data: Payload) -> str | None:
    """The message that this one answers, where its author was not told along."""
    reference: Payload = data.get("message_reference") or {}
    if data.get("referenced_message") or not reference.get("message_id"):
        return None
    return str(reference["message_id"])


def options_of(data: Payload) -> tuple[str, list[Payload]]:
    """The path of a slash command and its options."""
    inner: Payload = data.get("data") or {}
    words: list[str] = []
    options: list[Payload] = list(inner.get("options") or ())
    while options and options[0].get("type") in _SUBCOMMANDS:
        words.append(str(options[0]["name"]))
        options = list(options[0].get("options") or ())
    return " ".join(words), options


def _spoken(told: PayloadWithContext) -> Event:
    data, bot, around = told.data, told.bot, told.context
    place = around.place
    message = to_message(data, place, bot)
    is_direct = not data.get("guild_id")
    called = is_direct or is_addressed(data, bot)
    what: What = MessageReceived(message, is_addressed=called, is_direct=is_direct)
    if called and _LEADING.match(message.text):
        words = strip_markup(str(data.get("content") or ""), bot, _names(data), is_command=True)
        leading = _LEADING.match(words)
        words = words[leading.end() if leading else 0 :]
        question = None if message.text.lstrip().startswith("/") else message
        what = CommandInvoked(words, attachment=next(iter(message.files), None), said=question)
    user = _user(data.get("author") or {}, data.get("member") or {}, is_admin=around.is_admin)
    key = f"{place.workspace}/{place.channel}/{message.id}"
    return Event(key, place, user, message.at, what, locale=around.locale)


def _edited(told: PayloadWithContext) -> Event:
    data = told.data
    key = f"edit/{data['id']}/{data.get('edited_timestamp') or told.key_suffix}"
    text = strip_markup(str(data.get("content") or ""), told.bot, _names(data))
    user = _user(data.get("author") or {}, {})
    return told.event(key, user, MessageEdited(MessageId(str(data["id"])), text))


def _deleted(told: PayloadWithContext) -> Event:
    gone = (MessageId(str(told.data["id"])),)
    return told.event(f"delete/{told.data['id']}", _DISCORD, MessagesDeleted(gone))


def deleted_place(name: str, data: Payload) -> Place:
    """By what the event itself says: nothing can be looked up of what is gone."""
    home, number = workspace(str(data["guild_id"])), str(data["id"])
    if name == "THREAD_DELETE":
        parent = str(data.get("parent_id") or number)
        return Place(home, ChannelId(parent), MessageId(number))
    return Place(home, ChannelId(number))


def _place_deleted(told: PayloadWithContext) -> Event:
    """A channel, or a thread with its parent as the channel."""
    return told.event(f"place/{told.data['id']}", _DISCORD, PlaceDeleted())


def _deleted_many(told: PayloadWithContext) -> Event:
    gone = tuple(MessageId(str(one)) for one in told.data.get("ids") or ())
    return told.event(f"delete/{told.key_suffix}", _DISCORD, MessagesDeleted(gone))


def _reaction(told: PayloadWithContext) -> Event:
    data, is_removed = told.data, told.name == "MESSAGE_REACTION_REMOVE"
    member: Payload = data.get("member") or {}
    person = member.get("user") or {"id": data.get("user_id")}
    what = ReactionChanged(
        MessageId(str(data["message_id"])), emoji_of(data) or "", is_removed=is_removed
    )
    side = "off" if is_removed else "on"
    key = f"reaction/{'/'.join(reaction_key(data))}/{side}/{told.key_suffix}"
    return told.event(key, _user(person, member, is_admin=told.context.is_admin), what)


def _joined(told: PayloadWithContext) -> Event:
    key = f"joined/{told.data.get('joined_at') or ''}"
    return told.event(key, _DISCORD, WorkspaceJoined(str(told.data.get("name") or "")))


def _left(told: PayloadWithContext) -> Event:
    return told.event(f"left/{told.key_suffix}", _DISCORD, WorkspaceLeft())


def _person_left(told: PayloadWithContext) -> Event:
    user = _user(told.data["user"], {})
    return told.event(f"person_left/{user.id}/{told.key_suffix}", user, PersonLeft())


def _interaction(told: PayloadWithContext) -> Event:
    data = told.data
    member: Payload = data.get("member") or {}
    person: Payload = member.get("user") or data.get("user") or {}
    user = _user(person, member, is_admin=told.context.is_admin)
    what = _asked(data, told.bot, told.context, user)
    event = told.event(f"interaction/{data['id']}", user, what)
    return replace(event, locale=str(data.get("locale") or "en"))


def _asked(data: Payload, bot: Bot, around: EventContext, user: User) -> What:
    inner: Payload = data.get("data") or {}
    match int(data["type"]):
        case 2 if int(inner.get("type") or 1) == _MESSAGE_MENU:
            return _marked(inner, bot, around)
        case 2 if inner.get("name") == ASK:
            question = "".join(str(one.get("value")) for one in inner.get("options") or ())
            number = MessageId(str(data["id"]))
            message = Message(
                around.place, number, user, question, time_of_snowflake(str(data["id"]))
            )
            return MessageReceived(message, is_addressed=True, is_direct=not data.get("guild_id"))
        case 2:
            return _command(data)
        case 3:
            return _click(data)
        case _:
            values, attachment = _values(inner)
            return FormSubmitted(str(inner.get("custom_id")), values, attachment)


def _command(data: Payload) -> CommandInvoked:
    words, given = options_of(data)
    resolved = (data.get("data") or {}).get("resolved") or {}
    files = resolved.get("attachments") or {}
    options: dict[str, str] = {}
    attachment = None
    for option in given:
        value = option.get("value")
        if str(value) in files:
            attachment = _attachment(files[str(value)])
        else:
            is_role = str(value) in (resolved.get("roles") or {})
            options[str(option["name"])] = f"{ROLE if is_role else ''}{_option(value)}"
    return CommandInvoked(words, options, attachment)


def _click(data: Payload) -> ButtonClicked:
    inner: Payload = data.get("data") or {}
    message: Payload = data.get("message") or {}
    action, number = str(inner.get("custom_id")), str(message.get("id") or "")
    chosen = inner.get("values") or ()
    if action.startswith(CHOOSE) and chosen:
        action = str(chosen[0])
    first = _FIRST.fullmatch(action)
    if first is not None:
        return ButtonClicked(first[1], MessageId(first[2]))
    if _is_ephemeral(message):
        number = f"{EPHEMERAL}{number}"
    return ButtonClicked(action, MessageId(number) if number else None)


def _marked(inner: Payload, bot: Bot, around: EventContext) -> ShortcutUsed:
    messages: Payload = (inner.get("resolved") or {}).get("messages") or {}
    target = str(inner.get("target_id"))
    message: Payload = messages.get(target) or {"id": target}
    names = {shown: shortcut for shortcut, shown in MENUS.items()}
    shown = str(inner.get("name"))
    return ShortcutUsed(names.get(shown, shown), to_message(message, around.place, bot))


def _values(inner: Payload) -> tuple[dict[str, str], Attachment | None]:
    files: Payload = (inner.get("resolved") or {}).get("attachments") or {}
    values: dict[str, str] = {}
    attachment = None
    for field_ in inputs_of(inner.get("components") or ()):
        name = str(field_["custom_id"]).partition(PART)[0]
        chosen = [str(one) for one in field_.get("values") or ()]
        if chosen and chosen[0] in files:
            attachment = _attachment(files[chosen[0]])
            continue
        value = field_.get("value")
        values[name] = values.get(name, "") + (_option(value) if value is not None else "")
        values[name] += ",".join(chosen)
    return values, attachment


def inputs_of(components: Any) -> Iterator[Payload]:
    """The inputs of a modal or its submission, whatever labels and rows stand around them."""
    for component in components:
        if component.get("custom_id"):
            yield component
        yield from inputs_of(component.get("components") or ())
        if component.get("component"):
            yield from inputs_of([component["component"]])


def _option(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _attachment(file: Payload) -> Attachment:
    return Attachment(str(file.get("filename") or "file"), str(file["url"]), file.get("size"))


def _text(message: Payload, bot: Bot) -> str:
    """The words; where there are none, what stands in the frames of a bot's message."""
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
        groups=tuple(UserId(f"{ROLE}{role}") for role in member.get("roles") or ()),
    )


def _joined_at(member: Payload) -> datetime | None:
    """The last time: it is another one after a person has left and come back."""
    try:
        at = datetime.fromisoformat(str(member["joined_at"]))
    except (KeyError, ValueError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def member_of(member: Payload) -> User:
    """Somebody as the server's list of members holds them."""
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
    "MESSAGE_CREATE": _spoken,
    "MESSAGE_UPDATE": _edited,
    "MESSAGE_DELETE": _deleted,
    "MESSAGE_DELETE_BULK": _deleted_many,
    "CHANNEL_DELETE": _place_deleted,
    "THREAD_DELETE": _place_deleted,
    "MESSAGE_REACTION_ADD": _reaction,
    "MESSAGE_REACTION_REMOVE": _reaction,
    "GUILD_CREATE": _joined,
    "GUILD_DELETE": _left,
    "GUILD_MEMBER_REMOVE": _person_left,
    "INTERACTION_CREATE": _interaction,
}
TAKEN = frozenset(_READERS)
"""The events of the gateway that may mean something."""
