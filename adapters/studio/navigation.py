"""The navigation of the sidebar as one piece of HTML, which is faster than single elements."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from nicegui import ui

from adapters.studio.page_session import DIRECT, PageSession
from bot.domain import ChannelId

DEFAULT_CHANNELS = ("general", "support", "brand-voice")
PAGE_GROUPS = (
    ("teach", ("review", "teach-next", "examples", "preferences", "check")),
    ("train", ("jobs", "evaluations", "models", "compare")),
    ("run", ("workspaces", "assistants", "hosts", "roles", "privacy", "spending", "audit")),
)
# Pages whose entry has a number of items that wait for a decision or are running.
_PAGES_WITH_COUNT = frozenset({"review", "jobs", "workspaces"})


def draw_navigation(session: PageSession, here: str, channels: Sequence[ChannelId]) -> None:
    """Draws the links; the function `count` of studio.js fills in the numbers."""
    name = html.escape(session.translate("studio.navigation"))
    inside = "".join(_pieces(session, here, channels))
    ui.html(f'<nav aria-label="{name}">{inside}</nav>', sanitize=False).classes("ways")


def channel_title(session: PageSession, channel: ChannelId) -> str:
    return session.translate("studio.direct") if channel == DIRECT else f"# {channel}"


def _pieces(session: PageSession, here: str, channels: Sequence[ChannelId]) -> Iterator[str]:
    yield _group(session, "room")
    for channel in ordered_channels(channels):
        address, title = f"/room/{quote(channel)}", channel_title(session, channel)
        yield _entry(address, title, is_here=here == f"room:{channel}")
    for group, names in PAGE_GROUPS:
        yield _group(session, group)
        for name in names:
            count = name if name in _PAGES_WITH_COUNT else ""
            yield _entry(
                f"/{name}", session.translate(f"studio.{name}"), is_here=here == name, count=count
            )


def _group(session: PageSession, name: str) -> str:
    return f'<div class="group">{html.escape(session.translate(f"studio.group.{name}"))}</div>'


def _entry(address: str, text: str, *, is_here: bool, count: str = "") -> str:
    mark = ' aria-current="page"' if is_here else ""
    shown = "entry here" if is_here else "entry"
    badge = f'<span class="q-badge count" data-count="{count}" hidden></span>' if count else ""
    return (
        f'<a href="{html.escape(address)}" class="{shown}"{mark}>'
        f"<span>{html.escape(text)}</span>{badge}</a>"
    )


def ordered_channels(channels: Sequence[ChannelId]) -> list[ChannelId]:
    """Returns the default channels, then other channels with messages, then direct messages."""
    others = [channel for channel in channels if channel not in (DIRECT, "cli")]
    return [*dict.fromkeys([*map(ChannelId, DEFAULT_CHANNELS), *others]), DIRECT]
