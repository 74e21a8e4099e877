"""The docs say what is so; each check of `python -m tests.docs` is a sentence here."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import docs
from tests.written_pages import ROOT

CHANGING = re.compile(r"\d+\.\d+|\b(?=\w*\d)[0-9a-f]{8}\b|\d+ of \d+")
"""Losses, names of models and steps: no two trainings have the same."""
CHART = frozenset("┤│└")
WITH_ROOMS = ("README.md", "docs/try/first-lesson.md")


@pytest.mark.parametrize("check", docs.CHECKS, ids=lambda check: check.__name__)
def test_the_docs_have_no(check: Callable[[], Iterator[str]]) -> None:
    assert list(check()) == []


def test_the_rooms_are_where_they_are_looked_for() -> None:
    with_rooms = {page for page, text in docs.pages().items() if docs.typed(text)}

    assert with_rooms == set(WITH_ROOMS)


@pytest.mark.parametrize("page", WITH_ROOMS)
def test_what_a_page_shows_of_the_room_happens_in_that_order(page: str, tmp_path: Path) -> None:
    text = docs.pages()[page]

    heard = iter(settled(line) for line in converse(docs.typed(text), tmp_path))

    for line in shown(text):
        assert any(settled(line) in said for said in heard), f"not said, or not then: {line}"


WRONG = {
    "[gone](nowhere.md)": "nothing is at nowhere.md",
    "`/tune sing`": "there is no /tune sing",
    "`/tune start speed:9`": "/tune start takes no speed:",
    "`attune dance`": "there is no attune dance",
    "```sh\nattune tuner --fast\n```": "attune tuner takes no --fast",
    "```room\n› /sing\n```": "the room has no /sing",
    "ATTUNE_SPEED": "there is no setting ATTUNE_SPEED",
    "see /home/me/attune": "says where it was written",
}


def test_a_page_that_is_wrong_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {f"docs/new{number}.md": text for number, text in enumerate(WRONG)}
    monkeypatch.setattr(docs, "pages", lambda: pages)

    found = [one for check in docs.CHECKS for one in check()]

    missed = [
        text
        for (page, text), problem in zip(pages.items(), WRONG.values(), strict=True)
        if not any(one.startswith(page) and problem in one for one in found)
    ]
    assert missed == []


def shown(text: str) -> list[str]:
    """What the room is said to say; charts look different each time."""
    rooms = [body for kind, body in docs.FENCE.findall(text) if kind == "room"]
    lines = [line for body in rooms for line in body.splitlines()]
    return [line.strip() for line in lines if not line.startswith("› ") and not CHART & set(line)]


def converse(lines: list[str], folder: Path) -> list[str]:
    """All that a room says to these lines."""
    done = subprocess.run(
        [sys.executable, "-m", "attune", "chat"],
        input="\n".join([*lines, ""]),
        env={**os.environ, "ATTUNE_DATA_DIR": str(folder), "LC_ALL": "C.UTF-8"},
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=True,
    )
    return done.stdout.splitlines()


def settled(line: str) -> str:
    """Without what changes, and the width of a chart's axis changes with its labels."""
    return " ".join(CHANGING.sub("…", line).split())
