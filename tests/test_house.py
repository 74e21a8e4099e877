"""The house itself: its plan, its names, its manners."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import get_type_hints

import pytest

from bot.ports.store import Records

ROOT = Path(__file__).parent.parent
WINGS = ("attune", "adapters", "storage", "tuner", "bot")
LONGEST_FILE = 600
LONGEST_FUNCTION = 60


def files() -> list[Path]:
    return [path for wing in WINGS for path in sorted((ROOT / wing).rglob("*.py"))]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("noun", sorted(get_type_hints(Records)))
def test_every_noun_of_the_port_has_its_place_in_storage(noun: str) -> None:
    assert (ROOT / "storage" / f"{noun}.py").exists() or (ROOT / "storage" / noun).is_dir()


@pytest.mark.parametrize("path", files(), ids=name)
def test_a_file_opens_with_one_sentence(path: Path) -> None:
    doc = ast.get_docstring(ast.parse(path.read_text("utf-8")))

    assert doc
    assert doc.partition("\n")[0].endswith((".", "?", "`"))


@pytest.mark.parametrize("path", files(), ids=name)
def test_a_file_can_be_read_in_one_sitting(path: Path) -> None:
    is_table = {"words", "versions"} & set(path.parts)

    assert is_table or len(path.read_text("utf-8").splitlines()) <= LONGEST_FILE


def test_no_type_is_ignored_in_the_house() -> None:
    ignored = [name(path) for path in files() if "type: ignore" in path.read_text("utf-8")]

    assert ignored == []


def functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            yield f"{name(path)}:{node.name}", node.end_lineno - node.lineno + 1


def test_functions_are_short() -> None:
    long = [
        (where, lines)
        for path in files()
        for where, lines in functions(path)
        if lines > LONGEST_FUNCTION and "migrations" not in where
    ]

    assert long == []
