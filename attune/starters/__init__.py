"""Ready sets of examples that an empty workspace can start from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources

from bot.domain import Row

_NAMES = ("limericks", "misspelling")


def starters() -> Mapping[str, Sequence[Row]]:
    """The sets by name; a set is read when it is asked for."""
    return _Starters()


class _Starters(Mapping[str, Sequence[Row]]):
    def __getitem__(self, name: str) -> Sequence[Row]:
        # The name comes from a person, so it never becomes a path before it is known.
        if name not in _NAMES:
            raise KeyError(name)
        text = resources.files(__name__).joinpath(f"{name}.jsonl").read_text(encoding="utf-8")
        return tuple(json.loads(line) for line in text.splitlines())

    def __iter__(self) -> Iterator[str]:
        return iter(_NAMES)

    def __len__(self) -> int:
        return len(_NAMES)
