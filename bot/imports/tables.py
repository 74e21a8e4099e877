"""Reads the rows of tables: delimited text, workbooks and Parquet."""

import csv
import importlib
import importlib.util
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import IO, Final

from python_calamine import (
    CalamineError,
    CalamineWorkbook,
    PasswordError,
    SheetTypeEnum,
    SheetVisibleEnum,
)

from bot.rows import Problem
from bot.rows.json_lines import raw_lines

MAX_CELL_LENGTH: Final = 512 << 10
"""Most characters of a cell; a longer text exceeds the tokens of a row in any case."""
# Invalid bytes become surrogates, which the check of the row refuses.
_REFUSED_LATER = "surrogateescape"
Cells = list[str]
SECOND: Final = re.compile(r" \(\d+\)$")
"""The end of the heading of a second column with the same name."""


def read_delimited(
    blocks: Iterable[bytes], delimiter: str
) -> Iterator[tuple[int, Cells | Problem]]:
    """Yields the cells of each row of UTF-8 text with its first line; omits empty rows."""
    csv.field_size_limit(MAX_CELL_LENGTH)
    # Strict, because a quote left open would silently join the rows up to the next quote.
    reader = csv.reader(_lines(raw_lines(blocks)), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield line, _problem_of(error, line)
            continue
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield line, cells


def _lines(lines: Iterable[bytes | None]) -> Iterator[str]:
    """Yields the text lines of a table, each ending with a newline."""
    for raw in lines:
        if raw is None:
            yield "…" * (MAX_CELL_LENGTH + 1) + "\n"
            continue
        line = raw.decode("utf-8", _REFUSED_LATER)
        if "\r" in line[:-1]:
            # A row may end with a carriage return alone, which within quotes is part of a cell.
            *ended, last = line.removesuffix("\r").split("\r")
            yield from (row + "\r" for row in ended)
            line = last + "\r" if line[-1] == "\r" else last
        yield line + "\n"


def _problem_of(error: csv.Error, line: int) -> Problem:
    # The limit of the field size stops an unclosed quote from filling the memory.
    if "field limit" in str(error):
        return Problem(line, "cell_too_long", {"limit": MAX_CELL_LENGTH})
    return Problem(line, "table_broken", {"what": str(error)})


def read_sheet(file: IO[bytes], sheet: str) -> Iterator[tuple[int, Cells | Problem]]:
    """Yields the cells of each row of a sheet of XLSX, XLSB, XLS or ODS as text."""
    book = open_workbook(file)
    if isinstance(book, Problem):
        yield 0, book
        return
    worksheet = book.get_sheet_by_name(sheet)
    above = worksheet.start[0] if worksheet.start else 0
    for number, row in enumerate(worksheet.to_python(skip_empty_area=True), above + 1):
        cells = [_cell_text(cell) for cell in row]
        if any(cell.strip() for cell in cells):
            yield number, cells


def open_workbook(file: IO[bytes]) -> CalamineWorkbook | Problem:
    """Returns the workbook, or a Problem if the file is encrypted or broken."""
    file.seek(0)
    try:
        return CalamineWorkbook.from_filelike(file)
    except PasswordError:
        return Problem(0, "file_password", {})
    except CalamineError:
        return Problem(0, "workbook_broken", {})


def shown_sheets(book: CalamineWorkbook) -> list[str]:
    """Returns the names of the visible worksheets, or of all worksheets if all are hidden."""
    sheets = [sheet for sheet in book.sheets_metadata if sheet.typ is SheetTypeEnum.WorkSheet]
    visible = [sheet.name for sheet in sheets if sheet.visible is SheetVisibleEnum.Visible]
    return visible or [sheet.name for sheet in sheets]


def _cell_text(cell: object) -> str:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime | date | time | timedelta):
        return str(cell)
    return "" if cell is None else str(cell)


def has_parquet() -> bool:
    """Whether pyarrow is installed, which is needed to read Parquet."""
    return importlib.util.find_spec("pyarrow") is not None


def read_parquet(file: IO[bytes]) -> Iterator[tuple[int, object]]:
    """Yields each row of a Parquet file as an object, numbered from 1."""
    parquet = importlib.import_module("pyarrow.parquet")
    arrow = importlib.import_module("pyarrow")
    file.seek(0)
    number = 0
    try:
        for batch in parquet.ParquetFile(file).iter_batches(batch_size=1000):
            for row in batch.to_pylist():
                number += 1
                yield number, row
    except arrow.ArrowInvalid:
        yield number, Problem(number, "parquet_broken", {})


def named_cells(headings: Sequence[str], cells: Cells, line: int) -> dict[str, str] | Problem:
    """Returns the cells by heading."""
    if any(cell.strip() for cell in cells[len(headings) :]):
        details = {"count": len(cells), "expected": len(headings)}
        return Problem(line, "cells_too_many", details)
    return dict(zip(headings, cells, strict=False))


def distinct_headings(cells: Sequence[str]) -> tuple[str, ...]:
    """Returns a heading for each column: `#3` for the third without one, `name (2)` for a second.

    No two are the same, so that no column is lost.
    """
    headings: dict[str, None] = {}
    counts: dict[str, int] = {}
    for number, cell in enumerate(cells, 1):
        name = heading = cell.strip() or f"#{number}"
        while heading in headings:
            counts[name] = counts.get(name, 1) + 1
            heading = f"{name} ({counts[name]})"
        headings[heading] = None
    return tuple(headings)
