"""Check: what in the examples should be decided before training, one list under the other."""

from __future__ import annotations

from fastapi import Request
from nicegui import ui

from adapters.studio import drawing
from adapters.studio.actions import PageActions
from adapters.studio.notifications import tell
from adapters.studio.page_session import PageSession, Studio
from adapters.studio.pages.lists import ListAddress
from adapters.studio.shell import Page, draw_page
from bot.replies import Listing, Refused, Reply

_SHOW = "check.show:"


async def check_page(studio: Studio, request: Request) -> None:
    await draw_page(studio, request, "check", lambda session: _Check(session, request))


class _Check(Page):
    """The kinds with their numbers, and the list of the kind that is open."""

    def __init__(self, session: PageSession, request: Request) -> None:
        self._session = session
        self._address = ListAddress(request, {"show": None})
        self._seen: list[Reply] = []
        self._actions = PageActions(session, self.refresh)

    def draw_top(self) -> None:
        again = ui.button(self._session.translate("studio.check.again"), icon="fact_check")
        again.on_click(self._again).props("unelevated").classes("only-icon-on-phones")
        again.mark("check-again")

    def draw(self) -> None:
        self._body = ui.element("div").classes("stack").props("aria-live=polite")

    async def _again(self) -> None:
        """Every example is looked at anew."""
        told = await self._session.command("check")
        if isinstance(told, Refused):
            tell(told)
        await self.refresh()

    async def refresh(self) -> None:
        told = [await self._session.query_button("check.overview")]
        if opened := self._address.get("show"):
            told.append(await self._session.query_button(f"{_SHOW}{opened}"))
        if told == self._seen:
            return
        self._seen = told
        self._body.clear()
        with self._body:
            for reply in told:
                if isinstance(reply, Listing):
                    drawing.draw_listing(reply, self._click)

    async def _click(self, action: str) -> None:
        if not action.startswith(_SHOW):
            await self._actions.click(action)
            return
        self._address.set("show", action.removeprefix(_SHOW))
        await self.refresh()
