"""Gateway sessions and the hash of the registered commands, stored in files over restarts."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GatewaySession:
    """The session of a shard, which the next process resumes so that no event is lost.

    `sequence` is the last event up to which all events are in the inbox.
    """

    session: str | None = None
    sequence: int | None = None
    gateway: str | None = None
    commands: str = ""
    guilds: tuple[str, ...] = field(default=())
    shards: int = 1
    """The number of shards for which `guilds` was stored."""


class SessionFile:
    """A file with one GatewaySession, replaced atomically; an unreadable file counts as empty."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.kept = _read(path)

    def keep(self, changed: GatewaySession) -> None:
        """Writes the session if it changed; logs a warning if the file cannot be written."""
        if changed == self.kept:
            return
        self.kept = changed
        temporary = self._path.with_suffix(".new")
        try:
            temporary.write_text(json.dumps(asdict(changed)), encoding="utf-8")
            temporary.chmod(0o600)
            temporary.replace(self._path)
        except OSError as error:
            log.warning("The session cannot be kept", extra={"why": error.strerror})


def _read(path: Path) -> GatewaySession:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        values = {
            attribute.name: stored[attribute.name]
            for attribute in fields(GatewaySession)
            if attribute.name in stored
        }
        return GatewaySession(**{**values, "guilds": tuple(values.get("guilds") or ())})
    except (OSError, ValueError, TypeError):
        return GatewaySession()
