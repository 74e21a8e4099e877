"""Breaks chosen lines one at a time and names every break that no test notices.

    python -m tests.mutants [--part 1/3] [--only WORD]

Each mutant is applied in a throwaway copy of the repository, where only its tests run. Exits with 1
if a mutant survives, if its text is not found exactly once, or if its tests fail without it.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.mutant_table import MUTANTS, Mutant

ROOT = Path(__file__).parent.parent
LIMIT_SECONDS = 180
"""A run that takes longer hangs; that says nothing of the mutant, so it is a fault."""
LIBRARIES = (
    *("aiosqlite", "alembic.command", "discord", "fastapi", "matplotlib.figure", "nicegui"),
    *("openai", "playwright.async_api", "prometheus_client", "prompt_toolkit"),
    *("slack_bolt.async_app", "sqlalchemy.ext.asyncio", "typer", "uvicorn"),
)
"""Imported once, before the test processes fork: this is most of the start of a test run."""
OPTIONS = (
    *("-x", "-q", "-p", "no:cacheprovider"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
)


@dataclass(frozen=True, eq=False)
class TestRun:
    """Tests to run in a copy of the repository, with one mutant or none."""

    tests: Sequence[str]
    folder: Path
    mutant: Mutant | None = None
    is_collecting: bool = False

    @property
    def log(self) -> Path:
        return self.folder.with_suffix(".log")

    @property
    def failure(self) -> Path:
        """Holds the id of the test that failed."""
        return self.folder.with_suffix(".failed")

    def fault(self, exit_code: int) -> str | None:
        """What is wrong with this outcome; None where it is as it should be."""
        wanted = pytest.ExitCode.OK if self.mutant is None else pytest.ExitCode.TESTS_FAILED
        if exit_code == wanted:
            return None
        if self.mutant is not None and exit_code == pytest.ExitCode.OK:
            return f"SURVIVED {self.mutant}\n    not noticed by {' '.join(self.tests)}"
        ending = self.log.read_text("utf-8", "replace")[-3000:]
        return f"FAULT {self.mutant or 'without a mutant'}: exit code {exit_code}\n{ending}"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """As a plugin of its own tests."""
        if report.failed:
            self.failure.write_text(report.nodeid, "utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("--part", default="1/1", help="only this part of the table, such as 2/3")
    parser.add_argument("--only", default="", help="only mutants whose file or text has this word")
    options = parser.parse_args()
    part, parts = map(int, options.part.split("/"))
    chosen = [one for one in MUTANTS[part - 1 :: parts] if options.only in f"{one} {one.text}"]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="attune-mutants-") as folder:
        faults = list(find_faults(chosen, Path(folder)))
    seconds = time.monotonic() - began
    report = [*faults, f"{len(chosen)} mutants, {len(faults)} faults, {seconds:.0f} s"]
    sys.stdout.write("\n".join(report) + "\n")
    return 1 if faults or not chosen else 0


def find_faults(mutants: Sequence[Mutant], folder: Path) -> Iterator[str]:
    original = folder / "original"
    copy_repository(original)
    placed = [one for one in mutants if occurrences(one, original) == 1]
    for mutant in mutants:
        if mutant not in placed:
            yield f"FAULT {mutant}: its text occurs {occurrences(mutant, original)} times"
    for library in LIBRARIES:
        importlib.import_module(library)
    tests = list(dict.fromkeys(test for one in placed for test in one.tests))
    # Every test exists; this also fills the copy's bytecode caches.
    yield from run_all([TestRun(tests, original, is_collecting=True)])
    runs = [TestRun(one.tests, folder / str(number), one) for number, one in enumerate(placed)]
    yield from run_all(runs)
    failed = [one.failure.read_text("utf-8") for one in runs if one.failure.exists()]
    yield from run_all([TestRun(list(dict.fromkeys(failed)), original)] if failed else [])


def copy_repository(to: Path) -> None:
    """What git knows of, and what is new and not ignored."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)


def occurrences(mutant: Mutant, folder: Path) -> int:
    path = folder / mutant.file
    return path.read_text("utf-8").count(mutant.text) if path.exists() else 0


def apply(mutant: Mutant, original: Path, folder: Path) -> None:
    """Makes a copy by hard links, in which one file is another."""
    shutil.copytree(original, folder, copy_function=os.link)
    source, target = original / mutant.file, folder / mutant.file
    target.unlink()
    target.write_text(source.read_text("utf-8").replace(mutant.text, mutant.replacement), "utf-8")
    # Bytecode of the original is told from that of the mutant by the time in whole seconds.
    os.utime(target, (0, source.stat().st_mtime + 2))


def run_all(runs: Iterable[TestRun]) -> Iterator[str]:
    """As many at a time as there are cores; yields the faults."""
    waiting, running = list(reversed(list(runs))), dict[int, TestRun]()
    while waiting or running:
        while waiting and len(running) < (os.cpu_count() or 1):
            run = waiting.pop()
            if run.mutant is not None:
                apply(run.mutant, run.folder.parent / "original", run.folder)
            running[start(run)] = run
        child, status = os.wait()
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        run = running.pop(child)
        if run.mutant is not None:
            shutil.rmtree(run.folder)
        if fault := run.fault(os.waitstatus_to_exitcode(status)):
            yield fault


def start(run: TestRun) -> int:
    """The id of a process, at the head of a group, that runs these tests."""
    if child := os.fork():
        return child
    exit_code: int = pytest.ExitCode.INTERNAL_ERROR
    try:
        os.setsid()
        signal.alarm(LIMIT_SECONDS)
        log = os.open(run.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.chdir(run.folder)
        os.environ["PYTHONPATH"] = str(run.folder)
        sys.path[:] = [str(run.folder), *(path for path in sys.path if Path(path) != ROOT)]
        for name in [one for one in sys.modules if one.partition(".")[0] == "tests"]:
            del sys.modules[name]
        options = [*OPTIONS, "--collect-only"] if run.is_collecting else OPTIONS
        exit_code = pytest.main([*options, *run.tests], plugins=[run])
    finally:
        sys.stdout.flush()
        os._exit(exit_code)


if __name__ == "__main__":
    sys.exit(main())
