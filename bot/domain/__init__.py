"""Immutable domain entities and enums: what every part of Attune means by a word."""

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
from bot.domain.evaluation import ALWAYS_TRAINED as ALWAYS_TRAINED
from bot.domain.evaluation import MUST_ANSWER as MUST_ANSWER
from bot.domain.evaluation import OPEN_EVALUATIONS as OPEN_EVALUATIONS
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
from bot.domain.ids import EPHEMERAL as EPHEMERAL
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
from bot.domain.judging import JudgedPair as JudgedPair
from bot.domain.judging import Judging as Judging
from bot.domain.judging import Preferred as Preferred
from bot.domain.paid_runs import UNFINISHED_CALLS as UNFINISHED_CALLS
from bot.domain.paid_runs import CallState as CallState
from bot.domain.reviewing import AUTHOR_SAID as AUTHOR_SAID
from bot.domain.reviewing import VERDICTS as VERDICTS
from bot.domain.reviewing import Review as Review
from bot.domain.reviewing import ReviewKind as ReviewKind
from bot.domain.row_text import RowText as RowText
from bot.domain.row_text import row_text as row_text
from bot.domain.row_text import short_fingerprint as short_fingerprint
from bot.domain.row_text import text_to_search as text_to_search
from bot.domain.synthetic import SYNTHETIC as SYNTHETIC
from bot.domain.synthetic import SyntheticCall as SyntheticCall
from bot.domain.synthetic import SyntheticKind as SyntheticKind
from bot.domain.synthetic import SyntheticOrigin as SyntheticOrigin
from bot.domain.synthetic import SyntheticRun as SyntheticRun
from bot.domain.training import BEFORE_JOB as BEFORE_JOB
from bot.domain.training import HELD_LOSS as HELD_LOSS
from bot.domain.training import OPEN_PHASES as OPEN_PHASES
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
from bot.domain.voting import OPEN_VOTES as OPEN_VOTES
from bot.domain.voting import Ballot as Ballot
from bot.domain.voting import BlindVote as BlindVote
from bot.domain.voting import Choice as Choice
from bot.domain.voting import VoteState as VoteState
from bot.private_text import NO_PRIVATE_TEXT, PrivateText
from bot.rows import Method


