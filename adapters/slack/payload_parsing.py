"""Reads Slack's payloads into events and messages of the core; pure functions."""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from adapters.slack.emoji import emoji_of_name
from adapters.slack.text_escaping import strip_control_characters
from adapters.slack.workspace_of_payload import (
    is_from_other_workspace,
    is_in_shared_channel,
    is_of_other_team,
    is_org_install,
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
from bot.events import (
    ButtonClicked,
    ChannelDeleted,
    CommandInvoked,
    Event,
    EventContent,
    FormSubmitted,
    HomeOpened,
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

HOME_CHANNEL_PREFIX = "home:"
COMMAND_PREFIX = "command:"
FIRST_MESSAGE_PREFIX = "first:"
MULTIPLE_VALUES_ID = "several"
"""Action id of inputs with several values; other checkboxes stand for yes or no."""
INPUT_NUMBER_SEPARATOR = "#"
"""Separates a field's name from the number of an input: `answer#0`, `answer#1`."""

CHANNEL_KIND_EVENTS = ("channel_shared", "channel_unshared", "channel_left", "group_left")
"""Events after which the cached kind of a channel is outdated."""

_MESSAGE_SUBTYPES = (None, "thread_broadcast", "file_share", "me_message")
_ANGLE_BRACKETS = re.compile(r"<([^<>\n]+)>")
_COMMAND_PREFIX = re.compile(r"(?<!\s)\s*/?tune(?:\s+|$)", re.IGNORECASE)
_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Bot:
    """The bot's ids in a workspace."""

    team: str
    user: str
    bot: str
    url: str = ""
    enterprise: str = ""

    @property
    def workspace(self) -> WorkspaceId:
        return WorkspaceId(f"slack:{self.team}")

    @property
    def is_org(self) -> bool:
        """Whether an Enterprise organisation installed the app and is one workspace then."""
        return is_org_install(self.team, self.enterprise)


@dataclass(frozen=True, slots=True)
class InteractionHandle:
    """The trigger_id (valid for three seconds) and response_url of an interaction."""

    trigger: str | None = None
    response_url: str | None = None


def interaction_handle_of(body: Payload) -> InteractionHandle:
    """Returns the handle of an interaction's payload."""
    return InteractionHandle(body.get("trigger_id") or None, body.get("response_url") or None)


def read_events(body: Payload, bot: Bot, now: datetime) -> Iterator[Event]:
    """Yields the events of a payload, with whether the sender is of another organisation."""
    is_external = is_from_other_workspace(body, bot.team, bot.enterprise)
    for event in _events(body, bot, now):
        place, user = event.place, event.user
        if is_in_shared_channel(body):
            place = replace(place, kind=ChannelKind.SHARED)
        yield replace(event, place=place, user=replace(user, is_external=is_external))


def _events(body: Payload, bot: Bot, now: datetime) -> Iterator[Event]:
    if "command" in body:
        yield from _command(body, bot, now)
        return
    match body.get("type"):
        case "event_callback":
            yield from _event(body, bot, now)
        case "block_actions":
            yield from _clicks(body, bot, now)
        case "view_submission":
            yield _submission(body, bot, now)
        case "message_action":
            yield from _message_shortcut(body, bot, now)
        case "shortcut":
            place = Place(bot.workspace, ChannelId(body["user"]["id"]), kind=ChannelKind.DIRECT)
            yield _interaction(body, bot, now, place, CommandInvoked("teach"))


def to_message(message: Payload, channel: str, bot: Bot) -> Message:
    """Returns a message object of the API or a payload as a Message."""
    user = str(message.get("user") or message.get("bot_id") or "")
    is_own = user == bot.user or (bool(message.get("bot_id")) and message["bot_id"] == bot.bot)
    ts, thread = str(message["ts"]), message.get("thread_ts")
    return Message(
        place=Place(bot.workspace, ChannelId(channel), _thread(thread, ts), _kind(channel)),
        id=MessageId(ts),
        author=User(
            UserId(user),
            user,
            is_bot=bool(message.get("bot_id")),
            is_external=is_of_other_team(message, bot.team, bot.enterprise),
        ),
        text=strip_markup(str(message.get("text") or ""), bot),
        at=time_of_ts(ts),
        is_own=is_own,
        permalink=_permalink(bot, channel, ts),
        files=tuple(map(_attachment, message.get("files") or ())),
    )


def _permalink(bot: Bot, channel: str, ts: str) -> str | None:
    """Returns the URL that `chat.getPermalink` would return, None without a workspace URL."""
    if not bot.url:
        return None
    return f"{bot.url.rstrip('/')}/archives/{channel}/p{ts.replace('.', '')}"


def time_of_ts(ts: str) -> datetime:
    """Returns the time of a ts, the epoch if it is malformed."""
    try:
        return datetime.fromtimestamp(float(ts), UTC)
    except ValueError:
        return _EPOCH


def strip_markup(text: str, bot: Bot, *, is_command: bool = False) -> str:
    """Returns a text without Slack's markup and without mentions of the bot.

    With `is_command`, ids stand instead of names, as commands need them.
    https://docs.slack.dev/messaging/formatting-message-text: `&`, `<` and `>` are escaped, and text
    between angle brackets is a mention or a link.
    """

    def as_plain(match: re.Match[str]) -> str:
        return _plain_reference(match[1], bot, is_command=is_command)

    return strip_control_characters(
        html.unescape(_ANGLE_BRACKETS.sub(as_plain, strip_control_characters(text)))
    ).strip()


def _plain_reference(inner: str, bot: Bot, *, is_command: bool) -> str:
    target, _, label = inner.partition("|")
    if target.startswith("@"):
        if target[1:] == bot.user:
            return ""
        return target[1:] if is_command else f"@{label or target[1:]}"
    if target.startswith("#"):
        return target[1:] if is_command else f"#{label or target[1:]}"
    if target.startswith("!"):
        kind, _, named = target[1:].partition("^")
        if is_command and kind == "subteam":
            return named
        return label or f"@{kind}"
    address = target.removeprefix("mailto:")
    return f"{label} ({address})" if label and label not in target else address


def _command(body: Payload, bot: Bot, now: datetime) -> Iterator[Event]:
    if body["command"] != "/tune":
        return
    line = strip_markup(str(body.get("text") or ""), bot, is_command=True)
    yield Event(
        key=f"{bot.workspace}/command/{_unique_id(body, now)}",
        place=_place(bot, str(body.get("channel_id") or body["user_id"])),
        user=_user(str(body["user_id"]), str(body.get("user_name") or "")),
        at=now,
        what=CommandInvoked(line),
        token=body.get("trigger_id") or None,
    )


def _unique_id(body: Payload, now: datetime) -> str:
    """Returns an id that no other payload has; other servers than Slack may send no trigger."""
    return str(body.get("trigger_id") or body.get("response_url") or now.timestamp())


def _event(body: Payload, bot: Bot, now: datetime) -> Iterator[Event]:
    event: Payload = body["event"]
    key = f"{bot.workspace}/event/{body.get('event_id') or _digest(event)}"
    channel = str(event.get("channel") or "")
    match event.get("type"):
        case "message" | "app_mention":
            yield from _message(event, key, bot, now)
        case "reaction_added" | "reaction_removed":
            yield from _reaction(event, key, bot, now)
        case "member_joined_channel" if event.get("user") == bot.user:
            by = str(event.get("inviter") or "slack")
            yield Event(key, _place(bot, channel), _user(by), now, WorkspaceJoined(channel))
        case "app_home_opened" if event.get("tab") == "home":
            user = str(event["user"])
            yield home_opened_event(bot, user, now, key=key)
        case "agent_session_stopped":
            yield from _stop_events(event, key, bot, now)
        case _:
            yield from _end_event(event, key, bot, now)


def _end_event(event: Payload, key: str, bot: Bot, now: datetime) -> Iterator[Event]:
    """Yields the event of a deactivated person, a deleted channel or a removed app."""
    channel = str(event.get("channel") or "")
    match event.get("type"):
        case "user_change" if (event.get("user") or {}).get("deleted"):
            person = _user(str(event["user"]["id"]))
            yield Event(key, _place(bot, ""), person, now, PersonLeft())
        case "channel_deleted" | "group_deleted" if channel:
            yield Event(key, _place(bot, channel), _user("slack"), now, ChannelDeleted())
        case _ if _is_removal(event):
            yield workspace_left_event(bot, key, now)


def _digest(event: Payload) -> str:
    """Returns a hash of an event without an id, which is the same when the event is sent again."""
    return hashlib.sha256(json.dumps(event, sort_keys=True).encode()).hexdigest()[:32]


def _stop_events(event: Payload, key: str, bot: Bot, now: datetime) -> Iterator[Event]:
    """Yields a reaction ❌ for each message that Slack's own stop button stops."""
    place, user = _place(bot, str(event.get("channel") or "")), _user(str(event["user"]))
    for ts in event.get("streaming_message_ts") or ():
        yield Event(f"{key}/{ts}", place, user, now, ReactionChanged(MessageId(ts), "❌"))


def _is_removal(event: Payload) -> bool:
    """Whether the app was uninstalled or the bot's token revoked; users' tokens do not matter."""
    if event.get("type") == "tokens_revoked":
        return bool((event.get("tokens") or {}).get("bot"))
    return event.get("type") == "app_uninstalled"


def home_opened_event(bot: Bot, user: str, now: datetime, *, key: str) -> Event:
    """Returns the event of a user who opens the home tab."""
    place = Place(bot.workspace, ChannelId(f"{HOME_CHANNEL_PREFIX}{user}"), kind=ChannelKind.DIRECT)
    return Event(key, place, _user(user), now, HomeOpened())


def workspace_left_event(bot: Bot, key: str, now: datetime) -> Event:
    """Returns the event of an app that was uninstalled or whose token was revoked."""
    return Event(key, Place(bot.workspace, ChannelId("")), _user("slack"), now, WorkspaceLeft())


def _message(event: Payload, key: str, bot: Bot, now: datetime) -> Iterator[Event]:
    match event.get("subtype"):
        case "message_changed":
            yield from _message_changed(event, key, bot, now)
        case "message_deleted":
            before = event.get("previous_message") or {}
            deleted_ts = event.get("deleted_ts") or before.get("ts")
            if deleted_ts:
                place = _place(bot, str(event["channel"]))
                author = _user(str(before.get("user") or "slack"))
                yield Event(key, place, author, now, MessagesDeleted((MessageId(str(deleted_ts)),)))
        case subtype if subtype in _MESSAGE_SUBTYPES:
            is_person = event.get("user") not in (None, "", bot.user) and not event.get("bot_id")
            if is_person and event.get("ts") and event.get("channel"):
                yield _message_received(event, bot)


def _message_changed(event: Payload, key: str, bot: Bot, now: datetime) -> Iterator[Event]:
    message: Payload = event.get("message") or {}
    before: Payload = event.get("previous_message") or {}
    place = _place(bot, str(event["channel"]))
    user = _user(str(message.get("user") or before.get("user") or "slack"))
    if message.get("bot_id") or user.id == bot.user:
        return
    if message.get("subtype") == "tombstone":
        yield Event(key, place, user, now, MessagesDeleted((MessageId(str(message["ts"])),)))
    elif message.get("text") != before.get("text"):
        text = strip_markup(str(message.get("text") or ""), bot)
        yield Event(key, place, user, now, MessageEdited(MessageId(str(message["ts"])), text))


def _message_received(event: Payload, bot: Bot) -> Event:
    """Returns the event of a message.

    Slack sends one message as `message` and as `app_mention`, which therefore have the same key.
    """
    channel, ts = str(event["channel"]), str(event["ts"])
    is_direct = event.get("channel_type") == "im" or channel.startswith("D")
    raw = str(event.get("text") or "")
    is_addressed = (
        is_direct or event.get("type") == "app_mention" or re.search(rf"<@{bot.user}[|>]", raw)
    )
    message = to_message(event, channel, bot)
    kind = _kind(channel, str(event.get("channel_type") or ""))
    place = Place(bot.workspace, ChannelId(channel), message.place.thread or MessageId(ts), kind)
    what: EventContent = MessageReceived(
        message, is_addressed=bool(is_addressed), is_direct=is_direct
    )
    if is_addressed and _COMMAND_PREFIX.match(message.text):
        line = _COMMAND_PREFIX.sub("", strip_markup(raw, bot, is_command=True), count=1)
        question = None if message.text.lstrip().startswith("/") else message
        what = CommandInvoked(line, attachment=next(iter(message.files), None), said=question)
    key = f"{bot.workspace}/{channel}/{ts}"
    return Event(key, place, _user(str(event["user"])), time_of_ts(ts), what)


def question_ts_of_key(key: str) -> str | None:
    """Returns the ts of the question in an event's key, None if the key has no ts."""
    ts = key.rpartition("/")[2]
    return ts if re.fullmatch(r"\d+\.\d+", ts) else None


def _attachment(file: Payload) -> Attachment:
    """Returns a file; the reference has its URL too, for servers without `files.info`."""
    address = file.get("url_private_download") or file.get("url_private") or ""
    name = str(file.get("name") or file.get("title") or file["id"])
    return Attachment(name, f"{file['id']} {address}".strip(), file.get("size"))


def _reaction(event: Payload, key: str, bot: Bot, now: datetime) -> Iterator[Event]:
    emoji, item = emoji_of_name(str(event.get("reaction"))), event.get("item") or {}
    if emoji is None or not item.get("ts") or not item.get("channel"):
        return
    what = ReactionChanged(
        MessageId(str(item["ts"])), emoji, is_removed=event["type"] == "reaction_removed"
    )
    yield Event(key, _place(bot, str(item["channel"])), _user(str(event["user"])), now, what)


def _clicks(body: Payload, bot: Bot, now: datetime) -> Iterator[Event]:
    user = str(body["user"]["id"])
    for action in body.get("actions") or ():
        value = str(action.get("value") or "")
        if not value:
            continue
        message = _answer_message(body, action)
        place = _place_of_click(body, bot, user)
        what: EventContent = ButtonClicked(value, message)
        if value.startswith(COMMAND_PREFIX):
            what = CommandInvoked(value.removeprefix(COMMAND_PREFIX))
        key = f"{bot.workspace}/action/{action.get('action_ts') or _unique_id(body, now)}/{user}"
        yield _interaction(body, bot, now, place, what, key=key)


def _answer_message(body: Payload, action: Payload) -> MessageId | None:
    block = str(action.get("block_id") or "")
    if block.startswith(FIRST_MESSAGE_PREFIX):
        return MessageId(block.removeprefix(FIRST_MESSAGE_PREFIX).partition("/")[0])
    container: Payload = body.get("container") or {}
    ts = container.get("message_ts") or (body.get("message") or {}).get("ts")
    if not ts:
        return None
    return MessageId(f"{EPHEMERAL_ID_PREFIX}{ts}" if container.get("is_ephemeral") else str(ts))


def _place_of_click(body: Payload, bot: Bot, user: str) -> Place:
    """Returns the place of a click; the direct message with the user for the home tab and forms."""
    container: Payload = body.get("container") or {}
    channel = (body.get("channel") or {}).get("id") or container.get("channel_id")
    if not channel:
        return Place(bot.workspace, ChannelId(user), kind=ChannelKind.DIRECT)
    message: Payload = body.get("message") or {}
    thread = message.get("thread_ts") or container.get("thread_ts")
    return _place(bot, str(channel), str(thread) if thread else None)


def _submission(body: Payload, bot: Bot, now: datetime) -> Event:
    view: Payload = body["view"]
    values, attachment = _form_values(view)
    what = FormSubmitted(str(view.get("callback_id")), values, attachment)
    # The view's id is not enough: a rejected form is submitted again from the same view.
    view_key = f"{view.get('id') or ''}/{view.get('hash') or ''}"
    key = f"{bot.workspace}/view/{view_key}/{_unique_id(body, now)}"
    place = place_of_metadata(str(view.get("private_metadata") or ""), bot, str(body["user"]["id"]))
    return _interaction(body, bot, now, place, what, key=key)


def place_to_json(place: Place) -> str:
    """Returns a place for a form's private metadata."""
    return json.dumps({"channel": place.channel, "thread": place.thread, "kind": place.kind})


def place_of_metadata(metadata: str, bot: Bot, user: str) -> Place:
    """Returns the place in a form's private metadata, else the direct message with the user."""
    try:
        stored = json.loads(metadata)
        channel, thread, kind = stored["channel"], stored["thread"], ChannelKind(stored["kind"])
    except (ValueError, KeyError, TypeError):
        return Place(bot.workspace, ChannelId(user), kind=ChannelKind.DIRECT)
    return Place(bot.workspace, ChannelId(channel), thread, kind)


def _form_values(view: Payload) -> tuple[dict[str, str], Attachment | None]:
    values: dict[str, str] = {}
    attachment = None
    initial = _initial_values(view)
    submitted: Payload = (view.get("state") or {}).get("values") or {}
    for block, inputs in sorted(
        submitted.items(), key=lambda block_inputs: _input_number(block_inputs[0])
    ):
        for action, value in inputs.items():
            if value.get("type") == "file_input" or "files" in value:
                files = value.get("files") or ()
                attachment = _attachment(files[0]) if files else attachment
            else:
                name = block.partition(INPUT_NUMBER_SEPARATOR)[0]
                text = (
                    _selected_values(value) if action == MULTIPLE_VALUES_ID else _input_value(value)
                )
                text = _without_round_trip(text, initial.get(block, ""))
                values[name] = values.get(name, "") + text
    return values, attachment


def _input_number(block: str) -> int:
    """Returns the number of an input of a long text, 0 for other inputs.

    Slack does not keep order.
    """
    number = block.partition(INPUT_NUMBER_SEPARATOR)[2]
    return int(number) if number.isdecimal() else 0


def _initial_values(view: Payload) -> dict[str, str]:
    """Returns the text of each input when the form was opened, by block id."""
    blocks = [
        block for block in view.get("blocks") or () if isinstance(block.get("element"), Mapping)
    ]
    return {str(block.get("block_id")): _initial(block["element"]) for block in blocks}


def _initial(element: Payload) -> str:
    return str(element.get("initial_value") or "")


def _without_round_trip(submitted: str, initial: str) -> str:
    """Returns the initial text if only Slack's escaping or trimming changed the text."""
    trimmed = _normalized(initial)
    return (
        initial
        if _normalized(submitted) in (trimmed, html.escape(trimmed, quote=False))
        else submitted
    )


def _normalized(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def _selected_values(value: Payload) -> str:
    return ",".join(str(option["value"]) for option in value.get("selected_options") or ())


def _input_value(value: Payload) -> str:
    match value.get("type"):
        case _ if "selected_option" in value:
            return str((value["selected_option"] or {}).get("value", ""))
        case "checkboxes":
            return "yes" if value.get("selected_options") else "no"
        case _:
            return str(value.get("value") or "")


def _message_shortcut(body: Payload, bot: Bot, now: datetime) -> Iterator[Event]:
    message: Payload = body.get("message") or {}
    channel = str(body["channel"]["id"])
    target = to_message(
        {**message, "ts": message.get("ts") or body.get("message_ts")}, channel, bot
    )
    what = ShortcutUsed(str(body["callback_id"]), target)
    yield _interaction(body, bot, now, target.place, what)


def _interaction(
    body: Payload,
    bot: Bot,
    now: datetime,
    place: Place,
    what: EventContent,
    *,
    key: str | None = None,
) -> Event:
    trigger = str(body.get("trigger_id") or "")
    user: Payload = body["user"]
    name = str(user.get("username") or user.get("name") or "")
    return Event(
        key=key or f"{bot.workspace}/trigger/{_unique_id(body, now)}",
        place=place,
        user=_user(str(user["id"]), name),
        at=now,
        what=what,
        token=trigger or None,
    )


def _place(bot: Bot, channel: str, thread: str | None = None) -> Place:
    return Place(
        bot.workspace, ChannelId(channel), MessageId(thread) if thread else None, _kind(channel)
    )


def _kind(channel: str, channel_type: str = "") -> ChannelKind:
    """Returns the kind of a channel by its id or type; shared channels need a look-up."""
    if channel.startswith(("D", "U", "W")) or channel_type == "im":
        return ChannelKind.DIRECT
    if channel.startswith("G") or channel_type in ("group", "mpim"):
        return ChannelKind.PRIVATE
    return ChannelKind.OPEN


def _thread(thread: object, ts: str) -> MessageId | None:
    """Returns the thread of a message; None for the message that starts a thread."""
    return MessageId(str(thread)) if thread and str(thread) != ts else None


def _user(user: str, name: str = "") -> User:
    return User(UserId(user), name or user)
