"""What never comes fails its test soon enough, and in a sentence."""

from __future__ import annotations

import asyncio

import pytest

from tests.waiting import bounded, find, until


async def test_what_never_comes_is_named() -> None:
    came: list[str] = []

    with pytest.raises(AssertionError, match=r"in vain for: .*lambda: came.*nobody came"):
        await until(lambda: came, lambda: "nobody came", seconds=0.01)


async def test_what_is_asked_of_others_and_stepped_towards_is_waited_for() -> None:
    came: list[str] = []

    async def look() -> list[str]:
        return came

    async def step() -> None:
        came.append("one")

    await until(look, meanwhile=step)

    assert came == ["one"]


async def test_a_time_limit_of_what_is_waited_for_stays_its_own() -> None:
    async def look() -> bool:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        await until(look)


def test_a_wait_without_an_event_loop_is_named_too() -> None:
    with pytest.raises(AssertionError, match=r"in vain for: .*nothing"):
        find(lambda: None, lambda: "nothing", seconds=0.01)


async def test_a_test_that_waits_for_an_event_that_nobody_sets_fails_at_that_line() -> None:
    async def test_of_an_event() -> None:
        await asyncio.Event().wait()

    with pytest.raises(AssertionError, match="test_of_an_event waits") as failure:
        await bounded(test_of_an_event, 0.01)()

    assert isinstance(failure.value.__cause__, TimeoutError)
