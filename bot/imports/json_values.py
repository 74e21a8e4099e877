"""Reads JSON values from a stream: arrays of any size, rows under a key, values over many lines."""

import codecs
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from bot.imports.nested_records import rows_by_column, without_viewer
from bot.rows.json_lines import MAX_LINE_MEBIBYTES, decode_value, recode_as_utf8, skip_blanks
from bot.rows.problems import Problem, RowRefused

_MAX_ROW_LENGTH = MAX_LINE_MEBIBYTES << 20
# Keys of lists that belong to a row itself.
_LISTS_OF_A_ROW: Final = frozenset(
    (
        *("history", "chosen", "rejected", "prompt", "completion", "tools", "functions", "tags"),
        *("preferred_output", "non_preferred_output", "features"),
        *("comments", "conversation_parts", "replies", "notes", "attachments", "events"),
        *("threads", "parts", "posts", "emails", "recipients", "users", "agents"),
    )
)
WRAPPERS: Final = frozenset(
    (
        *("data", "rows", "result", "results", "response", "payload", "body", "items", "records"),
        *("dataset", "datasets", "export", "train", "test", "validation", "splits"),
    )
)
"""Keys of objects that may have the lists of rows under further keys."""
_MAX_WRAPPERS = 3
_Members = tuple[dict[str, object], bool]


