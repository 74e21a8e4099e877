"""The locks satisfy pyproject.toml, agree with one another, and name no package index."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
LOCAL = "attune/engine/requirements-local.lock"
LOCKS = ("requirements.lock", "requirements-dev.lock", LOCAL)
INSTALLED_APART = "torch"
"""Its builds differ by gigabytes, so the Makefile pins it and whoever installs it picks one."""

_PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def lines(lock: str) -> list[str]:
    """Requirements with their hashes, one a line."""
    text = (ROOT / lock).read_text("utf-8").replace("\\\n", " ")
    return [
        line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]


def pinned(lock: str) -> dict[str, set[Version]]:
    """Versions by canonical name; several where platforms or Pythons differ."""
    found: dict[str, set[Version]] = {}
    for line in lines(lock):
        requirement = Requirement(line.partition(" --hash")[0])
        (exact,) = requirement.specifier
        assert exact.operator == "==", line
        found.setdefault(canonicalize_name(requirement.name), set()).add(Version(exact.version))
    return found


def required(lock: str) -> list[Requirement]:
    project: dict[str, Any] = _PYPROJECT["project"]
    more = {
        "requirements-dev.lock": _PYPROJECT["dependency-groups"]["dev"],
        LOCAL: [
            *project["optional-dependencies"]["local"],
            *project["optional-dependencies"]["tokenizer"],
        ],
    }
    return [Requirement(one) for one in (*project["dependencies"], *more.get(lock, ()))]


def unsatisfied(wanted: Iterable[Requirement], found: dict[str, set[Version]]) -> list[str]:
    return [
        str(one)
        for one in wanted
        if not (versions := found.get(canonicalize_name(one.name)))
        or not all(one.specifier.contains(version, prereleases=True) for version in versions)
    ]


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_satisfies_every_requirement_of_the_project(lock: str) -> None:
    wanted = [one for one in required(lock) if one.name != INSTALLED_APART]

    assert unsatisfied(wanted, pinned(lock)) == []


def test_what_the_makefile_installs_apart_satisfies_its_requirement() -> None:
    (version,) = re.findall(rf"\b{INSTALLED_APART}==(\S+)", (ROOT / "Makefile").read_text("utf-8"))
    wanted = [one for one in required(LOCAL) if one.name == INSTALLED_APART]

    assert wanted
    assert unsatisfied(wanted, {INSTALLED_APART: {Version(version)}}) == []


def test_the_locks_agree_on_every_version() -> None:
    base = pinned("requirements.lock")
    others = [pinned(lock) for lock in LOCKS[1:]]

    assert base
    assert [name for name in base for other in others if other.get(name) != base[name]] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_hashes_and_no_addresses(lock: str) -> None:
    assert [line for line in lines(lock) if "--hash=sha256:" not in line] == []
    assert "://" not in (ROOT / lock).read_text("utf-8")


def test_an_old_lock_is_noticed() -> None:
    wanted = [Requirement("numpy>=2.2,<3"), Requirement("openai>=3.54,<4")]

    assert unsatisfied(wanted, {"numpy": {Version("2.1")}}) == [str(one) for one in wanted]
