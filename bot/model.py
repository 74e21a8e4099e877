"""The nouns, frozen: what every part of Attune means by a word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, IntFlag, StrEnum
from typing import NewType

from bot.rows import Method

WorkspaceId = NewType("WorkspaceId", str)
ChannelId = NewType("ChannelId", str)
MessageId = NewType("MessageId", str)
UserId = NewType("UserId", str)
AssistantId = NewType("AssistantId", int)
ExampleId = NewType("ExampleId", int)
SnapshotId = NewType("SnapshotId", int)
JobId = NewType("JobId", int)
TurnId = NewType("TurnId", int)
NoticeId = NewType("NoticeId", int)
HostName = NewType("HostName", str)
ModelName = NewType("ModelName", str)

Row = Mapping[str, object]

LOCAL = WorkspaceId("local")


class Role(IntEnum):
    """What a person may do; each role may do all that the ones below it may."""

    MEMBER = 1
    CURATOR = 2
    TRAINER = 3
    ADMIN = 4
    OPERATOR = 5


class Sources(IntEnum):
    """Where training text may come from; each step includes the ones below it."""

    OUTSIDE = 1
    FORMS = 2
    MESSAGES = 3


class Exclusion(IntFlag):
    """Whose words, and said where, teach nothing unless an admin allows it."""

    PRIVATE = 1
    SHARED = 2
    DIRECT = 4
    RESTRICTED = 8
    GUEST = 16


NO_EXCLUSION = Exclusion(0)


class Origin(StrEnum):
    """How an example came to us."""

    STUDIO = "studio"
    CONSOLE = "console"
    IMPORT = "import"
    FORM = "form"
    MESSAGE = "message"


class ExampleState(StrEnum):
    PROPOSED = "proposed"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class Split(StrEnum):
    TRAIN = "train"
    VALIDATION = "validation"


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who spoke or clicked, as the platform describes them."""

    id: UserId
    name: str
    is_bot: bool = False
    is_guest: bool = False
    is_platform_admin: bool = False


class ChannelKind(StrEnum):
    """Who can read a channel; any but an open one is an `Exclusion`."""

    OPEN = "open"
    PRIVATE = "private"
    SHARED = "shared"
    DIRECT = "direct"
    RESTRICTED = "restricted"


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is said; two that differ only in what is known of their kind are one."""

    workspace: WorkspaceId
    channel: ChannelId
    thread: MessageId | None = None
    kind: ChannelKind = field(default=ChannelKind.OPEN, compare=False)


@dataclass(frozen=True, slots=True)
class Said:
    """One message as the platform holds it."""

    place: Place
    id: MessageId
    author: User
    text: str
    at: datetime
    reply_to: MessageId | None = None
    is_own: bool = False
    permalink: str | None = None


@dataclass(frozen=True, slots=True)
class Workspace:
    id: WorkspaceId
    name: str
    sources: Sources
    person_cap: int | None = None
    workspace_cap: int | None = None
    allowed: Exclusion = NO_EXCLUSION

    @property
    def platform(self) -> str:
        return self.id.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the model is asked to write; None leaves it to the host."""

    temperature: float | None = None
    max_tokens: int | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Assistant:
    id: AssistantId
    workspace: WorkspaceId
    name: str
    instructions: str
    sampling: Sampling
    language: str | None
    chat_host: HostName
    training_host: HostName
    base: ModelName
    is_default: bool
    history: bool = True
    few_shot: int = 0


@dataclass(frozen=True, slots=True)
class Binding:
    """Which assistant answers in a channel, and whether it answers unasked."""

    channel: ChannelId
    assistant: AssistantId
    always: bool


@dataclass(frozen=True, slots=True)
class Source:
    """The message an example was taken from."""

    channel: ChannelId
    message: MessageId
    thread: MessageId | None = None
    permalink: str | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """One exchange worth teaching, or (method dpo) one preference.

    `row` is the training row in the host's format; None is a pointer: the
    workspace does not allow keeping the text.
    """

    id: ExampleId
    workspace: WorkspaceId
    assistant: AssistantId
    method: Method
    state: ExampleState
    row: Row | None
    revision: int
    origin: Origin
    authors: tuple[UserId, ...]
    source: Source | None
    tags: tuple[str, ...]
    held_out: bool
    created_at: datetime
    updated_at: datetime
    exclusions: Exclusion = NO_EXCLUSION


@dataclass(frozen=True, slots=True)
class NewExample:
    """What is known of an example before it has a number."""

    assistant: AssistantId
    method: Method
    state: ExampleState
    row: Row | None
    origin: Origin
    authors: tuple[UserId, ...] = ()
    source: Source | None = None
    tags: tuple[str, ...] = ()
    exclusions: Exclusion = NO_EXCLUSION


@dataclass(frozen=True, slots=True)
class Revision:
    number: int
    row: Row | None
    editor: UserId | None
    at: datetime


@dataclass(frozen=True, slots=True)
class ExampleFilter:
    assistant: AssistantId | None = None
    state: ExampleState | None = None
    method: Method | None = None
    search: str | None = None
    author: UserId | None = None
    origin: Origin | None = None
    tag: str | None = None
    held_out: bool | None = None


