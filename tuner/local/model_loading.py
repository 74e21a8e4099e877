"""Loads bases and adapters, from local folders and from safetensors only."""

import json
import logging
import warnings
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, PreTrainedModel
from transformers import PreTrainedTokenizerBase as Tokenizer

from tuner.engine import Base
from tuner.errors import CannotStart
from tuner.local.gpu_choice import has_fast_bf16_on_cpu, own_rank
from tuner.local.hyperparameters import Hyperparameters

ADAPTER_CONFIG_FILE = "adapter_config.json"
MAX_CONTEXT_LENGTH = 8192


def silence_libraries() -> None:
    """Silences progress bars and warnings of the libraries."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    logging.getLogger("trl").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(torch|peft|trl|transformers|accelerate)")


def training_device() -> torch.device:
    """Returns this process's GPU, by its rank, or the CPU."""
    return torch.device("cuda", own_rank()) if torch.cuda.is_available() else torch.device("cpu")


def load_model(
    folder: Path,
    *,
    is_trained_whole: bool = False,
    typed_as: Path | None = None,
    quantization: str = "",
) -> PreTrainedModel:
    """Loads a model in its saved dtype, or in that of `typed_as`, if the machine is fast with it.

    A model that is trained as a whole is loaded in float32, as updates would be lost in the
    rounding of shorter types. With `quantization` "4bit", linear layers have 4 bits.
    """
    dtype = torch.float32 if is_trained_whole else _dtype(typed_as or folder)
    if quantization:
        return AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            quantization_config=_four_bits(dtype),
            device_map={"": training_device()},
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
        )
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=dtype,
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
    )
    return model.to(training_device())


def _four_bits(dtype: torch.dtype) -> BitsAndBytesConfig:
    """Returns QLoRA's settings, NF4 with double quantisation: https://arxiv.org/abs/2305.14314"""
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def load_for_training(
    base: Path, start: Path | None, numbers: Hyperparameters, *, quantization: str
) -> PreTrainedModel | PeftModel:
    """Loads the base, or `start`, a model or adapter trained from the base, for training."""
    if not numbers.lora:
        return load_model(start or base, is_trained_whole=True)
    model = load_model(base, quantization=quantization)
    if start is not None:
        return PeftModel.from_pretrained(model, start, is_trainable=True)
    return get_peft_model(
        model,
        LoraConfig(
            r=numbers.lora_r,
            lora_alpha=2 * numbers.lora_r,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        ),
    )


def require_4bit_support(bases: Iterable[Base]) -> None:
    """Raises CannotStart for a base in 4 bits if bitsandbytes or CUDA is missing."""
    name = next((base.id for base in bases if base.quantization), None)
    if name is None:
        return
    if find_spec("bitsandbytes") is None:
        raise CannotStart(
            f"'{name}' is to be loaded in 4 bits, which needs bitsandbytes: pip install"
            " bitsandbytes, or leave out ',quantization=4bit'."
        )
    if not torch.cuda.is_available():
        raise CannotStart(
            f"'{name}' is to be loaded in 4 bits, which needs a CUDA card, and none is found here."
            " Leave out ',quantization=4bit'."
        )


def load_tokenizer(folder: Path) -> Tokenizer:
    """Loads a tokenizer that pads on the right."""
    tokenizer = AutoTokenizer.from_pretrained(
        folder, trust_remote_code=False, local_files_only=True, padding_side="right"
    )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def is_adapter(folder: Path) -> bool:
    return (folder / ADAPTER_CONFIG_FILE).exists()


def context_length(model: PreTrainedModel) -> int:
    """Returns how many tokens a conversation may have, at most `MAX_CONTEXT_LENGTH`."""
    positions = getattr(
        model.config.get_text_config(), "max_position_embeddings", MAX_CONTEXT_LENGTH
    )
    return min(int(positions), MAX_CONTEXT_LENGTH)


def hidden_size(model: PreTrainedModel) -> int:
    return int(model.config.get_text_config().hidden_size)


def _dtype(folder: Path) -> torch.dtype:
    config = json.loads((folder / "config.json").read_bytes())
    saved = config.get("dtype") or config.get("torch_dtype") or "float32"
    is_short = saved in ("bfloat16", "float16")
    return torch.bfloat16 if is_short and has_bf16() else torch.float32


def has_bf16() -> bool:
    """Whether the hardware has bfloat16; without it bfloat16 is slower than float32."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return has_fast_bf16_on_cpu()
