"""Replaces markdown tables by text in columns, for platforms that render no tables; pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import AsyncGenerator, Iterator, Sequence

_WIDEST = 76
"""Characters of a line in a code block that clients show without a line break."""
_MAX_BUFFERED = 20_000
"""Maximum characters of a table that are held back."""
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ROW = re.compile(r" {0,3}\|")
_RULE = frozenset("|:- \t")
_CELL_END = re.compile(r"(?<!\\)\|")
_MARKS = re.compile(r"\*\*|__|`")


async def with_drawn_tables(pieces: AsyncGenerator[str]) -> AsyncGenerator[str]:
    """Yields the pieces of a text with drawn tables; only lines of tables are held back."""
    tables = TableStream()
    async for piece in pieces:
        yield tables.feed(piece)
    yield tables.rest()


class TableStream:
    """Draws the tables in a text that comes in pieces."""

    def __init__(self) -> None:
        self._line = ""
        self._has_begun = False
        """Whether the beginning of the current line was returned already."""
        self._rows: list[str] = []
        self._fence = ""

    def feed(self, piece: str) -> str:
        """Returns the text that a piece completes."""
        *ended, last = piece.split("\n")
        text = "".join([self._end_line(line) for line in ended])
        self._line += last
        return text + self._partial_line()

    def rest(self) -> str:
        """Returns, after the last piece, the text that was held back."""
        line, self._line = self._line, ""
        if self._has_begun or self._fence or not _ROW.match(line):
            return self._table() + line
        self._rows.append(line)
        return self._table().removesuffix("\n")

    def _end_line(self, piece: str) -> str:
        """Ends the current line; holds it back if it is a row of a table."""
        line, self._line = self._line + piece, ""
        has_begun, self._has_begun = self._has_begun, False
        if has_begun:
            return f"{line}\n"
        is_row = not self._fence and _ROW.match(line)
        if is_row and sum(map(len, self._rows)) < _MAX_BUFFERED:
            self._rows.append(line)
            return ""
        table = self._table()
        self._update_fence(line)
        return f"{table}{line}\n"

    def _partial_line(self) -> str:
        """Returns the current line so far, once it is clearly no row and no fence."""
        if not self._line or (not self._has_begun and self._is_undecided()):
            return ""
        table = "" if self._has_begun else self._table()
        line, self._line, self._has_begun = self._line, "", True
        return table + line

    def _is_undecided(self) -> bool:
        """Whether the current line may become a row of a table or a fence."""
        beginning = self._line.lstrip(" ")
        if beginning.startswith("|"):
            return not self._fence
        return not beginning.strip("`~") or beginning.startswith(("```", "~~~"))

    def _update_fence(self, line: str) -> None:
        """Stores the fence that a line opens, or removes the one that it closes."""
        match = _FENCE.match(line)
        if match is None:
            return
        if not self._fence:
            self._fence = match[1]
        elif match[1].startswith(self._fence) and not line.strip(" `~"):
            self._fence = ""

    def _table(self) -> str:
        """Returns the rows that were held back, drawn if they are a table."""
        rows, self._rows = self._rows, []
        if len(rows) < 2 or "-" not in rows[1] or not _RULE.issuperset(rows[1]):
            return "".join(f"{row}\n" for row in rows)
        return "".join(
            f"{line}\n" for line in _draw_table([_cells(r) for r in (rows[0], *rows[2:])])
        )


def _cells(row: str) -> list[str]:
    inner = row.strip().removeprefix("|")
    inner = inner if inner.endswith("\\|") else inner.removesuffix("|")
    parts = _CELL_END.split(inner)
    return [part.strip().replace("\\|", "|").replace("<br>", " ") for part in parts]


def _draw_table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yields the lines of a table: a code block, or a paragraph for each row if it is too wide."""
    count = max(map(len, rows))
    plain = [[_MARKS.sub("", cell) for cell in row] for row in rows]
    padded = [[*row, *[""] * (count - len(row))] for row in plain]
    widths = [max(_width(row[column]) for row in padded) for column in range(count)]
    if sum(widths) + 3 * (count - 1) > _WIDEST:
        yield from _paragraphs(rows)
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


def _paragraphs(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    head, *body = rows
    for row in body:
        yield f"**{_MARKS.sub('', row[0])}**"
        for name, value in zip(head[1:], row[1:], strict=False):
            yield f"- {_MARKS.sub('', name)}: {value}"
        yield ""


def _width(text: str) -> int:
    """Returns the cells of a text in a fixed-width font.

    East Asian characters and emoji take two cells, combining characters none.
    """
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )
