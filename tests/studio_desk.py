"""Somebody at the studio who asks the house as its pages do."""

from __future__ import annotations

import pytest

from bot.domain import LOCAL, ChannelId, Place, UserId
from bot.domain import User as Person
from bot.events import ButtonClicked, CommandInvoked, Event, FormSubmitted
from bot.replies import Listing, Reply
from tests.scene import Scene

OWNER = Person(UserId("you"), "you", is_platform_admin=True)
MINA = Person(UserId("Mina"), "Mina")


class Desk:
    """Asks the house as the pages do."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._count = 0

    async def ask(
        self, what: ButtonClicked | CommandInvoked | FormSubmitted, *, by: Person = OWNER
    ) -> Reply:
        return await self._scene.app.handle_for_page(self._event(what, by))

    async def query(self, action: str, *, by: Person = OWNER) -> Reply:
        return await self._scene.app.handle_read_only(self._event(ButtonClicked(action), by))

    async def listing(self, **options: str) -> Listing:
        reply = await self.ask(CommandInvoked("examples", options))
        assert isinstance(reply, Listing)
        return reply

    def _event(self, what: ButtonClicked | CommandInvoked | FormSubmitted, by: Person) -> Event:
        self._count += 1
        place = Place(LOCAL, ChannelId("general"))
        return Event(f"page:{self._count}", place, by, self._scene.clock.now(), what)


@pytest.fixture
def desk(scene: Scene) -> Desk:
    return Desk(scene)
