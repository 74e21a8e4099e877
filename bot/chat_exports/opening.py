"""Recognises exports of chats among the files that people hand over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import IO

from bot.chat_exports.archive import (
    BROKEN,
    MOST_UNPACKED_GIBIBYTES,
    ArchiveFile,
    json_files,
)
from bot.chat_exports.discord import DiscordExport, DiscordFile, read_head
from bot.chat_exports.export import ChatExport
from bot.chat_exports.slack import SlackExport
from bot.rows import Problem

_BLOCK = 64 << 10
_HEAD = 1 << 10
_LISTS = ("channels.json", "groups.json", "dms.json", "mpims.json")
_MOST_LOOKED_AT = 5


def open_chat_export(file: IO[bytes]) -> ChatExport | Problem | None:
    """The export that a file is, None where it is none; it reads from the file while it is used.

    Slack's is a zip, also with a folder around it; that of Discord is a JSON file, or a zip of
    such files.
    """
    file.seek(0)
    head = file.read(_HEAD)
    if head.startswith(b"PK\3\4"):
        return _in_zip(file)
    one = DiscordFile(partial(_blocks, file), file.seek(0, 2))
    return DiscordExport([one]) if b'"guild"' in head and read_head(one) else None


def _in_zip(file: IO[bytes]) -> ChatExport | Problem | None:
    try:
        files = json_files(file)
        if files is None:
            limit = MOST_UNPACKED_GIBIBYTES << 10
            return Problem(0, "archive_too_long", {"limit": limit})
        root = _root(files)
        if root is not None:
            return SlackExport(files, root)
        parts = [DiscordFile(one.blocks, one.size) for one in files]
        is_discord = any(read_head(one) for one in parts[:_MOST_LOOKED_AT])
        return DiscordExport(parts) if is_discord else None
    except BROKEN:
        return Problem(0, "archive_broken", {})
    except RuntimeError:
        # What zipfile raises for a file that needs a password.
        return Problem(0, "file_password", {})


def _root(files: Sequence[ArchiveFile]) -> str | None:
    """The folder that holds the lists of Slack's export; "" where it is not in one."""
    names = {one.name for one in files}
    roots = [name.removesuffix("users.json") for name in names if _is_named(name, "users.json")]
    known = [root for root in roots if any(f"{root}{one}" in names for one in _LISTS)]
    return min(known, key=len, default=None)


def _is_named(path: str, name: str) -> bool:
    return path == name or path.endswith(f"/{name}")


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    at = 0
    while True:
        file.seek(at)
        block = file.read(_BLOCK)
        if not block:
            return
        at += len(block)
        yield block
