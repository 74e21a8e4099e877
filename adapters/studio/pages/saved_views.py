"""Saved views: named filters of a list, stored in a cookie of the person's browser."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from urllib.parse import quote, unquote

from fastapi import Request
from nicegui import ui

from adapters.studio.dialogs import in_page
from adapters.studio.forms import open_form
from adapters.studio.page_session import PageSession, set_browser_cookie
from adapters.studio.safe_html import quoted_prop
from bot.replies import Field, Form

_COOKIE = "views"
_MAX_VIEWS, _MAX_NAME_LENGTH, _MAX_COOKIE_LENGTH = 12, 40, 3500
"""Limits: views of a browser, characters of a name, and characters of the cookie."""


class SavedViews:
    """The menu with the saved views of a page, each of which is an address with filters."""

    def __init__(
        self, session: PageSession, request: Request, page: str, address: Callable[[], str]
    ) -> None:
        self._session = session
        self._page = page
        self._address = address
        self._views = _deserialize(request.cookies.get(f"attune-{_COOKIE}", ""))
        with ui.button(icon="bookmarks").props("flat dense") as button:
            name = quoted_prop(session.translate("studio.views"))
            button.props(f"aria-label={name} title={name}").mark("views")
            with ui.menu().props(f"role=dialog aria-label={name}") as self._menu:
                self._draw()

    def _draw(self) -> None:
        self._menu.clear()
        with self._menu:
            for (page, name), address in self._views.items():
                if page == self._page:
                    self._draw_view(name, address)
            save = ui.button(
                self._session.translate("studio.views.save"), on_click=in_page(self._ask_name)
            )
            save.props("flat no-caps").mark("save-view")

    def _draw_view(self, name: str, address: str) -> None:
        def drop() -> None:
            del self._views[self._page, name]
            self._save()

        with ui.element("div").classes("saved-view"):
            ui.link(name, address)
            close = ui.button(icon="close", on_click=drop, color=None).classes("quiet")
            label = self._session.translate("studio.views.drop", name=name)
            close.props(f"flat round dense size=xs aria-label={quoted_prop(label)}")

    async def _ask_name(self) -> None:
        say = self._session.translate
        field = Field("name", say("studio.name"), max_length=_MAX_NAME_LENGTH)

        async def submit(values: Mapping[str, str]) -> str:
            views = {**self._views, (self._page, values["name"].strip()): self._address()}
            if len(views) > _MAX_VIEWS or len(quote(_serialize(views))) > _MAX_COOKIE_LENGTH:
                return say("studio.views.full")
            self._views = views
            self._save()
            return ""

        form = Form("view", say("studio.views.save"), (field,), say("example.save"))
        open_form(self._session, form, submit)

    def _save(self) -> None:
        set_browser_cookie(_COOKIE, _serialize(self._views))
        self._draw()


def _serialize(views: Mapping[tuple[str, str], str]) -> str:
    return json.dumps([[*key, address] for key, address in views.items()], ensure_ascii=False)


def _deserialize(cookie: str) -> dict[tuple[str, str], str]:
    """Returns the views of the cookie; ignores rows of any other form."""
    try:
        rows = json.loads(unquote(cookie) or "[]")
    except ValueError:
        return {}
    return {
        (str(row[0]), str(row[1])): str(row[2])
        for row in (rows if isinstance(rows, list) else [])
        if isinstance(row, list) and len(row) == 3 and str(row[2]).startswith(f"/{row[0]}")
    }
