"""Reads rows whose answers are labelled good or bad, as KTO has them.

https://huggingface.co/docs/trl/dataset_formats#unpaired-preference
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from bot.imports.columns import plain_name
from bot.imports.dataset_shapes import is_good
from bot.rows import Problem, prompt_fingerprint

_MOST_CHARACTERS: Final = 8 << 20
"""Of the answers that are held until one of the other kind comes; then the oldest are let go."""


def read_labelled(
    records: Iterator[tuple[int, object]], label: str, to_row: Callable[[object, int], object]
) -> Iterator[tuple[int, object]]:
    """Yield good answers as chat rows, and a bad one as a preference for the good one beside it.

    A bad answer to a question that has no good one near it in the file is a Problem, at the
    latest after all others. A mark may be missing in a column of another name than `label`, as of
    feedback: such a row is a lesson.
    """
    held, has_each = _Held(), plain_name(label) == "label"
    for line, record in records:
        row = to_row(record, line)
        mark = record.get(label) if isinstance(record, Mapping) else None
        is_unmarked = mark in (None, "") and not has_each
        if not isinstance(record, Mapping) or not isinstance(row, dict) or is_unmarked:
            yield line, row
            continue
        prompt = prompt_fingerprint(row)
        if is_good(mark):
            yield line, row
            for number, bad in held.bad.pop(prompt, ()):
                yield number, _preference(row, bad)
            held.put_good(prompt, row)
        elif prompt in held.good:
            yield line, _preference(held.good[prompt], row)
        else:
            held.put_bad(prompt, line, row)
        for number in held.let_go():
            yield number, Problem(number, "label_bad", {"column": label})
    for number in held.alone():
        yield number, Problem(number, "label_bad", {"column": label})


class _Held:
    """Answers by question, the oldest first."""

    def __init__(self) -> None:
        self.good: OrderedDict[str, dict[str, object]] = OrderedDict()
        self.bad: OrderedDict[str, list[tuple[int, dict[str, object]]]] = OrderedDict()
        self._size = 0

    def put_good(self, prompt: str, row: dict[str, object]) -> None:
        self.good[prompt] = row
        self._size += len(str(row))

    def put_bad(self, prompt: str, line: int, row: dict[str, object]) -> None:
        self.bad.setdefault(prompt, []).append((line, row))
        self._size += len(str(row))

    def let_go(self) -> list[int]:
        """The lines of bad answers that are held no longer, once too much is held."""
        if self._size <= _MOST_CHARACTERS:
            return []
        lines = self.alone()
        self.good.clear()
        self.bad.clear()
        self._size = 0
        return lines

    def alone(self) -> list[int]:
        return sorted(line for rows in self.bad.values() for line, _ in rows)


def _preference(good: Mapping[str, object], bad: Mapping[str, object]) -> dict[str, object]:
    asked, answers = _parts(bad)
    return {
        "input": {"messages": asked},
        "preferred_output": _parts(good)[1],
        "non_preferred_output": answers,
    }


def _parts(row: Mapping[str, object]) -> tuple[list[object], list[object]]:
    messages = row.get("messages")
    listed = messages if isinstance(messages, list) else []
    return listed[:-1], listed[-1:]
