"""Links that let one person fill in one form for a limited time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bot.domain import ExampleId, Place, User


@dataclass(frozen=True, slots=True)
class Invitation:
    """Permission for `user` to write the text of an example, or to fill in a form, until a time.

    `action` opens the form; `form` is the id that the form must still have then.
    """

    place: Place
    user: User
    example: ExampleId | None
    until: datetime
    action: str = ""
    form: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """A URL for a user; `is_local` if it opens only on the machine of the application."""

    address: str
    is_local: bool


class Links(Protocol):
    def create_link(self, invitation: Invitation) -> Link | None:
        """Returns a signed link; None if no web server would answer it."""
        ...

    def read_invitation(self, token: str) -> Invitation | None:
        """Returns the invitation in a link's token; None if the signature is wrong."""
        ...
