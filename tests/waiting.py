"""Waits with a limit: what never comes fails its test, in a sentence that says what was awaited."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, TypeVar

Found = TypeVar("Found")
AsyncTest = Callable[..., Coroutine[Any, Any, None]]

MAX_WAIT_SECONDS = 100.0
"""Many times what any wait takes on a busy machine; only a test that fails waits for so long."""
MAX_TEST_SECONDS = 400.0
"""For whatever else a test may wait for, such as an event that nobody sets; pytest's own limit,
`faulthandler_timeout`, is longer and ends the whole process."""


async def pause() -> None:
    await asyncio.sleep(0.005)


async def until(
    is_so: Callable[[], object],
    details: Callable[[], str] = lambda: "",
    *,
    meanwhile: Callable[[], Awaitable[object]] = pause,
    seconds: float = MAX_WAIT_SECONDS,
) -> None:
    """Does `meanwhile` again and again until the condition, plain or awaitable, is true.

    Raises AssertionError with the condition's source and the details after so many seconds.
    """
    try:
        async with asyncio.timeout(seconds) as limit:
            while not await _value(is_so()):
                await meanwhile()
    except TimeoutError:
        if not limit.expired():
            raise
        raise AssertionError(_complaint(is_so, seconds, details())) from None


async def _value(found: object) -> object:
    return await found if inspect.isawaitable(found) else found


def find(
    look: Callable[[], Found | None],
    details: Callable[[], str] = lambda: "",
    *,
    seconds: float = MAX_WAIT_SECONDS,
) -> Found:
    """Returns what `look` finds once it finds something; without an event loop.

    Raises AssertionError with the source of `look` and the details after so many seconds.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.02)
    raise AssertionError(_complaint(look, seconds, details()))


def _complaint(awaited: Callable[[], object], seconds: float, details: str) -> str:
    source = " ".join(inspect.getsource(awaited).split())
    return f"waited {seconds:g} s in vain for: {source} {details}".rstrip()


def bounded(test: AsyncTest, seconds: float = MAX_TEST_SECONDS) -> AsyncTest:
    """The test; it fails at the line where it still waits after so many seconds."""

    @wraps(test)
    async def run(*given: object, **named: object) -> None:
        try:
            async with asyncio.timeout(seconds) as limit:
                await test(*given, **named)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise AssertionError(f"{test.__name__} waits for longer than {seconds:g} s") from error

    return run
