"""Reads rows whose answers are labelled good or bad, the format of KTO.

https://huggingface.co/docs/trl/dataset_formats#unpaired-preference
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from bot.imports.columns import normalize_heading
from bot.imports.dataset_formats import is_good_label
from bot.rows import Problem, prompt_fingerprint

_MAX_CHARACTERS: Final = 8 << 20
"""Characters of pending answers above which all of them are dropped."""


def pair_good_and_bad_answers(
    records: Iterator[tuple[int, object]], label: str, to_row: Callable[[object, int], object]
) -> Iterator[tuple[int, object]]:
    """Yields good answers as chat rows, and pairs of a good and a bad answer as preferences.

    A bad answer without a good answer to the same question near it in the file is a Problem, which
    comes after all other rows at the latest. A value may be missing in a column with another name
    than `label`, such as feedback; the row is a chat row then.
    """
    pending, is_label_required = _PendingAnswers(), normalize_heading(label) == "label"
    for line, record in records:
        row = to_row(record, line)
        mark = record.get(label) if isinstance(record, Mapping) else None
        is_unmarked = mark in (None, "") and not is_label_required
        if not isinstance(record, Mapping) or not isinstance(row, dict) or is_unmarked:
            yield line, row
            continue
        prompt = prompt_fingerprint(row)
        if is_good_label(mark):
            yield line, row
            for number, bad in pending.bad.pop(prompt, ()):
                yield number, _preference(row, bad)
            pending.add_good(prompt, row)
        elif prompt in pending.good:
            yield line, _preference(pending.good[prompt], row)
        else:
            pending.add_bad(prompt, line, row)
        for number in pending.drop_if_too_large():
            yield number, Problem(number, "label_bad", {"column": label})
    for number in pending.unmatched_lines():
        yield number, Problem(number, "label_bad", {"column": label})


class _PendingAnswers:
    """Answers by the fingerprint of their question, the oldest first."""

    def __init__(self) -> None:
        self.good: OrderedDict[str, dict[str, object]] = OrderedDict()
        self.bad: OrderedDict[str, list[tuple[int, dict[str, object]]]] = OrderedDict()
        self._size = 0

    def add_good(self, prompt: str, row: dict[str, object]) -> None:
        self.good[prompt] = row
        self._size += len(str(row))

    def add_bad(self, prompt: str, line: int, row: dict[str, object]) -> None:
        self.bad.setdefault(prompt, []).append((line, row))
        self._size += len(str(row))

    def drop_if_too_large(self) -> list[int]:
        """Drops all answers if they are too large; returns the lines of dropped bad ones."""
        if self._size <= _MAX_CHARACTERS:
            return []
        lines = self.unmatched_lines()
        self.good.clear()
        self.bad.clear()
        self._size = 0
        return lines

    def unmatched_lines(self) -> list[int]:
        return sorted(line for rows in self.bad.values() for line, _ in rows)


def _preference(good: Mapping[str, object], bad: Mapping[str, object]) -> dict[str, object]:
    prompt, answers = _parts(bad)
    return {
        "input": {"messages": prompt},
        "preferred_output": _parts(good)[1],
        "non_preferred_output": answers,
    }


def _parts(row: Mapping[str, object]) -> tuple[list[object], list[object]]:
    messages = row.get("messages")
    listed = messages if isinstance(messages, list) else []
    return listed[:-1], listed[-1:]
