"""Puts the messages of an export in order: by channel, thread and time, on the disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import groupby

from bot.chat_exports.export import ExportedMessage

_COLUMNS = "channel, id, at, author, text, thread, reply_to, mentions, edited"
_BATCH = 1000
_TABLE = """
CREATE TABLE message (
    channel TEXT, id TEXT, at REAL, author TEXT, text TEXT, thread TEXT, reply_to TEXT,
    mentions TEXT, edited REAL, PRIMARY KEY (channel, id)
) WITHOUT ROWID
"""
_ADD = f"""
INSERT INTO message ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (channel, id) DO UPDATE SET text = excluded.text, edited = excluded.edited
WHERE excluded.edited >= message.edited
"""  # noqa: S608
_THREADS = "CREATE INDEX threads ON message (channel, thread, at, id) WHERE thread IS NOT NULL"
_TIMES = "CREATE INDEX times ON message (channel, at, id) WHERE thread IS NULL OR thread = id"
_REPLIES = "CREATE INDEX replies ON message (channel, reply_to) WHERE reply_to IS NOT NULL"


class MessageIndex:
    """A database of its own in a temporary file without a name, gone with the process.

    Of two messages with one id the one that was edited last counts. Holds little in memory,
    however many there are. Whoever made it closes it.
    """

    def __init__(self) -> None:
        # An empty name is such a file: https://www.sqlite.org/inmemorydb.html#temp_db
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        for line in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -16000"):
            self._database.execute(f"PRAGMA {line}")
        self._database.execute(_TABLE)

    def fill(self, messages: Iterable[ExportedMessage]) -> None:
        """Take in every message, once; then the others may be asked for."""
        batch: list[tuple[object, ...]] = []
        for one in messages:
            batch.append(_values(one))
            if len(batch) == _BATCH:
                self._database.executemany(_ADD, batch)
                batch.clear()
        self._database.executemany(_ADD, batch)
        for index in (_THREADS, _TIMES, _REPLIES):
            self._database.execute(index)

    def channels(self) -> list[str]:
        found = self._database.execute("SELECT DISTINCT channel FROM message ORDER BY channel")
        return [channel for (channel,) in found]

    def count(self) -> int:
        return int(self._database.execute("SELECT count(*) FROM message").fetchone()[0])

    def threads(self, channel: str) -> Iterator[tuple[str, Iterator[ExportedMessage]]]:
        """Each thread of a channel with its messages, oldest first."""
        own = "channel = ? AND thread IS NOT NULL ORDER BY thread, at, id"
        messages = self._found(own, channel)
        for thread, held in groupby(messages, key=lambda one: one.thread):
            yield thread or "", held

    def timeline(self, channel: str) -> Iterator[ExportedMessage]:
        """The messages of a channel that stand in no thread, or begin one, oldest first."""
        own = "channel = ? AND (thread IS NULL OR thread = id) ORDER BY at, id"
        return self._found(own, channel)

    def get(self, channel: str, message: str) -> ExportedMessage | None:
        return next(self._found("channel = ? AND id = ?", channel, message), None)

    def has_reply(self, channel: str, message: str) -> bool:
        own = "SELECT 1 FROM message WHERE channel = ? AND reply_to = ? AND text != '' LIMIT 1"
        return self._database.execute(own, (channel, message)).fetchone() is not None

    def close(self) -> None:
        self._database.close()

    def _found(self, condition: str, *values: str) -> Iterator[ExportedMessage]:
        wanted = f"SELECT {_COLUMNS} FROM message WHERE text != '' AND {condition}"  # noqa: S608
        for row in self._database.execute(wanted, values):
            channel, number, at, author, text, thread, reply_to, mentions, edited = row
            called = tuple(mentions.split())
            yield ExportedMessage(
                channel, number, at, author, text, thread, reply_to, called, edited
            )


def _values(one: ExportedMessage) -> tuple[object, ...]:
    return (
        *(one.channel, one.id, one.at, one.author, one.text, one.thread, one.reply_to),
        " ".join(one.mentions),
        one.edited_at,
    )
