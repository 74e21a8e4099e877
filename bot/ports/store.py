"""The port to storage: one protocol per noun, each method a workspace first.

Methods without a workspace are for the loops that serve every workspace.
A method called with a workspace that does not own the thing finds nothing:
`get` raises NotFound, lookups answer None, changes change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import date, datetime, timedelta
from typing import Protocol

from bot.domain import (
    Assistant,
    AssistantId,
    Attachment,
    AuditEntry,
    Binding,
    ChannelId,
    Consent,
    Deployment,
    Exclusion,
    Grant,
    HostName,
    InboxRow,
    MessageId,
    ModelFeedback,
    ModelName,
    NewNotice,
    Notice,
    NoticeId,
    Place,
    PrivateReply,
    Role,
    RoomMessage,
    Sources,
    Turn,
    TurnId,
    Undoable,
    User,
    UserId,
    Vote,
    Workspace,
    WorkspaceId,
)
from bot.ports.answer_stats import AnswerStats as AnswerStats
from bot.ports.canaries import Canaries as Canaries
from bot.ports.evaluation import EvaluationGaps as EvaluationGaps
from bot.ports.evaluation import Evaluations as Evaluations
from bot.ports.examples import ExampleCards as ExampleCards
from bot.ports.examples import ExampleMessages as ExampleMessages
from bot.ports.examples import Examples as Examples
from bot.ports.paid_runs import Judgings as Judgings
from bot.ports.paid_runs import SyntheticRuns as SyntheticRuns
from bot.ports.personal_data import PersonalData as PersonalData
from bot.ports.reviews import Reviews as Reviews
from bot.ports.training import Deployments as Deployments
from bot.ports.training import Jobs as Jobs
from bot.ports.training import Models as Models
from bot.ports.training import RemoteCleanups as RemoteCleanups
from bot.ports.training import Snapshots as Snapshots
from bot.ports.training_offers import TrainingOffers as TrainingOffers
from bot.ports.votes import BlindVotes as BlindVotes


class Workspaces(Protocol):
    async def find(self, workspace: WorkspaceId) -> Workspace | None: ...
    async def add(self, workspace: Workspace) -> None:
        """Does nothing if it stands already."""
        ...

    async def page(
        self,
        *,
        after: WorkspaceId | None = None,
        is_allowed: bool | None = None,
        limit: int = 500,
    ) -> Sequence[Workspace]:
        """By id."""
        ...

    async def count(self) -> int: ...
    async def list_removed(self) -> Sequence[Workspace]:
        """Those whose removal is reported, and those that are closed."""
        ...

    async def report_removal(self, workspace: WorkspaceId, *, at: datetime) -> None:
        """Its platform says that the app was removed; does nothing a second time, or if closed."""
        ...

    async def close(self, workspace: WorkspaceId, *, at: datetime) -> None:
        """Its removal is confirmed: the grace period begins, or begins anew."""
        ...

    async def reopen(self, workspace: WorkspaceId) -> None:
        """It is in use, and nothing of its removal is remembered."""
        ...

    async def set_sources(
        self, workspace: WorkspaceId, sources: Sources, *, allowed: Exclusion
    ) -> None: ...
    async def set_caps(
        self,
        workspace: WorkspaceId,
        *,
        person: int | None,
        whole: int | None,
        training: float | None = None,
    ) -> None:
        """Tokens a day, and dollars of training a month; None is no limit."""
        ...

    async def set_allowed(self, workspace: WorkspaceId, is_allowed: bool) -> None:
        """Whether it may use the hosts that the operator pays for."""
        ...

    async def set_must_mask(self, workspace: WorkspaceId, must_mask: bool) -> None:
        """Whether nothing with private text may be trained on or shown to a model."""
        ...

    async def set_retention(
        self, workspace: WorkspaceId, *, everything: int | None, unapproved: int | None
    ) -> None:
        """Days after which examples are deleted, or those that nobody approved; None is never."""
        ...

    async def with_retention(self) -> Sequence[Workspace]:
        """Those that delete anything by its age."""
        ...

    async def rename(self, workspace: WorkspaceId, name: str) -> None: ...
    async def erase(self, workspace: WorkspaceId) -> None:
        """Everything of the workspace goes, in every table."""
        ...

    async def erase_part(self, workspace: WorkspaceId, *, first: int = 0, limit: int = 500) -> int:
        """So many rows go of the first table, by its number, that has any left.

        The number of that table, to begin the next part with; below zero where nothing was left.
        """
        ...


class Roles(Protocol):
    async def get(self, workspace: WorkspaceId, user: UserId) -> Grant | None: ...
    async def set_grant(
        self, workspace: WorkspaceId, user: UserId, grant: Grant | None
    ) -> None: ...
    async def all(self, workspace: WorkspaceId) -> Sequence[tuple[UserId, Role]]: ...
    async def highest(self, workspace: WorkspaceId, groups: Sequence[UserId]) -> Role:
        """The highest role that one of them holds; that of a stranger where none holds any."""
        ...


EVERYWHERE = ChannelId("*")
"""Stands for all channels, direct messages included."""


class GuestChannels(Protocol):
    """The channels in which guests and people of another organisation may ask."""

    async def put(self, workspace: WorkspaceId, channel: ChannelId, *, may_ask: bool) -> None: ...
    async def all(self, workspace: WorkspaceId) -> Sequence[ChannelId]: ...
    async def allows(self, workspace: WorkspaceId, channel: ChannelId) -> bool:
        """Also where every channel is allowed."""
        ...


class DirectChoices(Protocol):
    """Which workspace answers a person's direct messages, on platforms where several could."""

    async def chosen_workspace(self, platform: str, user: UserId) -> WorkspaceId | None: ...
    async def ever_chosen(self, platform: str, user: UserId) -> Sequence[WorkspaceId]:
        """Every workspace that was ever chosen, also one that the person has left."""
        ...

    async def choose(self, workspace: WorkspaceId, user: UserId) -> None:
        """In place of what was chosen on that platform before."""
        ...

    async def leave(self, workspace: WorkspaceId, user: UserId) -> None:
        """It is no longer the one that answers."""
        ...

    async def forget(self, workspace: WorkspaceId, user: UserId) -> None: ...


