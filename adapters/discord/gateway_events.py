"""What comes out of a connection to the gateway, and how one ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from adapters.discord.api import Json


@dataclass(frozen=True, slots=True)
class GatewayEvent:
    """One event of the gateway."""

    name: str
    data: Json
    sequence: int


class GatewayConnection(Protocol):
    """A connection to the gateway, as far as those who listen to it care."""

    session_id: str | None
    shard_id: int | None

    @property
    def sequence(self) -> int | None: ...

    @property
    def address(self) -> str:
        """Where the session can be resumed."""
        ...

    def mark_stored(self, sequence: int) -> None: ...


@dataclass(frozen=True, slots=True)
class GatewayClosed:
    """A connection that has ended, or that never came about."""

    can_resume: bool


class GatewayRefused(Exception):
    """Discord will not have us like this; `code` is its close code."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(code)
