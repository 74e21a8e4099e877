"""Training offers: each is posted once per assistant, method and training state."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import and_, exists, func, or_, select

from bot.domain import MUST_ANSWER_TAG, Assistant, AssistantId, SnapshotId, WorkspaceId
from bot.rows import Method
from storage.assistants import assistant_of
from storage.connection import Connection, PagedQuery
from storage.tables import assistants, example_tags, examples, snapshot_rows, workspaces
from storage.trainable_conditions import is_trainable
from storage.training_tables import training_offers

_HAS_THRESHOLD = or_(
    assistants.c.offer_after_examples.is_not(None),
    assistants.c.offer_after_preferences.is_not(None),
)
_IS_OPEN = exists().where(
    workspaces.c.id == assistants.c.workspace, workspaces.c.closed_at.is_(None)
)
# Uses the partial index of assistants with a channel for offers; most have none.
_channels = assistants.alias("offered")
_WITH_CHANNEL = select(_channels.c.id).where(_channels.c.offer_channel.is_not(None))
_OFFERED = PagedQuery(
    select(assistants).where(_HAS_THRESHOLD, assistants.c.id.in_(_WITH_CHANNEL), _IS_OPEN),
    assistants.c.id,
)


class TrainingOffers:
    """Repository of the training offers that were posted."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def assistants_with_offers(self) -> Sequence[Assistant]:
        return [assistant_of(row) for row in await self._connection.fetch_pages(_OFFERED)]

    async def count_new_rows(
        self,
        workspace: WorkspaceId,
        assistant: AssistantId,
        method: Method,
        *,
        learned: SnapshotId | None,
    ) -> int:
        condition = and_(
            examples.c.workspace == workspace,
            examples.c.assistant == assistant,
            examples.c.method == method,
        )
        is_must_answer = exists().where(
            example_tags.c.workspace == examples.c.workspace,
            example_tags.c.example == examples.c.id,
            example_tags.c.item == MUST_ANSWER_TAG,
        )
        is_learned = exists().where(
            snapshot_rows.c.workspace == examples.c.workspace,
            snapshot_rows.c.example == examples.c.id,
            snapshot_rows.c.snapshot == (learned or 0),
        )
        counted = select(func.count()).select_from(examples).where(condition, is_trainable())
        counted = counted.where(~is_must_answer, ~is_learned)
        return int((await self._connection.execute(counted)).scalar_one())

    async def was_posted(
        self, workspace: WorkspaceId, assistant: AssistantId, method: Method, state: int
    ) -> bool:
        condition = exists().where(
            training_offers.c.workspace == workspace,
            training_offers.c.assistant == assistant,
            training_offers.c.method == method,
            training_offers.c.state == state,
        )
        return bool((await self._connection.execute(select(condition))).scalar())

    async def record_posted(
        self,
        workspace: WorkspaceId,
        assistant: AssistantId,
        method: Method,
        state: int,
        *,
        at: datetime,
    ) -> bool:
        if not await self._connection.row_exists(assistants, workspace, assistant):
            return False
        insert = self._connection.insert(training_offers).values(
            workspace=workspace, assistant=assistant, method=method, state=state, at=at
        )
        return await self._connection.execute_counting_rows(insert.on_conflict_do_nothing()) > 0
