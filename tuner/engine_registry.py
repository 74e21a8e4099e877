"""All engines of a server; the name of a base decides which engine trains and answers."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from tuner.engine import Base, Embedding, Engine, Generation, GenerationRequest
from tuner.errors import CannotStart
from tuner.store.jobs import base_of_model_name


class Engines:
    """The engines of a server. Raises CannotStart if two engines have a base of the same name."""

    def __init__(self, engines: Sequence[Engine]) -> None:
        self._engines = tuple(engines)
        self._by_base = {name: engine for engine in engines for name in engine.bases}
        self.bases: Mapping[str, Base] = {
            name: engine.bases[name] for name, engine in self._by_base.items()
        }
        names = [name for engine in engines for name in engine.bases]
        if duplicate := next((name for name in names if names.count(name) > 1), None):
            raise CannotStart(
                f"Two bases are called '{duplicate}'; write --base NAME=… for one of them."
            )

    def of(self, base: str) -> Engine:
        """Returns the engine that has this base. Raises KeyError for an unknown base."""
        return self._by_base[base]

    def find(self, model: str) -> Engine | None:
        """Returns the engine of a base or of a model tuned from it; None for an unknown base."""
        return self._by_base.get(base_of_model_name(model))

    async def answer(self, asked: GenerationRequest) -> Generation:
        """Starts an answer with the engine of the requested base; see `Engine.answer`."""
        return await self.of(asked.base.id).answer(asked)

    async def embed(self, base: Base, texts: Sequence[str]) -> Sequence[Embedding]:
        """Returns a vector per text from the engine of this base; see `Engine.embed`."""
        return await self.of(base.id).embed(base, texts)

    def make_room(self, memory: int) -> None:
        """Frees memory for a training of `memory` bytes; may be called from any thread."""
        for engine in self._engines:
            engine.make_room(memory)

    def on_weights_deleted(self, weights: Path) -> None:
        """Drops a model whose files were deleted; may be called from any thread."""
        for engine in self._engines:
            engine.on_weights_deleted(weights)

    async def run(self) -> None:
        """Runs all engines until cancelled."""
        async with asyncio.TaskGroup() as group:
            for engine in self._engines:
                group.create_task(engine.run(), name=f"engine {engine.name}")
