"""Signed links: an invitation is part of its URL, so nothing is stored."""

from __future__ import annotations

from itsdangerous import BadData, URLSafeSerializer
from pydantic import TypeAdapter, ValidationError

from bot.ports.form_links import Invitation, Link

INVITATION_PATH = "/write/"

_INVITATION = TypeAdapter(Invitation)


class SignedLinks:
    """Implements `bot.ports.form_links.Links`; valid as long as the key does not change."""

    def __init__(self, public_url: str, key: str, *, local_url: str = "") -> None:
        self._base = (public_url or local_url).rstrip("/")
        self._is_local = not public_url
        self._serializer = URLSafeSerializer(key, salt="write up")

    def create_link(self, invitation: Invitation) -> Link | None:
        if not self._base:
            return None
        token = self._serializer.dumps(_INVITATION.dump_python(invitation, mode="json"))
        return Link(f"{self._base}{INVITATION_PATH}{token}", self._is_local)

    def read_invitation(self, token: str) -> Invitation | None:
        try:
            return _INVITATION.validate_python(self._serializer.loads(token))
        except (BadData, ValidationError):
            return None
