"""What must be known again after a restart: a shard's session, and what Discord was told."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GatewaySession:
    """A session can be resumed by another process, so that nothing said meanwhile is lost.

    `sequence` is the last event of which it and all before it are in our inbox.
    """

    session: str | None = None
    sequence: int | None = None
    gateway: str | None = None
    commands: str = ""
    guilds: tuple[str, ...] = field(default=())
    shards: int = 1
    """Among how many the guilds were dealt out."""


class SessionFile:
    """One small file, replaced whole; one that cannot be read is as good as none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.kept = _read(path)

    def keep(self, changed: GatewaySession) -> None:
        if changed == self.kept:
            return
        self.kept = changed
        fresh = self._path.with_suffix(".new")
        try:
            fresh.write_text(json.dumps(asdict(changed)), encoding="utf-8")
            fresh.chmod(0o600)
            fresh.replace(self._path)
        except OSError as error:
            log.warning("The session cannot be kept", extra={"why": error.strerror})


def _read(path: Path) -> GatewaySession:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        known = {one.name: found[one.name] for one in fields(GatewaySession) if one.name in found}
        return GatewaySession(**{**known, "guilds": tuple(known.get("guilds") or ())})
    except (OSError, ValueError, TypeError):
        return GatewaySession()
