"""The port to model hosts: chat, files and tuning jobs, with the terms of OpenAI's API."""

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
from bot.rows import Method, TokenCounter


@dataclass(frozen=True, slots=True)
class Price:
    """Prices in US dollars; None is unknown.

    `training`, `prompt` and `completion` are per million tokens, `hosting` is per hour of a
    deployment.
    """

    training: float | None = None
    hosting: float | None = None
    prompt: float | None = None
    completion: float | None = None


class Serving(StrEnum):
    """How the model of a finished job is deployed: automatically, through the API, or by hand."""

    READY_WHEN_TRAINED = "at_once"
    DEPLOYED_BY_API = "by_call"
    DEPLOYED_BY_PERSON = "by_hand"


@dataclass(frozen=True, slots=True)
class HostProfile:
    """Capabilities and limits of a host; None as a limit means that no limit is known.

    `listing_lag` is how many seconds a new file or job may be missing from lists,
    `poll_seconds` the interval between polls of a running job. `settings` are the
    hyperparameters that may be set. `sees` are patterns, with `*`, of models that accept images.
    The host deletes a deployment after `idle_days` without requests.
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
    """Whether the host chooses the number of epochs if none is given."""
    settings: tuple[str, ...] = ("n_epochs", "batch_size", "learning_rate_multiplier", "beta")
    max_epochs: int = 50
    batch_sizes: tuple[int, int] = (1, 256)
    takes_weight: bool = True
    takes_tools: bool = True
    takes_reasoning: bool = False
    takes_validation: bool = True
    sees: tuple[str, ...] = ()
    serving: Serving = Serving.READY_WHEN_TRAINED
    serving_page: str = ""
    idle_days: int | None = None
    closes_on: date | None = None
    retired_bases: tuple[tuple[str, str], ...] = ()
    """(prefix of base model names, date): since then only earlier customers may train these."""
    checks_eligibility: bool = False
    was_tested_live: bool = True
    label: str = ""
    memorizes_rows: bool = False
    """Whether the host's models store their training rows verbatim."""


