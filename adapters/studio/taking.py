"""Taking a file from the browser: dropped or chosen, and laid into a folder of ours."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from nicegui import events as browser
from nicegui import ui

from adapters.studio.notes import notify
from adapters.studio.visit import Visit
from bot.events import Attachment
from bot.model import LOCAL

Take = Callable[[Attachment], Awaitable[None]]

_MOST_MEBIBYTES = 512

_PICK = "() => runMethod({id}, 'pickFiles', [])"
_OVER = "(e) => { e.preventDefault(); e.currentTarget.classList.add('over') }"
_LEAVE = "(e) => e.currentTarget.classList.remove('over')"
_DROP = """(e) => {{
  e.preventDefault(); e.currentTarget.classList.remove('over');
  runMethod({id}, 'addFiles', [e.dataTransfer.files]);
}}"""


def take_file(visit: Visit, take: Take, *, label: str) -> None:
    """A place to drop a file, or to choose one by mouse, finger or keyboard."""

    async def uploaded(arrived: browser.UploadEventArguments) -> None:
        attachment = await _keep(arrived.file)
        icon.props("name=task")
        said.set_text(attachment.name)
        await take(attachment)

    def refused() -> None:
        notify(visit.say("studio.too_big", most=_MOST_MEBIBYTES), kind="warning")

    # Quasar draws its own with parts that have no name; only its hands are used.
    hands = ui.upload(
        on_upload=uploaded,
        on_begin_upload=lambda: said.set_text(visit.say("studio.sending")),
        on_rejected=refused,
        auto_upload=True,
        max_file_size=_MOST_MEBIBYTES * 1024 * 1024,
    ).classes("hands")
    area = ui.element("button").classes("drop").props("type=button").mark("drop")
    area.on("click", js_handler=_PICK.format(id=hands.id))
    area.on("dragover", js_handler=_OVER)
    area.on("dragleave", js_handler=_LEAVE)
    area.on("drop", js_handler=_DROP.format(id=hands.id))
    with area:
        icon = ui.icon("upload_file").props("aria-hidden=true")
        said = ui.label(label).props("aria-live=polite")


async def _keep(file: ui.upload.FileUpload) -> Attachment:
    """It lies there until it is read; whoever takes it takes it away."""
    folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="attune-upload-")
    path = Path(folder) / "upload"
    await file.save(path)
    name = Path(file.name.replace("\\", "/")).name or "upload"
    return Attachment(name, str(path), file.size(), platform=LOCAL)
