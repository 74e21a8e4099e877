"""Lines of chat with planted private text and without: a set to build with, one held back."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from tests.private_text import building, held_back
from tests.private_text.values import MAKERS

SETS = {"building": building, "held_back": held_back}
"""The second was written by rules before the first run of the detectors, which found 100 of its
100 planted with 2 false alarms in 200 lines; since then 100 and 0."""


def planted(name: str, chance: random.Random) -> Iterator[tuple[str, str, str]]:
    """Lines, each with the private text in it and the kind of that."""
    for template, kind, maker in SETS[name].PLANTED:
        value = MAKERS[kind][maker](chance)
        yield template.replace("{}", value), value, kind


def clean(name: str, count: int, chance: random.Random) -> Iterator[str]:
    """So many lines without private text, with numbers that look like some."""
    templates: Sequence[str] = SETS[name].CLEAN
    for number in range(count):
        template = templates[number % len(templates)]
        yield template.format(**_numbers(chance)) if "{" in template else template


def _numbers(chance: random.Random) -> dict[str, str]:
    def digits(count: int) -> str:
        return str(chance.randint(10 ** (count - 1), 10**count - 1))

    return {
        "order": digits(10),
        "month": str(chance.randint(1, 12)),
        "day": str(chance.randint(10, 28)),
        "three": digits(3),
        "four": digits(4),
        "five": digits(5),
        "hash": "".join(chance.choice("0123456789abcdef") for _ in range(40)),
        "letter": chance.choice("ABCDEF"),
    }
