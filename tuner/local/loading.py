"""Loads bases and adapters: from our own folders alone, and from safetensors alone."""

import json
import logging
import warnings
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers import PreTrainedTokenizerBase as Tokenizer

from tuner.local.cards import own_rank

ADAPTER = "adapter_config.json"
LONGEST = 8192


def be_quiet() -> None:
    """What the libraries have to say goes to a log, and only if something is wrong."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    logging.getLogger("trl").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(torch|peft|trl|transformers|accelerate)")


def device() -> torch.device:
    """The card of this process, the first unless it has another's rank; else the CPU."""
    return torch.device("cuda", own_rank()) if torch.cuda.is_available() else torch.device("cpu")


def load_model(
    folder: Path, *, is_trained_whole: bool = False, typed_as: Path | None = None
) -> PreTrainedModel:
    """In the precision it was saved in, or `typed_as` was, where this machine is good at that.

    What is trained as a whole keeps its weights in full precision: the steps would be lost in
    the rounding of a shorter one.
    """
    dtype = torch.float32 if is_trained_whole else _dtype(typed_as or folder)
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=dtype,
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
    )
    return model.to(device())


def load_tokenizer(folder: Path) -> Tokenizer:
    tokenizer = AutoTokenizer.from_pretrained(
        folder, trust_remote_code=False, local_files_only=True, padding_side="right"
    )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def is_adapter(folder: Path) -> bool:
    return (folder / ADAPTER).exists()


def longest(model: PreTrainedModel) -> int:
    """How many tokens a conversation may have."""
    found = getattr(model.config.get_text_config(), "max_position_embeddings", LONGEST)
    return min(int(found), LONGEST)


def width(model: PreTrainedModel) -> int:
    return int(model.config.get_text_config().hidden_size)


def _dtype(folder: Path) -> torch.dtype:
    config = json.loads((folder / "config.json").read_bytes())
    saved = config.get("dtype") or config.get("torch_dtype") or "float32"
    is_short = saved in ("bfloat16", "float16")
    return torch.bfloat16 if is_short and has_bf16() else torch.float32


def has_bf16() -> bool:
    """Whether sums in bfloat16 are done by the hardware: elsewhere they are slower than others."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    try:
        flags = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags or " bf16" in flags
