"""Recognises the container format of a file by its first bytes, and unpacks zip and gz."""

import gzip
import zipfile
import zlib
from enum import StrEnum
from tempfile import SpooledTemporaryFile
from typing import IO, Final

from bot.rows import Problem

MAX_UNPACKED_MEBIBYTES: Final = 2048
_HEAD = 64 << 10
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_IN_MEMORY = 4 << 20
_GZIP = b"\x1f\x8b"
_ZIP = (b"PK\3\4", b"PK\5\6")
BROKEN_FILE: Final = (zipfile.BadZipFile, NotImplementedError, OSError, zlib.error, EOFError)


class FileFormat(StrEnum):
    """The container format of a file with rows."""

    TEXT = "text"
    WORKBOOK = "workbook"
    PARQUET = "parquet"
    DOCUMENT = "document"
    PAGE = "page"


# https://en.wikipedia.org/wiki/List_of_file_signatures
_NOT_ROWS: Final = (
    (b"%PDF", "pdf"),
    (b"\x89PNG", "picture"),
    (b"\xff\xd8\xff", "picture"),
    (b"GIF8", "picture"),
    (b"BM", "picture"),
    (b"II*\0", "picture"),
    (b"MM\0*", "picture"),
    (b"\0\0\1\0", "picture"),
    (b"ID3", "sound"),
    (b"OggS", "sound"),
    (b"fLaC", "sound"),
    (b"\x1aE\xdf\xa3", "film"),
    (b"SQLite format 3\0", "database"),
    (b"MZ", "program"),
    (b"\x7fELF", "program"),
    (b"Rar!", "archive"),
    (b"7z\xbc\xaf\x27\x1c", "archive"),
    (b"\xfd7zXZ\0", "archive"),
    (b"BZh", "archive"),
    (b"\x28\xb5\x2f\xfd", "archive"),
    (b"{\\rtf", "document"),
    (b"ARROW1", "arrow"),
    (b"\x93NUMPY", "numbers"),
    (b"\x89HDF", "numbers"),
    (b"\x80\x02", "pickle"),
    (b"\x80\x03", "pickle"),
    (b"\x80\x04", "pickle"),
    (b"\x80\x05", "pickle"),
    (b"GGUF", "model"),
)


# Files that Windows, and the library `datasets`, put beside others.
_NOTES: Final = (
    *("thumbs.db", "desktop.ini", "dataset_infos.json", "dataset_info.json", "state.json"),
)
_WITHOUT_ROWS: Final = (
    *(".md", ".pdf", ".jpg", ".jpeg", ".png", ".gif", ".webp", ".svg", ".heic", ".mp3", ".mp4"),
)


def row_files(file: IO[bytes]) -> tuple[str, ...]:
    """Returns the sorted names of the row files if the file is a zip with several, else none."""
    file.seek(0)
    if not file.read(4).startswith(_ZIP):
        return ()
    try:
        with zipfile.ZipFile(file) as archive:
            names = _row_names(archive) or []
    except BROKEN_FILE:
        return ()
    return tuple(sorted(names)) if len(names) > 1 else ()


def unpack(file: IO[bytes], name: str, member: str = "") -> tuple[IO[bytes], str] | Problem:
    """Returns the row file in a zip or gz with its name; any other file is returned unchanged.

    `member` selects the file in a zip with several. An unpacked file is a temporary file, which the
    caller closes.
    """
    file.seek(0)
    head = file.read(4)
    file.seek(0)
    try:
        if head.startswith(_GZIP):
            inner = name[:-3] if name.lower().endswith(".gz") else name
            with gzip.GzipFile(fileobj=file, mode="rb") as text:
                return _decompressed_copy(text, inner)
        if head.startswith(_ZIP):
            return _from_zip(file, name, member)
    except BROKEN_FILE:
        return Problem(0, "archive_broken", {})
    except RuntimeError:
        # zipfile raises RuntimeError for an encrypted member.
        return Problem(0, "file_password", {})
    return file, name


def detect_format(file: IO[bytes]) -> FileFormat | Problem:
    """Returns the container format of an unpacked file, or a Problem for files without rows."""
    file.seek(0)
    head = file.read(_HEAD)
    if head.startswith(_ZIP):
        return _office_container(file)
    if head.startswith(b"PAR1"):
        return FileFormat.PARQUET
    if head.startswith(_OLE):
        return _ole_container(head)
    kind = _kind_of(head)
    if kind == "web_page":
        return FileFormat.PAGE
    return Problem(0, f"file_{kind}", {}) if kind else FileFormat.TEXT


