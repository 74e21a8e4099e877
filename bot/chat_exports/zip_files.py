"""Reads the JSON files of a zip and decodes their names; unpacks nothing to the disk."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from typing import IO, Final
from unicodedata import normalize

from bot.imports.archives import BROKEN_FILE as BROKEN_FILE

MAX_UNPACKED_GIBIBYTES: Final = 20
_MAX_RATIO = 500
"""Compression ratio above which a zip counts as a zip bomb; exports of chats have about 20."""
_SMALL = 256 << 20
_BLOCK = 64 << 10
_UTF8_FLAG = 0x800
_OTHER_ENCODINGS: Final = ("gb18030", "shift_jis", "euc_kr", "cp1252")


class ArchiveFile:
    """A JSON file in a zip; `names` has its possible decodings, the likeliest first."""

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
        """Yields the bytes of the file in blocks.

        Raises one of `BROKEN_FILE`, or RuntimeError if the file is encrypted.
        """
        with self._archive.open(self._info) as member:
            while block := member.read(_BLOCK):
                yield block


def json_files(file: IO[bytes]) -> list[ArchiveFile] | None:
    """Returns the JSON files of a zip in the order of their names; None if they are too large."""
    archive = zipfile.ZipFile(file)
    infos = [
        info
        for info in archive.infolist()
        if info.filename.lower().endswith(".json") and not info.filename.startswith("__MACOSX/")
    ]
    size, packed = sum(i.file_size for i in infos), sum(i.compress_size for i in infos)
    if size > MAX_UNPACKED_GIBIBYTES << 30 or size > max(_SMALL, packed * _MAX_RATIO):
        return None
    return sorted((ArchiveFile(archive, info) for info in infos), key=lambda file: file.name)


def _names(info: zipfile.ZipInfo) -> Iterator[str]:
    """Yields the possible names of a file, the likeliest first."""
    # Without the UTF-8 flag, zipfile decodes names as cp437, whichever encoding was used.
    # https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, appendix D
    if not info.flag_bits & _UTF8_FLAG and not info.filename.isascii():
        raw = info.filename.encode("cp437", "replace")
        for encoding in ("utf-8", *_OTHER_ENCODINGS):
            try:
                yield _normalized(raw.decode(encoding))
            except UnicodeDecodeError:
                continue
    yield _normalized(info.filename)


def _normalized(name: str) -> str:
    return normalize("NFC", name).replace("\\", "/")
