"""Parses JSON Lines as a stream: each line is a value, or a problem with its line number."""

import codecs
import json
import math
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final, NoReturn

from bot.rows.problems import Problem, RowRefused, quote_value

MAX_LINE_MEBIBYTES: Final = 8
_MAX_LINE_LENGTH = MAX_LINE_MEBIBYTES << 20
_BLANKS = re.compile(r"\s*")
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_lines(chunks: Iterable[bytes]) -> Iterator[tuple[int, object]]:
    """Yields line numbers with the parsed value, or with a Problem.

    Chunks may be cut anywhere. Blank lines are skipped; several objects on a line are refused, as
    hosts do. UTF-16 is recognised by its byte order mark. Memory use is one chunk and one line of
    at most 8 MiB.
    """
    decode = _DECODER.raw_decode
    for number, raw in enumerate(raw_lines(chunks), 1):
        line = raw.strip() if raw is not None else None
        if not line:
            if line is None:
                yield number, Problem(number, "line_too_long", {"limit": MAX_LINE_MEBIBYTES})
            continue
        try:
            text = line.decode()
            value, end = decode(text)
        except (ValueError, RecursionError, RowRefused):
            end = -1
        if end >= 0 and end == len(text):
            yield number, value
        else:
            yield from _read_slowly(number, line)


def raw_lines(chunks: Iterable[bytes]) -> Iterator[bytes | None]:
    """Yields each line as UTF-8 without its newline; None for a line that is too long."""
    parts: list[bytes] = []
    size = 0
    for chunk in recode_as_utf8(chunks):
        first, *others = chunk.split(b"\n")
        size += len(first)
        parts.append(first)
        if size > _MAX_LINE_LENGTH:
            parts.clear()
        if not others:
            continue
        yield b"".join(parts) if size <= _MAX_LINE_LENGTH else None
        parts = [others.pop()]
        size = len(parts[0])
        for line in others:
            yield line if len(line) <= _MAX_LINE_LENGTH else None
    if size:
        yield b"".join(parts) if size <= _MAX_LINE_LENGTH else None


def decode_value(text: str, start: int) -> tuple[object, int]:
    """Returns one JSON value and its end. Raises RowRefused with what is wrong with it."""
    try:
        value, end = _DECODER.raw_decode(text, start)
    except RecursionError:
        raise RowRefused("too_deep") from None
    except json.JSONDecodeError as error:
        raise _refusal_of(error, text) from None
    except ValueError:
        raise RowRefused("number_too_long") from None
    return value, end


def skip_blanks(text: str, start: int) -> int:
    """Returns the index of the next character that is not white space."""
    blanks = _BLANKS.match(text, start)
    return blanks.end() if blanks else start


def recode_as_utf8(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yields the text as UTF-8 without a byte order mark, from UTF-8 or UTF-16."""
    rest = iter(chunks)
    head = b""
    while len(head) < len(codecs.BOM_UTF8):
        chunk = next(rest, None)
        if chunk is None:
            break
        head += chunk
    if head.startswith(_UTF16_MARKS):
        return _from_utf16(chain([head], rest))
    return chain([head.removeprefix(codecs.BOM_UTF8)], rest)


def _from_utf16(chunks: Iterable[bytes]) -> Iterator[bytes]:
    # Unpaired surrogates become invalid UTF-8, so that their line is refused.
    decoder = codecs.getincrementaldecoder("utf-16")("surrogatepass")
    for chunk in chunks:
        yield decoder.decode(chunk).encode("utf-8", "surrogatepass")
    incomplete, _ = decoder.getstate()
    if incomplete:
        yield b"\xff"


def _read_slowly(number: int, line: bytes) -> Iterator[tuple[int, object]]:
    """Parses a line that the fast code could not, to find its problem."""
    try:
        yield number, _value_in(_text_of(line))
    except RowRefused as refusal:
        yield number, refusal.to_problem(number)


def _text_of(line: bytes) -> str:
    if b"\0" in line:
        raise RowRefused("null_byte")
    try:
        # Files that were concatenated have byte order marks inside.
        return line.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        raise RowRefused("not_utf8", byte=error.start + 1) from None


def _value_in(text: str) -> object:
    value, end = decode_value(text, skip_blanks(text, 0))
    end = skip_blanks(text, end)
    if end < len(text):
        is_object = text[end] == "{"
        raise RowRefused("several_objects" if is_object else "extra_text", column=end + 1)
    return value


def _refusal_of(error: json.JSONDecodeError, text: str) -> RowRefused:
    if text.startswith(("{", "[")) and not text.endswith(("}", "]", ",")):
        return RowRefused("cut_off")
    return RowRefused("not_json", column=error.colno, what=quote_value(error.msg))


def _refuse_constant(name: str) -> NoReturn:
    raise RowRefused("not_finite", number=name)


def _parse_finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise RowRefused("not_finite", number=quote_value(digits))
    return number


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_parse_finite)
