"""The review page: a queue of proposed examples, decided with single keys."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping

from fastapi import Request
from nicegui import background_tasks, ui
from nicegui import events as browser

from adapters.studio import reply_drawing
from adapters.studio.forms import open_form
from adapters.studio.notifications import notify, notify_reply
from adapters.studio.page_session import PageSession, Studio
from adapters.studio.safe_html import quoted_prop
from adapters.studio.shell import draw_main_area, page_session_of, refresh_on_change, shell
from bot import events
from bot.replies import Card, Form, Listing, ListingRow, Refused

_PAGE = 200
_SHORTCUTS = (
    ("J", "studio.next"),
    ("K", "studio.previous"),
    ("A", "button.approve"),
    ("E", "button.edit"),
    ("R", "button.reject"),
    ("U", "studio.undo"),
)


async def review_page(studio: Studio, request: Request) -> None:
    session = page_session_of(studio, request)
    title = session.translate("studio.review")
    channels = await studio.room.channels()
    with shell(session, request, here="review", title=title, channels=channels) as frame:
        page = _Queue(session)
        with frame.top:
            ui.label(title).classes("top-title").props("role=heading aria-level=1")
            page.draw_top()
        page.draw()
    await page.load()
    refresh_on_change(session, page.catch_up)


class _Queue:
    """The queue: waiting examples, the open example, and those decided in this window."""

    def __init__(self, session: PageSession) -> None:
        self._session = session
        self._lines: dict[str, ListingRow] = {}
        self._rows: dict[str, ui.element] = {}
        self._card: Card | None = None
        # Examples decided here, with the argument of the undo button: id, revision and state.
        self._judged: dict[str, str] = {}
        self._judged_elsewhere: set[str] = set()
        self._open: str | None = None
        # Serializes changes of the queue by keys, buttons and other people.
        self._lock = asyncio.Lock()

    def draw_top(self) -> None:
        self._position_label = ui.label().classes("fine")
        ui.space()
        with ui.element("div").classes("keys only-wide").props("aria-hidden=true"):
            for key, name in _SHORTCUTS:
                with ui.element("span"):
                    ui.html(f"<kbd>{key}</kbd>{self._session.translate(name)}", sanitize=False)

    def draw(self) -> None:
        ui.keyboard(self._on_key)
        with draw_main_area("review"):
            self._list = ui.element("div").classes("queue")
            self._list.props(
                f"role=listbox aria-label={quoted_prop(self._session.translate('studio.queue'))}"
            )
            self._detail = ui.element("div").classes("stack detail")
            self._context = ui.element("aside").classes("stack beside")
            self._context.props(
                f"aria-label={quoted_prop(self._session.translate('studio.beside'))}"
            )

    async def load(self) -> None:
        """Loads the queue and opens its first example."""
        self._lines.clear()
        await self._fetch(None)
        self._draw_list()
        await self._show(next(iter(self._lines), None))

    async def catch_up(self) -> None:
        """Updates the queue after other people proposed, decided or changed examples."""
        async with self._lock:
            listing = await self._page(None)
            if listing is None:
                return
            waiting = {line.id: line for line in listing.lines}
            new = [line for line in waiting.values() if line.id not in self._lines]
            self._lines.update((line.id, line) for line in new)
            for line in new:
                self._draw_row(line)
            self._mark_judged(waiting, is_whole=listing.more is None)
            self._show_position()
            if self._open is None and self._waiting():
                await self._show(self._waiting()[0])

    def _mark_judged(self, waiting: Collection[str], *, is_whole: bool) -> None:
        """Marks the rows of decided examples.

        Examples in `waiting` are no longer decided, for instance after an edit. If `waiting` is
        the whole queue, all other examples were decided elsewhere.
        """
        for number in waiting:
            self._judged.pop(number, None)
        self._judged_elsewhere.difference_update(waiting)
        if is_whole:
            self._judged_elsewhere |= self._lines.keys() - self._judged.keys() - set(waiting)
        for number, row in self._rows.items():
            is_waiting = number not in self._judged and number not in self._judged_elsewhere
            row.classes(remove="judged" if is_waiting else "", add="" if is_waiting else "judged")

    async def _fetch(self, after: str | None) -> None:
        reply = await self._page(after)
        if reply is not None:
            self._lines.update((line.id, line) for line in reply.lines)
            if reply.more and reply.lines and len(self._lines) < _PAGE * 5:
                await self._fetch(reply.lines[-1].id)

    async def _page(self, after: str | None) -> Listing | None:
        options = {"state": "proposed", "mine": "yes", "order": "oldest"}
        options |= {"limit": str(_PAGE), "after": after or ""}
        reply = await self._session.query_command("examples", options)
        return reply if isinstance(reply, Listing) else None

    def _draw_list(self) -> None:
        self._list.clear()
        self._rows.clear()
        for line in self._lines.values():
            self._draw_row(line)

    def _draw_row(self, line: ListingRow) -> None:
        facts = reply_drawing.facts_by_name(line)

        async def choose() -> None:
            async with self._lock:
                await self._show(line.id)

        with self._list, ui.element("div").classes("queue-row") as row:
            row.props(f"role=option tabindex=-1 id=row-{line.id}").on("click", choose)
            ui.label(facts.get("question") or line.text).classes("queue-question")
            ui.label(facts.get("answer", "")).classes("queue-answer fine")
        self._rows[line.id] = row

    async def _show(self, number: str | None) -> None:
        if self._open in self._rows:
            self._rows[self._open].classes(remove="here").props("aria-selected=false")
        self._open, self._card = number, None
        self._show_position()
        self._detail.clear()
        self._context.clear()
        if number is None:
            with self._detail:
                self._draw_empty()
            return
        self._rows[number].classes(add="here").props("aria-selected=true")
        ui.run_javascript(
            f"document.getElementById('row-{number}')?.scrollIntoView({{block:'nearest'}})"
        )
        reply = await self._session.query_button(f"example.show:{number}")
        if self._open != number or not isinstance(reply, Card):
            return
        self._card = reply
        with self._detail:
            self._draw_example(reply)
        # In a task, so that the next key does not wait for the queries.
        background_tasks.create(self._draw_context(number, reply), name="studio: beside")

    def _draw_example(self, card: Card) -> None:
        with ui.element("section").classes("card plain"):
            ui.label(card.title).classes("card-title").props("role=heading aria-level=2")
            for line in card.lines:
                ui.label(line).classes("warning").props("role=note")
            draw_exchange(card)
            reply_drawing.draw_facts(card.facts)
            with ui.row().classes("buttons"):
                for button in card.buttons:
                    reply_drawing.draw_button(button, self._click)
                self._draw_undo()

    def _draw_undo(self) -> None:
        undo = ui.button(
            self._session.translate("studio.undo"), icon="undo", on_click=self._click_undo
        )
        undo.props("flat no-caps").mark("undo")

    async def _draw_context(self, number: str, card: Card) -> None:
        for action in ("example.context", "example.similar"):
            listing = await self._session.query_button(f"{action}:{number}")
            if self._open == number and isinstance(listing, Listing):
                with self._context:
                    reply_drawing.draw_listing(listing, self._click)
        reply = await revisions_of(self._session, number, card)
        if self._open == number and reply is not None:
            with self._detail:
                reply_drawing.draw_revisions(reply)

    def _draw_empty(self) -> None:
        say = self._session.translate
        with ui.element("div").classes("empty"):
            ui.icon("task_alt")
            ui.label(say("studio.all_reviewed")).classes("empty-title")
            ui.label(say("studio.all_reviewed.note"))
            with ui.row().classes("buttons"):
                back = ui.button(say("studio.to_room"), on_click=lambda: ui.navigate.to("/"))
                back.props("unelevated no-caps")
                if self._judged:
                    self._draw_undo()

    def _show_position(self) -> None:
        waiting = self._waiting()
        if self._open in waiting:
            at = waiting.index(self._open) + 1
            self._position_label.set_text(
                self._session.translate("studio.of", at=at, count=len(waiting))
            )
        else:
            self._position_label.set_text(str(len(waiting)))

    def _waiting(self) -> list[str]:
        return [n for n in self._lines if n not in self._judged and n not in self._judged_elsewhere]

    async def _on_key(self, key: browser.KeyEventArguments) -> None:
        if not key.action.keydown or key.modifiers.ctrl or key.modifiers.meta:
            return
        actions: Mapping[str, Callable[[], Awaitable[None]]] = {
            "j": lambda: self._step(1),
            "arrowdown": lambda: self._step(1),
            "k": lambda: self._step(-1),
            "arrowup": lambda: self._step(-1),
            "a": lambda: self._judge("example.approve"),
            "r": lambda: self._judge("example.reject"),
            "e": lambda: self._judge("example.edit"),
            "u": self._undo,
        }
        act = actions.get(str(key.key.name).lower())
        if act is not None:
            async with self._lock:
                await act()

    async def _step(self, step: int) -> None:
        waiting = self._waiting()
        if not waiting:
            await self._show(None)
            return
        at = waiting.index(self._open) if self._open in waiting else 0
        await self._show(waiting[max(0, min(len(waiting) - 1, at + step))])

    async def _judge(self, action: str) -> None:
        buttons = self._card.buttons if self._card else ()
        for button in buttons:
            if button.action.startswith(f"{action}:"):
                await self._act(button.action)

    async def _click(self, action: str) -> None:
        async with self._lock:
            await self._act(action)

    async def _click_undo(self) -> None:
        async with self._lock:
            await self._undo()

    async def _act(self, action: str) -> None:
        reply = await self._session.click(action)
        if isinstance(reply, Form):
            self._edit(reply)
        elif action.startswith(("example.mask", "example.keep")):
            notify_reply(reply)
            await self._show(self._open)
        elif isinstance(reply, Refused):
            notify_reply(reply)
        elif action.startswith(("example.approve", "example.reject")):
            await self._move_on(action)
        else:
            notify_reply(reply)

    async def _move_on(self, action: str) -> None:
        name, _, token = action.partition(":")
        number, revision, _ = token.split(".", 2)
        decided = "approved" if name == "example.approve" else "rejected"
        waiting = self._waiting()
        at = waiting.index(number) if number in waiting else 0
        self._judged[number] = f"{number}.{revision}.{decided}"
        if number in self._rows:
            self._rows[number].classes(add="judged")
        remaining = self._waiting()
        await self._show(remaining[min(at, len(remaining) - 1)] if remaining else None)

    async def _undo(self) -> None:
        if not self._judged:
            notify(self._session.translate("studio.undone"), kind="warning")
            return
        number, decided = self._judged.popitem()
        if notify_reply(await self._session.click(f"example.undo:{decided}")):
            self._rows[number].classes(remove="judged")
            await self._show(number)
        else:
            self._judged_elsewhere.add(number)

    def _edit(self, form: Form) -> None:
        async def submit(values: Mapping[str, str]) -> str:
            reply = await self._session.ask(events.FormSubmitted(form.id, values))
            if isinstance(reply, Refused):
                return reply.text
            notify_reply(reply)
            async with self._lock:
                await self._show(self._open)
            return ""

        open_form(self._session, form, submit)


async def revisions_of(session: PageSession, number: str, card: Card) -> Card | None:
    """Returns the card with the revisions of an example, or None if it has only one."""
    if reply_drawing.facts_by_name(card).get("revision", "1") == "1":
        return None
    reply = await session.query_button(f"example.revisions:{number}")
    return reply if isinstance(reply, Card) else None


def draw_exchange(card: Card) -> None:
    """Draws the texts of an example one below the other."""
    with ui.element("div").classes("exchange"):
        for column in card.columns:
            with ui.element("div").classes(f"part {column.note}"):
                ui.label(column.title).classes("part-name")
                reply_drawing.draw_text(column.text, card.marks)
