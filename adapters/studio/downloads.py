"""Serves files to windows: one-time downloads, and pictures in messages."""

from __future__ import annotations

import secrets
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse, Response
from nicegui import ui
from starlette.background import BackgroundTask

from adapters.local_room import LocalRoom
from bot.domain import Attachment
from bot.image_types import MAGIC_BYTE_COUNT, image_media_type

_PATH, _PICTURE_PATH = "/download/", "/picture/"
_MAX_PENDING = 100
_pending: dict[str, tuple[Path, str]] = {}


def start_download(path: Path, name: str) -> None:
    """Starts a download in this window; the file is deleted once it was sent."""
    token = secrets.token_urlsafe(16)
    _pending[token] = (path, name)
    while len(_pending) > _MAX_PENDING:
        del _pending[next(iter(_pending))]
    ui.download.from_url(f"{_PATH}{token}", name)


def add_downloads(web: FastAPI, room: LocalRoom) -> None:
    """Registers `/download/…`, whose addresses work once, and `/picture/…`."""

    @web.get(_PATH + "{token}")
    def fetch(token: str) -> Response:
        path, name = _pending.pop(token, (None, ""))
        if path is None or not path.is_file():
            return Response(status_code=404)
        delete_file = BackgroundTask(path.unlink, missing_ok=True)
        headers = {"cache-control": "no-store"}
        return FileResponse(path, filename=name, headers=headers, background=delete_file)

    @web.get(_PICTURE_PATH + "{name}")
    def show(name: str) -> Response:
        # Only pictures, as an uploaded HTML file would run as a page of the studio.
        path = room.file_path(name)
        kind = _picture_type(path) if path is not None else None
        if path is None or kind is None:
            return Response(status_code=404)
        return FileResponse(path, media_type=kind, headers={"cache-control": "private, no-cache"})


def picture_url(file: Attachment) -> str | None:
    """Returns the address of a picture in a message; None for any other file."""
    path = Path(file.reference)
    return f"{_PICTURE_PATH}{path.name}" if _picture_type(path) else None


def _picture_type(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return image_media_type(file.read(MAGIC_BYTE_COUNT))
    except OSError:
        return None
