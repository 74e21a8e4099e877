"""Merges an adapter into its base."""

import json
from pathlib import Path

import torch
from peft import PeftModel

from tuner.local.model_loading import be_quiet, load_model


def merge(base: Path, adapter: Path, out: Path) -> None:
    """Merges in float32 and saves safetensors in the dtype of the base."""
    be_quiet()
    config = json.loads((base / "config.json").read_bytes())
    saved = str(config.get("dtype") or config.get("torch_dtype") or "float32")
    model = PeftModel.from_pretrained(load_model(base, is_trained_whole=True), adapter)
    merged = model.merge_and_unload(safe_merge=True)
    merged.to(getattr(torch, saved, torch.float32)).save_pretrained(out)
