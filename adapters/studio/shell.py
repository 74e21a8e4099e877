"""The shell of every page: sidebar, top bar, and switches for language and dark mode."""

from __future__ import annotations

import asyncio
import hashlib
import html
import json
import logging
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, TypeVar
from urllib.parse import unquote

from fastapi import Request
from nicegui import Client, background_tasks, ui

from adapters.studio.command_palette import CommandPalette
from adapters.studio.navigation import draw_navigation
from adapters.studio.notifications import NoteLine
from adapters.studio.page_session import (
    PageSession,
    Studio,
    WorkingLine,
    is_refreshing,
    set_browser_cookie,
)
from adapters.studio.safe_html import quoted_prop
from bot.domain import LOCAL, ChannelId, WorkspaceId
from bot.replies import Card, Listing, Reply, Tone

log = logging.getLogger(__name__)

PageT = TypeVar("PageT", bound="Page")

_MIN_PAUSE_SECONDS = 0.25
_FAILURE_PAUSE_SECONDS = 2.0
_WORKSPACE = re.compile(r"(slack|discord):\w+")


@dataclass(slots=True)
class Frame:
    """The parts of the shell that a page fills or refreshes."""

    session: PageSession
    top: ui.row = field(init=False)
    foot: ui.footer = field(init=False)
    people_datalist: ui.html = field(init=False)
    _counts: dict[str, str] = field(default_factory=dict)

    async def refresh_counts(self) -> None:
        """Updates the numbers in the sidebar."""
        reply = await self.session.query_button("counts")
        if not isinstance(reply, Listing):
            self._go_home()
            return
        counts = {line.id: line.text for line in reply.lines}
        if counts != self._counts:
            self._counts = counts
            ui.run_javascript(f"attune.count({json.dumps(counts)})")
            await self._offer_people()

    async def _offer_people(self) -> None:
        if self.session.workspace == LOCAL:
            names = await self.session.studio.room.people()
            options = "".join(f'<option value="{html.escape(name)}">' for name in names)
            self.people_datalist.set_content(f'<datalist id="people">{options}</datalist>')

    def _go_home(self) -> None:
        """Selects the default workspace and assistant, as those of the cookies no longer exist."""
        if self.session.assistant or self.session.workspace != LOCAL:
            set_browser_cookie("assistant", "")
            set_browser_cookie("workspace", "")
            ui.navigate.to("/workspaces")


def page_session_of(studio: Studio, request: Request) -> PageSession:
    """Returns the session of a new window, with the settings of the browser's cookies."""
    cookies = request.cookies
    language = cookies.get("attune-language") or request.headers.get("accept-language", "en")
    session = PageSession(studio, locale="zh" if language.lower().startswith("zh") else "en")
    workspace = unquote(cookies.get("attune-workspace", ""))
    session.workspace = WorkspaceId(workspace) if _WORKSPACE.fullmatch(workspace) else LOCAL
    session.assistant = unquote(cookies.get("attune-assistant", "")) or None
    session.speak_as(unquote(cookies.get("attune-speaker", ""))[:80])
    return session


@contextmanager
def shell(
    session: PageSession,
    request: Request,
    *,
    here: str,
    title: str,
    channels: Sequence[ChannelId],
    has_foot: bool = False,
) -> Iterator[Frame]:
    """Draws the shell; elements that are created within the block go into the main area."""
    ui.page_title(f"{title} · Attune")
    ui.add_head_html(_HEAD.format(mark=_ASSETS_HASH, lang=session.locale))
    is_dark = {"1": True, "0": False}.get(request.cookies.get("attune-dark", ""))
    ui.dark_mode(is_dark)
    ui.html(f'<a class="skip" href="#main">{session.translate("studio.skip")}</a>', sanitize=False)
    frame = Frame(session)
    # With value=False, Quasar opens the drawer on wide windows without asking the server first.
    drawer = ui.left_drawer(value=False, top_corner=True, bottom_corner=True).props(
        "width=230 breakpoint=900 show-if-above no-swipe-open"
    )
    drawer.props(f"aria-label={quoted_prop(session.translate('studio.sidebar'))}")
    with drawer.classes("sidebar"):
        _draw_sidebar(session, here, channels, is_dark=is_dark)
    with ui.header().classes("top"):
        opener = ui.button(icon="menu", on_click=drawer.toggle).props("flat round dense")
        opener.classes("menu").props(
            f"aria-label={quoted_prop(session.translate('studio.navigation'))}"
        )
        frame.top = ui.row().classes("top-row")
        CommandPalette(session, channels)
        session.working_line = WorkingLine()
    # Suggestions for fields with the name of a person; other names can be typed as well.
    frame.people_datalist = ui.html("", sanitize=False)
    frame.foot = ui.footer(value=has_foot).classes("bottom")
    with frame.foot:
        NoteLine(frame.foot, stays=has_foot)
    script = _name_connection_notes(session)
    yield frame
    ui.run_javascript(script)
    refresh_on_change(session, frame.refresh_counts, at_once=True)


