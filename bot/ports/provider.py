"""The port to model hosts: chat, files and tuning jobs in the OpenAI protocol's own words."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Protocol

from bot.domain import (
    Checkpoint,
    HostName,
    Hyperparameters,
    IncompleteReason,
    JobEvent,
    ModelName,
    Sampling,
    StepMetrics,
    ToolCall,
    Workspace,
    WorkspaceId,
)
from bot.errors import HostError
from bot.rows import Count, Method


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens trained, and per hour that a model stands ready.

    `prompt` and `completion` are per million tokens of answers. None is unknown.
    """

    training: float | None = None
    hosting: float | None = None
    prompt: float | None = None
    completion: float | None = None


class Serving(StrEnum):
    """What must happen between a finished job and its model's first answer."""

    AT_ONCE = "at_once"
    BY_CALL = "by_call"
    BY_HAND = "by_hand"


@dataclass(frozen=True, slots=True)
class HostProfile:
    """What is particular about a host, as data.

    `listing_lag` is how many seconds a new file or job may be missing from
    lists; `poll_seconds` how often a running job is worth a look; None as a
    limit means that none is known. `settings` are the hyperparameters that may
    be chosen there. `sees` are names of models, with `*`, that take pictures.
    `idle_days` is how long a deployment lives without calls.
    """

    name: str
    listing_lag: float = 60.0
    poll_seconds: float = 10.0
    minimum_rows: int = 10
    max_rows: int | None = None
    max_bytes: int | None = None
    max_row_tokens: int = 65_536
    max_suffix: int = 64
    suffix_pattern: str = ".+"
    methods: tuple[Method, ...] = (Method.SUPERVISED, Method.DPO)
    supports_auto_epochs: bool = True
    """Whether it finds a number of epochs by itself where none is asked for."""
    settings: tuple[str, ...] = ("n_epochs", "batch_size", "learning_rate_multiplier", "beta")
    max_epochs: int = 50
    batch_sizes: tuple[int, int] = (1, 256)
    takes_weight: bool = True
    takes_tools: bool = True
    takes_reasoning: bool = False
    takes_validation: bool = True
    sees: tuple[str, ...] = ()
    serving: Serving = Serving.AT_ONCE
    serving_page: str = ""
    idle_days: int | None = None
    closes_on: date | None = None
    retired_bases: tuple[tuple[str, str], ...] = ()
    """How the names of bases begin that only earlier customers may train, and since when."""
    checks_eligibility: bool = False
    was_tested_live: bool = True
    label: str = ""
    keeps_words: bool = False
    """Whether its models hold the rows they learned as they were written."""


