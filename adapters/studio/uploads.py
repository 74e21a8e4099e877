"""Taking a file from the browser: dropped or chosen, and deleted once it was used."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from nicegui import events as browser
from nicegui import ui

from adapters.studio.notes import notify
from adapters.studio.page_session import PageSession
from bot.domain import LOCAL, Attachment

_MOST_MEBIBYTES = 1024

_PICK = "() => runMethod({id}, 'pickFiles', [])"
_OVER = "(e) => { e.preventDefault(); e.currentTarget.classList.add('over') }"
_LEAVE = "(e) => e.currentTarget.classList.remove('over')"
_DROP = """(e) => {{
  e.preventDefault(); e.currentTarget.classList.remove('over');
  runMethod({id}, 'addFiles', [e.dataTransfer.files]);
}}"""


def upload_area(
    session: PageSession, use: Callable[[Attachment], Awaitable[None]], *, label: str
) -> None:
    """A place to drop a file, or to choose one by mouse, finger or keyboard.

    The file is deleted as soon as `use` has ended.
    """
    _UploadArea(session, use, label)


class _UploadArea:
    def __init__(
        self, session: PageSession, use: Callable[[Attachment], Awaitable[None]], label: str
    ) -> None:
        self._session = session
        self._use = use
        # Quasar draws its own area with parts that have no name; this one only transfers.
        transfer = ui.upload(
            on_upload=self._receive,
            on_begin_upload=self._show_sending,
            on_rejected=self._refuse,
            auto_upload=True,
            max_file_size=_MOST_MEBIBYTES * 1024 * 1024,
        ).classes("transfer")
        with ui.element("button").classes("drop").props("type=button").mark("drop") as area:
            ui.icon("upload_file").props("aria-hidden=true")
            self._label = ui.label(label).props("aria-live=polite")
        area.on("click", js_handler=_PICK.format(id=transfer.id))
        area.on("dragover", js_handler=_OVER)
        area.on("dragleave", js_handler=_LEAVE)
        area.on("drop", js_handler=_DROP.format(id=transfer.id))

    def _show_sending(self) -> None:
        self._label.set_text(self._session.say("studio.sending"))

    def _refuse(self) -> None:
        notify(self._session.say("studio.too_big", most=_MOST_MEBIBYTES), kind="warning")

    async def _receive(self, upload: browser.UploadEventArguments) -> None:
        with TemporaryDirectory(prefix="attune-upload-") as folder:
            path = Path(folder) / "upload"
            await upload.file.save(path)
            name = Path(upload.file.name.replace("\\", "/")).name or "upload"
            await self._use(Attachment(name, str(path), upload.file.size(), platform=LOCAL))
