"""Immutable domain entities and enums that every part of Attune shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum, IntFlag, StrEnum

from bot.domain.answer_stats import DailyAnswers as DailyAnswers
from bot.domain.answer_stats import UnansweredTurn as UnansweredTurn
from bot.domain.canary import Canary as Canary
from bot.domain.canary import CanaryEnd as CanaryEnd
from bot.domain.canary import CanaryState as CanaryState
from bot.domain.canary import ModelFeedback as ModelFeedback
from bot.domain.evaluation import ALWAYS_TRAIN_TAG as ALWAYS_TRAIN_TAG
from bot.domain.evaluation import JOB_EVALUATION_KEY_PREFIX as JOB_EVALUATION_KEY_PREFIX
from bot.domain.evaluation import MUST_ANSWER_TAG as MUST_ANSWER_TAG
from bot.domain.evaluation import OPEN_EVALUATION_STATES as OPEN_EVALUATION_STATES
from bot.domain.evaluation import AnswerState as AnswerState
from bot.domain.evaluation import Contender as Contender
from bot.domain.evaluation import ContenderKind as ContenderKind
from bot.domain.evaluation import Evaluation as Evaluation
from bot.domain.evaluation import EvaluationAnswer as EvaluationAnswer
from bot.domain.evaluation import EvaluationQuestion as EvaluationQuestion
from bot.domain.evaluation import EvaluationState as EvaluationState
from bot.domain.evaluation import GapOutcome as GapOutcome
from bot.domain.evaluation import GapQuestion as GapQuestion
from bot.domain.evaluation import QuestionOrder as QuestionOrder
from bot.domain.ids import EPHEMERAL_ID_PREFIX as EPHEMERAL_ID_PREFIX
from bot.domain.ids import LOCAL as LOCAL
from bot.domain.ids import AssistantId as AssistantId
from bot.domain.ids import CanaryId as CanaryId
from bot.domain.ids import ChannelId as ChannelId
from bot.domain.ids import ChannelKind as ChannelKind
from bot.domain.ids import EvaluationId as EvaluationId
from bot.domain.ids import ExampleId as ExampleId
from bot.domain.ids import HostName as HostName
from bot.domain.ids import JobId as JobId
from bot.domain.ids import MessageId as MessageId
from bot.domain.ids import ModelName as ModelName
from bot.domain.ids import NoticeId as NoticeId
from bot.domain.ids import Place as Place
from bot.domain.ids import Row as Row
from bot.domain.ids import SnapshotId as SnapshotId
from bot.domain.ids import TurnId as TurnId
from bot.domain.ids import UserId as UserId
from bot.domain.ids import WorkspaceId as WorkspaceId
from bot.domain.ids import platform_of as platform_of
from bot.domain.judging import JudgedPair as JudgedPair
from bot.domain.judging import Judging as Judging
from bot.domain.judging import Preferred as Preferred
from bot.domain.paid_runs import UNFINISHED_CALL_STATES as UNFINISHED_CALL_STATES
from bot.domain.paid_runs import CallState as CallState
from bot.domain.reviewing import AUTHOR_KINDS as AUTHOR_KINDS
from bot.domain.reviewing import VERDICT_KINDS as VERDICT_KINDS
from bot.domain.reviewing import Review as Review
from bot.domain.reviewing import ReviewKind as ReviewKind
from bot.domain.row_text import RowText as RowText
from bot.domain.row_text import short_fingerprint as short_fingerprint
from bot.domain.row_text import to_row_text as to_row_text
from bot.domain.synthetic import SYNTHETIC_TAG as SYNTHETIC_TAG
from bot.domain.synthetic import SyntheticCall as SyntheticCall
from bot.domain.synthetic import SyntheticKind as SyntheticKind
from bot.domain.synthetic import SyntheticOrigin as SyntheticOrigin
from bot.domain.synthetic import SyntheticRun as SyntheticRun
from bot.domain.training import OPEN_PHASES as OPEN_PHASES
from bot.domain.training import PHASES_BEFORE_HOST_JOB as PHASES_BEFORE_HOST_JOB
from bot.domain.training import VALIDATION_LOSS_NAMES as VALIDATION_LOSS_NAMES
from bot.domain.training import Checkpoint as Checkpoint
from bot.domain.training import Deployment as Deployment
from bot.domain.training import Estimate as Estimate
from bot.domain.training import Hyperparameters as Hyperparameters
from bot.domain.training import Job as Job
from bot.domain.training import JobEvent as JobEvent
from bot.domain.training import Model as Model
from bot.domain.training import ModelKind as ModelKind
from bot.domain.training import Phase as Phase
from bot.domain.training import RemoteCleanup as RemoteCleanup
from bot.domain.training import RequestedAction as RequestedAction
from bot.domain.training import Snapshot as Snapshot
from bot.domain.training import SnapshotRow as SnapshotRow
from bot.domain.training import Split as Split
from bot.domain.training import StepMetrics as StepMetrics
from bot.domain.voting import OPEN_VOTE_STATES as OPEN_VOTE_STATES
from bot.domain.voting import Ballot as Ballot
from bot.domain.voting import BlindVote as BlindVote
from bot.domain.voting import Choice as Choice
from bot.domain.voting import VoteState as VoteState
from bot.private_text import NO_PRIVATE_TEXT, PrivateText
from bot.rows import Method


class Role(IntEnum):
    """What a person may do; each role includes the permissions of the lower roles.

    Strangers are guests and people of another organisation.
    """

    STRANGER = 0
    MEMBER = 1
    CURATOR = 2
    TRAINER = 3
    ADMIN = 4
    OPERATOR = 5


class Sources(IntEnum):
    """Where training text may come from; each level includes the lower levels."""

    OUTSIDE = 1
    FORMS = 2
    MESSAGES = 3


class Exclusion(IntFlag):
    """Channels and authors whose messages are not trained on unless an admin allows it."""

    PRIVATE = 1
    SHARED = 2
    DIRECT = 4
    RESTRICTED = 8
    GUEST = 16


NO_EXCLUSIONS = Exclusion(0)
CHANNEL_EXCLUSIONS = Exclusion.PRIVATE | Exclusion.SHARED | Exclusion.DIRECT | Exclusion.RESTRICTED
"""The exclusions by channel; `GUEST` is one by author."""


class Origin(StrEnum):
    """How an example was entered."""

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


@dataclass(frozen=True, slots=True)
class User:
    """The author of a message or event, as the platform describes the person.

    The operator is the person at the studio or the console, in any workspace.
    `is_external` marks people of another organisation (Slack Connect), `is_guest`
    guests and single-channel guests of this one. `joined_at` is when the person last joined
    the workspace, None where the platform does not say. `groups` are the person's server roles
    or user groups; a role can be granted to a group as to a person.
    """

    id: UserId
    name: str
    is_bot: bool = False
    is_guest: bool = False
    is_external: bool = False
    is_platform_admin: bool = False
    is_operator: bool = False
    joined_at: datetime | None = None
    groups: tuple[UserId, ...] = ()


@dataclass(frozen=True, slots=True)
class Grant:
    """A role that was granted by hand; `is_external` if to a person of another organisation."""

    role: Role
    at: datetime
    is_external: bool = False


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file attached to a command or message; `reference` is the surface's own id for it.

    `platform` holds the file; "" means the platform of the event.
    """

    name: str
    reference: str
    size: int | None = None
    platform: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a channel or thread, as its platform stores it."""

    place: Place
    id: MessageId
    author: User
    text: str
    at: datetime
    reply_to: MessageId | None = None
    is_own: bool = False
    permalink: str | None = None
    files: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class Workspace:
    """A Slack team, a Discord server or the local workspace.

    `person_cap` and `workspace_cap` are tokens a day, `training_cap` US dollars a month.
    `is_allowed`: the operator lets it use the configured hosts, not only the sandbox.
    `removal_reported_at` is when its platform reported that the app was removed, until that is
    confirmed or proves wrong; from `closed_at` on nothing is answered or trained there, and
    after a grace period the workspace is erased.
    `must_mask`: nothing with private text is trained on or shown to a model.
    All examples and answers are deleted after `keep_days`, examples that are not approved after
    `keep_unapproved_days`; None is never.
    """

    id: WorkspaceId
    name: str
    sources: Sources
    person_cap: int | None = None
    workspace_cap: int | None = None
    training_cap: float | None = None
    allowed: Exclusion = NO_EXCLUSIONS
    is_allowed: bool = True
    removal_reported_at: datetime | None = None
    closed_at: datetime | None = None
    must_mask: bool = False
    keep_days: int | None = None
    keep_unapproved_days: int | None = None

    @property
    def platform(self) -> str:
        return platform_of(self.id)


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling parameters of a chat completion; None leaves a parameter to the host."""

    temperature: float | None = None
    max_tokens: int | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    reasoning_effort: str | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Assistant:
    """After `offer_after_examples` or `offer_after_preferences` new rows a training is offered in
    `offer_channel`; None is never. `judge_model` can compare answers. An example is approved once
    `reviewers` people have approved it. With `threads` each question in a channel is answered in
    a thread of its own, where the platform has threads.
    """

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
    offer_after_examples: int | None = None
    offer_after_preferences: int | None = None
    offer_channel: ChannelId | None = None
    judge_host: HostName | None = None
    judge_model: ModelName | None = None
    judge_criteria: str = ""
    reviewers: int = 1
    tools: tuple[str, ...] = ()
    threads: bool = False


