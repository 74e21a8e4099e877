"""The scenes that tests may ask for, and how many processes run them."""

import gc
import os
from inspect import iscoroutinefunction

import pytest
from hypothesis import settings

from tests.waiting import bounded

# Nothing is garbage while all is imported; looking for it takes a tenth of that time.
gc.disable()

# A deadline would make a test of the machine's speed out of each that is tried with many values.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

pytest_plugins = [
    "tests.quick_stores",
    "tests.tuner_scene",
    "tests.scene",
    "tests.slack_scene",
    "tests.discord_scene",
    "tests.front",
    "tests.studio_desk",
    "tests.browser",
]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two a core: many tests wait for a second process, or for a pause that a platform asks for."""
    return 2 * (os.cpu_count() or 1)


def pytest_itemcollected(item: pytest.Item) -> None:
    if isinstance(item, pytest.Function) and iscoroutinefunction(item.obj):
        item.obj = bounded(item.obj)


def pytest_collection_finish() -> None:
    """Keeps what is imported out of the searches for garbage, of which NiceGUI's tests do many."""
    gc.freeze()
    gc.enable()
