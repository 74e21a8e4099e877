"""Holds the docs to the code: `python -m tests.docs` checks, with `--write` it writes.

Two pages and `.env.example` are written from the catalogue, the command line
and the settings; everything else is read, and what it names has to exist.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping

from adapters.console.command_hints import USAGE_BY_COMMAND
from bot.command_catalogue import CATALOGUE
from bot.errors import NotFound
from tests.written_pages import GROUPS, ROOT, settings, shell_commands, written
from tuner.__main__ import API_KEY_VARIABLE

TRACES = re.compile(r"(?<![\w.$])/(?:work|root|home|Users|tmp)/|pypi\.|/simple/")
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
TUNE = re.compile(r"/tune ([a-z][a-z-]*(?: [a-z]+(?:-[a-z]+)*(?![\w:-]))?)([^`\n]*)")
IN_SHELL = re.compile(r"(?:^|[\s/])attune (?!attune\b)([a-z][a-z-]*)([^\n|]*)", re.MULTILINE)
IN_PROSE = re.compile(r"`(?:\S*/)?attune ([a-z][a-z-]*)([^`\n]*)`")


def main() -> int:
    if "--write" in sys.argv:
        for path, text in written().items():
            path.write_text(text, "utf-8")
    found = [problem for check in CHECKS for problem in check()]
    sys.stdout.writelines(f"{problem}\n" for problem in found)
    return 1 if found else 0


def pages() -> Mapping[str, str]:
    """The text of every page, by its path from the root."""
    paths = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))]
    return {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in paths}


def stale_pages() -> Iterator[str]:
    for path, text in written().items():
        if not path.exists() or path.read_text("utf-8") != text:
            page = path.relative_to(ROOT)
            yield f"{page} is not as the code says; run python -m tests.docs --write"


def ungrouped_settings() -> Iterator[str]:
    grouped = [name for names in GROUPS.values() for name in names]
    for name in set(settings()).symmetric_difference(grouped):
        yield f"GROUPS in tests/docs.py and Settings do not agree on {name}"


def undescribed_settings() -> Iterator[str]:
    for name, field in settings().items():
        if not (field.description or "").endswith("."):
            yield f"Settings: {name} has no description that is a sentence"


def broken_links() -> Iterator[str]:
    for page, text in pages().items():
        for target in LINK.findall(FENCE.sub("", text)):
            path, _, anchor = target.partition("#")
            if ":" in path:
                continue
            file = (ROOT / page).parent / path if path else ROOT / page
            if not file.exists():
                yield f"{page}: nothing is at {target}"
            elif anchor and anchor not in anchors(file.read_text("utf-8")):
                yield f"{page}: no heading is at {target}"


def unknown_tune_words() -> Iterator[str]:
    for page, text in pages().items():
        for words, rest in TUNE.findall(text):
            yield from (f"{page}: {problem}" for problem in tune_problems(words, rest))


def unknown_shell_words() -> Iterator[str]:
    for page, text in pages().items():
        blocks = [body for kind, body in FENCE.findall(text) if kind == "sh"]
        told = [found for body in blocks for found in IN_SHELL.findall(body)]
        for name, rest in told + IN_PROSE.findall(FENCE.sub("", text)):
            yield from (f"{page}: {problem}" for problem in shell_problems(name, rest))


def unknown_room_words() -> Iterator[str]:
    for page, text in pages().items():
        for line in typed(text):
            word = line[1:].partition(" ")[0]
            if line.startswith("/") and word not in USAGE_BY_COMMAND:
                yield f"{page}: the room has no /{word}"


def unknown_settings() -> Iterator[str]:
    known = {*settings(), API_KEY_VARIABLE}
    for page, text in pages().items():
        for name in set(re.findall(r"\bATTUNE_[A-Z_]+\b", text)) - known:
            yield f"{page}: there is no setting {name}"


def traces() -> Iterator[str]:
    for page, text in {**pages(), **others()}.items():
        for found in TRACES.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            yield f"{page}:{line}: “{found[0]}” says where it was written"


def unjustified_dependencies() -> Iterator[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    groups = project["dependency-groups"].values()
    wanted = [*project["project"]["dependencies"], *(one for group in groups for one in group)]
    records = "".join(path.read_text("utf-8") for path in (ROOT / "docs/adr").glob("*.md"))
    for requirement in wanted:
        name = re.match(r"[\w.-]+", requirement)
        if name and f"`{name[0]}`" not in records:
            yield f"docs/adr: no record says why there is {name[0]}"


CHECKS: tuple[Callable[[], Iterator[str]], ...] = (
    stale_pages,
    ungrouped_settings,
    undescribed_settings,
    broken_links,
    unknown_tune_words,
    unknown_shell_words,
    unknown_room_words,
    unknown_settings,
    traces,
    unjustified_dependencies,
)


def typed(text: str) -> list[str]:
    """What a reader is told to type in the room, line by line."""
    rooms = [body for kind, body in FENCE.findall(text) if kind == "room"]
    lines = [line for body in rooms for line in body.splitlines()]
    return [line.removeprefix("› ") for line in lines if line.startswith("› ")]


def tune_problems(words: str, rest: str) -> Iterator[str]:
    group = words.partition(" ")[0]
    if words == group and any(c.path.startswith(f"{group} ") for c in CATALOGUE.commands):
        return
    try:
        command, _ = CATALOGUE.find_command(words)
    except NotFound:
        yield f"there is no /tune {words}"
        return
    names = {option.name for option in command.options}
    for name in re.findall(r" ([a-z_]+):(?=\S)", rest):
        if name not in names:
            yield f"/tune {command.path} takes no {name}:"


def shell_problems(name: str, rest: str) -> Iterator[str]:
    commands = shell_commands()
    if name not in commands:
        yield f"there is no attune {name}"
        return
    flags = {each for flag in commands[name][1] for each in flag.names}
    for flag in re.findall(r"--[a-z-]+", rest):
        if flag not in flags | {"--help"}:
            yield f"attune {name} takes no {flag}"


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


def others() -> Mapping[str, str]:
    return {".env.example": (ROOT / ".env.example").read_text("utf-8")}


if __name__ == "__main__":
    sys.exit(main())
