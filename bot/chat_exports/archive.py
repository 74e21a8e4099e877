"""The files of a zip by the names that were meant; nothing is ever unpacked to the disk."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from typing import IO, Final
from unicodedata import normalize

from bot.imports.containers import BROKEN as BROKEN

MOST_UNPACKED_GIBIBYTES: Final = 20
_MOST_TIMES = 500
"""Chats shrink to a twentieth; what shrinks to less than this was made to fill a disk."""
_SMALL = 256 << 20
_BLOCK = 64 << 10
_UTF8_FLAG = 0x800
_OTHER_ENCODINGS: Final = ("gb18030", "shift_jis", "euc_kr", "cp1252")


class ArchiveFile:
    """A JSON file in a zip, and every name that its bytes may stand for, the likeliest first."""

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
        self._archive = archive
        self._info = info
        self.names = tuple(_names(info))

    @property
    def name(self) -> str:
        return self.names[0]

    @property
    def size(self) -> int:
        return self._info.file_size

    def blocks(self) -> Iterator[bytes]:
        """The bytes; raises one of `BROKEN`, and RuntimeError where a password is needed."""
        with self._archive.open(self._info) as member:
            while block := member.read(_BLOCK):
                yield block


def json_files(file: IO[bytes]) -> list[ArchiveFile] | None:
    """The JSON files of a zip, by name; None where there would be too much to read."""
    archive = zipfile.ZipFile(file)
    infos = [one for one in archive.infolist() if one.filename.lower().endswith(".json")]
    infos = [one for one in infos if not one.filename.startswith("__MACOSX/")]
    size, packed = sum(i.file_size for i in infos), sum(i.compress_size for i in infos)
    if size > MOST_UNPACKED_GIBIBYTES << 30 or size > max(_SMALL, packed * _MOST_TIMES):
        return None
    return sorted((ArchiveFile(archive, one) for one in infos), key=lambda one: one.name)


def _names(info: zipfile.ZipInfo) -> Iterator[str]:
    # Without the flag zipfile reads names as cp437, whatever they were written in.
    # https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, appendix D
    if not info.flag_bits & _UTF8_FLAG and not info.filename.isascii():
        raw = info.filename.encode("cp437", "replace")
        for encoding in ("utf-8", *_OTHER_ENCODINGS):
            try:
                yield _plain(raw.decode(encoding))
            except UnicodeDecodeError:
                continue
    yield _plain(info.filename)


def _plain(name: str) -> str:
    return normalize("NFC", name).replace("\\", "/")
