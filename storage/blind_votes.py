"""Blind votes: at most one per evaluation of two contenders, with the ballots of each person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, func, select, update

from bot.domain import (
    OPEN_VOTE_STATES,
    Ballot,
    BlindVote,
    EvaluationId,
    VoteState,
    WorkspaceId,
)
from bot.errors import NotFound
from storage.connection import Connection, foreign_key_as_not_found
from storage.evaluation_tables import ballots, blind_votes
from storage.tables import CLOSED_WORKSPACES

_BALLOT = [ballots.c[name] for name in ("number", "user", "choice", "is_curator", "at")]


class BlindVotes:
    """Repository of blind votes; a ballot is stored only while its vote is open."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(self, workspace: WorkspaceId, vote: BlindVote) -> None:
        values = {**asdict(vote), "workspace": workspace}
        with foreign_key_as_not_found("evaluation", vote.evaluation):
            insert = self._connection.insert(blind_votes).values(values)
            await self._connection.execute(insert.on_conflict_do_nothing())

    async def get(self, workspace: WorkspaceId, evaluation: EvaluationId) -> BlindVote:
        row = await self._connection.fetch_first(
            select(blind_votes).where(_is_vote_of(workspace, evaluation))
        )
        if row is None:
            raise NotFound(noun="vote", name=evaluation)
        return _vote(row)

    async def update_if(
        self,
        workspace: WorkspaceId,
        evaluation: EvaluationId,
        *,
        when: Sequence[VoteState],
        **changes: object,
    ) -> bool:
        condition = and_(_is_vote_of(workspace, evaluation), blind_votes.c.state.in_(when))
        return (
            await self._connection.execute_counting_rows(
                update(blind_votes).where(condition).values(changes)
            )
            > 0
        )

    async def list_open(self) -> Sequence[BlindVote]:
        is_open = (
            blind_votes.c.state.in_(OPEN_VOTE_STATES),
            blind_votes.c.workspace.not_in(CLOSED_WORKSPACES),
        )
        query = select(blind_votes).where(*is_open)
        rows = await self._connection.fetch_all(query, blind_votes.c.evaluation)
        return [_vote(row) for row in rows]

    async def put_ballot(
        self, workspace: WorkspaceId, evaluation: EvaluationId, ballot: Ballot
    ) -> bool:
        is_open = _is_vote_of(workspace, evaluation), blind_votes.c.state == VoteState.OPEN
        if await self._connection.fetch_first(select(blind_votes.c.state).where(*is_open)) is None:
            return False
        values = {**asdict(ballot), "workspace": workspace, "evaluation": evaluation}
        insert = self._connection.insert(ballots).values(values)
        changes = {name: insert.excluded[name] for name in ("choice", "is_curator", "at")}
        key = ["evaluation", "number", "user"]
        await self._connection.execute(
            insert.on_conflict_do_update(index_elements=key, set_=changes)
        )
        return True

    async def ballots(
        self, workspace: WorkspaceId, evaluation: EvaluationId, *, number: int | None = None
    ) -> Sequence[Ballot]:
        condition = and_(ballots.c.workspace == workspace, ballots.c.evaluation == evaluation)
        if number is not None:
            condition = and_(condition, ballots.c.number == number)
        query = select(*_BALLOT).where(condition)
        rows = await self._connection.fetch_all(query, ballots.c.number, ballots.c.user)
        return [Ballot(**row._asdict()) for row in rows]

    async def count_ballots_and_voters(
        self, workspace: WorkspaceId, evaluation: EvaluationId
    ) -> tuple[int, int]:
        condition = and_(ballots.c.workspace == workspace, ballots.c.evaluation == evaluation)
        people = func.count(ballots.c.user.distinct())
        counted = select(func.count().label("all"), people.label("people")).where(condition)
        row = (await self._connection.execute(counted)).one()
        return int(row.all), int(row.people)


def _is_vote_of(workspace: WorkspaceId, evaluation: EvaluationId) -> ColumnElement[bool]:
    return and_(blind_votes.c.workspace == workspace, blind_votes.c.evaluation == evaluation)


def _vote(row: Row[Any]) -> BlindVote:
    return BlindVote(**row._asdict())
