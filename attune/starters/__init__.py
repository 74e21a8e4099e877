"""Sets of examples that an empty workspace can import to start with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources

from bot.domain import Row

_NAMES = ("limericks", "misspelling")


class Starters(Mapping[str, Sequence[Row]]):
    """The sets by name; a set is read from its file when it is accessed."""

    def __getitem__(self, name: str) -> Sequence[Row]:
        # A person typed the name, so it must not become a path unless it is one of these names.
        if name not in _NAMES:
            raise KeyError(name)
        text = resources.files(__name__).joinpath(f"{name}.jsonl").read_text(encoding="utf-8")
        return tuple(json.loads(line) for line in text.splitlines())

    def __iter__(self) -> Iterator[str]:
        return iter(_NAMES)

    def __len__(self) -> int:
        return len(_NAMES)
