"""Brings a model into memory, ready to answer."""

import gc
import os
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

import torch

from tuner.local.adapters import Adapter
from tuner.local.batch import Batch
from tuner.local.constraints import Constraints
from tuner.local.generation_defaults import GenerationDefaults, ending_tokens
from tuner.local.loading import be_quiet, context_length, load_model, load_tokenizer
from tuner.local.rendering import Renderer


@dataclass(slots=True)
class Loaded:
    """A model in memory: a base, or one that a job trained as a whole."""

    batch: Batch
    renderer: Renderer
    tokenizer: object
    stop_token_ids: frozenset[int]
    longest: int
    constraints: Constraints
    defaults: GenerationDefaults
    adapters: OrderedDict[str, Adapter] = field(default_factory=OrderedDict)

    def uses(self, adapter: Path) -> bool:
        """Whether an answer that is under way comes from this adapter."""
        return any(reply.adapter == adapter for reply in self.batch.replies)


def load_for_serving(place: Path, base: Path, quantization: str = "") -> Loaded:
    """A base, or what was trained whole from it, which is kept exact and served as the base is."""
    be_quiet()
    _leave_room()
    model = load_model(place, typed_as=base, quantization=quantization).eval()
    tokenizer = load_tokenizer(place)
    reads = context_length(model)
    renderer = Renderer(tokenizer, longest=reads)
    stop_token_ids = frozenset(ending_tokens(model, tokenizer, renderer))
    return Loaded(
        batch=Batch(model),
        renderer=renderer,
        tokenizer=tokenizer.backend_tokenizer,
        stop_token_ids=stop_token_ids,
        longest=reads,
        constraints=Constraints(tokenizer, stop_token_ids),
        defaults=GenerationDefaults.of(model.generation_config),
    )


def free_caches() -> None:
    """What was just let go is given back to the machine, and to the card's other processes."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _leave_room() -> None:
    """Half of the cores: a step waits for its slowest thread, and a training runs beside it.

    To be called by the thread that computes, to which alone it applies.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // 2))
