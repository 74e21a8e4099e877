"""The seam between the server and what trains and answers: sandbox, or models of our own."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Base:
    """A model that jobs may start from; `place` is where its files lie, if it has any."""

    id: str
    label: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class Sampling:
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    choices: int = 1
    stops: Sequence[str] = ()
    most_tokens: int | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """A conversation for a base, or for what a job made of it: the files at `weights`."""

    base: Base
    weights: Path | None
    messages: Sequence[Mapping[str, object]]
    sampling: Sampling
    tools: Sequence[Mapping[str, object]] = ()


@dataclass(frozen=True, slots=True)
class Delta:
    """A bit of one choice; the last one of each says why it ended: "stop" or "length"."""

    choice: int
    text: str = ""
    tokens: int = 0
    finish_reason: str | None = None
    tool_calls: Sequence[Mapping[str, object]] = ()
    is_refusal: bool = False


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
    def numbers(self) -> frozenset[str]:
        """Hyperparameters that it takes beside those of the protocol."""
        ...

    @property
    def has_tools(self) -> bool:
        """Whether it can be told of functions and asked to call them."""
        ...

    async def answer(self, asked: GenerationRequest) -> Generation:
        """Raises FileNotFoundError for a model that was deleted meanwhile, Busy when full."""
        ...

    def forget(self, weights: Path) -> None:
        """The files there have been deleted; may be called from any thread."""
        ...

    async def run(self) -> None:
        """Until cancelled; what it needs before the first answer it fetches here."""
        ...
