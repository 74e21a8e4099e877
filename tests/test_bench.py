"""The benchmarks of the store run to their end, on a small database."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import large, scale, storage

SMALL = large.Size(examples=200, turns=400, workspaces=10)


@pytest.fixture(autouse=True)
def unfrozen() -> Iterator[None]:
    """Undoes the gc.freeze() of a benchmark for the tests after it."""
    yield
    gc.unfreeze()


async def test_every_large_operation_can_be_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scale, "SIZE", SMALL)
    monkeypatch.setattr(scale, "_ROWS", 20)
    monkeypatch.setattr(scale, "_REST_SECONDS", 0.0)
    await large.build(tmp_path / "attune.db", SMALL)

    figures = [figure async for figure in scale.measured(tmp_path / "attune.db")]

    assert len(figures) > 10
    assert figures[-1].measured == "none"


async def test_the_cost_of_the_store_can_be_measured(capsys: pytest.CaptureFixture[str]) -> None:
    await storage.main(storage.BATCH)

    assert "erase" in capsys.readouterr().out
