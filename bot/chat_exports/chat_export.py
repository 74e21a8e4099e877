"""The content of a chat export of any platform: people, channels and messages."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from bot.domain import ChannelKind

ReportProgress = Callable[[int, int], None]
"""Progress callback with the bytes read so far and the bytes in total."""

_UNREADABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class ExportedPerson:
    """An author of messages; `team` is the id of their workspace, "" if the export has none.

    `is_gone` marks deactivated and deleted accounts, whose consent cannot be requested.
    """

    id: str
    name: str
    is_bot: bool = False
    is_guest: bool = False
    is_gone: bool = False
    team: str = ""


@dataclass(frozen=True, slots=True)
class ExportedChannel:
    """A channel; `kind` is None if the export does not say who may read the channel."""

    id: str
    name: str
    kind: ChannelKind | None
    is_archived: bool = False


@dataclass(frozen=True, slots=True)
class ExportedMessage:
    """A message of a person; one with an empty text was deleted. Times are seconds since 1970.

    `thread` is the id of the thread's first message, which is in the same channel.
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
    """Reports the progress of reading an export of `total` bytes to `tell`."""

    def __init__(self, total: int, tell: ReportProgress) -> None:
        self._total = total
        self._tell = tell
        self._done = 0

    def report_read_bytes(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """Yields the blocks, and reports each one once it has been processed."""
        for block in blocks:
            yield block
            self._done += len(block)
            self._tell(self._done, self._total)


class ChatExport(Protocol):
    """An opened export, which reads from a file that the caller closes.

    `workspace_ids` has the ids of the possible source workspaces; it is empty if the export names
    none. `left_out` counts messages of bots and unreadable files. `people` and `left_out` may grow
    while the messages are read.
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
    def left_out_counts(self) -> Counter[str]: ...

    def messages(
        self, channels: Collection[str], report_progress: ReportProgress
    ) -> Iterator[ExportedMessage]:
        """Yields the messages of the channels; holds one message in memory at a time."""
        ...

    def may_lack_first_message(self, thread: str) -> bool:
        """Whether a thread whose first message is missing begins with its next message."""
        ...


def strip_control_characters(text: str) -> str:
    """Returns the text without surrogates and control characters, which rows may not contain."""
    return _UNREADABLE.sub("", text).strip()


def short_field_text(value: object) -> str:
    """Returns the first 200 characters of a string without control characters, else ""."""
    return strip_control_characters(value)[:200] if isinstance(value, str) else ""
