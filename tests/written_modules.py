"""The page that says where things are in the code, written from catalogue and docstrings."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from bot.command_catalogue import CATALOGUE

ROOT = Path(__file__).parent.parent
PACKAGES = ("attune", "bot", "adapters", "storage", "tuner")


def modules_page() -> Iterator[str]:
    """Each command's file, then every module with the sentence that it begins with."""
    yield from ("## Which file answers a command", "", "| Command | File |", "| --- | --- |")
    for command in CATALOGUE.commands:
        file = Path(inspect.getsourcefile(inspect.unwrap(command.run)) or "")
        yield f"| `/tune {command.path}` | `{file.relative_to(ROOT).as_posix()}` |"
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    names = [path.relative_to(ROOT) for path in paths if "versions" not in path.parts]
    by_folder = sorted(names, key=lambda name: (PACKAGES.index(name.parts[0]), name.parent.parts))
    for folder, files in groupby(by_folder, key=lambda name: name.parent):
        yield from ("", f"## {folder.as_posix()}/", "", "| File | What it holds |", "| --- | --- |")
        for file in files:
            text = ast.get_docstring(ast.parse((ROOT / file).read_text("utf-8"))) or ""
            yield f"| `{file.name}` | {' '.join(text.partition(chr(10) * 2)[0].split())} |"
