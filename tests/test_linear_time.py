"""Every regular expression and every function that rewrites a text takes time linear in it."""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
import pkgutil
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from bot.errors import AttuneError

ROOT = Path(__file__).parent.parent
PACKAGES = ("bot", "adapters", "storage", "tuner", "attune")
# Needs torch, which the base installation has not; read as source all the same.
WITHOUT_IMPORT = ("tuner.local", "tuner.__main__", "attune.__main__", "storage.migrations.")

SIZE = 1_500
GROWTH = 4
# Work in proportion to the square of SIZE takes many times as long.
SECONDS_NOT_WORTH_A_RATIO = 0.003
# Linear work grows by GROWTH, quadratic by its square.
MAX_GROWTH = GROWTH**1.5
RUNS = 5

FIXED = ("a", "1", " ", "\n", ".")
TEXTS = (
    *("a", " ", "\n", "*", "_", "`", "~", ">", "<", "[", "(", "@", ":", "/", "|", "\\", '"', "."),
    *(
        "**a ",
        "*a ",
        "_a ",
        "__a ",
        "~~a ",
        "||a ",
        "```\n",
        "``` ",
        "`a",
        "[a",
        "[a](",
        "](",
        "<@",
    ),
    *(
        "<@",
        "<#",
        "<!",
        "<a:",
        "https://a",
        "a.",
        "a@a",
        "@here",
        "@everyone",
        "1 ",
        "1-",
        "sk-",
        "> ",
    ),
    *("# ", "- ", "&amp;", "\\*", "\r", "\u202e", "\ud83d\ude00", "|a", "\n\n", "x" * 40 + " "),
    *(
        "<p>",
        "<!--",
        "<!-->",
        "<![a",
        "<a x='",
        "<a x='>",
        "<a b' c='d>",
        '<a x="<b>" ',
        "<script>",
    ),
    *("-----BEGIN ", "<tool_call>", "</tool_call>", "<|a", "@attune ", "{", '{"', "a b", "\u200b"),
)


@cache
def modules() -> tuple[str, ...]:
    return tuple(_modules())


def _modules() -> Iterator[str]:
    for package in PACKAGES:
        found = importlib.import_module(package)
        for one in pkgutil.walk_packages(found.__path__, f"{package}."):
            if not one.name.startswith(WITHOUT_IMPORT):
                yield one.name


@dataclass(frozen=True)
class Expression:
    """A pattern, where it stands, and the methods of `re` that it is used with."""

    place: str
    pattern: re.Pattern[str]
    methods: frozenset[str]

    def uses(self) -> Iterator[Callable[[str], object]]:
        for method in sorted(self.methods & {"match", "fullmatch"}):
            yield getattr(self.pattern, method)
        if self.methods - {"match", "fullmatch"} or not self.methods:
            yield lambda text: self.pattern.sub("", text)


METHODS = re.compile(r"\b(\w+)\.(match|fullmatch|search|sub|subn|split|findall|finditer)\(")


@cache
def sources() -> dict[Path, str]:
    return {
        file: file.read_text(encoding="utf-8")
        for package in PACKAGES
        for file in sorted((ROOT / package).rglob("*.py"))
    }


@cache
def used() -> frozenset[tuple[str, str, str]]:
    """Module, name and method of each use of a pattern."""
    return frozenset(
        (str(file.relative_to(ROOT).with_suffix("")).replace("/", "."), found[1], found[2])
        for file, source in sources().items()
        for found in METHODS.finditer(source)
    )


def compiled() -> Iterator[Expression]:
    """Patterns that modules hold by name, alone or in a collection."""
    for name in modules():
        for attribute, value in vars(importlib.import_module(name)).items():
            methods = _methods_of(name, attribute)
            for number, pattern in enumerate(_patterns_in(value)):
                yield Expression(f"{name}.{attribute}:{number}", pattern, methods)


def _methods_of(module: str, attribute: str) -> frozenset[str]:
    """A private name is used in its own module, another one wherever."""
    return frozenset(
        method
        for place, held, method in used()
        if held == attribute and (place == module or not attribute.startswith("_"))
    )


def _patterns_in(value: object) -> Iterator[re.Pattern[str]]:
    if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
        yield value
    elif isinstance(value, Mapping):
        yield from itertools.chain.from_iterable(map(_patterns_in, value.values()))
    elif isinstance(value, list | tuple | set | frozenset):
        yield from itertools.chain.from_iterable(map(_patterns_in, value))


