"""Turns: questions, the bot's replies, and the votes on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, case, delete, exists, func, select, update

from bot.database_batches import batched
from bot.domain import (
    AssistantId,
    ChannelId,
    ExampleState,
    MessageId,
    ModelFeedback,
    ModelName,
    Turn,
    TurnId,
    TurnState,
    UserId,
    Vote,
    WorkspaceId,
)
from bot.errors import NotFound
from storage.column_types import changed_columns, column_values, row_fields
from storage.connection import MAX_VALUES_PER_IN_LIST, Connection, foreign_key_as_not_found
from storage.tables import (
    HAS_TEXT,
    IS_ACTIVE,
    IS_COMPLETE_ANSWER,
    evaluation_gaps,
    examples,
    taught_turns,
    turns,
    votes,
)


class Turns:
    """Repository of turns, which are unique by the key of their event."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(self, workspace: WorkspaceId, turn: Turn) -> Turn:
        statement = self._connection.insert(turns).on_conflict_do_nothing().returning(turns.c.id)
        values = {**column_values(turn), "workspace": workspace}
        with foreign_key_as_not_found("assistant", turn.assistant):
            row = await self._connection.fetch_first(statement, **values)
        if row is not None:
            place = replace(turn.place, workspace=workspace)
            return replace(turn, id=row.id, workspace=workspace, place=place)
        return await self._get_where(workspace, turns.c.event_key == turn.event_key, turn.event_key)

    async def update_fields(self, workspace: WorkspaceId, turn: TurnId, **changes: object) -> None:
        values = changed_columns(Turn, changes)
        if values:
            condition = and_(turns.c.workspace == workspace, turns.c.id == turn)
            await self._connection.execute(update(turns).where(condition).values(values))

    async def get(self, workspace: WorkspaceId, turn: TurnId) -> Turn:
        return await self._get_where(workspace, turns.c.id == turn, turn)

    async def get_many(
        self, workspace: WorkspaceId, ids: Sequence[TurnId]
    ) -> Mapping[TurnId, Turn]:
        query = select(turns).where(turns.c.workspace == workspace)
        by_id: dict[TurnId, Turn] = {}
        for part in batched(ids, MAX_VALUES_PER_IN_LIST):
            rows = await self._connection.fetch_all(query.where(turns.c.id.in_(part)), turns.c.id)
            by_id |= {row.id: _turn(row) for row in rows}
        return by_id

    async def by_reply_message(
        self, workspace: WorkspaceId, channel: ChannelId, message: MessageId
    ) -> Turn | None:
        is_reply = and_(turns.c.channel == channel, turns.c.reply_message == message)
        return await self._find(workspace, is_reply)

    async def by_reply_messages(
        self, workspace: WorkspaceId, channel: ChannelId, messages: Sequence[MessageId]
    ) -> Mapping[MessageId, Turn]:
        query = select(turns).where(turns.c.workspace == workspace, turns.c.channel == channel)
        by_reply: dict[MessageId, Turn] = {}
        for part in batched(messages, MAX_VALUES_PER_IN_LIST):
            rows = await self._connection.fetch_all(
                query.where(turns.c.reply_message.in_(part)), turns.c.id
            )
            by_reply |= {row.reply_message: _turn(row) for row in rows}
        return by_reply

    async def by_event(self, workspace: WorkspaceId, event_key: str) -> Turn | None:
        return await self._find(workspace, turns.c.event_key == event_key)

    async def count_by_asker(self, workspace: WorkspaceId, user: UserId) -> int:
        condition = and_(turns.c.workspace == workspace, turns.c.asker == user)
        counted = select(func.count()).select_from(turns).where(condition)
        return int((await self._connection.execute(counted)).scalar_one())

    async def has_answered(self, workspace: WorkspaceId, model: ModelName) -> bool:
        is_answered = and_(turns.c.model == model, turns.c.state == TurnState.DONE)
        return await self._find(workspace, is_answered) is not None

    async def by_asker(
        self,
        workspace: WorkspaceId,
        user: UserId,
        *,
        before: TurnId | None = None,
        limit: int = 500,
    ) -> Sequence[Turn]:
        query = select(turns).where(turns.c.workspace == workspace, turns.c.asker == user)
        if before is not None:
            query = query.where(turns.c.id < before)
        newest = query.order_by(turns.c.id.desc())
        return [_turn(row) for row in await self._connection.fetch_rows(newest, most=limit)]

    async def by_question_message(
        self, workspace: WorkspaceId, channel: ChannelId, message: MessageId
    ) -> Turn | None:
        is_question = and_(turns.c.channel == channel, turns.c.question_message == message)
        return await self._find(workspace, is_question)

    async def forget_texts_of_messages(
        self, workspace: WorkspaceId, channel: ChannelId, messages: Sequence[MessageId]
    ) -> int:
        condition = and_(turns.c.workspace == workspace, turns.c.channel == channel)
        changed = 0
        for part in batched(messages, MAX_VALUES_PER_IN_LIST):
            for where, blank in (
                (turns.c.question_message.in_(part), _NO_QUESTION),
                (turns.c.reply_message.in_(part), _NO_REPLY),
            ):
                await self._clear_gap_answers(workspace, and_(condition, where))
                statement = update(turns).where(condition, where).values(blank)
                changed += await self._connection.execute_counting_rows(statement)
        if changed:
            self._connection.has_erased = True
        return changed

    async def forget_texts_in_channel(
        self,
        workspace: WorkspaceId,
        channel: ChannelId,
        thread: MessageId | None,
        *,
        limit: int = 500,
    ) -> int:
        condition = and_(turns.c.workspace == workspace, turns.c.channel == channel)
        if thread is not None:
            condition = and_(condition, turns.c.thread == thread)
        numbers = await self._next_to_forget(workspace, condition, limit)
        with_reason = and_(votes.c.workspace == workspace, votes.c.turn.in_(numbers))
        await self._connection.execute(update(votes).where(with_reason).values(reason=None))
        await self._clear_gap_answers(workspace, turns.c.id.in_(numbers))
        statement = update(turns).where(condition, turns.c.id.in_(numbers))
        statement = statement.values({**_NO_QUESTION, **_NO_REPLY})
        changed = await self._connection.execute_counting_rows(statement)
        if changed:
            self._connection.has_erased = True
        return changed

    async def _clear_gap_answers(
        self, workspace: WorkspaceId, condition: ColumnElement[bool]
    ) -> None:
        """Empties the answers that models gave to these questions in evaluations."""
        is_in_workspace = evaluation_gaps.c.workspace == workspace
        is_about_turn = evaluation_gaps.c.turn.in_(select(turns.c.id).where(condition))
        await self._connection.execute(
            update(evaluation_gaps).where(is_in_workspace, is_about_turn).values(answer="")
        )

    async def _next_to_forget(
        self, workspace: WorkspaceId, condition: ColumnElement[bool], limit: int
    ) -> Sequence[TurnId]:
        """Returns the next turns to forget: those with text, then those with a vote's reason."""
        with_text = select(turns.c.id).where(condition, HAS_TEXT)
        if rows := await self._connection.fetch_rows(with_text, most=limit):
            return [row.id for row in rows]
        is_selected = exists().where(turns.c.id == votes.c.turn, condition)
        has_reason = votes.c.workspace == workspace, votes.c.reason.is_not(None)
        reasoned = select(votes.c.turn).where(*has_reason, is_selected)
        return [row.turn for row in await self._connection.fetch_rows(reasoned, most=limit)]

    async def erase_by_asker(
        self, workspace: WorkspaceId, user: UserId, *, limit: int = 500
    ) -> int:
        self._connection.has_erased = True
        condition = and_(turns.c.workspace == workspace, turns.c.asker == user)
        return await self._delete(select(turns.c.id).where(condition).order_by(turns.c.id), limit)

    async def erase_votes_of_user(
        self, workspace: WorkspaceId, user: UserId, *, limit: int = 500
    ) -> int:
        self._connection.has_erased = True
        condition = and_(votes.c.workspace == workspace, votes.c.user == user)
        numbers = select(votes.c.turn).where(condition).limit(limit)
        return await self._connection.execute_counting_rows(
            delete(votes).where(condition, votes.c.turn.in_(numbers))
        )

    async def delete_before(
        self, at: datetime, *, workspace: WorkspaceId | None = None, limit: int = 500
    ) -> int:
        waiting = exists().where(
            examples.c.workspace == turns.c.workspace,
            examples.c.channel == turns.c.channel,
            examples.c.message == turns.c.reply_message,
            examples.c.state == ExampleState.PROPOSED,
            IS_ACTIVE,
        )
        old = and_(turns.c.at < at, turns.c.state != TurnState.STREAMING, ~waiting)
        if workspace is not None:
            old = and_(old, turns.c.workspace == workspace)
        return await self._delete(select(turns.c.id).where(old).order_by(turns.c.at), limit)

    async def _delete(self, query: Select[tuple[int]], limit: int) -> int:
        numbers = [row.id for row in await self._connection.fetch_rows(query, most=limit)]
        await self._connection.execute(delete(votes).where(votes.c.turn.in_(numbers)))
        for table in (taught_turns, evaluation_gaps):
            await self._connection.execute(delete(table).where(table.c.turn.in_(numbers)))
        return await self._connection.execute_counting_rows(
            delete(turns).where(turns.c.id.in_(numbers))
        )

    async def put_vote(self, workspace: WorkspaceId, vote: Vote) -> None:
        if not await self._connection.row_exists(turns, workspace, vote.turn):
            return
        insert = self._connection.insert(votes).values(
            workspace=workspace,
            turn=vote.turn,
            user=vote.user,
            value=vote.value,
            reason=vote.reason,
            at=vote.at,
        )
        excluded = insert.excluded
        await self._connection.execute(
            insert.on_conflict_do_update(
                index_elements=["turn", "user"],
                set_={
                    "value": excluded.value,
                    "reason": func.coalesce(excluded.reason, votes.c.reason),
                    "at": excluded.at,
                },
            )
        )

    async def remove_vote(
        self, workspace: WorkspaceId, turn: TurnId, user: UserId, value: int
    ) -> None:
        condition = and_(votes.c.workspace == workspace, votes.c.turn == turn, votes.c.user == user)
        await self._connection.execute(delete(votes).where(condition, votes.c.value == value))

    async def votes(self, workspace: WorkspaceId, turn: TurnId) -> Sequence[Vote]:
        condition = and_(votes.c.workspace == workspace, votes.c.turn == turn)
        rows = await self._connection.fetch_all(
            select(votes).where(condition), votes.c.at, votes.c.user
        )
        return [Vote(row.turn, row.user, row.value, row.reason, row.at) for row in rows]

    async def model_feedback(
        self, workspace: WorkspaceId, assistant: AssistantId, *, since: datetime
    ) -> Mapping[ModelName, ModelFeedback]:
        conditions = (
            turns.c.workspace == workspace,
            turns.c.assistant == assistant,
            turns.c.at >= since,
        )
        is_failed = and_(~IS_COMPLETE_ANSWER, turns.c.state != TurnState.STOPPED)
        counted = select(turns.c.model, is_failed.label("failed"), func.count().label("number"))
        finished = counted.where(*conditions, turns.c.state != TurnState.STREAMING)
        rows = await self._connection.fetch_all(
            finished.group_by(turns.c.model, is_failed), turns.c.model
        )
        answers, failed = Counter[str](), Counter[str]()
        for row in rows:
            answers[row.model] += row.number
            failed[row.model] += row.number if row.failed else 0
        votes = await self._votes_by_model(*conditions)
        return {
            ModelName(model): ModelFeedback(
                count, failed[model], *votes.get(ModelName(model), (0, 0))
            )
            for model, count in answers.items()
        }

    async def votes_by_model(
        self, workspace: WorkspaceId, assistant: AssistantId
    ) -> Mapping[ModelName, tuple[int, int]]:
        conditions = turns.c.workspace == workspace, turns.c.assistant == assistant
        return await self._votes_by_model(*conditions)

    async def _votes_by_model(
        self, *conditions: ColumnElement[bool]
    ) -> Mapping[ModelName, tuple[int, int]]:
        good, bad = (func.sum(case((votes.c.value == value, 1), else_=0)) for value in (1, -1))
        counted = select(turns.c.model, good.label("good"), bad.label("bad"))
        joined = counted.join_from(votes, turns, votes.c.turn == turns.c.id).where(*conditions)
        rows = await self._connection.fetch_all(joined.group_by(turns.c.model), turns.c.model)
        return {ModelName(row.model): (int(row.good), int(row.bad)) for row in rows}

    async def _find(self, workspace: WorkspaceId, condition: ColumnElement[bool]) -> Turn | None:
        is_match = and_(turns.c.workspace == workspace, condition)
        row = await self._connection.fetch_first(select(turns).where(is_match))
        return None if row is None else _turn(row)

    async def _get_where(
        self, workspace: WorkspaceId, condition: ColumnElement[bool], name: object
    ) -> Turn:
        turn = await self._find(workspace, condition)
        if turn is None:
            raise NotFound(noun="turn", name=name)
        return turn


_NO_QUESTION: dict[str, object] = {"question": "", "prompt": ()}
_NO_REPLY: dict[str, object] = {"reply": ""}


def _turn(row: Row[Any]) -> Turn:
    values = row_fields(row)
    return Turn(**{**values, "prompt": tuple(values["prompt"])})