class Assistants(Protocol):
    async def add(self, workspace: WorkspaceId, assistant: Assistant) -> Assistant:
        """The given id is ignored; the kept one has its own."""
        ...

    async def get(self, workspace: WorkspaceId, assistant: AssistantId) -> Assistant: ...
    async def find_by_name(self, workspace: WorkspaceId, name: str) -> Assistant | None:
        """Upper and lower case are the same."""
        ...

    async def default(self, workspace: WorkspaceId) -> Assistant | None: ...
    async def all(self, workspace: WorkspaceId) -> Sequence[Assistant]: ...
    async def of_workspaces(
        self, numbers: Sequence[WorkspaceId]
    ) -> Sequence[tuple[Assistant, Deployment | None, Sequence[ChannelId]]]:
        """With what is in use, and the channels that are bound; for the calendar."""
        ...

    async def update(self, workspace: WorkspaceId, assistant: Assistant) -> None: ...
    async def bind(self, workspace: WorkspaceId, binding: Binding) -> None: ...
    async def unbind(self, workspace: WorkspaceId, channel: ChannelId) -> bool: ...
    async def binding(self, workspace: WorkspaceId, channel: ChannelId) -> Binding | None: ...
    async def bindings(self, workspace: WorkspaceId) -> Sequence[Binding]: ...
    async def answering_in(
        self, workspace: WorkspaceId, channel: ChannelId
    ) -> tuple[Assistant, Binding | None, Deployment | None] | None:
        """Who answers in a channel, and with which model: the bound one, else the default."""
        ...


class Turns(Protocol):
    async def add(self, workspace: WorkspaceId, turn: Turn) -> Turn:
        """The given id is ignored. A turn of the same event is returned instead of a second."""
        ...

    async def change(self, workspace: WorkspaceId, turn: TurnId, **changes: object) -> None: ...
    async def get(self, workspace: WorkspaceId, turn: TurnId) -> Turn: ...
    async def by_message(
        self, workspace: WorkspaceId, channel: ChannelId, message: MessageId
    ) -> Turn | None: ...
    async def by_messages(
        self, workspace: WorkspaceId, channel: ChannelId, messages: Sequence[MessageId]
    ) -> Mapping[MessageId, Turn]:
        """The turns whose replies stand in these messages, oldest first."""
        ...

    async def by_event(self, workspace: WorkspaceId, event_key: str) -> Turn | None: ...
    async def count_by(self, workspace: WorkspaceId, user: UserId) -> int: ...
    async def has_answered(self, workspace: WorkspaceId, model: ModelName) -> bool:
        """Whether a model has completed an answer to anybody."""
        ...

    async def by_asker(
        self,
        workspace: WorkspaceId,
        user: UserId,
        *,
        before: TurnId | None = None,
        limit: int = 500,
    ) -> Sequence[Turn]:
        """Newest first."""
        ...

    async def by_question(
        self, workspace: WorkspaceId, channel: ChannelId, message: MessageId
    ) -> Turn | None:
        """The turn that answers a message."""
        ...

    async def forget_messages(
        self, workspace: WorkspaceId, channel: ChannelId, messages: Sequence[MessageId]
    ) -> int:
        """The text of each question and reply that stood in one of them goes; how many turns."""
        ...

    async def forget_channel(
        self,
        workspace: WorkspaceId,
        channel: ChannelId,
        thread: MessageId | None,
        *,
        limit: int = 500,
    ) -> int:
        """The text of turns in a channel, or in one thread of it, goes; how many turns.

        Fewer than `limit` once none is left.
        """
        ...

    async def erase(self, workspace: WorkspaceId, user: UserId, *, limit: int = 500) -> int:
        """How many turns of this asker went, with all their votes."""
        ...

    async def erase_votes(self, workspace: WorkspaceId, user: UserId, *, limit: int = 500) -> int:
        """How many votes of this person went, whoever asked."""
        ...

    async def forget_before(
        self, at: datetime, *, workspace: WorkspaceId | None = None, limit: int = 500
    ) -> int:
        """How many went, oldest first; one that a proposed example was taken from stays."""
        ...

    async def vote(self, workspace: WorkspaceId, vote: Vote) -> None:
        """A person's later vote replaces the earlier one, its reason only if given."""
        ...

    async def unvote(
        self, workspace: WorkspaceId, turn: TurnId, user: UserId, value: int
    ) -> None: ...
    async def votes(self, workspace: WorkspaceId, turn: TurnId) -> Sequence[Vote]: ...
    async def model_feedback(
        self, workspace: WorkspaceId, assistant: AssistantId, *, since: datetime
    ) -> Mapping[ModelName, ModelFeedback]:
        """Answers given since then that have ended, and the votes on them, by model."""
        ...

    async def votes_by_model(
        self, workspace: WorkspaceId, assistant: AssistantId
    ) -> Mapping[ModelName, tuple[int, int]]:
        """Votes for and against answers, by model; one without a vote is not there."""
        ...


