"""Addresses that let one person do one thing for a while."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bot.domain import ExampleId, Place, User


@dataclass(frozen=True, slots=True)
class Invitation:
    """Who may write up which pointer, or fill in which form, and until when.

    `action` opens the form, `form` is the id it must still have then.
    """

    place: Place
    user: User
    example: ExampleId | None
    until: datetime
    action: str = ""
    form: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """An address to give away; `is_local` where it opens on our own machine alone."""

    address: str
    is_local: bool


class Links(Protocol):
    def create_link(self, invitation: Invitation) -> Link | None:
        """None where nobody could reach it."""
        ...

    def read_invitation(self, token: str) -> Invitation | None:
        """What the end of an address stands for; None unless we wrote it."""
        ...
