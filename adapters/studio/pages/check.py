"""The check page: findings in the examples that should be decided before training."""

from __future__ import annotations

from fastapi import Request
from nicegui import ui

from adapters.studio import reply_drawing
from adapters.studio.notifications import notify_reply
from adapters.studio.page_actions import PageActions
from adapters.studio.page_session import PageSession, Studio
from adapters.studio.pages.list_controls import ListAddress
from adapters.studio.shell import Page, draw_page
from bot.replies import Listing, Refused, Reply

_SHOW = "check.show:"


async def check_page(studio: Studio, request: Request) -> None:
    await draw_page(studio, request, "check", lambda session: _Check(session, request))


class _Check(Page):
    """The overview of the findings, and below it the list of the selected kind."""

    def __init__(self, session: PageSession, request: Request) -> None:
        self._session = session
        self._address = ListAddress(request, {"show": None})
        self._drawn_replies: list[Reply] = []
        self._actions = PageActions(session, self.refresh)

    def draw_top(self) -> None:
        again = ui.button(self._session.translate("studio.check.again"), icon="fact_check")
        again.on_click(self._check_again).props("unelevated").classes("only-icon-on-phones")
        again.mark("check-again")

    def draw(self) -> None:
        self._body = ui.element("div").classes("stack").props("aria-live=polite")

    async def _check_again(self) -> None:
        """Checks all examples again."""
        reply = await self._session.command("check")
        if isinstance(reply, Refused):
            notify_reply(reply)
        await self.refresh()

    async def refresh(self) -> None:
        replies = [await self._session.query_button("check.overview")]
        if opened := self._address.get("show"):
            replies.append(await self._session.query_button(f"{_SHOW}{opened}"))
        if replies == self._drawn_replies:
            return
        self._drawn_replies = replies
        self._body.clear()
        with self._body:
            for reply in replies:
                if isinstance(reply, Listing):
                    reply_drawing.draw_listing(reply, self._click)

    async def _click(self, action: str) -> None:
        if not action.startswith(_SHOW):
            await self._actions.click(action)
            return
        self._address.set("show", action.removeprefix(_SHOW))
        await self.refresh()
