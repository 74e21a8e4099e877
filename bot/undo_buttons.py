"""Stores undoable actions and returns their *Undo* button."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from bot.domain import HostName, Undoable
from bot.ports.store import Records
from bot.replies import Button
from bot.request import Request

UNDO_PERIOD = timedelta(seconds=10)


async def offer_undo(
    request: Request,
    records: Records,
    kind: str,
    details: Mapping[str, object],
    *,
    host: HostName | None = None,
) -> Button:
    """Stores an undoable action, in the action's own transaction, and returns its button.

    A deletion at `host` is sent only after the undo period.
    """
    new = Undoable(request.user_id, kind, details, request.now + UNDO_PERIOD, host)
    number = await records.undoables.add(request.workspace_id, new)
    return Button(request.words("button.undo"), f"undo:{number}")
