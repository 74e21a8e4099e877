"""What an export of a chat holds, whatever the platform: people, channels, messages."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from bot.domain import ChannelKind

Tell = Callable[[int, int], None]
"""Hears how many bytes are read, of how many."""

_UNREADABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class ExportedPerson:
    """Somebody who wrote; `team` is the workspace they belong to, where the export tells it.

    `is_gone` marks deactivated and deleted accounts, which nobody can ask any more.
    """

    id: str
    name: str
    is_bot: bool = False
    is_guest: bool = False
    is_gone: bool = False
    team: str = ""


@dataclass(frozen=True, slots=True)
class ExportedChannel:
    """A channel; `kind` is None where the export does not tell who may read it."""

    id: str
    name: str
    kind: ChannelKind | None
    is_archived: bool = False


@dataclass(frozen=True, slots=True)
class ExportedMessage:
    """A message of a person; one without text was deleted. Times are seconds since 1970.

    A thread is named by its first message, which stands in the same channel.
    """

    channel: str
    id: str
    at: float
    author: str
    text: str
    thread: str | None = None
    reply_to: str | None = None
    mentions: tuple[str, ...] = ()
    edited_at: float = 0.0


class ReadMeter:
    """Tells how much of an export is read while it is read."""

    def __init__(self, total: int, tell: Tell) -> None:
        self._total = total
        self._tell = tell
        self._done = 0

    def report_read_bytes(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        for block in blocks:
            yield block
            self._done += len(block)
            self._tell(self._done, self._total)


class ChatExport(Protocol):
    """An opened export, which reads from its file; whoever opened that closes it.

    `workspace_ids` are the ids of the workspaces it may come from, none where that is not told.
    `left_out` counts the messages of bots and the files that cannot be read. People may become
    known only while the messages are read.
    """

    @property
    def platform(self) -> str: ...
    @property
    def workspace_ids(self) -> frozenset[str]: ...
    @property
    def people(self) -> Mapping[str, ExportedPerson]: ...
    @property
    def channels(self) -> Mapping[str, ExportedChannel]: ...
    @property
    def left_out(self) -> Counter[str]: ...

    def messages(self, channels: Collection[str], tell: Tell) -> Iterator[ExportedMessage]:
        """Yield the messages of the named channels; no more is held than one of them."""
        ...

    def may_lack_first_message(self, thread: str) -> bool:
        """Whether a thread without the message that it is named by begins with its first one."""
        ...


def strip_control_characters(text: str) -> str:
    """A text without half characters and control characters, which no row may have."""
    return _UNREADABLE.sub("", text).strip()


def short_text(value: object) -> str:
    """A value that should be a short text, as one that can be stored; "" for anything else."""
    return strip_control_characters(value)[:200] if isinstance(value, str) else ""