class Undoables(Protocol):
    async def add(self, workspace: WorkspaceId, new: Undoable) -> int: ...
    async def find(self, workspace: WorkspaceId, number: int) -> Undoable | None: ...
    async def all(self, workspace: WorkspaceId) -> Sequence[Undoable]: ...
    async def due(self, host: HostName | None, *, now: datetime) -> Sequence[Undoable]:
        """Whose time is over, at one host or at none, of every workspace."""
        ...

    async def next_due(self, host: HostName | None) -> datetime | None: ...
    async def postpone(self, number: int, *, until: datetime) -> None:
        """Tried again later; from now on it cannot be undone."""
        ...

    async def drop(self, number: int) -> None: ...


class PrivateReplies(Protocol):
    async def keep(self, workspace: WorkspaceId, new: PrivateReply) -> int:
        """Its number; of one event there is one, and the first stays."""
        ...

    async def find(self, workspace: WorkspaceId, number: int) -> PrivateReply | None: ...
    async def forget(self, workspace: WorkspaceId) -> None:
        """All of them: they may quote what was erased."""
        ...

    async def forget_before(self, at: datetime, *, limit: int = 500) -> int:
        """Those that were kept before then, of every workspace; how many."""
        ...


class Outbox(Protocol):
    async def put(
        self,
        key: str,
        place: Place,
        kind: str,
        *,
        subject: int | None = None,
        details: Mapping[str, object] | None = None,
        at: datetime,
        once: bool = False,
        message: MessageId | None = None,
    ) -> None:
        """A new fact, or a change of the fact with this key; with `once`, only if it is new.

        `message` is where it stands already, to be edited.
        """
        ...

    async def announce(self, facts: Sequence[NewNotice], *, at: datetime) -> None:
        """Those of these that are new, in one statement."""
        ...

    async def due(self, *, now: datetime, limit: int = 50) -> Sequence[Notice]:
        """Facts whose message is behind them, oldest first."""
        ...

    async def mark_delivered(
        self, notice: NoticeId, *, version: int, message: MessageId | None
    ) -> None: ...
    async def postpone(self, notice: NoticeId, *, until: datetime) -> None: ...
    async def move(self, notice: NoticeId, to: Place) -> None:
        """It is told in another place from now on, in a message of its own there."""
        ...

    async def drop(self, notice: NoticeId) -> None: ...
    async def by_message(
        self, workspace: WorkspaceId, channel: ChannelId, message: MessageId
    ) -> Notice | None: ...
    async def forget_before(self, at: datetime, *, limit: int = 500) -> int:
        """How many went that were told before then, and are not about an open job."""
        ...

    async def is_empty(self, workspace: WorkspaceId | None = None) -> bool:
        """Whether everything has been told, in every workspace or in one."""
        ...