def _decompressed_copy(
    source: IO[bytes] | gzip.GzipFile, name: str
) -> tuple[IO[bytes], str] | Problem:
    """Returns a temporary file with the decompressed bytes, or a Problem if they are too many."""
    copy = SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115
    try:
        while block := source.read(1 << 20):
            copy.write(block)
            if copy.tell() > MAX_UNPACKED_MEBIBYTES << 20:
                copy.close()
                return Problem(0, "archive_too_long", {"limit": MAX_UNPACKED_MEBIBYTES})
    except BaseException:
        copy.close()
        raise
    return copy, name


def _row_names(archive: zipfile.ZipFile) -> list[str] | None:
    """Returns the names of the files; None if the zip is an office document."""
    names = [info.filename for info in archive.infolist() if not info.is_dir()]
    if _is_office(names):
        return None
    return [name for name in names if not _has_no_rows(name)]


def _is_office(names: list[str]) -> bool:
    return "mimetype" in names or "[Content_Types].xml" in names or _is_apple(names)


def _is_apple(names: list[str]) -> bool:
    """Whether the files are of a document of Numbers, Pages or Keynote."""
    return any(name.endswith(".iwa") or name == "Index.zip" for name in names)


def _from_zip(file: IO[bytes], name: str, member: str) -> tuple[IO[bytes], str] | Problem:
    with zipfile.ZipFile(file) as archive:
        rows = [member] if member else _row_names(archive)
        if rows is None:
            return file, name
        if len(rows) != 1:
            listed = ", ".join(f"“{row[-40:]}”" for row in rows[:6])
            return Problem(0, "archive_several" if rows else "archive_empty", {"names": listed})
        with archive.open(rows[0]) as packed:
            return _decompressed_copy(packed, rows[0].rpartition("/")[2])


def _has_no_rows(name: str) -> bool:
    """Whether a file in an archive is hidden, a note of a program, Markdown, PDF or a picture."""
    last = name.rpartition("/")[2].lower()
    is_hidden = name.startswith("__MACOSX/") or last.startswith((".", "~$"))
    is_note = last.startswith(("readme", "license")) or last in _NOTES
    return is_hidden or is_note or last.endswith(_WITHOUT_ROWS)


_OLE_STREAMS: Final = (
    ("WordDocument", "document"),
    ("PowerPoint Document", "slides"),
    ("__nameid_version", "mail"),
)


def _office_container(file: IO[bytes]) -> FileFormat | Problem:
    """Returns the format of a zip that an office program wrote."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            if "mimetype" in names:
                return _open_document(archive)
    except (*BROKEN_FILE, RuntimeError):
        return Problem(0, "archive_broken", {})
    if _is_apple(names):
        return Problem(0, "file_apple", {})
    if any(name.startswith("xl/") for name in names):
        return FileFormat.WORKBOOK
    if "word/document.xml" in names:
        return FileFormat.DOCUMENT
    if "ppt/presentation.xml" in names:
        return Problem(0, "file_slides", {})
    is_office = "[Content_Types].xml" in names
    return Problem(0, "file_document" if is_office else "archive_nested", {})


def _open_document(archive: zipfile.ZipFile) -> FileFormat | Problem:
    kind = archive.read("mimetype")[:100]
    if b"opendocument.spreadsheet" not in kind:
        return Problem(0, "file_slides" if b"presentation" in kind else "file_document", {})
    manifest = "META-INF/manifest.xml"
    if manifest in archive.namelist() and b"encryption-data" in archive.read(manifest):
        return Problem(0, "file_password", {})
    return FileFormat.WORKBOOK


def _ole_container(head: bytes) -> FileFormat | Problem:
    # https://learn.microsoft.com/openspecs/office_file_formats/ms-offcrypto
    if "EncryptedPackage".encode("utf-16-le") in head:
        return Problem(0, "file_password", {})
    for stream, kind in _OLE_STREAMS:
        if stream.encode("utf-16-le") in head:
            return Problem(0, f"file_{kind}", {})
    return FileFormat.WORKBOOK


def _kind_of(head: bytes) -> str | None:
    """Returns the kind of a file that has no rows, by its first bytes; None for text."""
    kind = next((kind for mark, kind in _NOT_ROWS if head.startswith(mark)), None)
    # A table of text may begin with the characters of a short signature.
    is_text = b"\0" not in head and kind in ("picture", "program", "sound")
    if kind and not is_text:
        return kind
    if head[257:262] == b"ustar" or head.startswith(_GZIP):
        return "archive"
    start = head[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "web_page"
    if start.startswith((b"<?xml", b"<svg")):
        return "xml"
    if head[4:8] == b"ftyp" or head[:4] == b"RIFF":
        return "picture" if head[8:12] in (b"WEBP", b"heic", b"avif", b"mif1") else "film"
    return None