@dataclass(frozen=True, slots=True)
class SnapshotRow:
    """One frozen row; `row` is None once its text was erased on request."""

    example: ExampleId
    revision: int
    split: Split
    sha256: str
    row: Row | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    id: SnapshotId
    workspace: WorkspaceId
    assistant: AssistantId
    method: Method
    training_rows: int
    validation_rows: int
    created_at: datetime


class Phase(StrEnum):
    """How far a start has come on our side; the host's own word is `Job.status`."""

    ESTIMATED = "estimated"
    CONFIRMED = "confirmed"
    UPLOADING = "uploading"
    CREATING = "creating"
    WATCHING = "watching"
    WARMING = "warming"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"

    @property
    def is_over(self) -> bool:
        return self in (Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED, Phase.ABANDONED)


class JobWish(StrEnum):
    """What a person asked and the host has not yet confirmed; forget is for finished jobs."""

    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"
    FORGET = "forget"


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """As asked for; None means "auto", which the host resolves."""

    n_epochs: int | None = None
    batch_size: int | None = None
    learning_rate_multiplier: float | None = None
    beta: float | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a start will cost; None is unknown. Money in US dollars."""

    rows: int
    validation_rows: int
    tokens: int
    epochs: int | None
    price: float | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Job:
    """One start and what became of it.

    `start` names its files and is unguessable. `attempted_at` is set before
    an outside effect and cleared when its outcome is known.
    """

    id: JobId
    workspace: WorkspaceId
    assistant: AssistantId
    snapshot: SnapshotId
    start: str
    place: Place
    asked_by: UserId
    host: HostName
    base: ModelName
    method: Method
    hyperparameters: Hyperparameters
    suffix: str | None
    seed: int | None
    use_when_done: bool
    estimate: Estimate
    phase: Phase
    wish: JobWish | None = None
    training_file: str | None = None
    validation_file: str | None = None
    attempted_at: datetime | None = None
    attempts: int = 0
    host_job: str | None = None
    status: str | None = None
    resolved: Mapping[str, object] = field(default_factory=dict)
    trained_tokens: int | None = None
    model: ModelName | None = None
    trouble: str | None = None
    trouble_code: str | None = None
    step: int | None = None
    total_steps: int | None = None
    train_loss: float | None = None
    valid_loss: float | None = None
    next_look: datetime | None = None
    created_at: datetime | None = None
    confirmed_at: datetime | None = None
    running_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One line of a job's story, as the host told it."""

    id: str
    at: datetime
    level: str
    message: str
    step: int | None = None
    total_steps: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    step: int
    model: ModelName
    metrics: Mapping[str, float]


class ModelKind(StrEnum):
    BASE = "base"
    TUNED = "tuned"
    CHECKPOINT = "checkpoint"


@dataclass(frozen=True, slots=True)
class Model:
    """A base, or what a job made."""

    workspace: WorkspaceId
    assistant: AssistantId
    name: ModelName
    host: HostName
    kind: ModelKind
    parent: ModelName | None
    job: JobId | None
    created_at: datetime
    expires_on: str | None = None
    is_tainted: bool = False
    is_deleted: bool = False


@dataclass(frozen=True, slots=True)
class Deployment:
    """Which model answers for an assistant, since when, by whom, after which."""

    id: int
    workspace: WorkspaceId
    assistant: AssistantId
    model: ModelName
    host: HostName
    by: UserId
    since: datetime
    after: ModelName | None


class TurnState(StrEnum):
    STREAMING = "streaming"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Turn:
    """One question and the bot's reply."""

    id: TurnId
    workspace: WorkspaceId
    assistant: AssistantId
    place: Place
    event_key: str
    asker: UserId
    question: str
    reply: str
    model: ModelName
    host: HostName
    state: TurnState
    at: datetime
    message: MessageId | None = None
    prompt: Sequence[Mapping[str, str]] = ()
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    first_text_seconds: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Vote:
    """A person's last word on a reply: +1 or -1."""

    turn: TurnId
    user: UserId
    value: int
    reason: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Notice:
    """A fact that a channel must hear, worded only at delivery.

    `version` counts changes of the fact; the courier brings the message up to
    it. `message` is where it stands once posted.
    """

    id: NoticeId
    key: str
    place: Place
    kind: str
    subject: int | None
    details: Mapping[str, object]
    version: int
    delivered: int
    message: MessageId | None
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Consent:
    user: UserId
    version: int
    given: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class AuditEntry:
    at: datetime
    user: UserId | None
    what: str
    details: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class InboxRow:
    """An event we have promised to handle; `payload` is erased when it is done.

    Of one that has begun people may have seen an answer.
    """

    key: str
    payload: str
    received_at: datetime
    attempts: int
    has_begun: bool = False


@dataclass(frozen=True, slots=True)
class RoomMessage:
    """A message in the local workspace, whose platform we are ourselves.

    `body` is the drawn reply as JSON (cards keep their buttons), `key` makes
    posting twice impossible.
    """

    number: int
    channel: ChannelId
    thread: int | None
    author: User
    text: str
    body: str | None
    is_own: bool
    at: datetime
    edited_at: datetime | None = None
    reply_to: int | None = None
    key: str | None = None
    reactions: tuple[tuple[str, UserId], ...] = ()
