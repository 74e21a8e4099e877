"""The port to storage: one protocol per entity; methods take the workspace first.

Methods without a workspace are for background loops over all workspaces. An entity of another
workspace does not exist for a method: `get` raises NotFound, lookups return None, changes
change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import date, datetime, timedelta
from typing import Protocol

from bot.domain import (
    Assistant,
    AssistantId,
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
    Sources,
    Turn,
    TurnId,
    Undoable,
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
from bot.ports.room import Room as Room
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
        """Stores a workspace, unless it exists."""
        ...

    async def page(
        self,
        *,
        after: WorkspaceId | None = None,
        is_allowed: bool | None = None,
        limit: int = 500,
    ) -> Sequence[Workspace]:
        """Returns workspaces by id."""
        ...

    async def count(self) -> int: ...
    async def list_removed_or_closed(self) -> Sequence[Workspace]:
        """Returns the workspaces whose removal is reported, and the closed ones."""
        ...

    async def record_reported_removal(self, workspace: WorkspaceId, *, at: datetime) -> None:
        """Stores when the platform first reported the app's removal; not in a closed workspace."""
        ...

    async def close(self, workspace: WorkspaceId, *, at: datetime) -> None:
        """Closes a workspace after its removal is confirmed; the grace period starts at `at`."""
        ...

    async def reopen(self, workspace: WorkspaceId) -> None:
        """Reopens a workspace and deletes the times of its removal."""
        ...

    async def set_sources(
        self, workspace: WorkspaceId, sources: Sources, *, allowed: Exclusion
    ) -> None: ...
    async def set_caps(
        self,
        workspace: WorkspaceId,
        *,
        person_cap: int | None,
        workspace_cap: int | None,
        training_cap: float | None = None,
    ) -> None:
        """Sets caps in tokens a day and US dollars of training a month; None is no limit."""
        ...

    async def set_allowed(self, workspace: WorkspaceId, is_allowed: bool) -> None:
        """Sets whether the workspace may use the hosts that the operator pays for."""
        ...

    async def set_must_mask(self, workspace: WorkspaceId, must_mask: bool) -> None:
        """Sets whether private text must be masked before training or a prompt."""
        ...

    async def set_retention(
        self, workspace: WorkspaceId, *, keep_days: int | None, keep_unapproved_days: int | None
    ) -> None:
        """Sets after how many days all, or unapproved, examples are deleted; None is never."""
        ...

    async def list_with_retention(self) -> Sequence[Workspace]:
        """Returns the workspaces with a retention period."""
        ...

    async def rename(self, workspace: WorkspaceId, name: str) -> None: ...
    async def erase_part(
        self, workspace: WorkspaceId, *, first_table: int = 0, limit: int = 500
    ) -> int:
        """Deletes up to `limit` rows of the first table, from number `first`, that has any.

        Returns the number of that table, for the next call; -1 once no table has any.
        """
        ...


class Roles(Protocol):
    async def get(self, workspace: WorkspaceId, user: UserId) -> Grant | None: ...
    async def set_grant(
        self, workspace: WorkspaceId, user: UserId, grant: Grant | None
    ) -> None: ...
    async def all(self, workspace: WorkspaceId) -> Sequence[tuple[UserId, Role]]: ...
    async def highest_group_role(self, workspace: WorkspaceId, groups: Sequence[UserId]) -> Role:
        """Returns the highest role granted to one of the groups, else `Role.STRANGER`."""
        ...


ALL_CHANNELS = ChannelId("*")
"""All channels, including direct messages."""


class GuestChannels(Protocol):
    """The channels in which guests and people of another organisation may ask."""

    async def set_may_ask(
        self, workspace: WorkspaceId, channel: ChannelId, *, may_ask: bool
    ) -> None: ...
    async def all(self, workspace: WorkspaceId) -> Sequence[ChannelId]: ...
    async def allows(self, workspace: WorkspaceId, channel: ChannelId) -> bool:
        """Whether guests may ask in the channel, or everywhere."""
        ...


