"""The house itself: its plan, its names, its manners."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_type_hints

from bot.ports.store import Records
from tests.mutant_table import MUTANTS

ROOT = Path(__file__).parent.parent
WINGS = ("attune", "adapters", "storage", "tuner", "bot")
MAX_FILE_LINES = 600
MAX_FUNCTION_LINES = 40
FOREIGN_CONSTANTS = {
    *("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "GUILD_MEMBER", "HUB_ID"),
    *("FAILED_VALIDATION", "CANCELLATION_REQUESTED"),
}
"""Words of vendors and of the shell that docstrings name."""


def files() -> list[Path]:
    return [path for wing in WINGS for path in sorted((ROOT / wing).rglob("*.py"))]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_every_noun_of_the_port_has_its_place_in_storage() -> None:
    storage = ROOT / "storage"
    missing = [
        noun
        for noun in get_type_hints(Records)
        if not (storage / f"{noun}.py").exists() and not (storage / noun).is_dir()
    ]

    assert missing == []


def test_a_file_opens_with_one_sentence() -> None:
    openings = {
        name(path): ast.get_docstring(ast.parse(path.read_text("utf-8"))) for path in files()
    }

    assert openings
    assert {
        file: opening
        for file, opening in openings.items()
        if not (opening or "").partition("\n")[0].endswith((".", "?", "`"))
    } == {}


def test_a_file_can_be_read_in_one_sitting() -> None:
    lengths = {
        name(path): len(path.read_text("utf-8").splitlines())
        for path in files()
        if not {"words", "versions"} & set(path.parts)
    }

    assert {file: lines for file, lines in lengths.items() if lines > MAX_FILE_LINES} == {}


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
        if lines > MAX_FUNCTION_LINES and "migrations" not in where
    ]

    assert long == []


def test_the_docker_image_has_the_python_on_which_ci_runs_the_tests() -> None:
    dockerfile, ci = ((ROOT / path).read_text("utf-8") for path in ("Dockerfile", ".ci/run"))

    images = re.findall(r"^FROM python:([\d.]+)", dockerfile, re.MULTILINE)
    tested = re.findall(r"^export PYTHON=python([\d.]+)$", ci, re.MULTILINE)

    assert (len(images), len(tested)) == (2, 1)
    assert set(images) == set(tested)


def waits_on_its_own(loop: ast.While) -> bool:
    """Whether a loop sleeps, or asks others whether it may end: it may never end."""
    sleeps = [node for node in ast.walk(loop) if isinstance(node, ast.Call)]
    is_asking = any(isinstance(node, ast.Await) for node in ast.walk(loop.test))
    return is_asking or any(ast.unparse(call.func).endswith("sleep") for call in sleeps)


def test_tests_wait_in_one_place_which_has_a_limit() -> None:
    waiting = [
        f"{name(path)}:{node.lineno}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        if path.name != "waiting.py" and "fakes" not in path.parts
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.While) and waits_on_its_own(node)
    ]

    assert waiting == []


def test_every_mutant_breaks_a_line_that_is_there() -> None:
    moved = [
        (mutant.file, mutant.text)
        for mutant in MUTANTS
        if (ROOT / mutant.file).read_text("utf-8").count(mutant.text) != 1
    ]

    assert moved == []


def test_docstrings_raise_and_list_what_exists() -> None:
    """`Raises X` and the trees of errors name classes that are there, also after a rename."""
    trees = [ast.parse(path.read_text("utf-8")) for path in files()]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    known = {node.name for node in nodes if isinstance(node, ast.ClassDef)} | set(dir(builtins))
    known |= {alias.name for n in nodes if isinstance(n, ast.ImportFrom) for alias in n.names}
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    texts = [ast.get_docstring(node) or "" for node in nodes if isinstance(node, documented)]
    raising = re.compile(r"Raises ((?:[A-Z]\w+(?:, | or | and )?)+)")
    raised = [found[1] for text in texts for found in raising.finditer(text)]
    listed = [m[1] for text in texts for m in re.finditer(r"[├└]── ([A-Z]\w+)", text)]
    named = {name for some in (*raised, *listed) for name in re.findall(r"[A-Z]\w+", some)}
    assert len(named) > 50
    assert named - known == set()


def test_docstrings_name_modules_and_constants_that_exist() -> None:
    """`bot.dispatch` and MAX_ROWS in a docstring are there, also after a rename."""
    nodes = [node for path in files() for node in ast.walk(ast.parse(path.read_text("utf-8")))]
    texts = [
        node.value.value
        for node in nodes
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ]
    paths = {
        found[1]
        for text in texts
        for found in re.finditer(rf"`((?:{'|'.join(WINGS)})\.[\w.]+)`", text)
    }
    constants = {
        word
        for text in texts
        for word in re.findall(r"(?<![\w/])_?[A-Z]+(?:_[A-Z]+)+(?![\w=])", text)
    }
    identifiers = {node.id for node in nodes if isinstance(node, ast.Name)}
    identifiers |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    written = {node.value for node in nodes if isinstance(node, ast.Constant)}

    assert len(paths) > 20
    assert [path for path in sorted(paths) if not _exists(path)] == []
    assert constants - identifiers - written - FOREIGN_CONSTANTS == set()


def _exists(path: str) -> bool:
    """Whether a dotted path is a package, a module, or a class or function in a module."""
    parts = path.split(".")
    for end in range(len(parts), 0, -1):
        module = ROOT.joinpath(*parts[:end]).with_suffix(".py")
        if module.exists():
            return all(part in module.read_text("utf-8") for part in parts[end:])
    return ROOT.joinpath(*parts).is_dir()
