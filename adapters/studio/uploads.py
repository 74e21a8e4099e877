"""Taking a file from the browser: dropped or chosen, and laid into a folder of ours."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from nicegui import events as browser
from nicegui import ui

from adapters.studio.notes import notify
from adapters.studio.page_session import PageSession
from bot.domain import LOCAL
from bot.events import Attachment

Take = Callable[[Attachment], Awaitable[None]]

_MOST_MEBIBYTES = 512

_PICK = "() => runMethod({id}, 'pickFiles', [])"
_OVER = "(e) => { e.preventDefault(); e.currentTarget.classList.add('over') }"
_LEAVE = "(e) => e.currentTarget.classList.remove('over')"
_DROP = """(e) => {{
  e.preventDefault(); e.currentTarget.classList.remove('over');
  runMethod({id}, 'addFiles', [e.dataTransfer.files]);
}}"""


def take_file(visit: PageSession, take: Take, *, label: str) -> None:
    """A place to drop a file, or to choose one by mouse, finger or keyboard."""
    _Place(visit, take, label)


class _Place:
    def __init__(self, visit: PageSession, take: Take, label: str) -> None:
        self._visit = visit
        self._take = take
        # Quasar draws its own with parts that have no name; only its hands are used.
        hands = ui.upload(
            on_upload=self._uploaded,
            on_begin_upload=self._begun,
            on_rejected=self._refused,
            auto_upload=True,
            max_file_size=_MOST_MEBIBYTES * 1024 * 1024,
        ).classes("hands")
        with ui.element("button").classes("drop").props("type=button").mark("drop") as area:
            ui.icon("upload_file").props("aria-hidden=true")
            self._said = ui.label(label).props("aria-live=polite")
        area.on("click", js_handler=_PICK.format(id=hands.id))
        area.on("dragover", js_handler=_OVER)
        area.on("dragleave", js_handler=_LEAVE)
        area.on("drop", js_handler=_DROP.format(id=hands.id))

    def _begun(self) -> None:
        self._said.set_text(self._visit.say("studio.sending"))

    def _refused(self) -> None:
        notify(self._visit.say("studio.too_big", most=_MOST_MEBIBYTES), kind="warning")

    async def _uploaded(self, arrived: browser.UploadEventArguments) -> None:
        """It lies in a folder of ours until it is read; whoever takes it takes it away."""
        folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="attune-upload-")
        path = Path(folder) / "upload"
        await arrived.file.save(path)
        name = Path(arrived.file.name.replace("\\", "/")).name or "upload"
        self._said.set_text(name)
        await self._take(Attachment(name, str(path), arrived.file.size(), platform=LOCAL))