class DirectMessageWorkspaces(Protocol):
    """Which workspace answers a person's direct messages, where several could."""

    async def chosen_workspace(self, platform: str, user: UserId) -> WorkspaceId | None: ...
    async def ever_chosen_workspaces(self, platform: str, user: UserId) -> Sequence[WorkspaceId]:
        """Returns every workspace that the person ever chose, also after `end_choice`."""
        ...

    async def choose_workspace(self, workspace: WorkspaceId, user: UserId) -> None:
        """Stores a choice; replaces the earlier one on the same platform."""
        ...

    async def end_choice(self, workspace: WorkspaceId, user: UserId) -> None:
        """Ends the choice of a workspace; `ever_chosen_workspaces` still returns it."""
        ...

    async def forget_person(self, workspace: WorkspaceId, user: UserId) -> None: ...


class Assistants(Protocol):
    async def add(self, workspace: WorkspaceId, assistant: Assistant) -> Assistant:
        """Stores an assistant with a new id."""
        ...

    async def get(self, workspace: WorkspaceId, assistant: AssistantId) -> Assistant: ...
    async def find_by_name(self, workspace: WorkspaceId, name: str) -> Assistant | None:
        """Returns the assistant with this name, ignoring case."""
        ...

    async def default(self, workspace: WorkspaceId) -> Assistant | None: ...
    async def any_sends_examples(self) -> bool:
        """Whether an assistant of any workspace sends examples along with questions."""
        ...

    async def all(self, workspace: WorkspaceId) -> Sequence[Assistant]: ...
    async def list_with_deployments(
        self, workspaces: Sequence[WorkspaceId]
    ) -> Sequence[tuple[Assistant, Deployment | None, Sequence[ChannelId]]]:
        """Returns all assistants of workspaces, each with its deployment and bound channels."""
        ...

    async def update(self, workspace: WorkspaceId, assistant: Assistant) -> None: ...
    async def bind(self, workspace: WorkspaceId, binding: Binding) -> None: ...
    async def unbind(self, workspace: WorkspaceId, channel: ChannelId) -> bool: ...
    async def binding(self, workspace: WorkspaceId, channel: ChannelId) -> Binding | None: ...
    async def bindings(self, workspace: WorkspaceId) -> Sequence[Binding]: ...
    async def answering_in(
        self, workspace: WorkspaceId, channel: ChannelId
    ) -> tuple[Assistant, Binding | None, Deployment | None] | None:
        """Returns the assistant for a channel, with binding and deployment.

        The bound assistant, else the default; None if there is neither.
        """
        ...