@dataclass(frozen=True, slots=True)
class Binding:
    """Which assistant answers in a channel, and whether it answers without being mentioned.

    `threads` overrides the assistant's setting in the channel; None does not.
    """

    channel: ChannelId
    assistant: AssistantId
    answers_unasked: bool
    threads: bool | None = None


TYPED_SOURCE_PREFIX = "form:"
"""Prefix of an `ExampleSource.message` that is the key of a form instead of a message id."""


@dataclass(frozen=True, slots=True)
class ExampleSource:
    """The message an example was taken from, or the form in which it was typed in a channel."""

    channel: ChannelId
    message: MessageId
    thread: MessageId | None = None
    permalink: str | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation to train on, or a preference (method dpo).

    `row` is the training row in the host's format; None makes the example a pointer to its
    message, in a workspace that does not allow storing the text.
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
    source: ExampleSource | None
    tags: tuple[str, ...]
    held_out: bool
    created_at: datetime
    updated_at: datetime
    exclusions: Exclusion = NO_EXCLUSIONS
    decided_by: UserId | None = None
    private_text: PrivateText = NO_PRIVATE_TEXT
    """Kinds of private text found in the row."""
    keeps_private_text: bool = False
    """Whether a curator decided that the private text may stay."""
    synthetic: SyntheticOrigin | None = None
    """The example from which a model wrote this one; None if a model did not write it."""

    @property
    def awaits_masking(self) -> bool:
        """Whether the example has private text that no curator has decided about."""
        return bool(self.private_text) and not self.keeps_private_text


