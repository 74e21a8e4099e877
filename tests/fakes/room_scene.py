"""A room with a store that survives it, and the changes its views received."""

from __future__ import annotations

from pathlib import Path

from adapters.local_room import LocalRoom
from adapters.room_changes import Change
from bot.domain import LOCAL, ChannelId, Place, User, UserId
from bot.events import CommandInvoked, Event
from tests.fakes.app import StillClock
from tests.fakes.room_store import MemoryStore, as_store

GENERAL = ChannelId("general")
PLACE = Place(LOCAL, GENERAL)
MINA = User(UserId("mina"), "Mina")


class RoomScene:
    """A room with a store that survives it."""

    def __init__(self, folder: Path, store: MemoryStore | None = None) -> None:
        self.store = store or MemoryStore()
        self.heard: list[Change] = []
        self.exports = folder / "exports"
        self.room = LocalRoom(
            as_store(self.store), StillClock(), self.heard.append, exports=self.exports, run="one"
        )

    def texts(self) -> list[str]:
        return [message.text for message in self.store.room.messages.values()]


def command() -> Event:
    return Event("console:one:1", PLACE, MINA, StillClock().now(), CommandInvoked("export"))
