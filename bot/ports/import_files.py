"""Files that wait for a decision: kept from the preview of an import to its end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Protocol

from bot.domain import AssistantId, UserId, WorkspaceId


@dataclass(frozen=True, slots=True)
class PendingImport:
    """A file that somebody handed over, and what they said about its columns and encoding."""

    key: str
    workspace: WorkspaceId
    assistant: AssistantId
    by: UserId
    name: str
    columns: Mapping[str, str] = field(default_factory=dict)
    encoding: str = ""


class ImportFiles(Protocol):
    """Where the files lie; each is deleted after a day at the latest."""

    async def keep(self, pending: PendingImport, blocks: AsyncIterator[bytes]) -> None:
        """Keep a file, in place of an earlier one with its key."""
        ...

    async def change(self, pending: PendingImport) -> None:
        """Keep what was said anew about a file that is there."""
        ...

    async def find(self, workspace: WorkspaceId, key: str) -> PendingImport | None:
        """None for a file of another workspace, and for one that is gone."""
        ...

    async def open(self, key: str) -> IO[bytes]:
        """The bytes of a file that `find` has found; the caller closes them."""
        ...

    async def delete(self, key: str) -> None:
        """Delete a file, if it is there."""
        ...
