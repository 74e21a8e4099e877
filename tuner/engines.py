"""All engines of a server together: a base's name says which of them trains and answers."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from tuner.engine import Base, Engine, Generation, GenerationRequest
from tuner.errors import CannotStart


class Engines:
    """Raises CannotStart where two engines have a base of the same name."""

    def __init__(self, engines: Sequence[Engine]) -> None:
        self._engines = tuple(engines)
        self._by_base: dict[str, Engine] = {}
        self.bases: Mapping[str, Base] = {
            name: base for engine in engines for name, base in engine.bases.items()
        }
        for engine in engines:
            for name in engine.bases:
                if name in self._by_base:
                    raise CannotStart(f"Two bases are called '{name}'; give one another NAME=….")
                self._by_base[name] = engine

    def of(self, base: str) -> Engine:
        """The engine that has this base. Raises KeyError for a base that is not here."""
        return self._by_base[base]

    async def answer(self, asked: GenerationRequest) -> Generation:
        """As `Engine.answer`, by the engine of the base asked."""
        return await self.of(asked.base.id).answer(asked)

    def forget(self, weights: Path) -> None:
        """The files there have been deleted; may be called from any thread."""
        for engine in self._engines:
            engine.forget(weights)

    async def run(self) -> None:
        """Until cancelled: what each engine needs before its first answer is fetched here."""
        async with asyncio.TaskGroup() as group:
            for engine in self._engines:
                group.create_task(engine.run(), name=f"engine {engine.name}")
