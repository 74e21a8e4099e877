"""Making erased text leave the disk, not only the tables.

Deleting leaves copies behind: in the write-ahead log, and now and then in the
gaps of pages that SQLite balanced (`secure_delete` does not reach those). So
an erasing transaction leaves a wish in `user_version`, which commits with it;
then the file is rewritten and the log emptied. A crash between the two is made
good at the next start, an open reader at the next write after it.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

_REWRITE = 1
_EMPTY_LOG = 2

WISH = f"PRAGMA user_version = {_REWRITE}"


def scrub(path: Path) -> bool:
    """Fulfil the wish if there is one; False where somebody is in the way, to be tried again."""
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        try:
            return _scrub(connection)
        except sqlite3.OperationalError:
            return False


def _scrub(connection: sqlite3.Connection) -> bool:
    (wish,) = connection.execute("PRAGMA user_version").fetchone()
    if wish == _REWRITE:
        connection.execute("VACUUM")
        connection.execute(f"PRAGMA user_version = {_EMPTY_LOG}")
    if wish:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            return False
        connection.execute("PRAGMA user_version = 0")
    return True
