"""Files written for one person: fetched once by their window, then deleted."""

from __future__ import annotations

import secrets
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse, Response
from nicegui import ui
from starlette.background import BackgroundTask

_PATH = "/download/"
_MOST_WAITING = 100
_waiting: dict[str, tuple[Path, str]] = {}


def deliver(path: Path, name: str) -> None:
    """Let this window fetch a file, which is gone once it has it."""
    token = secrets.token_urlsafe(16)
    _waiting[token] = (path, name)
    while len(_waiting) > _MOST_WAITING:
        del _waiting[next(iter(_waiting))]
    ui.download.from_url(f"{_PATH}{token}", name)


def add_downloads(web: FastAPI) -> None:
    """`/download/…`; an address is good for one request."""

    @web.get(_PATH + "{token}")
    def fetch(token: str) -> Response:
        path, name = _waiting.pop(token, (None, ""))
        if path is None or not path.is_file():
            return Response(status_code=404)
        gone = BackgroundTask(path.unlink, missing_ok=True)
        headers = {"cache-control": "no-store"}
        return FileResponse(path, filename=name, headers=headers, background=gone)
