"""The models page: the tree of models, the answering model, and the rollback."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from fastapi import Request
from nicegui import ui

from adapters.studio import reply_drawing
from adapters.studio.page_actions import PageActions
from adapters.studio.page_session import PageSession, Studio
from adapters.studio.pages.list_controls import ListControls
from adapters.studio.shell import Page, draw_page, state_pill
from bot.replies import Button, Listing, ListingRow, Tone

MAX_HANDLE_LENGTH = 80
"""Characters from the end of a model's name that fit into the action of a button."""


_COLUMNS = {"id": "studio.name", "kind": "fact.kind", "host": "fact.host", "date": "studio.date"}


async def models_page(studio: Studio, request: Request) -> None:
    await draw_page(studio, request, "models", lambda session: _Models(session, request))


class _Models(Page):
    def __init__(self, session: PageSession, request: Request) -> None:
        self._session = session
        self._controls = ListControls(session, request, _COLUMNS)
        self._actions = PageActions(session, self.refresh)
        self._drawn_replies: tuple[object, object] | None = None
        self._checkpoints: dict[str, list[ListingRow]] = {}

    def draw_top(self) -> None:
        back = Button(self._session.translate("button.rollback"), "model.rollback")
        reply_drawing.draw_button(back, self._roll_back)

    async def _roll_back(self, action: str) -> None:
        """Rolls back from the model that this page shows as answering."""
        listing = self._drawn_replies[0] if self._drawn_replies else None
        lines = listing.lines if isinstance(listing, Listing) else ()
        answering = next((line.text for line in lines if line.tone is Tone.GOOD), "")
        await self._actions.click(f"{action}:{answering[-MAX_HANDLE_LENGTH:]}")

    def draw(self) -> None:
        with ui.element("div").classes("two"):
            with ui.element("div").classes("stack"):
                self._controls.draw(self._relist)
                self._tree = ui.element("div").classes("stack")
            self._history = ui.element("div").classes("stack")

    async def _relist(self) -> None:
        self._drawn_replies = None
        await self.refresh()

    async def refresh(self) -> None:
        models = await self._session.query_command("models")
        history = await self._session.query_button("model.history")
        if (models, history) == self._drawn_replies:
            return
        self._drawn_replies = (models, history)
        self._tree.clear()
        self._history.clear()
        if isinstance(models, Listing):
            shown = replace(models, lines=tuple(self._controls.filter_and_sort(models.lines)))
            with self._tree, ui.element("section").classes("card plain"):
                ui.label(models.title).classes("card-title").props("role=heading aria-level=2")
                if self._controls.is_unfiltered:
                    self._draw_tree(models)
                else:
                    self._draw_flat(shown)
        if isinstance(history, Listing):
            with self._history:
                reply_drawing.draw_listing(history, self._actions.click)

    def _draw_flat(self, models: Listing) -> None:
        """Draws the filtered and sorted models as a list."""
        if not models.lines:
            ui.label(self._session.translate("studio.nothing_found")).classes("fine")
        with ui.element("ul").classes("tree"):
            for line in models.lines:
                with ui.element("li").classes("branch"):
                    self._draw_model(line)

    def _draw_tree(self, models: Listing) -> None:
        """Draws every model below its parent, with its checkpoints folded below it."""
        children_by_parent: dict[str, list[ListingRow]] = defaultdict(list)
        names = {line.text for line in models.lines}
        parents = {reply_drawing.facts_by_name(line).get("parent", "") for line in models.lines}
        roots = []
        self._checkpoints = defaultdict(list)
        for line in reversed(models.lines):
            parent = reply_drawing.facts_by_name(line).get("parent", "")
            if _is_checkpoint(line) and line.text not in parents:
                self._checkpoints[reply_drawing.facts_by_name(line)["job"]].append(line)
            elif parent in names and parent != line.text:
                children_by_parent[parent].append(line)
            else:
                roots.append(line)
        with ui.element("ul").classes("tree"):
            for line in roots:
                self._draw_branch(line, children_by_parent)
            # Checkpoints of jobs that ended without a model.
            for line in (each for lines in self._checkpoints.values() for each in lines):
                self._draw_branch(line, children_by_parent)

    def _draw_branch(
        self, line: ListingRow, children_by_parent: dict[str, list[ListingRow]]
    ) -> None:
        with ui.element("li").classes("branch"):
            self._draw_model(line)
            children = children_by_parent.pop(line.text, [])
            if children:
                with ui.element("ul").classes("tree"):
                    for child in children:
                        self._draw_branch(child, children_by_parent)
            job = reply_drawing.facts_by_name(line).get("job", "")
            if job and not _is_checkpoint(line) and (checkpoints := self._checkpoints.pop(job, [])):
                self._draw_checkpoints(checkpoints)

    def _draw_model(self, line: ListingRow) -> None:
        facts = reply_drawing.facts_by_name(line)
        with ui.element("div").classes("branch-line"):
            with ui.element("div").classes("line-body"):
                ui.label(line.id).classes("branch-name")
                ui.label(line.note).classes("fine")
                if line.id != line.text:
                    with ui.element("details").classes("checkpoints"):
                        with ui.element("summary"):
                            ui.label(self._session.translate("answer.model_id")).classes("fine")
                        ui.label(line.text).classes("mono fine id")
            if line.tone is Tone.GOOD:
                state_pill(self._session.translate("model.answering"), Tone.GOOD)
            if facts.get("job"):
                text = f"{self._session.translate('fact.job')} {facts['job']}"
                ui.link(text, f"/jobs/{facts['job']}").classes("fine")
            for button in line.buttons:
                reply_drawing.draw_button(button, self._actions.click, is_small=True)

    def _draw_checkpoints(self, checkpoints: list[ListingRow]) -> None:
        """Draws the checkpoints of a job, folded unless one of them answers."""
        details = ui.element("details").classes("checkpoints")
        if any(line.tone is Tone.GOOD for line in checkpoints):
            details.props("open")
        with details:
            with ui.element("summary"):
                ui.label(self._session.translate("studio.kept", count=len(checkpoints))).classes(
                    "fine"
                )
            with ui.element("ul").classes("tree"):
                for line in checkpoints:
                    with ui.element("li"):
                        self._draw_model(line)


def _is_checkpoint(line: ListingRow) -> bool:
    return any(fact.name == "kind.checkpoint" for fact in line.facts)
