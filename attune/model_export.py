"""`attune export-model`: a tuned model of the embedded tuner, or of another tuner's folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from attune.engine.folder import EngineFolder
from attune.settings import Settings
from tuner.export import base_name
from tuner.errors import CannotStart, Unknown


def export_model(
    settings: Settings,
    model: str,
    out: Path,
    *,
    data: Path | None,
    base: Path | None,
    merged: bool,
) -> str | None:
    """What went wrong, in a sentence; None where the folder is there.

    Merging needs torch, which only the engine's own environment may have.
    """
    engine = EngineFolder(settings.data_dir)
    place = data or settings.data_dir / "tuner"
    try:
        name = base_name(place, model)
    except (CannotStart, Unknown) as error:
        return str(error)
    installed = engine.model(name)
    if base is None and installed.is_dir():
        base = installed
    python = engine.python if merged and engine.python else sys.executable
    command = [str(python), "-m", "tuner.export", "--data", place, "--model", model, "--out", out]
    command += [*(["--base", base] if base else []), *(["--merged"] if merged else [])]
    ended = subprocess.run(command, stderr=subprocess.PIPE, check=False)  # noqa: S603
    said = ended.stderr.decode(errors="replace").strip().splitlines()
    return None if ended.returncode == 0 else (said or ["The export failed."])[-1]
