"""A database as after years of use: 100,000 examples, 1,000,000 turns, 1,000 workspaces."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from storage.database import Database
from tests.stores import HOME, furnished


@dataclass(frozen=True, slots=True)
class Size:
    """Number of rows; turns, audit entries and events are spread over a year."""

    examples: int = 100_000
    turns: int = 1_000_000
    workspaces: int = 1_000


async def build(path: Path, size: Size) -> int:
    """Fills a new database with plain SQL; returns the id of the assistant of `HOME`."""
    store = await Database.open(f"sqlite:///{path}")
    assistant = await furnished(store)
    await store.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript("PRAGMA synchronous = OFF; PRAGMA cache_size = -200000; BEGIN")
        for statement in _STATEMENTS:
            values = {"home": HOME, "assistant": assistant, **_counts(size)}
            connection.execute(statement, values)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return assistant


def _counts(size: Size) -> dict[str, int]:
    return {"examples": size.examples, "turns": size.turns, "workspaces": size.workspaces}


def _numbers(limit: str) -> str:
    return (
        "WITH RECURSIVE numbers(n) AS "
        f"(SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :{limit})"
    )


# A hexadecimal fingerprint that differs for each number; SQLite has no hash function.
_FINGERPRINT = "printf('%016x%016x%032x', n * 2654435761 % 4294967296 * 1048576, n, n)"
MARKER = "rosebud"
"""Text in every question, to find bytes that an erasure left behind."""
_WORDS = f"'{MARKER} ' || substr('the quick brown fox jumps over the lazy dog, ' || n, 1 + n % 9)"
_AT = "strftime('%Y-%m-%d %H:%M:%f', '2026-11-21', '-' || ((:{0} - n) * 365.0 / :{0}) || ' days')"

_WORKSPACES = (
    "INSERT INTO workspaces (id, name, sources, allowed) "
    f"{_numbers('workspaces')} SELECT 'slack:W' || n, 'W', 3, 0 FROM numbers"
)
_ASSISTANTS = f"""
INSERT INTO assistants (workspace, name, name_key, instructions, sampling, chat_host,
    training_host, base, is_default, history, few_shot)
{_numbers("workspaces")}
SELECT 'slack:W' || n, name, name_key, instructions, sampling, chat_host,
    training_host, base, is_default, history, few_shot
FROM numbers, assistants WHERE assistants.id = :assistant
"""
_EXAMPLES = f"""
INSERT INTO examples (workspace, assistant, method, state, "row", search_text, fingerprint,
    revision, revised_at, origin, held_out, created_at, updated_at, exclusions, channel, message,
    decided_by, editor)
{_numbers("examples")}
SELECT :home, :assistant, 'supervised', CASE n % 10 WHEN 0 THEN 'proposed' ELSE 'approved' END,
    '{{"messages":[{{"role":"user","content":"question ' || n || {_WORDS} ||
    '"}},{{"role":"assistant","content":"answer ' || n || {_WORDS} || {_WORDS} || '"}}]}}',
    'question ' || n || {_WORDS} || ' answer ' || n || {_WORDS} || {_WORDS}, {_FINGERPRINT},
    1 + (n % 10 = 1), {_AT.format("examples")}, 'message', 0, {_AT.format("examples")},
    {_AT.format("examples")}, 0, 'C' || (n % 50), 'E' || n,
    'U' || (n % 5), CASE n % 10 WHEN 1 THEN 'U' || (n % 4) END
FROM numbers
"""
_AUTHORS = f"""
INSERT INTO example_authors (workspace, example, position, item)
{_numbers("examples")} SELECT :home, n, 0, 'U' || (n % 5) FROM numbers
"""
_MESSAGES = f"""
INSERT INTO example_messages (workspace, example, channel, message)
{_numbers("examples")} SELECT :home, n, 'C' || (n % 50), 'E' || n FROM numbers
"""
_REVISIONS = f"""
INSERT INTO revisions (workspace, example, number, "row", at)
{_numbers("examples")}
SELECT :home, n, 1, '{{"messages":[{{"role":"user","content":"' || {_WORDS} || '"}}]}}',
    {_AT.format("examples")}
FROM numbers WHERE n % 10 = 1
"""
_TURNS = f"""
INSERT INTO turns (workspace, assistant, channel, event_key, asker, question, reply, model, host,
    state, at, reply_message, prompt, prompt_tokens, completion_tokens)
{_numbers("turns")}
SELECT :home, :assistant, 'C' || (n % 50), 'event ' || n, 'U' || (n % 10), {_WORDS},
    {_WORDS} || {_WORDS} || {_WORDS} || {_WORDS}, 'base', 'sandbox', 'done',
    {_AT.format("turns")}, 'M' || n, '[{{"role":"user","content":"' || {_WORDS} || '"}}]', 10, 50
FROM numbers
"""
_VOTES = f"""
INSERT INTO votes (workspace, turn, user, value, at)
{_numbers("turns")} SELECT :home, n, 'U' || (n % 7), 1, {_AT.format("turns")} FROM numbers
WHERE n % 10 = 0
"""
_AUDIT = f"""
INSERT INTO audit (workspace, at, user, what, details)
{_numbers("turns")} SELECT :home, {_AT.format("turns")}, 'U' || (n % 10), 'example.added', '{{}}'
FROM numbers WHERE n % 4 = 0
"""
_INBOX = f"""
INSERT INTO inbox (key, workspace, state, payload, received_at, attempts)
{_numbers("turns")}
SELECT 'event ' || n, CASE n % 2 WHEN 0 THEN :home ELSE 'slack:W' || (n % :workspaces) END,
    'done', '', {_AT.format("turns")}, 0
FROM numbers
"""
_STATEMENTS = (
    _WORKSPACES,
    _ASSISTANTS,
    _EXAMPLES,
    _AUTHORS,
    _MESSAGES,
    _REVISIONS,
    _TURNS,
    _VOTES,
    _AUDIT,
    _INBOX,
)
