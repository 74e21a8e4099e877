"""Events of a gateway connection, and how a connection ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from adapters.discord.api_port import Json


@dataclass(frozen=True, slots=True)
class GatewayEvent:
    """A dispatched event with its name, data and sequence number."""

    name: str
    data: Json
    sequence: int


class GatewayConnection(Protocol):
    """A gateway connection as its listeners use it."""

    session_id: str | None
    shard_id: int | None

    @property
    def sequence(self) -> int | None: ...

    @property
    def address(self) -> str:
        """The URL at which the session can be resumed."""
        ...

    def mark_stored(self, sequence: int) -> None: ...


@dataclass(frozen=True, slots=True)
class GatewayClosed:
    """The end of a connection, or of an attempt to connect."""

    can_resume: bool


class GatewayRefused(Exception):
    """Discord rejects the connection for good; `code` is the close code."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(code)