class Role(IntEnum):
    """What a person may do; each role may do all that the ones below it may.

    Strangers are guests and people of another organisation.
    """

    STRANGER = 0
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
CHANNEL_EXCLUSIONS = Exclusion.PRIVATE | Exclusion.SHARED | Exclusion.DIRECT | Exclusion.RESTRICTED
"""Those that say where something was said, not by whom."""


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


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who spoke or clicked, as the platform describes them.

    The operator is whoever sits at the studio or the console, in any workspace.
    `is_external` marks people of another organisation (Slack Connect), `is_guest`
    guests and single-channel guests of this one. `joined_at` is when they last joined
    the workspace, where the platform tells. `groups` are the server roles or user groups
    they are in; a role can be granted to those as to a person.
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
    """A role that was given by hand; one for a person of another organisation says so."""

    role: Role
    at: datetime
    is_external: bool = False


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that came with a command or message; `reference` is the surface's own handle.

    `platform` is where the file lies, for a file that did not come from the event's own platform.
    """

    name: str
    reference: str
    size: int | None = None
    platform: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One message as the platform holds it."""

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
    """Caps of tokens are for a day, that of training for a month, in US dollars.

    `is_allowed`: the operator lets it use the configured hosts, not only the sandbox.
    `removal_reported_at` is when its platform said that the app was removed,
    until that is confirmed or proves wrong; from `closed_at` on nothing is
    answered or trained there, and after a grace period it is erased.
    `must_mask`: nothing with private text is trained on or shown to a model.
    After `keep_days` all examples and answers are deleted, after `keep_unapproved_days` those
    examples that are not approved; None is never.
    """

    id: WorkspaceId
    name: str
    sources: Sources
    person_cap: int | None = None
    workspace_cap: int | None = None
    training_cap: float | None = None
    allowed: Exclusion = NO_EXCLUSION
    is_allowed: bool = True
    removal_reported_at: datetime | None = None
    closed_at: datetime | None = None
    must_mask: bool = False
    keep_days: int | None = None
    keep_unapproved_days: int | None = None

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
    reasoning_effort: str | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Assistant:
    """After so many new examples or preferences a training is offered by itself,
    in `offer_channel`; None is never. With a `judge_model` answers can be compared by that model.
    An example counts as approved once so many `reviewers` have approved it. With `threads` each
    question in a channel is answered in a thread of its own, where the platform has such.
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
    """Which assistant answers in a channel, and whether it answers unasked.

    `threads` overrides the assistant's own setting there; None leaves it as it is.
    """

    channel: ChannelId
    assistant: AssistantId
    answers_unasked: bool
    threads: bool | None = None


TYPED = "form:"
"""Before the key of a form in place of a message: what it holds was typed in that channel."""


@dataclass(frozen=True, slots=True)
class ExampleSource:
    """The message an example was taken from, or the form in which it was typed in a channel."""

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
    source: ExampleSource | None
    tags: tuple[str, ...]
    held_out: bool
    created_at: datetime
    updated_at: datetime
    exclusions: Exclusion = NO_EXCLUSION
    decided_by: UserId | None = None
    private_text: PrivateText = NO_PRIVATE_TEXT
    """Kinds found in the row."""
    keeps_private_text: bool = False
    """Whether a curator decided that it may stay."""
    synthetic: SyntheticOrigin | None = None
    """Of one that a model wrote: from which example."""

    @property
    def awaits_masking(self) -> bool:
        """Whether it holds private text that nobody has decided upon."""
        return bool(self.private_text) and not self.keeps_private_text


@dataclass(frozen=True, slots=True)
class PostedCard:
    """A message of ours whose buttons decide about examples; `examples` are those looked for."""

    place: Place
    message: MessageId
    examples: tuple[ExampleId, ...]


@dataclass(frozen=True, slots=True)
class NewExample:
    """What is known of an example before it has a number."""

    assistant: AssistantId
    method: Method
    state: ExampleState
    row: Row | None
    origin: Origin
    authors: tuple[UserId, ...] = ()
    source: ExampleSource | None = None
    tags: tuple[str, ...] = ()
    exclusions: Exclusion = NO_EXCLUSION
    messages: tuple[ExampleSource, ...] = ()
    """Every message whose words are in it; `source` need not be repeated."""
    text: RowText | None = None
    """That of `row`, where it was made before the example is written, and not by the writer."""
    synthetic: SyntheticOrigin | None = None


@dataclass(frozen=True, slots=True)
class Revision:
    number: int
    row: Row | None
    editor: UserId | None
    at: datetime


class ExampleOrder(StrEnum):
    """By number downwards or upwards, or by a column of the list of examples."""

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
    """Kinds of which it holds one that nobody has decided upon; zero for whatever it holds."""
    only_active: bool = False
    """Whether what is rejected or withdrawn is left out."""
    hidden_exclusions: Exclusion = NO_EXCLUSION
    """What carries one of these is left out, unless it was said in `visible_in_channel`."""
    visible_in_channel: ChannelId | None = None
    reviewer: UserId | None = None
    """Left out is what is assigned to others, and what this person has judged as it is now."""
    created_before: datetime | None = None
    """Only what came before then and is not erased."""
    is_unapproved: bool = False


class IncompleteReason(StrEnum):
    """Why the host ended an answer: the token limit, or a content filter.

    `incomplete_details.reason` of https://platform.openai.com/docs/api-reference/responses/object;
    what a person stopped and what a lost connection cut is neither.
    """

    LENGTH = "length"
    FILTER = "content_filter"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the model asks for; `arguments` are JSON as the model wrote them."""

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
    """The message of the question; `reply_message` is that of the reply."""
    incomplete_reason: IncompleteReason | None = None
    """Why the reply is not whole, where its host said so."""


@dataclass(frozen=True, slots=True)
class Undoable:
    """What `user` did last and may take back until `due_at`.

    With a `host` nothing is deleted there before that; `attempts` counts failed deletions.
    """

    user: UserId
    kind: str
    details: Mapping[str, object]
    due_at: datetime
    host: HostName | None = None
    attempts: int = 0
    id: int = 0
    workspace: WorkspaceId = LOCAL


SHAREABLE_FOR = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class PrivateReply:
    """A reply to an event as `user` was shown it with `role`; what they may share."""

    event: str
    user: UserId
    role: Role
    place: Place
    body: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Vote:
    """A person's last word on a reply: +1 or -1."""

    turn: TurnId
    user: UserId
    value: int
    reason: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class NewNotice:
    """A fact to be told, before it is kept; `key` names it for good."""

    key: str
    place: Place
    kind: str
    subject: int | None
    details: Mapping[str, object]


ONLY_EDIT = "only_edit"
"""The detail of a notice that changes a message which stands, and is let go where it is gone."""


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
    files: tuple[Attachment, ...] = ()
