"""Check: what in the examples should be decided before training, one list under the other."""

from __future__ import annotations

from fastapi import Request
from nicegui import ui

from adapters.studio import drawing
from adapters.studio.actions import PageActions
from adapters.studio.notes import tell
from adapters.studio.page_session import PageSession, Studio
from adapters.studio.shell import follow, lead, middle, page_session_of, shell, title_of
from bot.replies import Listing, Refused, Reply

_SHOW = "check.show:"


async def check_page(studio: Studio, request: Request) -> None:
    session = page_session_of(studio, request)
    title = session.say("studio.check")
    channels = await studio.room.channels()
    with shell(session, request, here="check", title=title, channels=channels) as frame:
        page = _Check(session)
        with frame.top:
            title_of(title)
            ui.space()
            again = ui.button(session.say("studio.check.again"), icon="fact_check")
            again.on_click(page.again).props("unelevated").classes("only-icon-on-phones")
            again.mark("check-again")
        with middle("page"):
            lead(session, "check")
            page.draw()
    await page.refresh()
    follow(session, page.refresh)


class _Check:
    """The kinds with their numbers, and the list of the kind that is open."""

    def __init__(self, session: PageSession) -> None:
        self._session = session
        self._open = ""
        self._seen: list[Reply] = []
        self._actions = PageActions(session, self.refresh)

    def draw(self) -> None:
        self._body = ui.element("div").classes("stack").props("aria-live=polite")

    async def again(self) -> None:
        """Every example is looked at anew."""
        told = await self._session.command("check")
        if isinstance(told, Refused):
            tell(told)
        await self.refresh()

    async def refresh(self) -> None:
        told = [await self._session.see("check.overview")]
        if self._open:
            told.append(await self._session.see(self._open))
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
        self._open = action
        await self.refresh()
