"""Reads exports of Slack: a zip with a folder for each channel and a file for each day.

https://slack.com/help/articles/220556107-How-to-read-Slack-data-exports
"""

from __future__ import annotations

import html
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
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
from bot.chat_exports.zip_files import BROKEN_FILE, ArchiveFile
from bot.domain import ChannelKind
from bot.imports.json_values import read_elements
from bot.rows.problems import RowRefused

_LISTS: Final = {
    "channels": ChannelKind.OPEN,
    "groups": ChannelKind.PRIVATE,
    "mpims": ChannelKind.DIRECT,
    "dms": ChannelKind.DIRECT,
}
_USER_SUBTYPES: Final = (None, "", "thread_broadcast", "file_share", "me_message")
_BOT_USERS: Final = ("USLACKBOT", "USLACK")
_TIMESTAMP: Final = re.compile(r"\d{1,12}\.\d{1,9}", re.ASCII)
_MENTION: Final = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^<>\n]*)?>", re.ASCII)
_BRACKETS: Final = re.compile(r"<([^<>\n]+)>")
_NEWEST_EDIT = float("inf")


class SlackExport:
    """An opened export of Slack; the constructor reads the lists of people and channels."""

    platform = "slack"

    def __init__(self, files: Sequence[ArchiveFile], root: str) -> None:
        by_name = {file.name: file for file in files}
        self.left_out_counts: Counter[str] = Counter()
        self.people: dict[str, ExportedPerson] = {}
        self.channels: dict[str, ExportedChannel] = {}
        for name in ("users", "org_users"):
            for value in self._values(by_name.get(f"{root}{name}.json")):
                self._add_person(value)
        folders: dict[str, str] = {}
        for name, kind in _LISTS.items():
            for value in self._values(by_name.get(f"{root}{name}.json")):
                channel = _channel(value, kind)
                if channel:
                    self.channels[channel.id] = channel
                    folders |= {channel.id: channel.id, channel.name: channel.id}
        teams = (person.team for person in self.people.values())
        self.workspace_ids = frozenset(team for team in teams if team)
        self._days: dict[str, list[ArchiveFile]] = defaultdict(list)
        for file in files:
            self._add_day(file, root, folders)

    def may_lack_first_message(self, thread: str) -> bool:
        """Returns False, as the first message of a thread in Slack is its question."""
        return False

    def messages(
        self, channels: Collection[str], report_progress: ReportProgress
    ) -> Iterator[ExportedMessage]:
        days = [(channel, day) for channel in channels for day in self._days.get(channel, ())]
        meter = ReadMeter(sum(day.size for _, day in days), report_progress)
        for channel, day in days:
            for value in self._values(day, meter):
                message = self._message(value, channel)
                if message:
                    yield message

    def _add_day(self, file: ArchiveFile, root: str, folders: Mapping[str, str]) -> None:
        """Adds a file to the days of its channel; counts a file of an unknown channel."""
        for name in file.names:
            folder, _, day = name.removeprefix(root).rpartition("/")
            if name.startswith(root) and day and folder in folders:
                self._days[folders[folder]].append(file)
                return
        if "/" in file.name.removeprefix(root):
            # Skipped, as a channel outside the lists may be private.
            self.left_out_counts["file"] += 1

    def _values(
        self, file: ArchiveFile | None, meter: ReadMeter | None = None
    ) -> Iterator[Mapping[str, object]]:
        """Yields the objects of a JSON list; stops at damage and counts the file as left out."""
        if file is None:
            return
        blocks = file.blocks()
        try:
            for value in read_elements(meter.report_read_bytes(blocks) if meter else blocks):
                if isinstance(value, Mapping):
                    yield value
        except (RowRefused, *BROKEN_FILE):
            self.left_out_counts["file"] += 1

    def _add_person(self, user: Mapping[str, object]) -> None:
        profile = user.get("profile")
        names = [*_texts(profile, "display_name", "real_name"), *_texts(user, "real_name", "name")]
        number = short_field_text(user.get("id"))
        if number:
            self.people[number] = ExportedPerson(
                id=number,
                name=next(iter(names), number),
                is_bot=bool(user.get("is_bot")) or number in _BOT_USERS,
                is_guest=bool(user.get("is_restricted") or user.get("is_ultra_restricted")),
                is_gone=bool(user.get("deleted")),
                team=short_field_text(user.get("team_id")),
            )

    def _message(self, value: Mapping[str, object], channel: str) -> ExportedMessage | None:
        """Returns a message of a person, an edit or a deletion; None for any other event."""
        subtype = value.get("subtype")
        if subtype == "message_changed":
            inner, edit = value.get("message"), value.get("ts")
            changed = inner if isinstance(inner, Mapping) else {}
            return self._message({"edited": {"ts": edit}, **changed}, channel)
        if subtype in ("message_deleted", "tombstone"):
            gone = value.get("deleted_ts") or value.get("ts")
            return _deleted(gone, channel)
        if subtype == "bot_message" or value.get("bot_id") or self._is_bot(value.get("user")):
            self.left_out_counts["bot"] += 1
            return None
        if subtype not in _USER_SUBTYPES or not _is_timestamp(value.get("ts")):
            return None
        return self._user_message(value, channel)

    def _user_message(self, value: Mapping[str, object], channel: str) -> ExportedMessage | None:
        text, author = value.get("text"), short_field_text(value.get("user"))
        if not isinstance(text, str) or not author:
            return None
        if author not in self.people:
            self._add_author(author, value)
        ts, thread = short_field_text(value.get("ts")), value.get("thread_ts")
        edited = value.get("edited")
        edit = edited.get("ts") if isinstance(edited, Mapping) else None
        return ExportedMessage(
            channel=channel,
            id=ts,
            at=float(ts),
            author=author,
            text=self._plain_text(text),
            thread=short_field_text(thread) if _is_timestamp(thread) else None,
            mentions=tuple(dict.fromkeys(_MENTION.findall(text))),
            edited_at=float(str(edit)) if _is_timestamp(edit) else 0.0,
        )

    def _add_author(self, author: str, value: Mapping[str, object]) -> None:
        """Adds a person of another organisation, who is described only in their messages."""
        profile = value.get("user_profile")
        if isinstance(profile, Mapping):
            teams = _texts(value, "user_team") + _texts(profile, "team") + _texts(value, "team")
            described = {**profile, "id": author, "team_id": next(iter(teams), "")}
            self._add_person(described)

    def _is_bot(self, user: object) -> bool:
        person = self.people.get(user) if isinstance(user, str) else None
        return person.is_bot if person else user in _BOT_USERS

    def _plain_text(self, text: str) -> str:
        """Returns mrkdwn as plain text.

        https://docs.slack.dev/messaging/formatting-message-text
        """
        return strip_control_characters(html.unescape(_BRACKETS.sub(self._replace_bracket, text)))

    def _replace_bracket(self, match: re.Match[str]) -> str:
        """Returns the text for a mention, a link or an address in angle brackets."""
        target, _, label = match[1].partition("|")
        if target.startswith("@"):
            person = self.people.get(target[1:])
            return f"@{person.name if person else label or target[1:]}"
        if target.startswith("#"):
            channel = self.channels.get(target[1:])
            return f"#{label or (channel.name if channel else target[1:])}"
        if target.startswith("!"):
            return label or f"@{target[1:].partition('^')[0]}"
        address = target.removeprefix("mailto:")
        return f"{label} ({address})" if label and label not in target else address


def _channel(value: Mapping[str, object], kind: ChannelKind) -> ExportedChannel | None:
    number, name = short_field_text(value.get("id")), short_field_text(value.get("name"))
    if not number:
        return None
    if kind is not ChannelKind.DIRECT:
        is_shared = value.get("is_ext_shared") or value.get("is_pending_ext_shared")
        kind = ChannelKind.PRIVATE if value.get("is_private") else kind
        kind = ChannelKind.SHARED if is_shared else kind
    return ExportedChannel(number, name or number, kind, bool(value.get("is_archived")))


def _deleted(ts: object, channel: str) -> ExportedMessage | None:
    if not _is_timestamp(ts):
        return None
    return ExportedMessage(channel, str(ts), float(str(ts)), "", "", edited_at=_NEWEST_EDIT)


def _is_timestamp(value: object) -> bool:
    return isinstance(value, str) and _TIMESTAMP.fullmatch(value) is not None


def _texts(holder: object, *names: str) -> list[str]:
    texts = (
        [short_field_text(holder.get(name)) for name in names]
        if isinstance(holder, Mapping)
        else []
    )
    return [name for name in texts if name]
