"""`attune export-model`: a tuned model of the embedded tuner, or of another tuner's folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from attune.engine.folder import EngineFolder
from attune.settings import Settings, environment
from tuner.errors import CannotStart, Unknown
from tuner.export import base_name


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
    command = [str(python), "-m", "tuner.export", "--data", str(place), "--model", model]
    command += ["--out", str(out), *(["--base", str(base)] if base else [])]
    ended = subprocess.run(  # noqa: S603 - our own program, and no shell
        [*command, *(["--merged"] if merged else [])],
        stderr=subprocess.PIPE,
        check=False,
        # The engine's environment has the libraries, and not this program.
        env={**environment(), "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    said = ended.stderr.decode(errors="replace").strip().splitlines()
    return None if ended.returncode == 0 else (said or ["The export failed."])[-1]