def _name_connection_notes(session: PageSession) -> str:
    """Returns the script that sets the texts of NiceGUI's connection notes.

    Also adds the script to the page, which may never get a connection.
    """
    notes = [session.translate("studio.lost"), session.translate("studio.reconnecting")]
    script = f"attune.name({json.dumps(notes)})"
    ui.add_head_html(f"<script>addEventListener('DOMContentLoaded', () => {script})</script>")
    return script


class Page(Protocol):
    """A page within the shell: its buttons in the top bar, its content, and its refresh."""

    def draw_top(self) -> None:
        """Draws the page's buttons at the right of the top bar."""

    def draw(self) -> None: ...

    async def refresh(self) -> None:
        """Updates the content."""


async def draw_page(
    studio: Studio, request: Request, here: str, make: Callable[[PageSession], PageT]
) -> PageT:
    """Draws a page of the sidebar with title, introduction and the content that `make` returns."""
    session = page_session_of(studio, request)
    title = session.translate(f"studio.{here}")
    channels = await studio.room.channels()
    with shell(session, request, here=here, title=title, channels=channels) as frame:
        page = make(session)
        with frame.top:
            draw_title(title)
            ui.space()
            page.draw_top()
        with draw_main_area("page"):
            draw_page_intro(session, here)
            page.draw()
    await page.refresh()
    refresh_on_change(session, page.refresh)
    return page


def draw_main_area(classes: str) -> ui.element:
    """Draws the element for the page's content; Quasar draws the landmark around it."""
    return ui.element("div").classes(classes).props("id=main tabindex=-1")


def draw_page_intro(session: PageSession, page: str) -> None:
    """Draws the sentence that explains what a page is for."""
    ui.label(session.translate(f"studio.lead.{page}")).classes("lead")


def refresh_on_change(
    session: PageSession, refresh: Callable[[], Awaitable[None]], *, at_once: bool = False
) -> None:
    """Calls `refresh` after changes of the app, at most four times a second.

    Ends when the window is closed.
    """
    client = ui.context.client
    refresher = _RefreshOnChange(session, client, refresh)
    refresher.start(at_once=at_once)
    client.on_delete(refresher.stop)


class _RefreshOnChange:
    def __init__(
        self, session: PageSession, client: Client, refresh: Callable[[], Awaitable[None]]
    ) -> None:
        self._session = session
        self._client = client
        self._refresh = refresh
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, *, at_once: bool) -> None:
        if at_once:
            self._changed.set()
        for work, name in ((self._listen(), "listen"), (self._refresh_loop(), "refresh")):
            self._tasks.append(background_tasks.create(work, name=f"studio: {name}"))

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _listen(self) -> None:
        async for topic in self._session.studio.app.watch_changes("all"):
            # Messages in the room change no number and no list.
            if topic != "room":
                self._changed.set()

    async def _refresh_loop(self) -> None:
        is_refreshing.set(True)
        while not self._client.is_deleted:
            await self._changed.wait()
            self._changed.clear()
            pause = _MIN_PAUSE_SECONDS
            try:
                with self._client:
                    await self._refresh()
            except Exception:
                log.exception("A page could not be refreshed")
                pause = _FAILURE_PAUSE_SECONDS
                self._changed.set()
            await asyncio.sleep(pause)


def draw_title(title: str) -> None:
    ui.label(title).classes("top-title").props("role=heading aria-level=1")


def state_pill(text: str, tone: Tone) -> None:
    """Draws the name of a state in its colour."""
    colour = {Tone.GOOD: "good", Tone.BAD: "bad", Tone.BUSY: "busy"}.get(tone, "")
    ui.label(text).classes(f"pill {colour}")


