"""Recognises chat exports of Slack and Discord among uploaded files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import IO

from bot.chat_exports.chat_export import ChatExport
from bot.chat_exports.discord import DiscordExport, DiscordFile, read_head
from bot.chat_exports.slack import SlackExport
from bot.chat_exports.zip_files import (
    BROKEN_FILE,
    MAX_UNPACKED_GIBIBYTES,
    ArchiveFile,
    json_files,
)
from bot.rows import Problem

_BLOCK = 64 << 10
_HEAD = 1 << 10
_LISTS = ("channels.json", "groups.json", "dms.json", "mpims.json")
_MAX_PROBED = 5


def open_chat_export(file: IO[bytes]) -> ChatExport | Problem | None:
    """Returns the opened export, or None if the file is not a chat export.

    The export reads from the file later, so the file must stay open. An export of Slack is a zip,
    possibly with a root folder; an export of Discord is a JSON file or a zip of JSON files.
    Returns a Problem for a zip that is damaged, encrypted or too large.
    """
    file.seek(0)
    head = file.read(_HEAD)
    if head.startswith(b"PK\3\4"):
        return _open_zip(file)
    json_file = DiscordFile(partial(_blocks, file), file.seek(0, 2))
    return DiscordExport([json_file]) if b'"guild"' in head and read_head(json_file) else None


def _open_zip(file: IO[bytes]) -> ChatExport | Problem | None:
    try:
        files = json_files(file)
        if files is None:
            limit = MAX_UNPACKED_GIBIBYTES << 10
            return Problem(0, "archive_too_long", {"limit": limit})
        root = _root(files)
        if root is not None:
            return SlackExport(files, root)
        parts = [DiscordFile(file.blocks, file.size) for file in files]
        is_discord = any(read_head(part) for part in parts[:_MAX_PROBED])
        return DiscordExport(parts) if is_discord else None
    except BROKEN_FILE:
        return Problem(0, "archive_broken", {})
    except RuntimeError:
        # zipfile raises RuntimeError for an encrypted file.
        return Problem(0, "file_password", {})


def _root(files: Sequence[ArchiveFile]) -> str | None:
    """Returns the folder with the lists of Slack's export, "" for the top level, else None."""
    names = {file.name for file in files}
    roots = [name.removesuffix("users.json") for name in names if _is_named(name, "users.json")]
    complete = [root for root in roots if any(f"{root}{name}" in names for name in _LISTS)]
    return min(complete, key=len, default=None)


def _is_named(path: str, name: str) -> bool:
    return path == name or path.endswith(f"/{name}")


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    """Yields the bytes of a file from its start in blocks; other code may move its position."""
    offset = 0
    while True:
        file.seek(offset)
        block = file.read(_BLOCK)
        if not block:
            return
        offset += len(block)
        yield block
