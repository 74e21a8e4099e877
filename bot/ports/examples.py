"""The port to stored examples, the cards that show them, and their source messages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from bot.domain import (
    AssistantId,
    ChannelId,
    Example,
    ExampleFilter,
    ExampleId,
    ExampleOrder,
    ExampleSource,
    ExampleState,
    MessageId,
    NewExample,
    Place,
    PostedCard,
    Revision,
    Row,
    UserId,
    WorkspaceId,
)
from bot.rows import Method


class Examples(Protocol):
    async def add(
        self, workspace: WorkspaceId, example: NewExample, *, at: datetime
    ) -> tuple[Example, bool]:
        """Stores an example; returns the stored example and whether it is new.

        An active example (proposed or approved) of the same assistant with the same
        fingerprint, or of the same method and from the same message, is returned instead. If
        the workspace demands masking, private text is masked here and in `add_many` and
        `revise`. If the assistant has several reviewers, an approved example is stored as
        proposed.
        """
        ...

    async def add_many(
        self, workspace: WorkspaceId, examples: Sequence[NewExample], *, at: datetime
    ) -> int:
        """Stores examples in bulk, about a thousand at a time; returns how many were new."""
        ...

    async def get(self, workspace: WorkspaceId, example: ExampleId) -> Example: ...
    async def find_by_source(
        self, workspace: WorkspaceId, channel: ChannelId, message: MessageId
    ) -> Example | None:
        """Returns the oldest active example with this source message."""
        ...

    async def page(
        self,
        workspace: WorkspaceId,
        filters: ExampleFilter,
        *,
        after: ExampleId | None = None,
        limit: int = 20,
        order: ExampleOrder = ExampleOrder.OLDEST,
        among: Sequence[ExampleId] | None = None,
    ) -> Sequence[Example]:
        """Returns a page of examples in `order`; `after` is the last id of the page before."""
        ...

    async def list_ids(
        self,
        workspace: WorkspaceId,
        filters: ExampleFilter,
        *,
        until: datetime,
        among: Sequence[ExampleId] | None = None,
        has_text: bool = False,
        after: ExampleId | None = None,
        limit: int = 500,
    ) -> Sequence[ExampleId]:
        """Returns ids of examples created no later than `until`, oldest first."""
        ...

    async def count(self, workspace: WorkspaceId, filters: ExampleFilter) -> int: ...
    async def add_revision(
        self, workspace: WorkspaceId, example: ExampleId, row: Row, editor: UserId, *, at: datetime
    ) -> Example: ...
    async def allow_private_text(
        self, workspace: WorkspaceId, example: ExampleId, *, at: datetime
    ) -> None:
        """Allows the example's private text, until a revision adds other private text."""
        ...

    async def revisions(self, workspace: WorkspaceId, example: ExampleId) -> Sequence[Revision]: ...
    async def set_state(
        self,
        workspace: WorkspaceId,
        examples: Sequence[ExampleId],
        state: ExampleState,
        *,
        at: datetime,
        by: UserId | None = None,
    ) -> int:
        """Sets the state of examples; returns how many changed.

        An example does not become active while an active example has the same text. Approving a
        synthetic example with `replaces_source` withdraws its source.
        """
        ...

    async def list_derived(
        self, workspace: WorkspaceId, examples: Sequence[ExampleId]
    ) -> Sequence[ExampleId]:
        """Returns the synthetic examples with one of these as source."""
        ...

    async def awaiting_consent(
        self, workspace: WorkspaceId, examples: Sequence[ExampleId]
    ) -> set[ExampleId]:
        """Returns those of the examples from a channel that lack an author's consent."""
        ...

    async def current_states(
        self, workspace: WorkspaceId, examples: Sequence[ExampleId]
    ) -> Mapping[ExampleId, tuple[int, ExampleState]]:
        """Returns revision and state of each example."""
        ...

    async def set_tags(
        self, workspace: WorkspaceId, example: ExampleId, tags: Sequence[str]
    ) -> None: ...
    async def add_tag(
        self, workspace: WorkspaceId, examples: Sequence[ExampleId], tag: str
    ) -> None:
        """Appends a tag to examples that do not have it."""
        ...

    async def set_held_out(
        self, workspace: WorkspaceId, examples: Sequence[ExampleId], *, held_out: bool
    ) -> None:
        """Marks examples as held out or not; synthetic examples are never held out.

        Synthetic examples never get the must-answer tag either.
        """
        ...

    async def list_ids_by_author(
        self, workspace: WorkspaceId, user: UserId, *, limit: int = 500
    ) -> Sequence[ExampleId]:
        """Returns the ids of a person's examples, oldest first."""
        ...

    async def erase(self, workspace: WorkspaceId, examples: Sequence[ExampleId]) -> None:
        """Erases text, revisions, authors, source and tags; snapshot rows keep only their hash."""
        ...

    async def count_trainable(
        self, workspace: WorkspaceId, assistant: AssistantId, method: Method
    ) -> int: ...
    async def trainable_revisions(
        self, workspace: WorkspaceId, assistant: AssistantId, method: Method
    ) -> Mapping[ExampleId, int]:
        """Returns the current revision of each trainable example."""
        ...

    def iterate_trainable(
        self,
        workspace: WorkspaceId,
        assistant: AssistantId,
        method: Method,
        *,
        after: ExampleId | None = None,
        limit: int | None = None,
        shown_in: ChannelId | None = None,
        filters: ExampleFilter | None = None,
        among: Sequence[ExampleId] | None = None,
    ) -> AsyncIterator[Example]:
        """Yields approved examples whose text may be trained on now, oldest first.

        The rule of permission: the origin must be within the workspace's sources, and for
        messages and forms every author must have consented (in the local workspace: must not
        have objected) and every exclusion must be allowed now. Undecided keys and passwords
        forbid training, and all private text does where the workspace demands masking. With
        `shown_in` yields examples that may be sent along with a question of that channel, which
        includes messages from the channel itself, whatever kind of channel it is.
        """
        ...


