"""All engines of a server together: a base's name says which of them trains and answers."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from tuner.engine import Base, Embedding, Engine, Generation, GenerationRequest
from tuner.errors import CannotStart
from tuner.store.jobs import named_base


class Engines:
    """Raises CannotStart where two engines have a base of the same name."""

    def __init__(self, engines: Sequence[Engine]) -> None:
        self._engines = tuple(engines)
        self._by_base = {name: engine for engine in engines for name in engine.bases}
        self.bases: Mapping[str, Base] = {
            name: engine.bases[name] for name, engine in self._by_base.items()
        }
        names = [name for engine in engines for name in engine.bases]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise CannotStart(
                f"Two bases are called '{twice}'; write --base NAME=… for one of them."
            )

    def of(self, base: str) -> Engine:
        """The engine that has this base. Raises KeyError for a base that is not here."""
        return self._by_base[base]

    def find(self, model: str) -> Engine | None:
        """The engine of a base, or of what was tuned from it; None where the base is not here."""
        return self._by_base.get(named_base(model))

    async def answer(self, asked: GenerationRequest) -> Generation:
        """As `Engine.answer`, by the engine of the base asked."""
        return await self.of(asked.base.id).answer(asked)

    async def embed(self, base: Base, texts: Sequence[str]) -> Sequence[Embedding]:
        """As `Engine.embed`, by the engine of this base."""
        return await self.of(base.id).embed(base, texts)

    def make_room(self, memory: int) -> None:
        """A training of so many bytes begins beside them; may be called from any thread."""
        for engine in self._engines:
            engine.make_room(memory)

    def on_weights_deleted(self, weights: Path) -> None:
        """The files there have been deleted; may be called from any thread."""
        for engine in self._engines:
            engine.on_weights_deleted(weights)

    async def run(self) -> None:
        """Until cancelled: what each engine needs before its first answer is fetched here."""
        async with asyncio.TaskGroup() as group:
            for engine in self._engines:
                group.create_task(engine.run(), name=f"engine {engine.name}")
