"""Adds a model from a folder as a base: checks it and copies its files; runs none of its code."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from attune.engine.engine_folder import EngineFolder, file_checksums
from bot.errors import ModelRefused
from tuner.base_models import (
    BASE_NAME_PATTERN,
    UNWANTED_FILE_PATTERNS,
    WANTED_FILE_PATTERNS,
    check_base,
)
from tuner.errors import CannotStart

_LICENSE = re.compile(r"^license:\s*(\S+)", re.MULTILINE)
_CONFIGS = ("config.json", "tokenizer_config.json")


def files_to_copy(model_folder: Path) -> list[Path]:
    """Returns the files of a model that would be copied. Raises ModelRefused with the reason."""
    if not model_folder.is_dir():
        raise ModelRefused(name=model_folder, problem="There is no such folder. Download it first.")
    try:
        check_base(model_folder)
    except (CannotStart, ValueError) as error:
        raise ModelRefused(name=model_folder, problem=str(error)) from error
    for name in _CONFIGS:
        if _has_auto_map(model_folder / name):
            problem = f"{name} wants code of its own (auto_map), and no code is taken."
            raise ModelRefused(name=model_folder, problem=problem)
    included = {path for pattern in WANTED_FILE_PATTERNS for path in model_folder.glob(pattern)}
    return sorted(
        included
        - {path for pattern in UNWANTED_FILE_PATTERNS for path in model_folder.glob(pattern)}
    )


def require_valid_name(name: str) -> None:
    """Raises ModelRefused for an invalid name of a base."""
    if not BASE_NAME_PATTERN.fullmatch(name) or name == "sandbox":
        problem = "Letters, digits, dots and dashes make a name. Give another: --name NAME."
        raise ModelRefused(name=name, problem=problem)


def license_of(model_folder: Path) -> str:
    """Returns the licence of the model card, else "see LICENSE" for such a file, or "unknown"."""
    for card in model_folder.glob("README.md"):
        if match := _LICENSE.search(card.read_text("utf-8", errors="replace")):
            return match[1]
    return "see LICENSE" if any(model_folder.glob("LICENSE*")) else "unknown"


def add_model_folder(
    folder: EngineFolder,
    model_folder: Path,
    *,
    name: str,
    source: str = "",
    license_: str = "",
    is_moved: bool = False,
) -> None:
    """Copies or moves a model under this name; after a crash it is not listed as a model.

    The source defaults to the folder's path, the licence to that of the model card.
    """
    files = files_to_copy(model_folder)
    finished = folder.model(name)
    draft = folder.draft_of(finished)
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    note = {"license": license_ or license_of(model_folder), "source": source or str(model_folder)}
    for path in files:
        (shutil.move if is_moved else shutil.copyfile)(path, draft / path.name)
    folder.finish(finished, {**note, "files": file_checksums(draft)})


def _has_auto_map(config: Path) -> bool:
    """Whether a configuration names Python code of the model to load."""
    return config.exists() and "auto_map" in json.loads(config.read_bytes())