class _Stream:
    """The text of a stream; holds only a block and one value in memory."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._read_bytes = 0
        self._text = ""
        self._position = 0
        self._line_position = 0
        self._is_ended = False
        self._line = 1

    @property
    def line(self) -> int:
        """The line number of the next character, from 1."""
        self._line += self._text.count("\n", self._line_position, self._position)
        self._line_position = self._position
        return self._line

    def peek(self) -> str:
        """Returns the next character that is not whitespace, or "" at the end."""
        self._position = skip_blanks(self._text, self._position)
        while self._position == len(self._text) and self._read_block():
            self._position = skip_blanks(self._text, self._position)
        return self._text[self._position : self._position + 1]

    def skip(self, character: str) -> None:
        """Skips a character, which must be the next one. Raises RowRefused."""
        following = self.peek()
        if not following:
            raise RowRefused("cut_off")
        if following != character:
            raise RowRefused("extra_text", column=self._column)
        self._position += 1

    def value(self) -> object:
        """Parses the next value. Raises RowRefused."""
        self.peek()
        while True:
            try:
                value, end = decode_value(self._text, self._position)
            except RowRefused as refusal:
                if refusal.code not in ("not_json", "cut_off") or not self._read_enough():
                    raise
                continue
            # A number may continue in the next block.
            if end == len(self._text) and self._read_enough():
                continue
            if end - self._position > _MAX_ROW_LENGTH:
                raise RowRefused("line_too_long", limit=MAX_LINE_MEBIBYTES)
            self._position = end
            return value

    @property
    def _column(self) -> int:
        return self._position - self._text.rfind("\n", 0, self._position)

    def _read_enough(self) -> bool:
        """Reads blocks until the unparsed text has doubled; returns whether the text has grown."""
        length = len(self._text) - self._position
        if length > _MAX_ROW_LENGTH:
            raise RowRefused("line_too_long", limit=MAX_LINE_MEBIBYTES)
        has_more = self._read_block()
        # Doubles the text each time, so that a long value is parsed only a few times.
        while has_more and len(self._text) - self._position < 2 * length:
            has_more = self._read_block()
        return len(self._text) - self._position > length

    def _read_block(self) -> bool:
        """Reads a block and drops the parsed text; returns False at the end of the stream."""
        if self._is_ended:
            return False
        block = next(self._blocks, None)
        self._is_ended = block is None
        try:
            text = self._decoder.decode(block or b"", final=self._is_ended)
        except UnicodeDecodeError as error:
            raise RowRefused("not_utf8", byte=self._read_bytes + error.start + 1) from None
        self._read_bytes += len(block or b"")
        line = self.line
        self._text = self._text[self._position :] + text
        self._line, self._position, self._line_position = line, 0, 0
        return not self._is_ended


def read_values(blocks: Iterable[bytes]) -> Iterator[tuple[int, object]]:
    """Yields each row with its line: of an array, of lists under keys, or of consecutive values.

    The Problem of an invalid value is the last, as nothing after it can be read.
    """
    stream = _Stream(blocks)
    line = 1
    try:
        while stream.peek():
            for line, value in _rows_at(stream):
                yield line, value
            line = stream.line
            if stream.peek() == ",":
                # Some files are lists of rows without the brackets.
                stream.skip(",")
    except RowRefused as refusal:
        yield max(line, stream.line), refusal.to_problem(max(line, stream.line))


def read_elements(blocks: Iterable[bytes]) -> Iterator[object]:
    """Yields each element of a file with a list. Raises RowRefused."""
    for _, value in _elements(_Stream(recode_as_utf8(blocks))):
        yield value


def read_members(blocks: Iterable[bytes], listed: str) -> Iterator[tuple[str, object]]:
    """Yields each key and value of a file with an object. Raises RowRefused.

    Yields the elements of the list under the key `listed` one by one.
    """
    stream = _Stream(recode_as_utf8(blocks))
    stream.skip("{")
    while stream.peek() != "}":
        key = _key(stream)
        if key == listed and stream.peek() == "[":
            for _, value in _elements(stream):
                yield key, value
        else:
            yield key, stream.value()
        if stream.peek() != "}":
            stream.skip(",")


def _key(stream: _Stream) -> str:
    key = stream.value()
    if not isinstance(key, str):
        raise RowRefused("extra_text", column=1)
    stream.skip(":")
    return key


def _rows_at(stream: _Stream) -> Iterator[tuple[int, object]]:
    """Yields the rows of the next value with their lines."""
    if stream.peek() == "[":
        yield from _elements(stream)
    elif stream.peek() == "{":
        yield from _members(stream)
    else:
        line = stream.line
        yield line, stream.value()


def _elements(stream: _Stream) -> Iterator[tuple[int, object]]:
    stream.skip("[")
    while stream.peek() != "]":
        line = stream.line
        yield line, stream.value()
        if stream.peek() != "]":
            stream.skip(",")
    stream.skip("]")


def _members(stream: _Stream) -> Iterator[tuple[int, object]]:
    """Yields the rows of the lists in an object, or the object itself if it is a row."""
    first = stream.line
    members, has_rows = yield from _rows_of_members(stream, _MAX_WRAPPERS)
    if not has_rows:
        by_column = rows_by_column(members)
        rows = [members] if by_column is None else by_column
        yield from ((first, row) for row in rows)


def _rows_of_members(stream: _Stream, depth: int) -> Generator[tuple[int, object], None, _Members]:
    """Yields the rows of the lists in an object; returns the rest, and whether there were rows."""
    members: dict[str, object] = {}
    has_rows = False
    stream.skip("{")
    while stream.peek() != "}":
        key = _key(stream)
        if stream.peek() == "[" and key not in _LISTS_OF_A_ROW:
            listed: list[object] = []
            for line, value in _elements(stream):
                if has_rows or (not listed and _is_row(value)):
                    has_rows = True
                    row = without_viewer(value)
                    yield line, replace(row, line=line) if isinstance(row, Problem) else row
                else:
                    listed.append(value)
            members[key] = listed
        elif stream.peek() == "{" and key in WRAPPERS and depth > 0:
            members[key], has_more = yield from _rows_of_members(stream, depth - 1)
            has_rows = has_rows or has_more
        else:
            members[key] = stream.value()
        if stream.peek() != "}":
            stream.skip(",")
    stream.skip("}")
    return members, has_rows


def _is_row(value: object) -> bool:
    """Whether an element of a list is a row, and not a message or a part of a message."""
    if not isinstance(value, Mapping):
        return False
    is_message = ("role" in value or "from" in value) and not (
        {"content", "value", "parts"}.isdisjoint(value)
    )
    # A part of a message has its content under the key of its type.
    kind = str(value.get("type", ""))
    return not is_message and kind not in value and not kind.endswith("_text")
