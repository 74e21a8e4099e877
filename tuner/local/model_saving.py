"""Saves a trained adapter or model, alone or merged, as safetensors and config files only."""

import json
import os
from pathlib import Path

import torch
from peft import PeftModel
from transformers import PreTrainedModel
from transformers import PreTrainedTokenizerBase as Tokenizer

from tuner.job_folder import fsync_folder, remove_path
from tuner.local.model_loading import ADAPTER_CONFIG_FILE, load_model, silence_libraries


def save_model(
    model: PreTrainedModel | PeftModel, folder: Path, *, base: str, tokenizer: Tokenizer
) -> None:
    """Saves a model atomically; keeps an existing folder, the same model from before a crash."""
    if folder.exists():
        return
    draft = folder.with_name(f".{folder.name}.draft")
    remove_path(draft)
    if isinstance(model, PeftModel):
        model.save_pretrained(draft, selected_adapters=["default"])
        _name_base(draft / ADAPTER_CONFIG_FILE, base)
        (draft / "README.md").unlink(missing_ok=True)
    else:
        model.save_pretrained(draft)
        tokenizer.save_pretrained(draft)
    fsync_tree(draft)
    draft.replace(folder)
    fsync_folder(folder.parent)


def merge_adapter(base: Path, adapter: Path, out: Path) -> None:
    """Merges an adapter into its base in float32 and saves safetensors in the dtype of the base."""
    silence_libraries()
    config = json.loads((base / "config.json").read_bytes())
    saved = str(config.get("dtype") or config.get("torch_dtype") or "float32")
    model = PeftModel.from_pretrained(load_model(base, is_trained_whole=True), adapter)
    merged = model.merge_and_unload(safe_merge=True)
    merged.to(getattr(torch, saved, torch.float32)).save_pretrained(out)


def fsync_tree(folder: Path) -> None:
    """Syncs all files of a folder to the disk."""
    for path in sorted(folder.rglob("*")):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    fsync_folder(folder)


def _name_base(config: Path, base: str) -> None:
    """Sets the base by name instead of path, which may differ where the adapter is served."""
    content = json.loads(config.read_bytes())
    content["base_model_name_or_path"] = base
    # PEFT has a set here, whose order differs between processes.
    content["target_modules"] = sorted(content["target_modules"])
    config.write_text(json.dumps(content, indent=2, sort_keys=True), "utf-8")
