"""Results of the last checks of examples, in memory: ids of examples without their text."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bot.domain import AssistantId, ChannelId, ExampleId, Exclusion, WorkspaceId


class CheckKind(StrEnum):
    """Kind of problem that a check finds; each kind is a list for people to work through."""

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
    """The result of a check; `groups` holds only the first groups, `group_counts` counts all."""

    at: datetime
    example_count: int
    groups: Mapping[CheckKind, Sequence[Sequence[ExampleId]]]
    group_counts: Mapping[CheckKind, int]
    labels: Sequence[tuple[str, int]] = ()
    """Distinct answers with their numbers of examples, most frequent first.

    Empty unless the answers are few and short, as in a classification.
    """


CheckKey = tuple[WorkspaceId, AssistantId, Exclusion, ChannelId]
"""Whose examples were checked, which kinds were hidden from the user, and the user's channel."""

_MAX_RESULTS = 8


class CheckResults:
    """The newest results; the oldest one is dropped when there are too many."""

    def __init__(self) -> None:
        self._results: OrderedDict[CheckKey, CheckResult] = OrderedDict()

    def get(self, key: CheckKey) -> CheckResult | None:
        return self._results.get(key)

    def put(self, key: CheckKey, result: CheckResult) -> None:
        self._results[key] = result
        self._results.move_to_end(key)
        while len(self._results) > _MAX_RESULTS:
            self._results.popitem(last=False)
