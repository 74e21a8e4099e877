"""Somebody at the studio who asks the house as its pages do."""

from __future__ import annotations

import pytest

from bot.events import Clicked, Commanded, Event, Submitted
from bot.model import LOCAL, ChannelId, Place, UserId
from bot.model import User as Person
from bot.replies import Listing, Reply
from tests.scene import Scene

OWNER = Person(UserId("you"), "you", is_platform_admin=True)
MINA = Person(UserId("Mina"), "Mina")


class Desk:
    """Asks the house as the pages do."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._count = 0

    async def ask(self, what: Clicked | Commanded | Submitted, *, by: Person = OWNER) -> Reply:
        return await self._scene.house.ask(self._event(what, by))

    async def look(self, action: str, *, by: Person = OWNER) -> Reply:
        return await self._scene.house.look(self._event(Clicked(action), by))

    async def listing(self, **options: str) -> Listing:
        reply = await self.ask(Commanded("examples", options))
        assert isinstance(reply, Listing)
        return reply

    def _event(self, what: Clicked | Commanded | Submitted, by: Person) -> Event:
        self._count += 1
        place = Place(LOCAL, ChannelId("general"))
        return Event(f"page:{self._count}", place, by, self._scene.clock.now(), what)


@pytest.fixture
def desk(scene: Scene) -> Desk:
    return Desk(scene)
