"""Stores values in a dictionary of limited size, which forgets the oldest ones."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


def store_bounded(cache: OrderedDict[K, V], key: K, value: V, max_entries: int) -> None:
    """Stores a value as the newest one; deletes the oldest ones beyond `max_entries`."""
    cache[key] = value
    cache.move_to_end(key)
    while len(cache) > max_entries:
        cache.popitem(last=False)
