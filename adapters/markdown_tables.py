"""Tables of a markdown answer as text in columns, for platforms that draw none; pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import AsyncGenerator, Iterator, Sequence

_WIDEST = 76
"""Columns of a code block that a client shows without breaking its lines."""
_MOST_HELD = 20_000
"""Characters of a table that are held back."""
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ROW = re.compile(r" {0,3}\|")
_RULE = frozenset("|:- \t")
_CELL_END = re.compile(r"(?<!\\)\|")
_MARKS = re.compile(r"\*\*|__|`")


async def with_drawn_tables(pieces: AsyncGenerator[str]) -> AsyncGenerator[str]:
    """The pieces of a text; only lines that may belong to a table are held back."""
    tables = TableStream()
    async for piece in pieces:
        yield tables.feed(piece)
    yield tables.rest()


class TableStream:
    """Takes a text in pieces and gives it back with its tables drawn."""

    def __init__(self) -> None:
        self._line = ""
        self._is_told = False
        """Whether the beginning of the line in hand was given back already."""
        self._rows: list[str] = []
        self._fence = ""

    def feed(self, piece: str) -> str:
        *whole, last = piece.split("\n")
        told = "".join([self._whole_line(line) for line in whole])
        self._line += last
        return told + self._begun_line()

    def rest(self) -> str:
        line, self._line = self._line, ""
        if self._is_told or self._fence or not _ROW.match(line):
            return self._table() + line
        self._rows.append(line)
        return self._table().removesuffix("\n")

    def _whole_line(self, piece: str) -> str:
        line, self._line = self._line + piece, ""
        is_told, self._is_told = self._is_told, False
        if is_told:
            return f"{line}\n"
        is_row = not self._fence and _ROW.match(line)
        if is_row and sum(map(len, self._rows)) < _MOST_HELD:
            self._rows.append(line)
            return ""
        table = self._table()
        self._note_fence(line)
        return f"{table}{line}\n"

    def _begun_line(self) -> str:
        """What has come of a line, once it is clear that it is no row and no fence."""
        if not self._line or (not self._is_told and self._is_undecided()):
            return ""
        table = "" if self._is_told else self._table()
        line, self._line, self._is_told = self._line, "", True
        return table + line

    def _is_undecided(self) -> bool:
        begun = self._line.lstrip(" ")
        if begun.startswith("|"):
            return not self._fence
        return not begun.strip("`~") or begun.startswith(("```", "~~~"))

    def _note_fence(self, line: str) -> None:
        found = _FENCE.match(line)
        if found is None:
            return
        if not self._fence:
            self._fence = found[1]
        elif found[1].startswith(self._fence) and not line.strip(" `~"):
            self._fence = ""

    def _table(self) -> str:
        rows, self._rows = self._rows, []
        if len(rows) < 2 or "-" not in rows[1] or not _RULE.issuperset(rows[1]):
            return "".join(f"{row}\n" for row in rows)
        return "".join(f"{line}\n" for line in _drawn([_cells(r) for r in (rows[0], *rows[2:])]))


def _cells(row: str) -> list[str]:
    inner = row.strip().removeprefix("|")
    inner = inner if inner.endswith("\\|") else inner.removesuffix("|")
    parts = _CELL_END.split(inner)
    return [part.strip().replace("\\|", "|").replace("<br>", " ") for part in parts]


def _drawn(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """In a code block where that is narrow enough, else one paragraph for each row."""
    count = max(map(len, rows))
    plain = [[_MARKS.sub("", cell) for cell in row] for row in rows]
    padded = [[*row, *[""] * (count - len(row))] for row in plain]
    widths = [max(_width(row[at]) for row in padded) for at in range(count)]
    if sum(widths) + 3 * (count - 1) > _WIDEST:
        yield from _listed(rows)
        return
    yield "```"
    for number, row in enumerate(padded):
        cells = (
            f"{cell}{' ' * (width - _width(cell))}" for cell, width in zip(row, widths, strict=True)
        )
        yield " │ ".join(cells).rstrip()
        if number == 0:
            yield "─┼─".join("─" * width for width in widths)
    yield "```"


def _listed(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    head, *body = rows
    for row in body:
        yield f"**{_MARKS.sub('', row[0])}**"
        for name, value in zip(head[1:], row[1:], strict=False):
            yield f"- {_MARKS.sub('', name)}: {value}"
        yield ""


def _width(text: str) -> int:
    """Cells of a fixed-width font: East Asian letters and emoji take two, marks none."""
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1
        for one in text
    )
