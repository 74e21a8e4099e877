"""Loads a model for serving."""

import gc
import os
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

import torch

from tuner.local.generation_batch import GenerationBatch
from tuner.local.generation_defaults import GenerationDefaults, ending_tokens
from tuner.local.json_constraints import JsonConstraints
from tuner.local.lora_adapters import Adapter
from tuner.local.model_loading import context_length, load_model, load_tokenizer, silence_libraries
from tuner.local.tokenizing import ChatTokenizer


@dataclass(slots=True)
class LoadedModel:
    """A model in memory: a base, or a model that a job trained as a whole."""

    batch: GenerationBatch
    renderer: ChatTokenizer
    tokenizer: object
    stop_token_ids: frozenset[int]
    longest: int
    constraints: JsonConstraints
    defaults: GenerationDefaults
    adapters: OrderedDict[str, Adapter] = field(default_factory=OrderedDict)

    def uses(self, adapter: Path) -> bool:
        """Whether an answer in progress uses this adapter."""
        return any(reply.adapter == adapter for reply in self.batch.replies)


def load_for_serving(folder: Path, base: Path, quantization: str = "") -> LoadedModel:
    """Loads a base, or a model trained as a whole, in the dtype of the base."""
    silence_libraries()
    _limit_threads()
    model = load_model(folder, typed_as=base, quantization=quantization).eval()
    tokenizer = load_tokenizer(folder)
    longest = context_length(model)
    renderer = ChatTokenizer(tokenizer, longest=longest)
    stop_token_ids = frozenset(ending_tokens(model, tokenizer, renderer))
    return LoadedModel(
        batch=GenerationBatch(model),
        renderer=renderer,
        tokenizer=tokenizer.backend_tokenizer,
        stop_token_ids=stop_token_ids,
        longest=longest,
        constraints=JsonConstraints(tokenizer, stop_token_ids),
        defaults=GenerationDefaults.of(model.generation_config),
    )


def free_caches() -> None:
    """Returns freed memory to the system, and to other processes on the GPU."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _limit_threads() -> None:
    """Limits torch to half of the cores, as a step waits for its slowest thread.

    A training may use the other cores. The limit applies only to the thread that sets it.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // 2))