class Inbox(Protocol):
    async def receive(
        self,
        workspace: WorkspaceId,
        key: str,
        *,
        message_key: str | None,
        payload: str,
        at: datetime,
    ) -> bool:
        """False if the event, or its message, is known already."""
        ...

    async def begin(self, key: str) -> None:
        """From now on people may see an answer to it."""
        ...

    async def retry(self, key: str) -> None:
        """A new run works on it; counts attempts."""
        ...

    async def finish(self, key: str) -> None:
        """Done: the payload is erased."""
        ...

    async def list_unfinished(
        self, *, after: tuple[datetime, str] | None = None, limit: int = 500
    ) -> Sequence[InboxRow]:
        """Oldest first; `after` is the moment and the key of the last one seen."""
        ...

    async def has_unfinished(self, workspace: WorkspaceId, message_key: str) -> bool:
        """Whether an event of that message is promised and not done."""
        ...

    async def forget_before(self, at: datetime, *, limit: int = 500) -> int:
        """How many keys of events done before then went."""
        ...


class Audit(Protocol):
    async def add(
        self,
        workspace: WorkspaceId,
        user: UserId | None,
        what: str,
        *,
        at: datetime,
        **details: object,
    ) -> None: ...
    async def page(
        self,
        workspace: WorkspaceId,
        *,
        what: str | None = None,
        user: UserId | None = None,
        limit: int = 20,
    ) -> Sequence[AuditEntry]:
        """Newest first; `what` matches from its beginning."""
        ...

    async def of_kind(
        self, workspace: WorkspaceId, what: str, *, limit: int = 20
    ) -> Sequence[AuditEntry]:
        """Newest first; `what` matches whole."""
        ...

    async def forget_before(self, at: datetime, *, limit: int = 500) -> int: ...


class DailyTokens(Protocol):
    async def add(self, workspace: WorkspaceId, user: UserId, day: date, tokens: int) -> None: ...
    async def spent(self, workspace: WorkspaceId, user: UserId, day: date) -> tuple[int, int]:
        """Tokens of the person, and of the whole workspace, on that UTC day."""
        ...


class Consents(Protocol):
    async def put(self, workspace: WorkspaceId, consent: Consent) -> None: ...
    async def get(self, workspace: WorkspaceId, user: UserId) -> Consent | None: ...
    async def all(self, workspace: WorkspaceId) -> Sequence[Consent]:
        """Everybody's, by name."""
        ...


class Room(Protocol):
    """The local workspace's own messages: there we are the platform."""

    async def post(
        self,
        channel: ChannelId,
        *,
        author: User,
        text: str,
        body: str | None,
        is_own: bool,
        at: datetime,
        thread: int | None = None,
        reply_to: int | None = None,
        key: str | None = None,
        files: Sequence[Attachment] = (),
    ) -> RoomMessage:
        """A message with the same key is edited instead. Numbers count up from 1."""
        ...

    async def edit(
        self, number: int, *, text: str, body: str | None, at: datetime
    ) -> RoomMessage | None: ...
    async def get(self, number: int) -> RoomMessage | None: ...
    async def page(
        self,
        channel: ChannelId,
        *,
        before: int | None = None,
        thread: int | None = None,
        limit: int = 50,
    ) -> Sequence[RoomMessage]:
        """The newest so many, oldest first; `thread` keeps its root and replies."""
        ...

    async def react(self, number: int, emoji: str, user: UserId, *, on: bool = True) -> None: ...
    async def channels(self) -> Sequence[ChannelId]:
        """Where anything was said, by name."""
        ...

    async def people(self) -> Sequence[UserId]:
        """Who has said anything, the assistant too, by id."""
        ...

    async def file_references(self) -> Sequence[str]:
        """Of every file that a message still has."""
        ...


class Records(Protocol):
    """Every noun, inside one transaction."""

    workspaces: Workspaces
    roles: Roles
    guest_channels: GuestChannels
    direct_choices: DirectChoices
    assistants: Assistants
    examples: Examples
    example_cards: ExampleCards
    example_messages: ExampleMessages
    personal_data: PersonalData
    reviews: Reviews
    snapshots: Snapshots
    jobs: Jobs
    evaluations: Evaluations
    evaluation_gaps: EvaluationGaps
    blind_votes: BlindVotes
    canaries: Canaries
    remote_cleanups: RemoteCleanups
    undoables: Undoables
    private_replies: PrivateReplies
    models: Models
    deployments: Deployments
    turns: Turns
    answer_stats: AnswerStats
    training_offers: TrainingOffers
    judgings: Judgings
    synthetic_runs: SyntheticRuns
    outbox: Outbox
    inbox: Inbox
    audit: Audit
    daily_tokens: DailyTokens
    consents: Consents
    room: Room


class Store(Protocol):
    """Where records are kept. Writes of one process wait for one another; reads never wait."""

    def writing(self, *, is_urgent: bool = False) -> AbstractAsyncContextManager[Records]:
        """One transaction: all of it lasts, or none of it; an urgent one waits for no other."""
        ...

    def reading(self) -> AbstractAsyncContextManager[Records]: ...


class Clock(Protocol):
    """Time, as an argument."""

    def now(self) -> datetime:
        """Aware, UTC."""
        ...

    async def sleep(self, wait: timedelta) -> None: ...
