"""Stores the files of pending imports in the data folder."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from time import time
from typing import IO, Final

from bot.domain import AssistantId, UserId, WorkspaceId
from bot.ports.import_files import PendingImport

_MAX_SECONDS: Final = 24 * 3600


class ImportFolder:
    """Pending imports: a file of rows and a JSON file for each, deleted after a day."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def store_file(self, pending: PendingImport, blocks: AsyncIterator[bytes]) -> None:
        await asyncio.to_thread(self._prepare)
        with await asyncio.to_thread(self._path(pending.key, "part").open, "wb") as file:
            async for block in blocks:
                await asyncio.to_thread(file.write, block)
        await asyncio.to_thread(
            self._path(pending.key, "part").replace, self._path(pending.key, "rows")
        )
        await self.update_choices(pending)

    async def update_choices(self, pending: PendingImport) -> None:
        text = json.dumps(asdict(pending))
        await asyncio.to_thread(self._path(pending.key, "json").write_text, text, "utf-8")

    async def find_pending(self, workspace: WorkspaceId, key: str) -> PendingImport | None:
        try:
            text = await asyncio.to_thread(self._path(key, "json").read_text, "utf-8")
        except FileNotFoundError:
            return None
        fields = json.loads(text)
        pending = PendingImport(
            key=key,
            workspace=WorkspaceId(fields["workspace"]),
            assistant=AssistantId(fields["assistant"]),
            by=UserId(fields["by"]),
            name=fields["name"],
            columns=fields["columns"],
            encoding=fields["encoding"],
        )
        return pending if pending.workspace == workspace else None

    async def open_file(self, key: str) -> IO[bytes]:
        return await asyncio.to_thread(self._path(key, "rows").open, "rb")

    async def delete_file(self, key: str) -> None:
        for kind in ("json", "rows"):
            await asyncio.to_thread(self._path(key, kind).unlink, missing_ok=True)

    def _path(self, key: str, kind: str) -> Path:
        if not key.isalnum():
            raise ValueError("a key of an import has letters and digits only")
        return self._folder / f"{key}.{kind}"

    async def remove_old(self) -> None:
        """Deletes pending imports and incomplete uploads that are older than a day."""
        await asyncio.to_thread(self._remove_old)

    def _prepare(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._remove_old()

    def _remove_old(self) -> None:
        oldest = time() - _MAX_SECONDS
        for path in self._folder.glob("*"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < oldest:
                    path.unlink()