class Turns(Protocol):
    async def add(self, workspace: WorkspaceId, turn: Turn) -> Turn:
        """Stores a turn with a new id, or returns the one of the same event."""
        ...

    async def update_fields(
        self, workspace: WorkspaceId, turn: TurnId, **changes: object
    ) -> None: ...
    async def get(self, workspace: WorkspaceId, turn: TurnId) -> Turn: ...
    async def get_many(
        self, workspace: WorkspaceId, ids: Sequence[TurnId]
    ) -> Mapping[TurnId, Turn]:
        """Returns the existing turns with these ids."""
        ...

    async def by_reply_message(
        self, workspace: WorkspaceId, channel: ChannelId, message: MessageId
    ) -> Turn | None: ...
    async def by_reply_messages(
        self, workspace: WorkspaceId, channel: ChannelId, messages: Sequence[MessageId]
    ) -> Mapping[MessageId, Turn]:
        """Returns the turns of these reply messages, oldest first."""
        ...

    async def by_event(self, workspace: WorkspaceId, event_key: str) -> Turn | None: ...
    async def count_by_asker(self, workspace: WorkspaceId, user: UserId) -> int: ...
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
        """Returns the turns with a person's questions, newest first."""
        ...

    async def by_question_message(
        self, workspace: WorkspaceId, channel: ChannelId, message: MessageId
    ) -> Turn | None:
        """Returns the turn whose question is this message."""
        ...

    async def forget_texts_of_messages(
        self, workspace: WorkspaceId, channel: ChannelId, messages: Sequence[MessageId]
    ) -> int:
        """Erases the text of questions and replies in these messages; returns how many turns."""
        ...

    async def forget_texts_in_channel(
        self,
        workspace: WorkspaceId,
        channel: ChannelId,
        thread: MessageId | None,
        *,
        limit: int = 500,
    ) -> int:
        """Erases the text of turns in a channel, or in one of its threads; returns how many.

        A number below `limit` is the end.
        """
        ...

    async def erase_by_asker(
        self, workspace: WorkspaceId, user: UserId, *, limit: int = 500
    ) -> int:
        """Deletes the turns with a person's questions, and their votes; returns how many turns."""
        ...

    async def erase_votes_of_user(
        self, workspace: WorkspaceId, user: UserId, *, limit: int = 500
    ) -> int:
        """Deletes a person's votes on any reply; returns how many."""
        ...

    async def delete_before(
        self, at: datetime, *, workspace: WorkspaceId | None = None, limit: int = 500
    ) -> int:
        """Deletes turns from before `at`, oldest first; returns how many.

        A turn whose reply is the source of a proposed example stays.
        """
        ...

    async def put_vote(self, workspace: WorkspaceId, vote: Vote) -> None:
        """Stores a vote; replaces the person's earlier one, but its reason only by a new reason."""
        ...

    async def remove_vote(
        self, workspace: WorkspaceId, turn: TurnId, user: UserId, value: int
    ) -> None: ...
    async def votes(self, workspace: WorkspaceId, turn: TurnId) -> Sequence[Vote]: ...
    async def model_feedback(
        self, workspace: WorkspaceId, assistant: AssistantId, *, since: datetime
    ) -> Mapping[ModelName, ModelFeedback]:
        """Returns, by model, the number of answers since then that have ended, and their votes."""
        ...

    async def votes_by_model(
        self, workspace: WorkspaceId, assistant: AssistantId
    ) -> Mapping[ModelName, tuple[int, int]]:
        """Returns (likes, dislikes) by model; a model without votes is missing."""
        ...


class Undoables(Protocol):
    async def add(self, workspace: WorkspaceId, new: Undoable) -> int: ...
    async def find(self, workspace: WorkspaceId, number: int) -> Undoable | None: ...
    async def all(self, workspace: WorkspaceId) -> Sequence[Undoable]: ...
    async def list_due(self, host: HostName | None, *, now: datetime) -> Sequence[Undoable]:
        """Returns the actions of all workspaces past `due_at`, with this host (None: without)."""
        ...

    async def next_due_time(self, host: HostName | None) -> datetime | None: ...
    async def postpone(self, number: int, *, until: datetime) -> None:
        """Delays the next attempt and counts one; with an attempt the action cannot be undone."""
        ...

    async def delete(self, number: int) -> None: ...


class PrivateReplies(Protocol):
    async def add(self, workspace: WorkspaceId, reply: PrivateReply) -> int:
        """Stores a reply and returns its id, or the id of the reply to the same event."""
        ...

    async def find(self, workspace: WorkspaceId, number: int) -> PrivateReply | None: ...
    async def delete_all(self, workspace: WorkspaceId) -> None:
        """Deletes all private replies of a workspace, because they may quote erased text."""
        ...

    async def delete_before(self, at: datetime, *, limit: int = 500) -> int:
        """Deletes replies from before `at`, of every workspace; returns how many."""
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
        only_if_new: bool = False,
        message: MessageId | None = None,
    ) -> None:
        """Stores a notice, or changes the one with this key; with `once` the latter is unchanged.

        `message` is an existing message that shows the notice and will be edited.
        """
        ...

    async def locale_of(self, workspace: WorkspaceId, keys: Sequence[str]) -> str | None:
        """Returns the locale of the first of these notices that has one."""
        ...

    async def add_new(self, new: Sequence[NewNotice], *, at: datetime) -> None:
        """Stores notices whose keys are new, in one statement."""
        ...

    async def list_due(self, *, now: datetime, limit: int = 50) -> Sequence[Notice]:
        """Returns notices whose newest version is not delivered and that are due, oldest first."""
        ...

    async def mark_delivered(
        self, notice: NoticeId, *, version: int, message: MessageId | None
    ) -> None: ...
    async def postpone(self, notice: NoticeId, *, until: datetime) -> None: ...
    async def move_to_place(self, notice: NoticeId, to: Place) -> None:
        """Delivers a notice in another place from now on, as a new message there."""
        ...

    async def delete(self, notice: NoticeId) -> None: ...
    async def delete_delivered_before(self, at: datetime, *, limit: int = 500) -> int:
        """Deletes notices delivered before `at`, except about open jobs; returns how many."""
        ...

    async def is_empty(self, workspace: WorkspaceId | None = None) -> bool:
        """Whether every notice is delivered, in all workspaces or in one."""
        ...