@dataclass(frozen=True, slots=True)
class PostedCard:
    """A message of the bot with buttons for examples; `examples` are those of the query alone."""

    place: Place
    message: MessageId
    examples: tuple[ExampleId, ...]


@dataclass(frozen=True, slots=True)
class NewExample:
    """The fields of an example that is not stored yet and has no id."""

    assistant: AssistantId
    method: Method
    state: ExampleState
    row: Row | None
    origin: Origin
    authors: tuple[UserId, ...] = ()
    source: ExampleSource | None = None
    tags: tuple[str, ...] = ()
    exclusions: Exclusion = NO_EXCLUSIONS
    messages: tuple[ExampleSource, ...] = ()
    """Every message whose text is in the row; `source` need not be repeated."""
    text: RowText | None = None
    """The result of `row_text(row)`, if it was computed before the write transaction."""
    synthetic: SyntheticOrigin | None = None


@dataclass(frozen=True, slots=True)
class Revision:
    number: int
    row: Row | None
    editor: UserId | None
    at: datetime


class ExampleOrder(StrEnum):
    """Sort order of a list of examples: by id descending or ascending, or by a column."""

    NEWEST = "newest"
    OLDEST = "oldest"
    QUESTION = "question"
    STATE = "state"
    ORIGIN = "origin"


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
    undecided_private_text: PrivateText = NO_PRIVATE_TEXT
    """Only examples with undecided private text of one of these kinds; zero does not filter."""
    only_active: bool = False
    """Leaves out rejected and withdrawn examples."""
    hidden_exclusions: Exclusion = NO_EXCLUSIONS
    """Leaves out examples with one of these, unless their source is in `visible_in_channel`."""
    visible_in_channel: ChannelId | None = None
    reviewer: UserId | None = None
    """Leaves out examples assigned to others, and revisions that this person has judged."""
    created_before: datetime | None = None
    """Only examples that were created before then and are not erased."""
    is_unapproved: bool = False
    edited_since: datetime | None = None
    """Only examples whose text was edited then or later."""


