"""Reads JSON exports of DiscordChatExporter: one or more files for each channel.

https://github.com/Tyrrrz/DiscordChatExporter
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from bot.chat_exports.chat_export import (
    ExportedChannel,
    ExportedMessage,
    ExportedPerson,
    ReadMeter,
    ReportProgress,
    short_field_text,
    strip_control_characters,
)
from bot.chat_exports.zip_files import BROKEN_FILE
from bot.domain import ChannelKind
from bot.imports.json_values import read_members
from bot.rows.problems import RowRefused

# https://docs.discord.com/developers/resources/message#message-object-message-types;
# DiscordChatExporter writes types as numbers that it has no name for.
_USER_MESSAGES: Final = ("Default", "Reply", "0", "19")
_THREAD_STARTERS: Final = ("ThreadStarterMessage", "21")
_DELETED_USER: Final = "456226577798135808"
"""Id of Discord's placeholder user, the author of messages of deleted accounts."""
_WEBHOOK: Final = "0000"
_MENTION: Final = re.compile(r"<@!?(\d{1,20})>", re.ASCII)
_EMOJI: Final = re.compile(r"<a?(:\w+:)\d{1,20}>", re.ASCII)
_NUMBER: Final = re.compile(r"\d{1,20}", re.ASCII)


@dataclass(frozen=True, slots=True)
class DiscordFile:
    """One file of an export; `blocks` reads it from the start at each call, `size` is in bytes."""

    blocks: Callable[[], Iterator[bytes]]
    size: int


@dataclass(frozen=True, slots=True)
class _Head:
    """The guild and channel at the beginning of a file.

    `parent` is the id of the channel that a thread belongs to, "" if it is not known.
    """

    guild: str
    channel: ExportedChannel
    parent: str
    is_thread: bool


class DiscordExport:
    """The opened files of an export; the constructor reads only their heads."""

    platform = "discord"

    def __init__(self, files: Sequence[DiscordFile]) -> None:
        self.left_out_counts: Counter[str] = Counter()
        self.people: dict[str, ExportedPerson] = {}
        self._files: list[tuple[DiscordFile, _Head]] = []
        for file in files:
            head = read_head(file)
            if head:
                self._files.append((file, head))
            else:
                self.left_out_counts["file"] += 1
        self.channels = {head.channel.id: head.channel for _, head in self._files}
        self.workspace_ids = frozenset(head.guild for _, head in self._files)
        self._started: set[str] = set()

    def may_lack_first_message(self, thread: str) -> bool:
        """Whether the thread was created without a starter message in its channel."""
        return thread not in self._started

    def messages(
        self, channels: Collection[str], report_progress: ReportProgress
    ) -> Iterator[ExportedMessage]:
        files = [(file, head) for file, head in self._files if head.channel.id in channels]
        meter = ReadMeter(sum(file.size for file, _ in files), report_progress)
        for file, head in files:
            for value in self._values(file, meter):
                message = self._message(value, head)
                if message:
                    yield message

    def _values(self, file: DiscordFile, meter: ReadMeter) -> Iterator[Mapping[str, object]]:
        try:
            for key, value in read_members(meter.report_read_bytes(file.blocks()), "messages"):
                if key == "messages" and isinstance(value, Mapping):
                    yield value
        except (RowRefused, *BROKEN_FILE):
            self.left_out_counts["file"] += 1

    def _message(self, value: Mapping[str, object], head: _Head) -> ExportedMessage | None:
        """Returns a message of a person and stores its author; counts messages of bots."""
        kind = str(value.get("type"))
        if kind in _THREAD_STARTERS and head.is_thread:
            self._started.add(head.channel.id)
        author = _object(value, "author")
        if kind not in _USER_MESSAGES or not author:
            return None
        person = _to_person(author)
        if person.is_bot:
            self.left_out_counts["bot"] += 1
            return None
        self.people[person.id] = person
        return self._user_message(value, person.id, head)

    def _user_message(
        self, value: Mapping[str, object], author: str, head: _Head
    ) -> ExportedMessage | None:
        number, at = short_field_text(value.get("id")), _seconds(value.get("timestamp"))
        text = value.get("content")
        if not _NUMBER.fullmatch(number) or at is None or not isinstance(text, str):
            return None
        mentioned = [_to_person(user) for user in _objects(value.get("mentions"))]
        reply_to = short_field_text(_object(value, "reference").get("messageId"))
        thread = head.channel.id if head.is_thread else None
        return ExportedMessage(
            channel=head.parent or head.channel.id,
            id=number,
            at=at,
            author=author,
            text=_plain_text(text, {person.id: person.name for person in mentioned}),
            thread=thread,
            reply_to=reply_to or None,
            mentions=tuple(person.id for person in mentioned if not person.is_bot),
            edited_at=_seconds(value.get("timestampEdited")) or 0.0,
        )


def read_head(file: DiscordFile) -> _Head | None:
    """Returns the guild and the channel of a file, or None if it is not such an export."""
    members: dict[str, Mapping[str, object]] = {}
    try:
        for key, value in read_members(file.blocks(), "messages"):
            if key in ("guild", "channel") and isinstance(value, Mapping):
                members[key] = value
            if len(members) == 2:
                return _head(members["guild"], members["channel"])
            if key == "messages":
                return None
    except (RowRefused, RuntimeError, *BROKEN_FILE):
        return None
    return None


def _head(guild: Mapping[str, object], channel: Mapping[str, object]) -> _Head | None:
    """Returns the guild and channel of a file, or None if the channel has no id."""
    number, kind = short_field_text(channel.get("id")), short_field_text(channel.get("type"))
    if not _NUMBER.fullmatch(number):
        return None
    is_thread = "Thread" in kind
    channel_kind = ChannelKind.DIRECT if kind.startswith("Direct") else None
    channel_kind = ChannelKind.PRIVATE if "PrivateThread" in kind else channel_kind
    parent = short_field_text(channel.get("categoryId")) if is_thread else ""
    exported = ExportedChannel(
        number, short_field_text(channel.get("name")) or number, channel_kind
    )
    return _Head(short_field_text(guild.get("id")), exported, parent, is_thread)


def _to_person(user: Mapping[str, object]) -> ExportedPerson:
    number = short_field_text(user.get("id"))
    name = short_field_text(user.get("nickname")) or short_field_text(user.get("name")) or number
    is_webhook = user.get("discriminator") == _WEBHOOK and "isBot" not in user
    is_bot = bool(user.get("isBot")) or is_webhook
    return ExportedPerson(number, name, is_bot=is_bot, is_gone=number == _DELETED_USER)


def _plain_text(text: str, names: Mapping[str, str]) -> str:
    def replace(match: re.Match[str]) -> str:
        return f"@{names.get(match[1], match[1])}"

    return strip_control_characters(_EMOJI.sub(r"\1", _MENTION.sub(replace, text)))


def _seconds(value: object) -> float | None:
    try:
        return datetime.fromisoformat(str(value)).timestamp() if value else None
    except (ValueError, OverflowError):
        return None


def _object(holder: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = holder.get(name)
    return value if isinstance(value, Mapping) else {}


def _objects(value: object) -> list[Mapping[str, object]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