def inline() -> Iterator[Expression]:
    """Patterns that stand where they are used, and those of modules that are not imported."""
    for file, source in sources().items():
        is_imported = ".".join(file.relative_to(ROOT).with_suffix("").parts) in modules()
        for node in ast.walk(ast.parse(source)):
            if not isinstance(node, ast.Call):
                continue
            method = _method_of_re(node)
            is_known = not method or (method == "compile" and is_imported)
            pattern = None if is_known else _text_of(node.args[0])
            if pattern is not None:
                place = f"{file.relative_to(ROOT)}:{node.lineno}"
                methods = frozenset({method} - {"compile"})
                yield Expression(place, re.compile(pattern, _flags_in(node)), methods)


def _method_of_re(node: ast.Call) -> str:
    called = node.func
    if not isinstance(called, ast.Attribute) or not isinstance(called.value, ast.Name):
        return ""
    return called.attr if called.value.id == "re" and called.attr != "escape" else ""


def _text_of(node: ast.expr) -> str | None:
    """A constant pattern; what is filled into one counts as a letter."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_text_of(part) or "x" for part in node.values)
    return None


def _flags_in(node: ast.Call) -> int:
    named = [one.attr for one in ast.walk(node) if isinstance(one, ast.Attribute)]
    flags = {"IGNORECASE", "DOTALL", "MULTILINE", "ASCII", "VERBOSE"} & set(named)
    return sum(getattr(re, flag) for flag in flags)


def atoms(pattern: re.Pattern[str]) -> list[str]:
    """Small texts out of which something is made that nearly matches."""
    words = re.findall(r"\\?[A-Za-z0-9]{1,12}|[^\w\s]", pattern.pattern)
    signs = {one.lstrip("\\") for one in words} - {""}
    # Not as a set lists them: that differs from run to run.
    by_length = sorted(sorted(signs), key=len)
    literals = by_length[:5] + by_length[-2:]
    return list(dict.fromkeys([*FIXED, *literals]))


def grown(pattern: re.Pattern[str]) -> Iterator[Callable[[int], str]]:
    """Texts of any size: the usual ones, a beginning, and pairs of atoms again and again."""
    for text in TEXTS:
        yield partial(repeated, "", text, "")
    some = atoms(pattern)
    for one, other in itertools.product(some, some):
        yield partial(repeated, "", one + other, "")
        if one != other:
            yield partial(repeated, one, other, "\0")


def repeated(begin: str, middle: str, end: str, size: int) -> str:
    return begin + middle * (size // len(middle)) + end


def seconds(work: Callable[[str], object], text: str) -> float:
    begun = time.thread_time()
    work(text)
    return time.thread_time() - begun


def is_linear(work: Callable[[str], object], made: Callable[[int], str]) -> bool:
    small = made(SIZE)
    least = float("inf")
    for _ in range(3):
        least = min(least, seconds(work, small))
        if least < SECONDS_NOT_WORTH_A_RATIO:
            return True
    large = made(SIZE * GROWTH)
    return any(seconds(work, large) < MAX_GROWTH * least for _ in range(RUNS))


def test_every_expression_takes_linear_time() -> None:
    slow = [
        f"{one.place}: {made(40)!r}"
        for one in (*compiled(), *inline())
        for made in grown(one.pattern)
        for work in one.uses()
        if not is_linear(work, made)
    ]

    assert slow == []


def functions() -> Iterator[tuple[str, Callable[[str], object]]]:
    """Functions of the house that need a text, and beside it at most numbers and switches."""
    for name in modules():
        module = importlib.import_module(name)
        for called, function in vars(module).items():
            if inspect.isfunction(function) and function.__module__ == name:
                others = _others_of(function)
                if others is not None:
                    yield f"{name}.{called}", partial(function, **others)


def _others_of(function: Callable[..., object]) -> Mapping[str, object] | None:
    """What it needs beside a text that comes first; None for another kind of function."""
    needed = [
        one
        for one in inspect.signature(function).parameters.values()
        if one.default is inspect.Parameter.empty
    ]
    if not needed or (needed[0].name, needed[0].annotation) != ("text", "str"):
        return None
    known: Mapping[object, object] = {"int": 2000, "bool": False}
    if any(one.annotation not in known for one in needed[1:]):
        return None
    return {one.name: known[one.annotation] for one in needed[1:]}


def read_whole(function: Callable[[str], object], text: str) -> None:
    try:
        found = function(text)
        if isinstance(found, Iterator):
            list(found)
    except (ValueError, LookupError, RecursionError, AttuneError):
        return


def test_every_function_of_a_text_takes_linear_time() -> None:
    slow = [
        f"{name}: {one!r}"
        for name, function in functions()
        for one in TEXTS
        for made in (partial(repeated, "", one, ""), partial(repeated, "a\n", one, "\0"))
        if not is_linear(partial(read_whole, function), made)
    ]

    assert slow == []


def test_a_quadratic_expression_is_found() -> None:
    pattern = re.compile(r"\b[\w.+-]+@[\w-]+\.\w")

    assert not all(is_linear(pattern.search, made) for made in grown(pattern))
