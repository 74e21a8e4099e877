"""What a base says of how it wants to answer, and which tokens end its answers."""

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import GenerationConfig, PreTrainedModel
from transformers import PreTrainedTokenizerBase as Tokenizer

from tuner.engine import Sampling
from tuner.local.rendering import Renderer, TemplateError

MOST_TOKENS = 1024
CHANNELS = "<|channel|>"
_MARK = "Marked"


@dataclass(frozen=True, slots=True)
class SamplingParameters:
    """How tokens are drawn; `top_k` 0 takes all, a temperature of 0 the likeliest."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0


@dataclass(frozen=True, slots=True)
class GenerationDefaults:
    """A base's `generation_config.json`; a base that does not ask to be drawn from is not."""

    sampling_parameters: SamplingParameters = SamplingParameters(temperature=0.0)
    most_tokens: int = MOST_TOKENS

    @classmethod
    def of(cls, config: GenerationConfig) -> "GenerationDefaults":
        is_drawn = bool(config.do_sample)
        drawing = SamplingParameters(
            temperature=_number(config.temperature, 1.0) if is_drawn else 0.0,
            top_p=_number(config.top_p, 1.0) if is_drawn else 1.0,
            top_k=int(_number(config.top_k, 0)) if is_drawn else 0,
            repetition_penalty=_number(config.repetition_penalty, 1.0),
        )
        return cls(drawing, int(_number(config.max_new_tokens, MOST_TOKENS)))

    def sampling_for(self, asked: Sampling) -> SamplingParameters:
        """Of several answers to one question none shall be the other's copy."""
        own = self.sampling_parameters
        temperature = own.temperature or (1.0 if asked.choices > 1 else 0.0)
        return SamplingParameters(
            temperature=temperature if asked.temperature is None else asked.temperature,
            top_p=own.top_p if asked.top_p is None else asked.top_p,
            top_k=own.top_k,
            repetition_penalty=own.repetition_penalty,
        )


def ending_tokens(model: PreTrainedModel, tokenizer: Tokenizer, renderer: Renderer) -> set[int]:
    """Those that the model's settings name, and those that its template puts after an answer.

    The latter also hold what begins the next turn: a model that writes it speaks for the user.
    """
    named = model.generation_config.eos_token_id
    listed: Sequence[int | None] = named if isinstance(named, list) else [named]
    found = {token for token in (*listed, tokenizer.eos_token_id) if token is not None}
    return found | _after_an_answer(tokenizer, renderer)


def _after_an_answer(tokenizer: Tokenizer, renderer: Renderer) -> set[int]:
    asked = {"role": "user", "content": "?"}
    turns = [asked, {"role": "assistant", "content": _MARK}, asked]
    try:
        before, _, after = renderer.text(turns, (), is_asking=False).partition(_MARK)
    except TemplateError:
        return set()
    if CHANNELS in before:  # one answer has several parts there, each with an end of its own
        return set()
    added = tokenizer.added_tokens_decoder.items()
    special = {*tokenizer.all_special_ids, *(token for token, how in added if how.special)}
    return special & set(tokenizer(after, add_special_tokens=False)["input_ids"])


def _number(value: object, otherwise: float) -> float:
    return float(value) if isinstance(value, int | float) else otherwise