@dataclass(frozen=True, slots=True)
class Usage:
    prompt_tokens: int
    completion_tokens: int

    @property
    def total(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        prompt_tokens = self.prompt_tokens + other.prompt_tokens
        return Usage(prompt_tokens, self.completion_tokens + other.completion_tokens)


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a streamed answer; the last piece has the usage if the host sends it.

    `is_refusal` is the host's mark that the model declines to answer, `is_thinking` that the
    model is reasoning, `incomplete_reason` why the host ended the answer early.
    """

    text: str = ""
    usage: Usage | None = None
    is_refusal: bool = False
    is_thinking: bool = False
    incomplete_reason: IncompleteReason | None = None
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file at a host; not `is_whole` if the host lists it after an interrupted upload."""

    id: str
    name: str
    bytes: int
    created_at: datetime
    is_whole: bool = True

    def was_uploaded_for(self, start: str, part: str = "") -> bool:
        """Whether the file was uploaded for a job, by the idempotency key `start` in its name.

        A substring is compared because some hosts add to the name of a file.
        """
        return start in self.name and part in self.name


@dataclass(frozen=True, slots=True)
class RemoteJob:
    """A job as the host reports it, normalised: `error: {}` is None, times are aware."""

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
    result_files: tuple[str, ...] = ()
    seconds_left: float | None = None


@dataclass(frozen=True, slots=True)
class ResultFile:
    """A result file of a job: a table of metrics, as bytes and parsed."""

    content: bytes
    measures: Sequence[StepMetrics] = ()


@dataclass(frozen=True, slots=True)
class JobRequest:
    """Parameters of a new job; `price` is the confirmed price in US dollars, None if unknown."""

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
    expires_on: str | None = None
    takes_pictures: bool = False
    """Whether the host's list of models says that the model accepts images."""


@dataclass(frozen=True, slots=True)
class RemoteDeployment:
    """A deployment of a model at a host, under its own name; the host may charge for its time.

    `dollars_an_hour` is None if the host does not report a price.
    """

    name: ModelName
    status: str
    dollars_an_hour: float | None = None


@dataclass(frozen=True, slots=True)
class HostCheck:
    """Result of checking a reachable host: number of models, and why it refuses training."""

    model_count: int
    refusal: HostError | None = None


class Host(Protocol):
    """A configured host with the operations that cost nothing.

    Every method raises only `bot.errors.HostError`s.
    """

    @property
    def name(self) -> HostName: ...
    @property
    def profile(self) -> HostProfile: ...
    @property
    def bases(self) -> Sequence[ModelName]: ...
    @property
    def tokenizer(self) -> TokenCounter | None:
        """Counts the tokens of a text as the host's models do; None if that is not known."""
        ...

    def price(self, base: ModelName) -> Price: ...

    async def check_access(self) -> HostCheck:
        """Sends free requests to the host's chat and training APIs."""
        ...

    async def check_training_access(self, base: ModelName) -> None:
        """Checks, before an upload, whether the host will train a base model.

        Raises TrainingClosed for an account that may not train, TrainsNothing and TuningGone for
        a host without training, WrongAddress, KeyRefused and HostUnreachable. Other errors, which
        may be temporary, are ignored.
        """
        ...

    def files(self) -> AsyncIterator[RemoteFile]:
        """Yields every fine-tuning file, newest first; ends even if the host repeats pages."""
        ...

    async def delete_file(self, file: str) -> None: ...
    async def result_file(self, file: str) -> ResultFile:
        """Returns one of a job's `result_files`; no metrics if it is not a table of steps."""
        ...

    def jobs(self) -> AsyncGenerator[RemoteJob]:
        """Yields every job, newest first; ends even if the host repeats pages."""
        ...

    async def job(self, job: str) -> RemoteJob: ...
    async def cancel_job(self, job: str) -> RemoteJob: ...
    async def pause_job(self, job: str) -> RemoteJob: ...
    async def resume_job(self, job: str) -> RemoteJob: ...
    async def job_events(self, job: str, seen_ids: frozenset[str]) -> Sequence[JobEvent]:
        """Returns the events whose ids are not in `seen`, oldest first, without duplicates."""
        ...

    async def deployments(self) -> Sequence[RemoteDeployment]:
        """Returns the deployments; empty if models need none or people make them by hand."""
        ...

    async def undeploy(self, name: ModelName) -> None: ...
    async def checkpoints(self, job: str) -> Sequence[Checkpoint]: ...
    async def models(self) -> Sequence[RemoteModel]: ...
    async def accepts_images(self, model: ModelName) -> bool:
        """Whether a model accepts images, by the profile or the host's list; False if unknown."""
        ...

    async def delete_model(self, model: ModelName) -> None: ...


class PaidHost(Host, Protocol):
    """A host that a workspace may use, with the operations that cost money."""

    def chat(
        self,
        model: ModelName,
        messages: Sequence[Mapping[str, object]],
        sampling: Sampling,
        *,
        is_sent_once: bool = False,
        tools: Sequence[Mapping[str, object]] = (),
    ) -> AsyncGenerator[Delta]:
        """Streams a chat completion; closing the iterator stops the request.

        With `is_sent_once` the request is not retried if the outcome of an attempt is unknown.
        """
        ...

    async def upload(self, name: str, lines: Iterable[bytes]) -> RemoteFile:
        """Uploads a file without retries: the caller first looks whether it exists."""
        ...

    async def create_job(self, request: JobRequest) -> RemoteJob:
        """Creates a job without retries: the caller first looks whether it exists."""
        ...

    async def deploy(
        self, job: str, model: ModelName, *, base: ModelName, name: str
    ) -> ModelName | None:
        """Returns the model name for requests to a job's model; None while it is not ready.

        Deploys the model as `name` if the host needs that; a second call finds the deployment
        that the first one made.
        """
        ...


class Hosts(Protocol):
    """The configured hosts."""

    def names(self) -> Sequence[HostName]: ...
    def get(self, name: HostName) -> Host:
        """Raises NotFound for a name that is not configured."""
        ...

    def get_paid(self, name: HostName, workspace: Workspace) -> PaidHost:
        """Returns a host for paid requests of a workspace. Raises NotFound and HostNotAllowed."""
        ...

    def usable_names(self, workspace: Workspace) -> Sequence[HostName]:
        """Returns the names of the hosts that `paid` allows; the sandbox is always among them."""
        ...

    def is_named_in_settings(self, workspace: WorkspaceId) -> bool:
        """Whether the operator's settings list the workspace as allowed."""
        ...

    def default_host_for(self, workspace: Workspace) -> HostName:
        """Returns the first host of a new workspace's assistant."""
        ...