class ExampleCards(Protocol):
    async def put_card(
        self,
        workspace: WorkspaceId,
        place: Place,
        message: MessageId,
        examples: Sequence[ExampleId],
    ) -> None:
        """Stores which examples a message shows; replaces the earlier ones."""
        ...

    async def examples_shown_in(
        self, workspace: WorkspaceId, channel: ChannelId, message: MessageId
    ) -> Sequence[ExampleId]: ...
    def cards_showing(
        self, workspace: WorkspaceId, examples: Sequence[ExampleId]
    ) -> AsyncIterator[PostedCard]:
        """Yields every message that shows one of the examples, read in parts."""
        ...


class ExampleMessages(Protocol):
    """The source messages of examples in any state, and the users who marked the examples."""

    async def add_messages(
        self, workspace: WorkspaceId, example: ExampleId, messages: Sequence[ExampleSource]
    ) -> None: ...
    async def example_ids_of_messages(
        self, workspace: WorkspaceId, channel: ChannelId, messages: Sequence[MessageId]
    ) -> Sequence[ExampleId]:
        """Returns examples with text of any of the messages; erased examples are not known."""
        ...

    async def example_ids_in_channel(
        self,
        workspace: WorkspaceId,
        channel: ChannelId,
        thread: MessageId | None,
        *,
        limit: int = 500,
    ) -> Sequence[ExampleId]:
        """Returns examples with text of a channel, or of one of its threads, by id."""
        ...

    async def messages_of(
        self, workspace: WorkspaceId, example: ExampleId
    ) -> Sequence[ExampleSource]:
        """Returns the source messages of one example."""
        ...

    async def add_marker(
        self, workspace: WorkspaceId, example: ExampleId, user: UserId
    ) -> None: ...
    async def remove_marker(
        self, workspace: WorkspaceId, example: ExampleId, user: UserId
    ) -> int | None:
        """Removes a user's mark; returns how many marks remain, None if there was none."""
        ...
