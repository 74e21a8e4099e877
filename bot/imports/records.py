"""Reads the records of an unpacked file: JSON objects, or rows of a table by heading."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import IO

from bot.imports.encodings import utf8_blocks
from bot.imports.faq_documents import read_document
from bot.imports.json_values import read_values
from bot.imports.nested_records import is_nested, unfold_rows
from bot.imports.tables import (
    Cells,
    distinct_headings,
    named_cells,
    read_delimited,
    read_parquet,
    read_sheet,
)
from bot.rows import Problem, read_lines


class Syntax(StrEnum):
    """JSON Lines, other JSON, delimited text, a workbook, Parquet, or a document."""

    LINES = "lines"
    VALUES = "values"
    TABLE = "table"
    WORKBOOK = "workbook"
    PARQUET = "parquet"
    DOCUMENT = "document"


@dataclass(frozen=True, slots=True)
class RecordFormat:
    """The format of a file's records; `headings` are the names of columns without a header."""

    syntax: Syntax
    encoding: str = "utf-8"
    is_cr_only: bool = False
    delimiter: str = ","
    sheet: str = ""
    headings: tuple[str, ...] | None = None
    title_rows: int = 0
    """Number of rows above the header, which do not belong to the table."""
    has_row_numbers: bool = False
    """Whether records are numbered from 1, because several are on one line."""

    @property
    def is_table(self) -> bool:
        return self.syntax in (Syntax.TABLE, Syntax.WORKBOOK, Syntax.DOCUMENT)

    def with_syntax(self, syntax: Syntax) -> "RecordFormat":
        return replace(self, syntax=syntax)

    def with_delimiter(self, delimiter: str) -> "RecordFormat":
        return replace(self, delimiter=delimiter)

    def with_column_names(self, headings: tuple[str, ...]) -> "RecordFormat":
        return replace(self, headings=headings)


def read_records(file: IO[bytes], source: RecordFormat) -> Iterator[tuple[int, object]]:
    """Yields each record with its line from the start of the file, or a Problem.

    Holds only a block and a row in memory, except for a workbook, which is read as a whole.
    """
    if source.is_table:
        return _named_rows(file, source)
    if source.syntax is Syntax.PARQUET:
        return _unfolded(read_parquet(file))
    read = read_lines if source.syntax is Syntax.LINES else read_values
    records = read(_blocks(file, source))
    rows = _unfolded(records)
    return _numbered(rows) if source.has_row_numbers else rows


def _numbered(records: Iterator[tuple[int, object]]) -> Iterator[tuple[int, object]]:
    for number, (_, record) in enumerate(records, 1):
        yield number, replace(record, line=number) if isinstance(record, Problem) else record


def _unfolded(records: Iterator[tuple[int, object]]) -> Iterator[tuple[int, object]]:
    for line, record in records:
        if isinstance(record, dict) and is_nested(record):
            for row in unfold_rows(record):
                yield line, replace(row, line=line) if isinstance(row, Problem) else row
        else:
            yield line, record


def read_cells(file: IO[bytes], source: RecordFormat) -> Iterator[tuple[int, Cells | Problem]]:
    """Yields the cells of each row of a table, including its header."""
    if source.syntax is Syntax.WORKBOOK:
        yield from read_sheet(file, source.sheet)
        return
    if source.syntax is Syntax.DOCUMENT:
        yield from read_document(file, source.encoding)
        return
    rows = read_delimited(_blocks(file, source), source.delimiter)
    for line, cells in rows:
        # Skips the line with which a spreadsheet names its delimiter.
        if line > 1 or isinstance(cells, Problem) or cells[0].lower() not in ("sep=", "sep"):
            yield line, cells


def _named_rows(file: IO[bytes], source: RecordFormat) -> Iterator[tuple[int, object]]:
    headings, titles = source.headings, source.title_rows
    for line, cells in read_cells(file, source):
        if isinstance(cells, Problem):
            yield line, cells
        elif titles > 0:
            titles -= 1
        elif headings is None:
            headings = distinct_headings(cells)
        else:
            yield line, named_cells(headings, cells, line)


def _blocks(file: IO[bytes], source: RecordFormat) -> Iterator[bytes]:
    file.seek(0)
    blocks = utf8_blocks(file, source.encoding)
    if not source.is_cr_only:
        return blocks
    # Files of classic Mac OS end lines with a carriage return.
    return (block.replace(b"\r", b"\n") for block in blocks)