@dataclass(frozen=True, slots=True)
class Usage:
    prompt_tokens: int
    completion_tokens: int

    @property
    def total(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        asked = self.prompt_tokens + other.prompt_tokens
        return Usage(asked, self.completion_tokens + other.completion_tokens)


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of an answer; the last one carries the usage where the host tells it.

    `is_refusal` is the host's own mark that the model declines to answer, `is_thinking` that it
    has begun to think, `incomplete_reason` why the answer was ended before it was whole,
    `tool_calls` are what the model asks for.
    """

    text: str = ""
    usage: Usage | None = None
    is_refusal: bool = False
    is_thinking: bool = False
    incomplete_reason: IncompleteReason | None = None
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file at a host; one whose upload was broken off may be listed and not `is_whole`."""

    id: str
    name: str
    bytes: int
    created_at: datetime
    is_whole: bool = True

    def was_uploaded_for(self, start: str, part: str = "") -> bool:
        """Whether a start sent it: some hosts rename a file, and keep the start in its name."""
        return start in self.name and part in self.name


@dataclass(frozen=True, slots=True)
class RemoteJob:
    """A job as the host tells it, normalised: `error: {}` is None, times are aware."""

    id: str
    status: str
    training_file: str
    model: ModelName | None = None
    trained_tokens: int | None = None
    error_code: str | None = None
    error_message: str | None = None
    error_param: str | None = None
    resolved_hyperparameters: Mapping[str, object] = field(default_factory=dict)
    estimated_finish: datetime | None = None
    created_at: datetime | None = None
    result_files: tuple[str, ...] = ()
    seconds_left: float | None = None


@dataclass(frozen=True, slots=True)
class ResultFile:
    """What a job left behind: a table of measures, as text and as it was understood."""

    content: bytes
    measures: Sequence[StepMetrics] = ()


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What a new job is asked to be; `price` are the dollars that were confirmed, None unknown."""

    idempotency_key: str
    base: ModelName
    training_file: str
    validation_file: str | None
    method: Method
    hyperparameters: Hyperparameters
    suffix: str | None
    seed: int | None
    price: float | None = None


@dataclass(frozen=True, slots=True)
class RemoteModel:
    name: ModelName
    owner: str
    expires_on: str | None = None
    takes_pictures: bool = False
    """Whether the host's list says that it takes pictures."""


@dataclass(frozen=True, slots=True)
class RemoteDeployment:
    """A model standing ready under a name of its own, and what that costs goes on.

    `dollars_an_hour` is None where the host does not tell its price.
    """

    name: ModelName
    source: str
    status: str
    dollars_an_hour: float | None = None


@dataclass(frozen=True, slots=True)
class HostCheck:
    """A host that answers: its models, and why it does not train, if it does not."""

    models: int
    refusal: HostError | None = None


class Host(Protocol):
    """One configured server, to look at and to clear up; nothing here costs anything.

    Every method raises only `bot.errors.HostError`s.
    """

    @property
    def name(self) -> HostName: ...
    @property
    def profile(self) -> HostProfile: ...
    @property
    def bases(self) -> Sequence[ModelName]: ...
    @property
    def tokenizer(self) -> Count | None:
        """Counts the tokens of a text as its models do; None where that cannot be known."""
        ...

    def price(self, base: ModelName) -> Price: ...

    async def check(self) -> HostCheck:
        """Ask for what costs nothing, where it answers and where it trains."""
        ...

    async def check_training(self, base: ModelName) -> None:
        """Raises what can be known before anything is uploaded.

        TrainingClosed for an account that may not train, TrainsNothing and TuningGone for a host
        that does not, WrongAddress, KeyRefused and HostUnreachable; other trouble may pass.
        """
        ...

    def files(self) -> AsyncIterator[RemoteFile]:
        """Every tuning file, newest first, page by page; ends even if the host pages badly."""
        ...

    async def delete_file(self, file: str) -> None: ...
    async def read_file(self, file: str) -> bytes: ...
    async def result_file(self, file: str) -> ResultFile:
        """One of a job's `result_files`; measures are missing where it is no table of steps."""
        ...

    def jobs(self) -> AsyncGenerator[RemoteJob]:
        """Every job, newest first, page by page; ends even if the host pages badly."""
        ...

    async def job(self, job: str) -> RemoteJob: ...
    async def cancel_job(self, job: str) -> RemoteJob: ...
    async def pause_job(self, job: str) -> RemoteJob: ...
    async def resume_job(self, job: str) -> RemoteJob: ...
    async def job_events(self, job: str, seen: frozenset[str]) -> Sequence[JobEvent]:
        """Events not yet seen, oldest first, de-duplicated."""
        ...

    async def deployments(self) -> Sequence[RemoteDeployment]:
        """None where models need no deployment, or it is made by hand."""
        ...

    async def undeploy(self, name: ModelName) -> None: ...
    async def checkpoints(self, job: str) -> Sequence[Checkpoint]: ...
    async def models(self) -> Sequence[RemoteModel]: ...
    async def takes_pictures(self, model: ModelName) -> bool:
        """Whether a model takes pictures, as the profile or the host's own list says; else no."""
        ...

    async def delete_model(self, model: ModelName) -> None: ...


class PaidHost(Host, Protocol):
    """A host that a workspace may spend the operator's money at."""

    def chat(
        self,
        model: ModelName,
        messages: Sequence[Mapping[str, object]],
        sampling: Sampling,
        *,
        is_sent_once: bool = False,
        tools: Sequence[Mapping[str, object]] = (),
    ) -> AsyncGenerator[Delta]:
        """Stream an answer; closing the iterator stops the request.

        With `is_sent_once` it is not retried where the outcome of the first try is unknown.
        """
        ...

    async def upload(self, name: str, lines: Iterable[bytes]) -> RemoteFile:
        """Never retries by itself: the caller looks first."""
        ...

    async def create_job(self, request: JobRequest) -> RemoteJob:
        """Never retries by itself: the caller looks first."""
        ...

    async def serve(
        self, job: str, model: ModelName, *, base: ModelName, name: str
    ) -> ModelName | None:
        """What the model of a job answers to; None while it is being made ready.

        Deploys it under `name` where that takes a call; asked again, it finds
        the deployment that stands.
        """
        ...


class Hosts(Protocol):
    """The hosts of this installation."""

    def names(self) -> Sequence[HostName]: ...
    def get(self, name: HostName) -> Host:
        """Raises NotFound for a name that is not configured."""
        ...

    def paid(self, name: HostName, workspace: Workspace) -> PaidHost:
        """The one way to what costs money. Raises NotFound, and HostNotAllowed."""
        ...

    def usable(self, workspace: Workspace) -> Sequence[HostName]:
        """The names that `paid` gives a workspace; the sandbox is always one."""
        ...

    def is_named_in_settings(self, workspace: WorkspaceId) -> bool:
        """Whether the settings name it as allowed."""
        ...

    def default_host_for(self, workspace: Workspace) -> HostName:
        """Where a new workspace starts."""
        ...
