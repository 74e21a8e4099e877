"""Writes what was trained: an adapter or a whole model, as safetensors and settings alone."""

import json
import os
from pathlib import Path

from peft import PeftModel
from transformers import PreTrainedModel
from transformers import PreTrainedTokenizerBase as Tokenizer

from tuner.folder import fsync_folder, remove
from tuner.local.loading import ADAPTER


def save_model(
    model: PreTrainedModel | PeftModel, place: Path, *, base: str, tokenizer: Tokenizer
) -> None:
    """Whole or not at all; what stands there already is the same, from before a kill."""
    if place.exists():
        return
    draft = place.with_name(f".{place.name}.draft")
    remove(draft)
    if isinstance(model, PeftModel):
        model.save_pretrained(draft, selected_adapters=["default"])
        _name_base(draft / ADAPTER, base)
        (draft / "README.md").unlink(missing_ok=True)
    else:
        model.save_pretrained(draft)
        tokenizer.save_pretrained(draft)
    fsync_tree(draft)
    draft.replace(place)
    fsync_folder(place.parent)


def fsync_tree(folder: Path) -> None:
    """All of it on the disk, also after a power cut."""
    for path in sorted(folder.rglob("*")):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    fsync_folder(folder)


def _name_base(config: Path, base: str) -> None:
    """By its name and not by its place: the folder may be elsewhere where this is served."""
    content = json.loads(config.read_bytes())
    content["base_model_name_or_path"] = base
    # PEFT keeps these in a set, whose order differs from process to process.
    content["target_modules"] = sorted(content["target_modules"])
    config.write_text(json.dumps(content, indent=2, sort_keys=True), "utf-8")
