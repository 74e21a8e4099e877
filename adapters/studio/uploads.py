"""Receives files from the browser: dropped, pasted or chosen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from nicegui import events as browser
from nicegui import ui

from adapters.studio.downloads import picture_address
from adapters.studio.markup import quoted
from adapters.studio.notifications import notify
from adapters.studio.page_session import PageSession
from bot.domain import LOCAL, Attachment

_MOST_MEBIBYTES, _MESSAGE_MEBIBYTES = 1024, 25
"""Of an import, and of a file that comes with a message."""
_PATIENCE_SECONDS = 60

_PICK = "() => runMethod({id}, 'pickFiles', [])"
_OVER = "(e) => { e.preventDefault(); e.currentTarget.classList.add('over') }"
_LEAVE = "(e) => e.currentTarget.classList.remove('over')"
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
    """The files that will go with the next message: chosen, dropped on its composer or pasted."""

    def __init__(self, session: PageSession, composer: ui.element) -> None:
        self._session = session
        self._chosen: dict[str, Attachment] = {}
        self._sending = 0
        self._all_here = asyncio.Event()
        self._all_here.set()
        self._transfer = ui.upload(
            on_upload=self._receive,
            on_begin_upload=lambda: self._count(1),
            on_rejected=lambda: _refuse(session, _MESSAGE_MEBIBYTES),
            auto_upload=True,
            multiple=True,
            max_file_size=_MESSAGE_MEBIBYTES * 1024 * 1024,
        ).classes("transfer")
        self._shown = ui.element("div").classes("files")
        _accept_drops(composer, self._transfer)
        composer.on("paste", js_handler=_PASTE.format(id=self._transfer.id))
        ui.context.client.on_delete(self._forget)

    @property
    def chosen(self) -> Sequence[Attachment]:
        return tuple(self._chosen.values())

    def draw_button(self) -> None:
        label = quoted(self._session.translate("studio.attach"))
        button = ui.button(icon="attach_file", color=None).classes("quiet")
        button.props(f"flat round aria-label={label} title={label}").mark("attach")
        button.on("click", js_handler=_PICK.format(id=self._transfer.id))

    async def claim(self) -> Sequence[Attachment]:
        """They belong to a message from now on; one that is still on its way is waited for."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._all_here.wait()
        return self._empty()

    def _empty(self) -> Sequence[Attachment]:
        taken = self.chosen
        self._chosen.clear()
        self._shown.clear()
        return taken

    def _count(self, by: int) -> None:
        self._sending = max(0, self._sending + by)
        if self._sending:
            self._all_here.clear()
        else:
            self._all_here.set()

    def _forget(self) -> None:
        for file in self._empty():
            Path(file.reference).unlink(missing_ok=True)

    async def _receive(self, upload: browser.UploadEventArguments) -> None:
        made = await self._session.studio.room.new_file(_name_of(upload))
        await upload.file.save(made.reference)
        file = replace(made, size=upload.file.size())
        self._chosen[file.reference] = file
        self._transfer.run_method("removeUploadedFiles")
        self._count(-1)
        with self._shown, ui.element("span").classes("file") as shown:
            draw_file(file)

            def drop() -> None:
                self._chosen.pop(file.reference, None)
                Path(file.reference).unlink(missing_ok=True)
                shown.delete()

            close = ui.button(icon="close", on_click=drop, color=None).classes("quiet")
            label = quoted(self._session.translate("studio.detach", name=file.name))
            close.props(f"flat round dense size=xs aria-label={label}")


def draw_file(file: Attachment) -> None:
    """A picture, which opens in a window of its own; of another file its name."""
    address = picture_address(file)
    if address is None:
        ui.icon("attach_file").props("aria-hidden=true")
        ui.label(file.name).classes("file-name")
        return
    with ui.element("a").props(f"href={address} target=_blank rel=noopener").classes("picture"):
        name = quoted(file.name)
        ui.element("img").props(f"src={address} alt={name} title={name} loading=lazy")


def _name_of(upload: browser.UploadEventArguments) -> str:
    return Path(upload.file.name.replace("\\", "/")).name or "upload"


def _accept_drops(area: ui.element, transfer: ui.upload) -> None:
    """Files dropped on `area` are sent by `transfer`."""
    area.on("dragover", js_handler=_OVER)
    area.on("dragleave", js_handler=_LEAVE)
    area.on("drop", js_handler=_DROP.format(id=transfer.id))


def _refuse(session: PageSession, most: int) -> None:
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
        # Quasar draws its own area with parts that have no name; this one only transfers.
        transfer = ui.upload(
            on_upload=self._receive,
            on_begin_upload=self._show_sending,
            on_rejected=lambda: _refuse(session, _MOST_MEBIBYTES),
            auto_upload=True,
            max_file_size=_MOST_MEBIBYTES * 1024 * 1024,
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
