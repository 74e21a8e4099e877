"""The port to what lasts of examples: the examples, the cards that show them, their messages."""

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
        """The kept example, and whether it is new.

        A living example (proposed or approved) of the same assistant with the
        same fingerprint, or of the same method and taken from the same message,
        is returned instead. Where the workspace demands masks, private text is masked here and
        in `add_many` and `revise`; where an assistant has several reviewers, what comes as
        approved is proposed to them.
        """
        ...

    async def add_many(
        self, workspace: WorkspaceId, examples: Sequence[NewExample], *, at: datetime
    ) -> int:
        """How many were new. Made for bulk: a thousand at a time, no per-row look-up."""
        ...

    async def get(self, workspace: WorkspaceId, example: ExampleId) -> Example: ...
    async def by_source(
        self, workspace: WorkspaceId, channel: ChannelId, message: MessageId
    ) -> Example | None:
        """The oldest living example taken from a message."""
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
        """In the order of their numbers, or the other way; `after` is where the last page ended."""
        ...

    async def ids(
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
        """Of what was made by then, oldest first."""
        ...

    async def count(self, workspace: WorkspaceId, filters: ExampleFilter) -> int: ...
    async def revise(
        self, workspace: WorkspaceId, example: ExampleId, row: Row, editor: UserId, *, at: datetime
    ) -> Example: ...
    async def keep_private_text(
        self, workspace: WorkspaceId, example: ExampleId, *, at: datetime
    ) -> None:
        """Its private text may stay, until a revision brings more of it."""
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
        """How many changed; one that would come back beside a living twin stays as it is.

        One that a model wrote in place of another withdraws that one when it is approved.
        """
        ...

    async def list_derived(
        self, workspace: WorkspaceId, examples: Sequence[ExampleId]
    ) -> Sequence[ExampleId]:
        """Those that a model wrote from one of these."""
        ...

    async def awaiting_consent(
        self, workspace: WorkspaceId, examples: Sequence[ExampleId]
    ) -> set[ExampleId]:
        """Those with words from a channel of which not every author has agreed."""
        ...

    async def current_states(
        self, workspace: WorkspaceId, examples: Sequence[ExampleId]
    ) -> Mapping[ExampleId, tuple[int, ExampleState]]:
        """Revision and state of each."""
        ...

    async def set_tags(
        self, workspace: WorkspaceId, example: ExampleId, tags: Sequence[str]
    ) -> None: ...
    async def add_tag(
        self, workspace: WorkspaceId, examples: Sequence[ExampleId], tag: str
    ) -> None:
        """Behind the tags they have, where it is not among them."""
        ...

    async def hold_out(
        self, workspace: WorkspaceId, examples: Sequence[ExampleId], *, held_out: bool
    ) -> None:
        """What a model wrote is never held out, and never gets the tag of must-answer examples."""
        ...

    async def by_author(
        self, workspace: WorkspaceId, user: UserId, *, limit: int = 500
    ) -> Sequence[ExampleId]:
        """Oldest first."""
        ...

    async def erase(self, workspace: WorkspaceId, examples: Sequence[ExampleId]) -> None:
        """Text, revisions, authors, source and tags go; snapshot rows keep only their hash."""
        ...

    async def count_trainable(
        self, workspace: WorkspaceId, assistant: AssistantId, method: Method
    ) -> int: ...
    async def trainable_revisions(
        self, workspace: WorkspaceId, assistant: AssistantId, method: Method
    ) -> Mapping[ExampleId, int]:
        """The revision of each example that a training would learn from now."""
        ...

    def trainable(
        self,
        workspace: WorkspaceId,
        assistant: AssistantId,
        method: Method,
        *,
        after: ExampleId | None = None,
        limit: int | None = None,
        shown_in: ChannelId | None = None,
        filters: ExampleFilter | None = None,
    ) -> AsyncIterator[Example]:
        """Approved examples whose text may be trained on now, oldest first.

        The one place where permission is decided: the origin must be within
        the workspace's sources, and for messages and forms every author must
        have consented (in the local workspace: must not have objected) and
        every exclusion must be allowed now. Undecided keys and passwords forbid it, and where the
        workspace demands masks all private text. With `shown_in` those that may go along with a
        question asked in that channel: also what was said there, whatever kind of channel it is.
        """
        ...


class ExampleCards(Protocol):
    async def put(
        self,
        workspace: WorkspaceId,
        place: Place,
        message: MessageId,
        examples: Sequence[ExampleId],
    ) -> None:
        """What a message shows now, in place of what it showed before."""
        ...

    async def examples_shown_in(
        self, workspace: WorkspaceId, channel: ChannelId, message: MessageId
    ) -> Sequence[ExampleId]: ...
    def cards_showing(
        self, workspace: WorkspaceId, examples: Sequence[ExampleId]
    ) -> AsyncIterator[PostedCard]:
        """Every message that shows one of them, read a part at a time."""
        ...


class ExampleMessages(Protocol):
    """Where the words of examples stand, and who marked them; of living examples and dead ones."""

    async def add(
        self, workspace: WorkspaceId, example: ExampleId, messages: Sequence[ExampleSource]
    ) -> None: ...
    async def examples(
        self, workspace: WorkspaceId, channel: ChannelId, messages: Sequence[MessageId]
    ) -> Sequence[ExampleId]:
        """Those into which any of the messages went; erased ones are not remembered."""
        ...

    async def examples_in(
        self,
        workspace: WorkspaceId,
        channel: ChannelId,
        thread: MessageId | None,
        *,
        limit: int = 500,
    ) -> Sequence[ExampleId]:
        """Those with words of a channel, or of one thread in it, by id."""
        ...

    async def messages_of(
        self, workspace: WorkspaceId, example: ExampleId
    ) -> Sequence[ExampleSource]:
        """Those that went into one example."""
        ...

    async def mark(self, workspace: WorkspaceId, example: ExampleId, user: UserId) -> None: ...
    async def unmark(self, workspace: WorkspaceId, example: ExampleId, user: UserId) -> int | None:
        """How many marks of others are left; None where the person had not marked it."""
        ...
