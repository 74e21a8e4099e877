"""The interface between the server and an engine, which trains and answers."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Base:
    """A model that jobs may start from.

    `place` is the folder of its files, or empty. `quantization` is "4bit" if its weights are
    loaded in 4 bits, or empty if they are loaded as they are saved.
    """

    id: str
    owned_by: str
    place: str = ""
    quantization: str = ""


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling parameters; None means the base's default."""

    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    choices: int = 1
    stops: Sequence[str] = ()
    most_tokens: int | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    top_logprobs: int | None = None
    """Number of alternatives reported per token; None for no log probabilities at all."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """A conversation for a base, or for the tuned model whose files are at `weights`.

    The answer must match the JSON schema `schema`, if there is one. If there are `forced_tools`,
    one of them must be called.
    """

    base: Base
    weights: Path | None
    messages: Sequence[Mapping[str, object]]
    sampling: Sampling
    tools: Sequence[Mapping[str, object]] = ()
    forced_tools: Sequence[Mapping[str, object]] = ()
    has_parallel_calls: bool = True
    schema: Mapping[str, object] | None = None
    is_thinking: bool = False
    """Whether a model that supports reasoning reasons before it answers."""


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token of an answer, its log probability, and the likeliest alternatives."""

    token: str
    logprob: float
    top: Sequence[tuple[str, float]] = ()


@dataclass(frozen=True, slots=True)
class Embedding:
    """A vector of length 1, and the number of tokens of the text."""

    vector: Sequence[float]
    tokens: int


@dataclass(frozen=True, slots=True)
class Delta:
    """A part of one choice; the last part of a choice has a `finish_reason`: "stop" or "length"."""

    choice: int
    text: str = ""
    tokens: int = 0
    finish_reason: str | None = None
    tool_calls: Sequence[Mapping[str, object]] = ()
    is_refusal: bool = False
    logprobs: Sequence[TokenLogprob] = ()
    reasoning: str = ""


@dataclass(frozen=True, slots=True)
class Generation:
    """An answer being generated; closing `pieces` stops it."""

    prompt_tokens: int
    pieces: AsyncIterator[Delta] = field(repr=False)


class Engine(Protocol):
    """Trains in processes of its own, and answers in the server's process."""

    @property
    def name(self) -> str:
        """Name of the engine in a worker's spec."""
        ...

    @property
    def bases(self) -> Mapping[str, Base]:
        """All models that jobs may start from, by name; clients can use no other."""
        ...

    @property
    def extra_hyperparameters(self) -> frozenset[str]:
        """Hyperparameters that the engine accepts beside those of the protocol."""
        ...

    @property
    def writes_tokens(self) -> bool:
        """Whether the engine generates token by token, and supports tools, schemas and logprobs."""
        ...

    async def answer(self, asked: GenerationRequest) -> Generation:
        """Starts an answer. Raises FileNotFoundError for a deleted model, or ServerBusy."""
        ...

    async def embed(self, base: Base, texts: Sequence[str]) -> Sequence[Embedding]:
        """Returns a vector per text. Raises ApiError if the engine has no embeddings."""
        ...

    def make_room(self, memory: int) -> None:
        """Frees memory for a training of `memory` bytes; may be called from any thread."""
        ...

    def on_weights_deleted(self, weights: Path) -> None:
        """Drops a model whose files were deleted; may be called from any thread."""
        ...

    async def run(self) -> None:
        """Runs until cancelled; prepares what the first answer needs."""
        ...