class Inbox(Protocol):
    async def add(
        self,
        workspace: WorkspaceId,
        key: str,
        *,
        message_key: str | None,
        payload: str,
        at: datetime,
    ) -> bool:
        """Stores an event; False if the event, or one of the same message, is stored already."""
        ...

    async def mark_begun(self, key: str) -> None:
        """Sets `has_begun`: from now on users may see an answer to the event."""
        ...

    async def count_attempt(self, key: str) -> None:
        """Counts an attempt to handle the event again."""
        ...

    async def mark_done(self, key: str) -> None:
        """Marks an event as done and erases its payload."""
        ...

    async def list_unfinished(
        self, *, after: tuple[datetime, str] | None = None, limit: int = 500
    ) -> Sequence[InboxRow]:
        """Returns unfinished events, oldest first; `after` is time and key of the last one seen."""
        ...

    async def has_unfinished(self, workspace: WorkspaceId, message_key: str) -> bool:
        """Whether an event of the message is stored and not done."""
        ...

    async def delete_finished_before(self, at: datetime, *, limit: int = 500) -> int:
        """Deletes the keys of finished events received before `at`; returns how many."""
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
        """Returns entries whose kind starts with `what`, newest first."""
        ...

    async def of_kind(
        self, workspace: WorkspaceId, what: str, *, limit: int = 20
    ) -> Sequence[AuditEntry]:
        """Returns entries of exactly the kind `what`, newest first."""
        ...

    async def delete_before(self, at: datetime, *, limit: int = 500) -> int: ...


class DailyTokens(Protocol):
    async def add(self, workspace: WorkspaceId, user: UserId, day: date, tokens: int) -> None: ...
    async def tokens_of_day(
        self, workspace: WorkspaceId, user: UserId, day: date
    ) -> tuple[int, int]:
        """Returns the tokens of the person and of the whole workspace on a UTC day."""
        ...


class Consents(Protocol):
    async def put(self, workspace: WorkspaceId, consent: Consent) -> None: ...
    async def get(self, workspace: WorkspaceId, user: UserId) -> Consent | None: ...
    async def all(self, workspace: WorkspaceId) -> Sequence[Consent]:
        """Returns all consents, by user id."""
        ...


class Records(Protocol):
    """The repositories of every entity, inside one transaction."""

    workspaces: Workspaces
    roles: Roles
    guest_channels: GuestChannels
    direct_message_workspaces: DirectMessageWorkspaces
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
    """The database. Writes of one process wait for each other; reads never wait."""

    def writing(self, *, is_urgent: bool = False) -> AbstractAsyncContextManager[Records]:
        """Opens a write transaction; an urgent one goes before those that are waiting."""
        ...

    def reading(self) -> AbstractAsyncContextManager[Records]: ...


class Clock(Protocol):
    """The clock, passed as an argument so that tests control time."""

    def now(self) -> datetime:
        """Returns the current time, aware, in UTC."""
        ...

    async def sleep(self, wait: timedelta) -> None: ...
