"""The ports to the search for similar examples, and to an index of texts by meaning."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Protocol

from bot.domain import Assistant, AssistantId, Example, ExampleId, Place, WorkspaceId
from bot.ports.store import Records


class NearestExamples(Protocol):
    """Finds the approved examples whose questions are nearest in meaning to a question."""

    async def find(
        self,
        records: Records,
        place: Place,
        assistant: Assistant,
        question: str,
        *,
        count: int,
        for_evaluation: bool = False,
        min_similarity: float = -1.0,
    ) -> Sequence[Example]:
        """Returns up to `count` examples that may be sent with a question, the nearest first.

        Examples from a private, shared, direct or restricted channel are found only in that
        channel, unless an admin allows more. With `for_evaluation` the examples that evaluations
        ask are left out: held-out and must-answer ones, and synthetic wordings. `min_similarity`
        is a cosine.
        """
        ...

    async def rank(
        self,
        records: Records,
        workspace: WorkspaceId,
        assistant: AssistantId,
        question: str,
        *,
        limit: int,
    ) -> Sequence[tuple[ExampleId, float]]:
        """Returns the examples with the nearest questions and their cosine, the nearest first.

        In whatever state the examples are, and wherever they may be shown; erased ones are left
        to the caller's query.
        """
        ...

    async def warm_up(self) -> None:
        """Loads what the first search would otherwise wait for, about a second."""
        ...


class TextIndex(Protocol):
    """Texts by id, compared by meaning; in memory only, and without the texts themselves."""

    def __len__(self) -> int: ...
    async def put(self, texts: Mapping[int, str]) -> None:
        """Adds texts by id, or replaces those that have these ids."""
        ...

    async def rank(
        self, text: str, *, limit: int, among: Collection[int] | None = None
    ) -> Sequence[tuple[int, float]]:
        """Returns the ids of the most similar texts with their cosine, the most similar first.

        With `among` only these ids are ranked.
        """
        ...


TextIndexFactory = Callable[[], Awaitable[TextIndex]]
