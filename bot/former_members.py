"""Finds people with a role who left their workspace without an event, and deletes their roles."""

from __future__ import annotations

import logging

from bot.domain import LOCAL, ChannelId, Place, User, UserId, WorkspaceId
from bot.errors import SurfaceError
from bot.events import Event, PersonLeft
from bot.ports.dependencies import App, Surfaces
from bot.ports.store import Clock, Store
from bot.ports.surface import CanFindPerson

log = logging.getLogger(__name__)

_PAGE = 200


async def remove_former_members(
    app: App, *, store: Store, surfaces: Surfaces, clock: Clock
) -> None:
    """Asks the platforms about each person with a role; handles `PersonLeft` for those who left.

    A platform that cannot be asked changes nothing.
    """
    last: WorkspaceId | None = None
    while True:
        async with store.reading() as records:
            page = await records.workspaces.page(after=last, limit=_PAGE)
        for workspace in page:
            if workspace.id != LOCAL and workspace.closed_at is None:
                await _look_in_workspace(
                    workspace.id, app, store=store, surfaces=surfaces, clock=clock
                )
        if len(page) < _PAGE:
            return
        last = page[-1].id


async def _look_in_workspace(
    workspace: WorkspaceId, app: App, *, store: Store, surfaces: Surfaces, clock: Clock
) -> None:
    async with store.reading() as records:
        holders = [user for user, _ in await records.roles.all(workspace)]
    try:
        surface = surfaces.surface_of(workspace)
        if not isinstance(surface, CanFindPerson):
            return
        for user in holders:
            place = Place(workspace, ChannelId(""))
            if await surface.find_person(place, user) is None:
                now = clock.now()
                key = f"{workspace}/person_left/{user}/{now.isoformat()}"
                await app.handle(Event(key, place, User(UserId(user), user), now, PersonLeft()))
    except SurfaceError as error:
        log.info("It is not known who still belongs to a workspace", extra={"why": error.key})
