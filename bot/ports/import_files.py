"""The port to uploaded files, stored from the preview of an import to its end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Protocol

from bot.domain import AssistantId, UserId, WorkspaceId


@dataclass(frozen=True, slots=True)
class PendingImport:
    """An uploaded file, with the columns and the encoding that the user chose."""

    key: str
    workspace: WorkspaceId
    assistant: AssistantId
    by: UserId
    name: str
    columns: Mapping[str, str] = field(default_factory=dict)
    encoding: str = ""


class ImportFiles(Protocol):
    """Storage of uploaded files; each is deleted after a day at the latest."""

    async def store_file(self, pending: PendingImport, blocks: AsyncIterator[bytes]) -> None:
        """Stores a file; replaces an earlier one with the same key."""
        ...

    async def update_choices(self, pending: PendingImport) -> None:
        """Replaces the stored columns and encoding of a file."""
        ...

    async def find_pending(self, workspace: WorkspaceId, key: str) -> PendingImport | None:
        """Returns a file's entry; None if it is deleted or of another workspace."""
        ...

    async def open_file(self, key: str) -> IO[bytes]:
        """Opens a file that `find` has returned; the caller closes it."""
        ...

    async def delete_file(self, key: str) -> None:
        """Deletes a file, if it exists."""
        ...
