"""What the last checks of examples found, in memory: groups of numbers, never their text."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bot.domain import AssistantId, ChannelId, ExampleId, Exclusion, WorkspaceId


class CheckKind(StrEnum):
    """What a check finds; each is a list that somebody can work through."""

    COPIES = "copies"
    NEAR = "near"
    DISAGREEING = "disagreeing"
    ONE_ANSWER = "one_answer"
    LANGUAGES = "languages"
    SHORT = "short"
    LONG = "long"
    LEAKS = "leaks"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Groups of examples by kind, the first of them, and how many groups there are of each."""

    at: datetime
    example_count: int
    groups: Mapping[CheckKind, Sequence[Sequence[ExampleId]]]
    group_counts: Mapping[CheckKind, int]
    labels: Sequence[tuple[str, int]] = ()
    """Answers with their numbers of examples, most first, where answers are few and short."""


CheckKey = tuple[WorkspaceId, AssistantId, Exclusion, ChannelId]
"""Whose examples, what was hidden from whoever looked, and from where they looked."""

_MOST = 8


class CheckResults:
    """The newest results; older ones make room."""

    def __init__(self) -> None:
        self._found: OrderedDict[CheckKey, CheckResult] = OrderedDict()

    def get(self, key: CheckKey) -> CheckResult | None:
        return self._found.get(key)

    def put(self, key: CheckKey, result: CheckResult) -> None:
        self._found[key] = result
        self._found.move_to_end(key)
        while len(self._found) > _MOST:
            self._found.popitem(last=False)
