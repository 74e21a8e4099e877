"""The sampling defaults of a base, and the tokens that end its answers."""

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import GenerationConfig, PreTrainedModel
from transformers import PreTrainedTokenizerBase as Tokenizer

from tuner.engine import Sampling
from tuner.local.tokenizing import ChatTokenizer, TemplateError

DEFAULT_MAX_TOKENS = 1024
CHANNEL_MARK = "<|channel|>"
_ANSWER_TEXT = "Marked"


@dataclass(frozen=True, slots=True)
class SamplingParameters:
    """Sampling parameters; `top_k` 0 means no limit, a temperature of 0 means greedy decoding."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0


@dataclass(frozen=True, slots=True)
class GenerationDefaults:
    """The base's `generation_config.json`; without `do_sample`, decoding is greedy."""

    sampling_parameters: SamplingParameters = SamplingParameters(temperature=0.0)
    most_tokens: int = DEFAULT_MAX_TOKENS

    @classmethod
    def of(cls, config: GenerationConfig) -> "GenerationDefaults":
        """Returns the defaults of a generation config."""
        is_sampled = bool(config.do_sample)
        parameters = SamplingParameters(
            temperature=_number_or(config.temperature, 1.0) if is_sampled else 0.0,
            top_p=_number_or(config.top_p, 1.0) if is_sampled else 1.0,
            top_k=int(_number_or(config.top_k, 0)) if is_sampled else 0,
            repetition_penalty=_number_or(config.repetition_penalty, 1.0),
        )
        return cls(parameters, int(_number_or(config.max_new_tokens, DEFAULT_MAX_TOKENS)))

    def sampling_for(self, requested: Sampling) -> SamplingParameters:
        """Returns the parameters of a request; several choices are sampled, so that they differ."""
        own = self.sampling_parameters
        temperature = own.temperature or (1.0 if requested.choices > 1 else 0.0)
        return SamplingParameters(
            temperature=temperature if requested.temperature is None else requested.temperature,
            top_p=own.top_p if requested.top_p is None else requested.top_p,
            top_k=own.top_k,
            repetition_penalty=own.repetition_penalty,
        )


def ending_tokens(
    model: PreTrainedModel, tokenizer: Tokenizer, renderer: ChatTokenizer
) -> set[int]:
    """Returns the tokens after which an answer ends.

    These are the ones in the model's settings, and the special tokens that the template puts after
    an answer. The latter include the start of the next turn, which a model must not write.
    """
    configured = model.generation_config.eos_token_id
    ids: Sequence[int | None] = configured if isinstance(configured, list) else [configured]
    tokens = {token for token in (*ids, tokenizer.eos_token_id) if token is not None}
    return tokens | _template_end_tokens(tokenizer, renderer)


def _template_end_tokens(tokenizer: Tokenizer, renderer: ChatTokenizer) -> set[int]:
    """Returns the special tokens that the chat template puts after an answer."""
    question = {"role": "user", "content": "?"}
    turns = [question, {"role": "assistant", "content": _ANSWER_TEXT}, question]
    try:
        before, _, after = renderer.text(turns, (), is_asking=False).partition(_ANSWER_TEXT)
    except TemplateError:
        return set()
    if CHANNEL_MARK in before:  # one answer has several parts there, each with an end of its own
        return set()
    added = tokenizer.added_tokens_decoder.items()
    special = {*tokenizer.all_special_ids, *(token for token, details in added if details.special)}
    return special & set(tokenizer(after, add_special_tokens=False)["input_ids"])


def _number_or(value: object, otherwise: float) -> float:
    return float(value) if isinstance(value, int | float) else otherwise
