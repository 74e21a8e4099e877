"""Brings a model into memory, ready to answer."""

from pathlib import Path

from transformers import PreTrainedModel
from transformers import PreTrainedTokenizerBase as Tokenizer

from tuner.local.batch import Batch
from tuner.local.engine import Loaded
from tuner.local.loading import be_quiet, load_model, load_tokenizer, longest
from tuner.local.rendering import Renderer


def open_model(place: Path) -> Loaded:
    be_quiet()
    model, tokenizer = load_model(place).eval(), load_tokenizer(place)
    reads = longest(model)
    return Loaded(
        batch=Batch(model),
        renderer=Renderer(tokenizer, longest=reads),
        tokenizer=tokenizer.backend_tokenizer,
        enders=_enders(model, tokenizer),
        longest=reads,
    )


def _enders(model: PreTrainedModel, tokenizer: Tokenizer) -> frozenset[int]:
    """Tokens that end an answer: models name one, several or none."""
    named = model.generation_config.eos_token_id
    listed = named if isinstance(named, list) else [named]
    return frozenset(token for token in (*listed, tokenizer.eos_token_id) if token is not None)