class IncompleteReason(StrEnum):
    """Why the host ended an answer early: the token limit, or a content filter.

    `incomplete_details.reason` of https://platform.openai.com/docs/api-reference/responses/object;
    not set if a person stopped the answer or the connection broke.
    """

    LENGTH = "length"
    FILTER = "content_filter"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call of the model; `arguments` is the JSON text as the model wrote it."""

    name: str
    arguments: str


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
    reply_message: MessageId | None = None
    prompt: Sequence[Mapping[str, str]] = ()
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    first_text_seconds: float | None = None
    seconds: float | None = None
    is_refusal: bool = False
    question_message: MessageId | None = None
    """The message that holds the question; `reply_message` is the bot's message."""
    incomplete_reason: IncompleteReason | None = None
    """Why the host ended the reply early; None where the host gave no reason."""


@dataclass(frozen=True, slots=True)
class Undoable:
    """An action that `user` may undo until `due_at`.

    A deletion at `host` is sent only after `due_at`; `attempts` counts failed deletions.
    """

    user: UserId
    kind: str
    details: Mapping[str, object]
    due_at: datetime
    host: HostName | None = None
    attempts: int = 0
    id: int = 0
    workspace: WorkspaceId = LOCAL


SHAREABLE_PERIOD = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class PrivateReply:
    """A private reply to an event, as `user` saw it with `role`; the user may share it."""

    event: str
    user: UserId
    role: Role
    place: Place
    body: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Vote:
    """A person's newest vote on a reply; `value` is +1 or -1."""

    turn: TurnId
    user: UserId
    value: int
    reason: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class NewNotice:
    """A notice that is not stored yet; `key` is its idempotency key."""

    key: str
    place: Place
    kind: str
    subject: int | None
    details: Mapping[str, object]


ONLY_EDITS_MESSAGE = "only_edit"
"""Detail of a notice that only edits an existing message; dropped if the message is gone."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A message that is to be posted in a channel; its text is rendered at delivery.

    `version` counts changes of the notice, `delivered` is the version that was posted last.
    `message` is the posted message, None before.
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
    """An accepted event that must be handled; `payload` is erased when it is done.

    `has_begun`: users may have seen an answer to the event.
    """

    key: str
    payload: str
    received_at: datetime
    attempts: int
    has_begun: bool = False


@dataclass(frozen=True, slots=True)
class RoomMessage:
    """A message in the local workspace; `body` is the rendered reply as JSON, with its buttons."""

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
    files: tuple[Attachment, ...] = ()
