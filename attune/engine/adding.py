"""Takes a model from a folder as a base: looked over first, copied whole, never run."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from attune.engine.folder import EngineFolder, checksums
from bot.errors import ModelRefused
from tuner.bases import NAME, UNWANTED, WANTED, check_base
from tuner.errors import CannotStart

_LICENSE = re.compile(r"^license:\s*(\S+)", re.MULTILINE)
_CONFIGS = ("config.json", "tokenizer_config.json")


def look_over(place: Path) -> list[Path]:
    """The files that would be taken. Raises ModelRefused with the reason."""
    if not place.is_dir():
        raise ModelRefused(name=place, problem="There is no such folder. Download it first.")
    try:
        check_base(place)
    except (CannotStart, ValueError) as error:
        raise ModelRefused(name=place, problem=str(error)) from error
    for name in _CONFIGS:
        if _wants_code(place / name):
            problem = f"{name} wants code of its own (auto_map), and no code is taken."
            raise ModelRefused(name=place, problem=problem)
    wanted = {path for pattern in WANTED for path in place.glob(pattern)}
    return sorted(wanted - {path for pattern in UNWANTED for path in place.glob(pattern)})


def refuse_name(name: str) -> None:
    """Raises ModelRefused for what cannot be the name of a base."""
    if not NAME.fullmatch(name) or name == "sandbox":
        problem = "Letters, digits, dots and dashes make a name. Give another: --name NAME."
        raise ModelRefused(name=name, problem=problem)


def license_of(place: Path) -> str:
    """As the model card says it, else that of a file called so."""
    for card in place.glob("README.md"):
        if found := _LICENSE.search(card.read_text("utf-8", errors="replace")):
            return found[1]
    return "see LICENSE" if any(place.glob("LICENSE*")) else "unknown"


def add(
    folder: EngineFolder,
    place: Path,
    *,
    name: str,
    source: str = "",
    license_: str = "",
    is_moved: bool = False,
) -> None:
    """Copied, or moved, under this name; killed in the middle, nothing of it is a model.

    Where it is from is noted as the folder, and its licence as its card says, unless given.
    """
    files = look_over(place)
    finished = folder.model(name)
    draft = folder.draft_of(finished)
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    noted = {"license": license_ or license_of(place), "source": source or str(place)}
    for path in files:
        (shutil.move if is_moved else shutil.copyfile)(path, draft / path.name)
    folder.finish(finished, {**noted, "files": checksums(draft)})


def _wants_code(config: Path) -> bool:
    return config.exists() and "auto_map" in json.loads(config.read_bytes())
