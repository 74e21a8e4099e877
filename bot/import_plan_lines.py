"""Describes how a file is read for the card of its preview: columns, what is left out, encoding."""

from __future__ import annotations

from collections.abc import Iterator

from bot.imports import ImportPlan, Layout, Syntax
from bot.words import Words


def import_plan_lines(
    plan: ImportPlan, words: Words, *, for_scripts: bool = False
) -> tuple[str, ...]:
    """Returns lines about the columns used, the columns left out, and the possible encodings.

    If `for_scripts`, purposes are named as the option `columns` expects them.
    """
    sheets_by_lines: dict[tuple[str, ...], list[str]] = {}
    for sheet in (plan, *plan.more_sheets):
        lines_of_sheet = tuple(_sheet_lines(sheet, words, for_scripts=for_scripts))
        sheets_by_lines.setdefault(lines_of_sheet, []).append(sheet.source.sheet)
    lines: list[str] = []
    for lines_of_sheet, sheets in sheets_by_lines.items():
        if plan.more_sheets:
            lines.append(f"{words('import.sheets')}: {', '.join(sheets)}")
        lines += lines_of_sheet
    return (*lines, *_unread_sheets(plan, words))


def _unread_sheets(plan: ImportPlan, words: Words) -> Iterator[str]:
    if plan.unread_sheets:
        yield f"{words('import.unread_sheets')}: {', '.join(plan.unread_sheets)}"


def _layout_lines(plan: ImportPlan, words: Words) -> Iterator[str]:
    """Yields what is done with the rows beyond taking their columns."""
    if "label" in plan.columns:
        yield words("import.labels")
    if plan.layout in (Layout.TICKETS, Layout.JSON_TICKETS):
        yield words("import.tickets")
    if plan.source.syntax is Syntax.DOCUMENT:
        yield words("import.document")
    if plan.strips_mail_parts:
        yield words("import.mails")


def _sheet_lines(plan: ImportPlan, words: Words, *, for_scripts: bool) -> list[str]:
    lines: list[str] = []
    if plan.columns:
        columns = ", ".join(
            f"{purpose if for_scripts else words(f'import.purpose.{purpose}')} ← {name}"
            for purpose, name in plan.columns.items()
        )
        lines.append(f"{words('import.columns')}: {columns}")
    lines += _layout_lines(plan, words)
    if plan.unused:
        lines.append(f"{words('import.unused')}: {', '.join(plan.unused)}")
    if plan.encodings:
        lines.append(words("import.unsure_encoding"))
        lines += [f"{encoding.name}: {encoding.sample}" for encoding in plan.encodings]
    elif plan.source.encoding != "utf-8":
        lines.append(f"{words('import.encoding')}: {plan.source.encoding}")
    return lines
