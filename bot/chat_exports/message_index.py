"""Sorts the messages of an export by channel, thread and time in a temporary SQLite database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import groupby

from bot.chat_exports.chat_export import ExportedMessage

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
    """A SQLite database in an unnamed temporary file, which ends with the process.

    Of two messages with the same id, the one that was edited last is kept. Needs about 16 MB of
    memory for any number of messages. The caller closes it.
    """

    def __init__(self) -> None:
        # An empty name creates a temporary file: https://www.sqlite.org/inmemorydb.html#temp_db
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        for line in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -16000"):
            self._database.execute(f"PRAGMA {line}")
        self._database.execute(_TABLE)

    def fill(self, messages: Iterable[ExportedMessage]) -> None:
        """Stores all messages and builds the indexes; call it once, before any other method."""
        batch: list[tuple[object, ...]] = []
        for message in messages:
            batch.append(_to_row(message))
            if len(batch) == _BATCH:
                self._database.executemany(_ADD, batch)
                batch.clear()
        self._database.executemany(_ADD, batch)
        for index in (_THREADS, _TIMES, _REPLIES):
            self._database.execute(index)

    def channels(self) -> list[str]:
        rows = self._database.execute("SELECT DISTINCT channel FROM message ORDER BY channel")
        return [channel for (channel,) in rows]

    def count(self) -> int:
        return int(self._database.execute("SELECT count(*) FROM message").fetchone()[0])

    def threads(self, channel: str) -> Iterator[tuple[str, Iterator[ExportedMessage]]]:
        """Yields each thread of a channel with its messages, oldest first."""
        condition = "channel = ? AND thread IS NOT NULL ORDER BY thread, at, id"
        messages = self._select(condition, channel)
        for thread, thread_messages in groupby(messages, key=lambda message: message.thread):
            yield thread or "", thread_messages

    def timeline(self, channel: str) -> Iterator[ExportedMessage]:
        """Returns the messages of a channel without a thread or at its start, oldest first."""
        condition = "channel = ? AND (thread IS NULL OR thread = id) ORDER BY at, id"
        return self._select(condition, channel)

    def get(self, channel: str, message: str) -> ExportedMessage | None:
        return next(self._select("channel = ? AND id = ?", channel, message), None)

    def has_reply(self, channel: str, message: str) -> bool:
        query = "SELECT 1 FROM message WHERE channel = ? AND reply_to = ? AND text != '' LIMIT 1"
        return self._database.execute(query, (channel, message)).fetchone() is not None

    def close(self) -> None:
        self._database.close()

    def _select(self, condition: str, *values: str) -> Iterator[ExportedMessage]:
        query = f"SELECT {_COLUMNS} FROM message WHERE text != '' AND {condition}"  # noqa: S608
        for row in self._database.execute(query, values):
            channel, number, at, author, text, thread, reply_to, mentions, edited = row
            mentioned = tuple(mentions.split())
            yield ExportedMessage(
                channel, number, at, author, text, thread, reply_to, mentioned, edited
            )


def _to_row(message: ExportedMessage) -> tuple[object, ...]:
    return (
        *(message.channel, message.id, message.at, message.author, message.text),
        *(message.thread, message.reply_to, " ".join(message.mentions)),
        message.edited_at,
    )
