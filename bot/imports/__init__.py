"""Reads uploaded files of many formats and turns them into training rows."""

from bot.imports.containers import row_files, unpack
from bot.imports.encodings import ENCODINGS, Encoding
from bot.imports.plan import ImportOptions, ImportPlan, Layout, UnknownColumns, plan_import
from bot.imports.reading import read_import
from bot.imports.sources import Syntax

__all__ = [
    "ENCODINGS",
    "Encoding",
    "ImportOptions",
    "ImportPlan",
    "Layout",
    "Syntax",
    "UnknownColumns",
    "plan_import",
    "read_import",
    "row_files",
    "unpack",
]
