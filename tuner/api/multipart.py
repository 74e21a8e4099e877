"""Parses an upload form: the file is written to the disk as it arrives, fields stay in memory."""

from collections.abc import AsyncIterator
from typing import IO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from tuner.errors import ApiError, TooLarge, UnsupportedMediaType

MAX_FILE_BYTES = 512_000_000
FORM_OVERHEAD_BYTES = 1 << 20
MAX_FIELD_BYTES = 4096
MAX_HEADER_BYTES = 4096
MAX_HEADERS = 16
MAX_PARTS = 16


class UploadForm:
    """One multipart body; `fields` and `filename` are complete after `read`."""

    def __init__(self, content_type: str, file: IO[bytes]) -> None:
        self.fields: dict[str, str] = {}
        self.filename: str | None = None
        self._file = file
        self._size = 0
        self._received = 0
        self._parts = 0
        self._is_ended = False
        self._reset_part()
        self._parser = MultipartParser(
            _boundary(content_type),
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_name,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
        )

    async def read(self, stream: AsyncIterator[bytes]) -> None:
        """Parses the body. Raises ApiError or TooLarge."""
        try:
            async for chunk in stream:
                self._received += len(chunk)
                if self._received > MAX_FILE_BYTES + FORM_OVERHEAD_BYTES:
                    raise TooLarge("The form is larger than this server takes.")
                self._parser.write(chunk)
            self._parser.finalize()
        except FormParserError as error:
            raise ApiError("The body is not a whole multipart form.") from error
        if not self._is_ended:
            raise ApiError("The multipart form ends before its last boundary.")

    def _on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise ApiError("The form has too many parts.")
        self._reset_part()

    def _reset_part(self) -> None:
        self._header_name = b""
        self._header_value = b""
        self._headers = 0
        self._disposition = b""
        self._name = ""
        self._is_file = False
        self._text = bytearray()

    def _on_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]
        self._refuse_long_header()

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]
        self._refuse_long_header()

    def _refuse_long_header(self) -> None:
        is_long = len(self._header_name) + len(self._header_value) > MAX_HEADER_BYTES
        if is_long or self._headers > MAX_HEADERS:
            raise ApiError("A part of the form has too many headers, or one that is too long.")

    def _on_header_end(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_value
        self._header_name, self._header_value = b"", b""
        self._headers += 1

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = _text(options.get(b"name", b""), "name")
        self._is_file = b"filename" in options
        if self._name in self.fields or (self._is_file and self.filename is not None):
            raise ApiError(f"'{self._name}' was given twice.", param=self._name)
        if self._is_file != (self._name == "file"):
            raise ApiError("The part 'file', and only that, must be a file.", param=self._name)
        if self._is_file:
            self.filename = _text(options[b"filename"], "filename")

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if not self._is_file:
            self._text += data[start:end]
            if len(self._text) > MAX_FIELD_BYTES:
                raise ApiError(f"'{self._name}' is too long.", param=self._name)
            return
        self._size += end - start
        if self._size > MAX_FILE_BYTES:
            raise TooLarge(
                f"The file is larger than {MAX_FILE_BYTES // 1_000_000} MB.", param="file"
            )
        self._file.write(data[start:end])

    def _on_part_end(self) -> None:
        if not self._is_file:
            self.fields[self._name] = _text(bytes(self._text), self._name)

    def _on_end(self) -> None:
        self._is_ended = True


def _boundary(content_type: str) -> bytes:
    media, options = parse_options_header(content_type)
    if media != b"multipart/form-data":
        raise UnsupportedMediaType("Send the file as multipart/form-data.")
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= 200:
        raise ApiError("The Content-Type header names no boundary.")
    return boundary


def _text(data: bytes, name: str) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ApiError(f"'{name}' is not UTF-8.", param=name) from error
    if "\0" in text:
        raise ApiError(f"'{name}' contains a NUL character.", param=name)
    return text