def draw_empty_state(
    icon: str, title: str, note: str = "", *, ways: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Draws the placeholder of an empty list; `ways` are labels of links by address."""
    with ui.element("div").classes("empty"):
        ui.icon(icon).props("aria-hidden=true")
        ui.label(title).classes("empty-title")
        if note:
            ui.label(note)
        for address, label in ways.items():
            ui.link(label, address).classes("empty-way")


def draw_page_empty_state(
    session: PageSession, page: str, icon: str, *, ways: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Draws the placeholder of an empty page; `ways` are keys of `bot/words` by address."""
    say = session.translate
    links = {address: say(key) for address, key in ways.items()}
    draw_empty_state(
        icon, say(f"studio.{page}.empty"), say(f"studio.{page}.empty.note"), ways=links
    )


def train_button_label(session: PageSession, channel: Reply) -> str:
    """Returns the label of the train button, with the number of examples not yet trained on."""
    facts = channel.facts if isinstance(channel, Card) else ()
    new = next((int(fact.value) for fact in facts if fact.name == "new"), 0)
    return (
        session.translate("studio.train_new", count=new)
        if new
        else session.translate("studio.train")
    )


def _draw_sidebar(
    session: PageSession, here: str, channels: Sequence[ChannelId], *, is_dark: bool | None
) -> None:
    with (
        ui.element("a")
        .props(f'href="/" aria-label={quoted_prop(session.translate("studio.home"))}')
        .classes("brand")
    ):
        ui.html(_LOGO, sanitize=False)
        ui.label("Attune")
    if session.assistant or session.workspace != LOCAL:
        _draw_context(session)
    draw_navigation(session, here, channels)
    with ui.element("div").classes("foot"):
        _draw_switches(session, is_dark=is_dark)


def _draw_context(session: PageSession) -> None:
    """Draws the selected workspace or assistant, with a button back to the default."""

    def back() -> None:
        set_browser_cookie("assistant", "")
        set_browser_cookie("workspace", "")
        ui.navigate.reload()

    with ui.element("div").classes("context"):
        ui.label(session.translate("studio.working_with")).classes("context-label")
        name = session.assistant or session.workspace
        ui.label(name).classes("context-name")
        close = ui.button(icon="close", color=None, on_click=back).classes("quiet")
        close.props("flat round dense size=xs").tooltip(session.translate("studio.back_to_default"))
        close.props(f"aria-label={quoted_prop(session.translate('studio.back_to_default'))}")


def _draw_switches(session: PageSession, *, is_dark: bool | None) -> None:
    def light() -> None:
        nonlocal is_dark
        is_dark = not is_dark
        ui.dark_mode(is_dark)
        set_browser_cookie("dark", "1" if is_dark else "0")

    def language() -> None:
        set_browser_cookie("language", "en" if session.locale == "zh" else "zh")
        ui.navigate.reload()

    dark = (
        ui.button(icon="dark_mode", color=None, on_click=light)
        .classes("quiet")
        .props("flat round dense size=sm")
    )
    dark.props(f"aria-label={quoted_prop(session.translate('studio.dark'))}").tooltip(
        session.translate("studio.dark")
    )
    other = ui.button(session.translate("studio.language"), color=None, on_click=language)
    other.classes("quiet").props("flat dense no-caps size=sm icon=translate").mark("language")
    if session.studio.has_password:
        leave = session.translate("studio.logout")
        with ui.element("form").props("method=post action=/logout").classes("logout"):
            ui.html(
                f'<button type="submit" class="plain">{leave}</button>',
                sanitize=False,
            )


ASSETS_FOLDER = Path(__file__).parent / "assets"
# In the addresses of the assets, so that browsers reload changed ones.
_ASSETS_HASH = hashlib.sha256(
    b"".join(asset.read_bytes() for asset in sorted(ASSETS_FOLDER.iterdir()))
).hexdigest()[:8]

_HEAD = """
<script>document.documentElement.lang = "{lang}"</script>
<link rel="stylesheet" href="/studio-assets/studio.css?{mark}">
<script src="/studio-assets/studio.js?{mark}"></script>
<meta name="referrer" content="same-origin">
"""

_LOGO = (
    '<svg viewBox="0 0 24 24" width="26" height="26" aria-hidden="true"><g stroke="#9fa8da" '
    'stroke-width="2" stroke-linecap="round"><path d="M3 10v4M7 7v10M11 3v18M15 7v10M19 9v6"/>'
    "</g></svg>"
)
