"""Reads files attached to a question and to earlier messages: texts and images, within limits."""

from __future__ import annotations

import codecs
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bot.domain import Attachment, Message, MessageId
from bot.errors import SurfaceError
from bot.image_types import MAGIC_BYTE_COUNT, image_media_type
from bot.pdf_docx_text import DocumentText, PdfDocxReader
from bot.ports.surface import CanReadFile, Surface
from bot.request import Request
from bot.words import Words

MAX_TEXT_LENGTH = 40_000
"""Limit of all files of a question together, about 10,000 tokens."""
_MAX_FILES = 5
_MAX_PICTURES = 3
_MEGABYTE = 1024 * 1024
_PICTURE_BYTES = 5 * _MEGABYTE
_DOCUMENT_BYTES = 20 * _MEGABYTE
_TYPED = "message.txt"
"""Name of the file into which Discord turns a message of more than 2,000 characters."""
_BYTES_OF_CHARACTER = 4
_ZIP, _PDF, _PDF_BEGINS_WITHIN = b"PK\x03\x04", b"%PDF-", 1024


@dataclass(frozen=True, slots=True)
class AttachedImage:
    """An attached image; `kind` is its media type."""

    name: str
    media_type: str
    content: bytes = field(repr=False)

    @property
    def data_url(self) -> str:
        """The image as a data URL; https://platform.openai.com/docs/guides/images."""
        return f"data:{self.media_type};base64,{b64encode(self.content).decode()}"


@dataclass(slots=True)
class AttachedFileContents:
    """Contents of the files of one message.

    `typed_texts` are part of the message itself, `texts` are attached to it. `problems` are the
    names of the files that were not read, or not completely, by key and details of the sentence.
    """

    typed_texts: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    pictures: list[AttachedImage] = field(default_factory=list)
    problems: dict[tuple[str, tuple[tuple[str, object], ...]], list[str]] = field(
        default_factory=dict
    )

    def add_problem(self, key: str, name: str, **details: object) -> None:
        self.problems.setdefault((key, tuple(details.items())), []).append(name)

    def problem_notes(self, words: Words) -> list[str]:
        """Returns a sentence for each kind of problem, with the names of its files."""
        return [
            words(key, name=", ".join(names), **dict(details))
            for (key, details), names in self.problems.items()
        ]

    @property
    def has_text(self) -> bool:
        """Whether anything but pictures was read."""
        return bool(self.typed_texts) or len(self.texts) > len(self.pictures)

    def text_with_files(self, text: str) -> str:
        """Returns the text of a message followed by the texts of its files."""
        return "\n\n".join(part for part in (text, *self.typed_texts, *self.texts) if part.strip())


