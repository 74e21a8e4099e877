"""The interface between the server and what trains and answers: sandbox or local models."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Base:
    """A model that jobs may start from; `place` is where its files lie, if it has any.

    `quantization` is "4bit" where its weights are loaded in 4 bits, empty where as they are saved.
    """

    id: str
    owned_by: str
    place: str = ""
    quantization: str = ""


@dataclass(frozen=True, slots=True)
class Sampling:
    """What was asked for; None leaves it to the base."""

    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    choices: int = 1
    stops: Sequence[str] = ()
    most_tokens: int | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    top_logprobs: int | None = None
    """How many of the likeliest tokens to tell beside each one; None tells of none at all."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """A conversation for a base, or for what a job made of it: the files at `weights`.

    The answer must fit the JSON schema `schema`, if there is one; one of `forced_tools` must be
    called, if there are any.
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
    """Whether a model that can reason before it answers shall do so."""


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token of an answer, the logarithm of its probability, and the likeliest in its place."""

    token: str
    logprob: float
    top: Sequence[tuple[str, float]] = ()


@dataclass(frozen=True, slots=True)
class Embedding:
    """A vector of length 1, and the tokens of the text that it stands for."""

    vector: Sequence[float]
    tokens: int


@dataclass(frozen=True, slots=True)
class Delta:
    """A bit of one choice; the last one of each says why it ended: "stop" or "length"."""

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
    """Closing the pieces stops the work on them."""

    prompt_tokens: int
    pieces: AsyncIterator[Delta] = field(repr=False)


class Engine(Protocol):
    """Trains in processes of its own, and answers in the server's."""

    @property
    def name(self) -> str:
        """What a worker knows it by."""
        ...

    @property
    def bases(self) -> Mapping[str, Base]:
        """All that jobs may start from, by name; clients can name no other."""
        ...

    @property
    def extra_hyperparameters(self) -> frozenset[str]:
        """Hyperparameters that it takes beside those of the protocol."""
        ...

    @property
    def writes_tokens(self) -> bool:
        """Whether it writes token by token: then it knows of functions, schemas and logprobs."""
        ...

    async def answer(self, asked: GenerationRequest) -> Generation:
        """Raises FileNotFoundError for a model that was deleted meanwhile, Busy when full."""
        ...

    async def embed(self, base: Base, texts: Sequence[str]) -> Sequence[Embedding]:
        """Vectors of the texts. Raises ApiError where the engine has none."""
        ...

    def make_room(self, memory: int) -> None:
        """A training of so many bytes begins beside it; may be called from any thread."""
        ...

    def on_weights_deleted(self, weights: Path) -> None:
        """The files there have been deleted; may be called from any thread."""
        ...

    async def run(self) -> None:
        """Until cancelled; what it needs before the first answer it fetches here."""
        ...
