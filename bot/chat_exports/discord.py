"""Reads what DiscordChatExporter writes as JSON: a file for each channel, or for a part of one.

https://github.com/Tyrrrz/DiscordChatExporter
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from bot.chat_exports.archive import BROKEN
from bot.chat_exports.export import (
    ExportedChannel,
    ExportedMessage,
    ExportedPerson,
    ReadMeter,
    Tell,
    short_text,
    strip_control_characters,
)
from bot.domain import ChannelKind
from bot.imports.json_values import read_members
from bot.rows.problems import RowRefused

# https://docs.discord.com/developers/resources/message#message-object-message-types; the ones
# that have no name there yet are written as numbers.
_SPOKEN: Final = ("Default", "Reply", "0", "19")
_STARTERS: Final = ("ThreadStarterMessage", "21")
_NO_USER: Final = "456226577798135808"
"""In whose name the messages of deleted accounts stand."""
_WEBHOOK: Final = "0000"
_MENTION: Final = re.compile(r"<@!?(\d{1,20})>", re.ASCII)
_EMOJI: Final = re.compile(r"<a?(:\w+:)\d{1,20}>", re.ASCII)
_NUMBER: Final = re.compile(r"\d{1,20}", re.ASCII)


@dataclass(frozen=True, slots=True)
class DiscordFile:
    """One file of an export: its bytes, as often as they are asked for, and how many."""

    blocks: Callable[[], Iterator[bytes]]
    size: int


@dataclass(frozen=True, slots=True)
class _Head:
    guild: str
    channel: ExportedChannel
    parent: str
    """Of a thread: the channel it hangs on, or "" where that is not told."""
    is_thread: bool


class DiscordExport:
    """The opened files of an export, of which only the beginnings are read already."""

    platform = "discord"

    def __init__(self, files: Sequence[DiscordFile]) -> None:
        self.left_out: Counter[str] = Counter()
        self.people: dict[str, ExportedPerson] = {}
        self._files: list[tuple[DiscordFile, _Head]] = []
        for file in files:
            head = read_head(file)
            if head:
                self._files.append((file, head))
            else:
                self.left_out["file"] += 1
        self.channels = {head.channel.id: head.channel for _, head in self._files}
        self.workspace_ids = frozenset(head.guild for _, head in self._files)
        self._started: set[str] = set()

    def may_lack_first_message(self, thread: str) -> bool:
        """Whether a thread was opened without a message in its channel."""
        return thread not in self._started

    def messages(self, channels: Collection[str], tell: Tell) -> Iterator[ExportedMessage]:
        files = [each for each in self._files if each[1].channel.id in channels]
        meter = ReadMeter(sum(file.size for file, _ in files), tell)
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
        except (RowRefused, *BROKEN):
            self.left_out["file"] += 1

    def _message(self, value: Mapping[str, object], head: _Head) -> ExportedMessage | None:
        kind = str(value.get("type"))
        if kind in _STARTERS and head.is_thread:
            self._started.add(head.channel.id)
        author = _part(value, "author")
        if kind not in _SPOKEN or not author:
            return None
        person = _person(author)
        if person.is_bot:
            self.left_out["bot"] += 1
            return None
        self.people[person.id] = person
        return self._said(value, person.id, head)

    def _said(
        self, value: Mapping[str, object], author: str, head: _Head
    ) -> ExportedMessage | None:
        number, at = short_text(value.get("id")), _seconds(value.get("timestamp"))
        text = value.get("content")
        if not _NUMBER.fullmatch(number) or at is None or not isinstance(text, str):
            return None
        listed = value.get("mentions")
        called = [_person(one) for one in _objects(listed)]
        reply_to = short_text(_part(value, "reference").get("messageId"))
        thread = head.channel.id if head.is_thread else None
        return ExportedMessage(
            channel=head.parent or head.channel.id,
            id=number,
            at=at,
            author=author,
            text=_plain(text, {one.id: one.name for one in called}),
            thread=thread,
            reply_to=reply_to or None,
            mentions=tuple(one.id for one in called if not one.is_bot),
            edited_at=_seconds(value.get("timestampEdited")) or 0.0,
        )


def read_head(file: DiscordFile) -> _Head | None:
    """The guild and the channel that a file begins with; None where it is no such export."""
    found: dict[str, Mapping[str, object]] = {}
    try:
        for key, value in read_members(file.blocks(), "messages"):
            if key in ("guild", "channel") and isinstance(value, Mapping):
                found[key] = value
            if len(found) == 2:
                return _head(found["guild"], found["channel"])
            if key == "messages":
                return None
    except (RowRefused, RuntimeError, *BROKEN):
        return None
    return None


def _head(guild: Mapping[str, object], channel: Mapping[str, object]) -> _Head | None:
    number, kind = short_text(channel.get("id")), short_text(channel.get("type"))
    if not _NUMBER.fullmatch(number):
        return None
    is_thread = "Thread" in kind
    closed = ChannelKind.DIRECT if kind.startswith("Direct") else None
    closed = ChannelKind.PRIVATE if "PrivateThread" in kind else closed
    parent = short_text(channel.get("categoryId")) if is_thread else ""
    exported = ExportedChannel(number, short_text(channel.get("name")) or number, closed)
    return _Head(short_text(guild.get("id")), exported, parent, is_thread)


def _person(user: Mapping[str, object]) -> ExportedPerson:
    number = short_text(user.get("id"))
    name = short_text(user.get("nickname")) or short_text(user.get("name")) or number
    is_webhook = user.get("discriminator") == _WEBHOOK and "isBot" not in user
    is_bot = bool(user.get("isBot")) or is_webhook
    return ExportedPerson(number, name, is_bot=is_bot, is_gone=number == _NO_USER)


def _plain(text: str, names: Mapping[str, str]) -> str:
    def named(match: re.Match[str]) -> str:
        return f"@{names.get(match[1], match[1])}"

    return strip_control_characters(_EMOJI.sub(r"\1", _MENTION.sub(named, text)))


def _seconds(value: object) -> float | None:
    try:
        return datetime.fromisoformat(str(value)).timestamp() if value else None
    except (ValueError, OverflowError):
        return None


def _part(holder: Mapping[str, object], name: str) -> Mapping[str, object]:
    found = holder.get(name)
    return found if isinstance(found, Mapping) else {}


def _objects(value: object) -> list[Mapping[str, object]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
