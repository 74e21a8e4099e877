"""Receives files that a person drops, pastes or chooses in the browser."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from nicegui import events as browser
from nicegui import ui

from adapters.studio.downloads import picture_url
from adapters.studio.notifications import notify
from adapters.studio.page_session import PageSession
from adapters.studio.safe_html import quoted_prop
from bot.domain import LOCAL, Attachment

_MAX_MEBIBYTES, _MESSAGE_MEBIBYTES = 1024, 25
"""Size limits of an import and of a file in a message."""
_UPLOAD_TIMEOUT_SECONDS = 60

_PICK = "() => runMethod({id}, 'pickFiles', [])"
_DRAG_OVER = "(e) => { e.preventDefault(); e.currentTarget.classList.add('over') }"
_DRAG_LEAVE = "(e) => e.currentTarget.classList.remove('over')"
_PASTE = """(e) => {{
  if (!e.clipboardData.files.length) return;
  e.preventDefault();
  runMethod({id}, 'addFiles', [e.clipboardData.files]);
}}"""
_DROP = """(e) => {{
  e.preventDefault(); e.currentTarget.classList.remove('over');
  runMethod({id}, 'addFiles', [e.dataTransfer.files]);
}}"""


class MessageFiles:
    """The files of the next message: chosen, dropped on its composer, or pasted."""

    def __init__(self, session: PageSession, composer: ui.element) -> None:
        self._session = session
        self._chosen: dict[str, Attachment] = {}
        self._running_uploads = 0
        self._all_received = asyncio.Event()
        self._all_received.set()
        self._upload = ui.upload(
            on_upload=self._receive,
            on_begin_upload=lambda: self._count_running(1),
            on_rejected=lambda: _notify_too_large(session, _MESSAGE_MEBIBYTES),
            auto_upload=True,
            multiple=True,
            max_file_size=_MESSAGE_MEBIBYTES * 1024 * 1024,
        ).classes("transfer")
        self._file_list = ui.element("div").classes("files")
        _accept_drops(composer, self._upload)
        composer.on("paste", js_handler=_PASTE.format(id=self._upload.id))
        ui.context.client.on_delete(self._delete_files)

    @property
    def chosen(self) -> Sequence[Attachment]:
        return tuple(self._chosen.values())

    def draw_button(self) -> None:
        """Draws the button that opens the browser's file dialog."""
        label = quoted_prop(self._session.translate("studio.attach"))
        button = ui.button(icon="attach_file", color=None).classes("quiet")
        button.props(f"flat round aria-label={label} title={label}").mark("attach")
        button.on("click", js_handler=_PICK.format(id=self._upload.id))

    async def claim(self) -> Sequence[Attachment]:
        """Returns and removes the files; waits for running uploads for at most a minute.

        The caller owns the files from then on.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(_UPLOAD_TIMEOUT_SECONDS):
                await self._all_received.wait()
        return self._remove_all()

    def _remove_all(self) -> Sequence[Attachment]:
        files = self.chosen
        self._chosen.clear()
        self._file_list.clear()
        return files

    def _count_running(self, by: int) -> None:
        self._running_uploads = max(0, self._running_uploads + by)
        if self._running_uploads:
            self._all_received.clear()
        else:
            self._all_received.set()

    def _delete_files(self) -> None:
        """Deletes the files that were not sent, when the window is closed."""
        for file in self._remove_all():
            Path(file.reference).unlink(missing_ok=True)

    async def _receive(self, upload: browser.UploadEventArguments) -> None:
        created = await self._session.studio.room.new_file(_name_of(upload))
        await upload.file.save(created.reference)
        file = replace(created, size=upload.file.size())
        self._chosen[file.reference] = file
        self._upload.run_method("removeUploadedFiles")
        self._count_running(-1)
        with self._file_list, ui.element("span").classes("file") as row:
            draw_file(file)

            def drop() -> None:
                self._chosen.pop(file.reference, None)
                Path(file.reference).unlink(missing_ok=True)
                row.delete()

            close = ui.button(icon="close", on_click=drop, color=None).classes("quiet")
            label = quoted_prop(self._session.translate("studio.detach", name=file.name))
            close.props(f"flat round dense size=xs aria-label={label}")


def draw_file(file: Attachment) -> None:
    """Draws a picture as a link to its own window, or the name of any other file."""
    address = picture_url(file)
    if address is None:
        ui.icon("attach_file").props("aria-hidden=true")
        ui.label(file.name).classes("file-name")
        return
    with ui.element("a").props(f"href={address} target=_blank rel=noopener").classes("picture"):
        name = quoted_prop(file.name)
        ui.element("img").props(f"src={address} alt={name} title={name} loading=lazy")


def _name_of(upload: browser.UploadEventArguments) -> str:
    return Path(upload.file.name.replace("\\", "/")).name or "upload"


def _accept_drops(area: ui.element, transfer: ui.upload) -> None:
    """Makes `area` pass dropped files to the upload element."""
    area.on("dragover", js_handler=_DRAG_OVER)
    area.on("dragleave", js_handler=_DRAG_LEAVE)
    area.on("drop", js_handler=_DROP.format(id=transfer.id))


def _notify_too_large(session: PageSession, most: int) -> None:
    notify(session.translate("studio.too_big", most=most), kind="warning")


class UploadArea:
    """A place to drop a file, or to choose one by mouse, finger or keyboard.

    The file is deleted as soon as `use` has ended.
    """

    def __init__(
        self, session: PageSession, use: Callable[[Attachment], Awaitable[None]], *, label: str
    ) -> None:
        self._session = session
        self._use = use
        # Hidden, as parts of Quasar's own area have no accessible name; it only transfers files.
        transfer = ui.upload(
            on_upload=self._receive,
            on_begin_upload=self._show_sending,
            on_rejected=lambda: _notify_too_large(session, _MAX_MEBIBYTES),
            auto_upload=True,
            max_file_size=_MAX_MEBIBYTES * 1024 * 1024,
        ).classes("transfer")
        with ui.element("button").classes("drop").props("type=button").mark("drop") as area:
            ui.icon("upload_file").props("aria-hidden=true")
            self._label = ui.label(label).props("aria-live=polite")
        area.on("click", js_handler=_PICK.format(id=transfer.id))
        _accept_drops(area, transfer)

    def _show_sending(self) -> None:
        self._label.set_text(self._session.translate("studio.sending"))

    async def _receive(self, upload: browser.UploadEventArguments) -> None:
        with TemporaryDirectory(prefix="attune-upload-") as folder:
            path = Path(folder) / "upload"
            await upload.file.save(path)
            file = Attachment(_name_of(upload), str(path), upload.file.size(), platform=LOCAL)
            await self._use(file)