class FileReader:
    """Reads files until its limits are reached: first the question's, then earlier messages'.

    Files are fetched only from the platform of the question.
    """

    def __init__(self, request: Request, surface: Surface, documents: PdfDocxReader) -> None:
        self._request = request
        self._surface = surface
        self._documents = documents
        self._remaining_characters = MAX_TEXT_LENGTH
        self._remaining_files = _MAX_FILES
        self._remaining_pictures = _MAX_PICTURES

    async def read_question_files(self, files: Sequence[Attachment]) -> AttachedFileContents:
        read = AttachedFileContents()
        for file in files:
            await self._read(file, read)
        return read

    async def read_files_of_history(
        self, history: Sequence[Message]
    ) -> tuple[Sequence[Message], dict[MessageId | None, Sequence[AttachedImage]]]:
        """Returns the messages with their files' texts, and images by message.

        Files are read newest first, because the limits may not suffice for all.
        """
        messages, pictures = list(history), dict[MessageId | None, Sequence[AttachedImage]]()
        for index in range(len(messages) - 1, -1, -1):
            message = messages[index]
            if message.is_own or not message.files:
                continue
            read = await self.read_question_files(message.files)
            messages[index] = replace(message, text=read.text_with_files(message.text))
            pictures[message.id] = read.pictures
        return messages, pictures

    async def _read(self, file: Attachment, read: AttachedFileContents) -> None:
        if self._remaining_files <= 0:
            read.add_problem("chat.file_no_room", file.name)
            return
        self._remaining_files -= 1
        content = await self._content(file)
        if content is None:
            read.add_problem("chat.file_unread", file.name)
        elif kind := image_media_type(content):
            self._add_picture(AttachedImage(file.name, kind, content), read)
        elif self._remaining_characters <= 0:
            read.add_problem("chat.file_no_room", file.name)
        elif _is_document(content):
            await self._add_document(file, content, read)
        else:
            self._add_text(file, _decode(content), read)

    def _add_picture(self, picture: AttachedImage, read: AttachedFileContents) -> None:
        if len(picture.content) > _PICTURE_BYTES:
            size = _PICTURE_BYTES // _MEGABYTE
            read.add_problem("chat.file_large", picture.name, size=size)
        elif self._remaining_pictures <= 0:
            read.add_problem("chat.pictures_many", picture.name, count=_MAX_PICTURES)
        else:
            self._remaining_pictures -= 1
            read.pictures.append(picture)
            read.texts.append(self._request.words("chat.picture", name=picture.name))

    async def _add_document(
        self, file: Attachment, content: bytes, read: AttachedFileContents
    ) -> None:
        if len(content) > _DOCUMENT_BYTES:
            read.add_problem("chat.file_large", file.name, size=_DOCUMENT_BYTES // _MEGABYTE)
            return
        document = await self._documents.read_text(content, self._remaining_characters)
        if problem := _problem(document):
            read.add_problem(f"chat.file_{problem}", file.name)
            return
        is_cut = document.pages_read < document.page_count
        if is_cut:
            pages = {"count": document.pages_read, "total": document.page_count}
            read.add_problem("chat.file_pages", file.name, **pages)
        self._add_text(file, document.text, read, is_cut_told=is_cut)

    def _add_text(
        self,
        file: Attachment,
        text: str | None,
        read: AttachedFileContents,
        *,
        is_cut_told: bool = False,
    ) -> None:
        if text is None:
            read.add_problem("chat.file_unread", file.name)
            return
        room = self._remaining_characters
        if len(text) > room and not is_cut_told:
            read.add_problem("chat.file_cut", file.name, count=f"{room:,}")
        text, self._remaining_characters = text[:room], room - len(text)
        if file.name == _TYPED:
            read.typed_texts.append(text)
        else:
            read.texts.append(self._request.words("chat.file", name=file.name, text=text))

    async def _content(self, file: Attachment) -> bytes | None:
        """Fetches a file until its limit is exceeded; None if it cannot be fetched."""
        if not isinstance(self._surface, CanReadFile):
            return None
        content = bytearray()
        try:
            async for block in self._surface.read_file(self._request.place, file):
                content += block
                if len(content) > _byte_limit(content):
                    break
        except SurfaceError:
            return None
        return bytes(content)


def _byte_limit(content: bytearray) -> int:
    """Returns the limit of bytes of a file, by its first bytes."""
    if image_media_type(bytes(content[:MAGIC_BYTE_COUNT])):
        return _PICTURE_BYTES
    is_document = _is_document(bytes(content[:_PDF_BEGINS_WITHIN]))
    return _DOCUMENT_BYTES if is_document else _BYTES_OF_CHARACTER * MAX_TEXT_LENGTH


def _is_document(content: bytes) -> bool:
    return content.startswith(_ZIP) or _PDF in content[:_PDF_BEGINS_WITHIN]


def _problem(document: DocumentText) -> str:
    return document.problem or ("" if document.text else "no_text")


def _decode(content: bytes) -> str | None:
    """Returns the text of a file, without an incomplete last character; None if it is no text."""
    is_wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if not is_wide and b"\0" in content:
        return None
    decoder = codecs.getincrementaldecoder("utf-16" if is_wide else "utf-8-sig")()
    try:
        return decoder.decode(content)
    except UnicodeDecodeError:
        return None
