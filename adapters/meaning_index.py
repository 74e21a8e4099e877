"""An index that ranks texts by similarity in meaning, by WordLlama's token embeddings.

https://github.com/dleemiller/WordLlama. The weights are in the package; nothing is downloaded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from wordllama.inference import WordLlamaInference

_DIMENSIONS: Final = 256
_MAX_CHARACTERS: Final = 2000
"""Characters of a text that count; longer ones are compared by their beginning."""
_FIRST_ROWS: Final = 64


class MeaningIndex:
    """Implements `bot.ports.nearest_examples.TextIndex` by vectors, a kilobyte a text."""

    def __init__(self) -> None:
        self._positions: dict[int, int] = {}
        self._ids = np.zeros(_FIRST_ROWS, np.int64)
        self._vectors = np.zeros((_FIRST_ROWS, _DIMENSIONS), np.float32)

    def __len__(self) -> int:
        return len(self._positions)

    async def put(self, texts: Mapping[int, str]) -> None:
        if not texts:
            return
        vectors = await asyncio.to_thread(_embed, list(texts.values()))
        self._reserve(len(self._positions) + len(texts))
        for text_id, vector in zip(texts, vectors, strict=True):
            position = self._positions.setdefault(text_id, len(self._positions))
            self._ids[position], self._vectors[position] = text_id, vector

    async def rank(
        self, text: str, *, limit: int, among: Collection[int] | None = None
    ) -> Sequence[tuple[int, float]]:
        size = len(self._positions)
        ids, vectors = self._ids[:size], self._vectors[:size]
        return await asyncio.to_thread(_rank, text, ids, vectors, limit, among)

    def _reserve(self, size: int) -> None:
        """Makes room for so many vectors; a search in progress keeps the arrays it began with."""
        if size <= len(self._ids):
            return
        room = max(size, len(self._ids) * 5 // 4) - len(self._ids)
        self._ids = np.concatenate((self._ids, np.zeros(room, np.int64)))
        empty = np.zeros((room, _DIMENSIONS), np.float32)
        self._vectors = np.concatenate((self._vectors, empty))


def _rank(
    text: str,
    ids: NDArray[np.int64],
    vectors: NDArray[np.float32],
    limit: int,
    among: Collection[int] | None,
) -> Sequence[tuple[int, float]]:
    scores = vectors @ _embed([text])[0]
    if among is not None:
        is_among = np.isin(ids, np.fromiter(among, np.int64, len(among)))
        ids, scores = ids[is_among], scores[is_among]
    best = np.arange(len(ids))
    if limit < len(ids):
        best = np.argpartition(-scores, limit)[:limit]
    best = best[np.lexsort((ids[best], -scores[best]))]
    return [(int(ids[position]), float(scores[position])) for position in best]


def _embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """Returns a vector of length 1 for each text."""
    # A text without tokens would be divided by zero.
    shortened = [text[:_MAX_CHARACTERS].strip() or "-" for text in texts]
    vectors = _model().embed(shortened)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    result: NDArray[np.float32] = (vectors / np.maximum(lengths, 1e-6)).astype(np.float32)
    return result


@cache
def _model() -> WordLlamaInference:
    """Loads WordLlama, which takes a second and 60 MB; called in a worker thread."""
    import wordllama

    folder = Path(wordllama.__file__).parent
    return wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
