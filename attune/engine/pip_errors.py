"""Translates the output of a failed pip into an EngineError."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

from bot.errors import EngineError, IndexUnreachable, NotEnoughSpace

_UNREACHABLE = re.compile(
    r"NewConnectionError|NameResolutionError|name resolution|ConnectTimeout|ReadTimeout|Read timed"
    r"|ProxyError|SSLError|Network is unreachable|Connection refused|ConnectionResetError"
    r"|Max retries exceeded|There was a problem confirming the ssl",
    re.IGNORECASE,
)
_NOTHING_FOUND = re.compile(r"No matching distribution found", re.IGNORECASE)
_FULL = os.strerror(errno.ENOSPC)
_WRONG_HASH = "DO NOT MATCH THE HASHES"


def to_engine_error(output: str, *, log: Path) -> EngineError:
    """Returns the error for the output of a failed step."""
    if _FULL in output:
        return NotEnoughSpace(folder=log.parent, needed="more", free="none left")
    if _WRONG_HASH in output:
        return EngineError(
            problem="A package is not the one that this version of Attune was made with"
            " (its checksum differs).",
            log=log,
        )
    if _UNREACHABLE.search(output):
        return IndexUnreachable()
    if "ensurepip" in output:
        return EngineError(
            problem="This Python cannot make environments. On Debian and Ubuntu install the"
            " package python3-venv.",
            log=log,
        )
    return EngineError(problem=_last_error(output), log=log)


def is_version_missing(output: str) -> bool:
    """Whether pip's indexes answered but have no such version."""
    return bool(_NOTHING_FOUND.search(output)) and not _UNREACHABLE.search(output)


def _last_error(output: str) -> str:
    """Returns the last error of pip's output, else its last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return (errors or lines or ["It ended without a word"])[-1].rstrip(".") + "."
