"""Reads JSON values from a stream: arrays of any size, rows under a key, values over many lines."""

import codecs
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from bot.imports.unfolding import rows_by_column
from bot.rows.problems import RowRefused
from bot.rows.reading import LONGEST_LINE_MEBIBYTES, after_blanks, as_utf8, decode_value

_LONGEST = LONGEST_LINE_MEBIBYTES << 20
# Keys of lists that belong to a row itself.
_LISTS_OF_A_ROW: Final = frozenset(
    (
        *("history", "chosen", "rejected", "prompt", "completion", "tools", "functions", "tags"),
        *("preferred_output", "non_preferred_output", "features"),
        *("comments", "conversation_parts", "replies", "notes", "attachments", "events"),
        *("threads", "parts", "posts", "emails", "recipients", "users", "agents"),
    )
)


class _Stream:
    """The text of a stream; holds only a block and one value in memory."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._read = 0
        self._text = ""
        self._at = 0
        self._counted = 0
        self._is_ended = False
        self._line = 1

    @property
    def line(self) -> int:
        """The line number of the next character, from 1."""
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    def peek(self) -> str:
        """Returns the next character that is not whitespace, or "" at the end."""
        self._at = after_blanks(self._text, self._at)
        while self._at == len(self._text) and self._more():
            self._at = after_blanks(self._text, self._at)
        return self._text[self._at : self._at + 1]

    def skip(self, character: str) -> None:
        """Skips a character, which must be the next one. Raises RowRefused."""
        found = self.peek()
        if not found:
            raise RowRefused("cut_off")
        if found != character:
            raise RowRefused("extra_text", column=self._column)
        self._at += 1

    def value(self) -> object:
        """Parses the next value. Raises RowRefused."""
        self.peek()
        while True:
            try:
                value, end = decode_value(self._text, self._at)
            except RowRefused as refusal:
                if refusal.code not in ("not_json", "cut_off") or not self._may_go_on():
                    raise
                continue
            # A number may continue in the next block.
            if end == len(self._text) and self._may_go_on():
                continue
            if end - self._at > _LONGEST:
                raise RowRefused("line_too_long", limit=LONGEST_LINE_MEBIBYTES)
            self._at = end
            return value

    @property
    def _column(self) -> int:
        return self._at - self._text.rfind("\n", 0, self._at)

    def _may_go_on(self) -> bool:
        held = len(self._text) - self._at
        if held > _LONGEST:
            raise RowRefused("line_too_long", limit=LONGEST_LINE_MEBIBYTES)
        has_more = self._more()
        # Doubles the text each time, so that a long value is parsed only a few times.
        while has_more and len(self._text) - self._at < 2 * held:
            has_more = self._more()
        return len(self._text) - self._at > held

    def _more(self) -> bool:
        if self._is_ended:
            return False
        block = next(self._blocks, None)
        self._is_ended = block is None
        try:
            text = self._decoder.decode(block or b"", final=self._is_ended)
        except UnicodeDecodeError as error:
            raise RowRefused("not_utf8", byte=self._read + error.start + 1) from None
        self._read += len(block or b"")
        line = self.line
        self._text = self._text[self._at :] + text
        self._line, self._at, self._counted = line, 0, 0
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
        yield max(line, stream.line), refusal.at(max(line, stream.line))


def read_elements(blocks: Iterable[bytes]) -> Iterator[object]:
    """Yields each element of a file with a list. Raises RowRefused."""
    for _, value in _elements(_Stream(as_utf8(blocks))):
        yield value


def read_members(blocks: Iterable[bytes], listed: str) -> Iterator[tuple[str, object]]:
    """Yields each key and value of a file with an object. Raises RowRefused.

    Yields the elements of the list under the key `listed` one by one.
    """
    stream = _Stream(as_utf8(blocks))
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
    held: dict[str, object] = {}
    has_rows = False
    stream.skip("{")
    while stream.peek() != "}":
        key = _key(stream)
        if stream.peek() == "[" and key not in _LISTS_OF_A_ROW:
            listed: list[object] = []
            for line, value in _elements(stream):
                if has_rows or (not listed and _is_row(value)):
                    has_rows = True
                    yield line, _without_wrapping(value)
                else:
                    listed.append(value)
            held[key] = listed
        else:
            held[key] = stream.value()
        if stream.peek() != "}":
            stream.skip(",")
    stream.skip("}")
    if not has_rows:
        by_column = rows_by_column(held)
        rows = [held] if by_column is None else by_column
        yield from ((first, row) for row in rows)


def _without_wrapping(value: object) -> object:
    """Returns the row without the wrapper of the dataset viewer of Hugging Face."""
    # https://huggingface.co/docs/dataset-viewer/rows
    if isinstance(value, Mapping) and "row_idx" in value and isinstance(value.get("row"), Mapping):
        return value["row"]
    return value


def _is_row(value: object) -> bool:
    """Whether an element of a list is a row, and not a message or a part of a message."""
    if not isinstance(value, Mapping):
        return False
    is_message = ("role" in value or "from" in value) and ("content" in value or "value" in value)
    # A part of a message has its content under the key of its type.
    kind = str(value.get("type", ""))
    return not is_message and kind not in value and not kind.endswith("_text")
