"""Reads uploaded files of many formats and turns them into training rows."""

from bot.imports.archives import row_files, unpack
from bot.imports.encodings import ENCODINGS, Encoding
from bot.imports.plan import ImportOptions, ImportPlan, Layout, UnknownColumns, plan_import
from bot.imports.records import Syntax
from bot.imports.training_rows import read_import

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
