"""Assistants, and the channels that are bound to them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    ScalarSelect,
    Select,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from bot.domain import Assistant, AssistantId, Binding, ChannelId, Deployment, WorkspaceId
from bot.errors import BadInput, NotFound
from storage.connection import Connection
from storage.tables import assistants, bindings, deployments


class Assistants:
    """Repository of assistants and channel bindings; a workspace has at most one default."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(self, workspace: WorkspaceId, assistant: Assistant) -> Assistant:
        await self._clear_other_defaults(workspace, assistant)
        statement = insert(assistants).values(workspace=workspace, **_values(assistant))
        with _refuse_duplicate_name(assistant.name):
            row = await self._connection.fetch_first(statement.returning(assistants.c.id))
        if row is None:
            raise NotFound(noun="assistant", name=assistant.name)
        return replace(assistant, id=row.id, workspace=workspace)

    async def get(self, workspace: WorkspaceId, assistant: AssistantId) -> Assistant:
        found = await self._find(workspace, assistants.c.id == assistant)
        if found is None:
            raise NotFound(noun="assistant", name=assistant)
        return found

    async def find_by_name(self, workspace: WorkspaceId, name: str) -> Assistant | None:
        return await self._find(workspace, assistants.c.name_key == name.casefold())

    async def default(self, workspace: WorkspaceId) -> Assistant | None:
        return await self._find(workspace, assistants.c.is_default)

    async def any_sends_examples(self) -> bool:
        query = select(assistants.c.id).where(assistants.c.few_shot > 0)
        return await self._connection.fetch_first(query.limit(1)) is not None

    async def all(self, workspace: WorkspaceId) -> Sequence[Assistant]:
        statement = select(assistants).where(assistants.c.workspace == workspace)
        rows = await self._connection.fetch_all(statement, assistants.c.id)
        return [assistant_of(row) for row in rows]

    async def list_with_deployments(
        self, workspaces: Sequence[WorkspaceId]
    ) -> Sequence[tuple[Assistant, Deployment | None, Sequence[ChannelId]]]:
        current = _newest_deployment()
        query = (
            select(*assistants.c, *_deployment_columns())
            .outerjoin_from(assistants, deployments, deployments.c.id == current)
            .where(assistants.c.workspace.in_(workspaces))
        )
        bound = select(bindings).where(bindings.c.workspace.in_(workspaces))
        binding_rows = await self._connection.fetch_all(
            bound, bindings.c.workspace, bindings.c.channel
        )
        channels: dict[int, list[ChannelId]] = defaultdict(list)
        for row in binding_rows:
            channels[row.assistant].append(row.channel)
        rows = await self._connection.fetch_all(query, assistants.c.id)
        return [(assistant_of(row), _deployment(row), channels[row.id]) for row in rows]

    async def update(self, workspace: WorkspaceId, assistant: Assistant) -> None:
        if not await self._connection.row_exists(assistants, workspace, assistant.id):
            return
        await self._clear_other_defaults(workspace, assistant)
        with _refuse_duplicate_name(assistant.name):
            await self._connection.execute(
                update(assistants)
                .where(assistants.c.workspace == workspace, assistants.c.id == assistant.id)
                .values(_values(assistant))
            )

    async def bind(self, workspace: WorkspaceId, binding: Binding) -> None:
        if not await self._connection.row_exists(assistants, workspace, binding.assistant):
            return
        values = {
            "assistant": binding.assistant,
            "answers_unasked": binding.answers_unasked,
            "threads": binding.threads,
        }
        statement = self._connection.insert(bindings).values(
            workspace=workspace, channel=binding.channel, **values
        )
        await self._connection.execute(
            statement.on_conflict_do_update(index_elements=["workspace", "channel"], set_=values)
        )

    async def unbind(self, workspace: WorkspaceId, channel: ChannelId) -> bool:
        condition = and_(bindings.c.workspace == workspace, bindings.c.channel == channel)
        return await self._connection.execute_counting_rows(delete(bindings).where(condition)) > 0

    async def binding(self, workspace: WorkspaceId, channel: ChannelId) -> Binding | None:
        condition = and_(bindings.c.workspace == workspace, bindings.c.channel == channel)
        row = await self._connection.fetch_first(select(bindings).where(condition))
        return None if row is None else _binding(row)

    async def bindings(self, workspace: WorkspaceId) -> Sequence[Binding]:
        statement = select(bindings).where(bindings.c.workspace == workspace)
        rows = await self._connection.fetch_all(statement, bindings.c.channel)
        return [_binding(row) for row in rows]

    async def answering_in(
        self, workspace: WorkspaceId, channel: ChannelId
    ) -> tuple[Assistant, Binding | None, Deployment | None] | None:
        row = await self._connection.fetch_first(
            _ANSWERING_QUERY, workspace=workspace, channel=channel
        )
        if row is None:
            return None
        binding = (
            None
            if row.bound is None
            else Binding(row.bound, row.id, row.answers_unasked, row.bound_threads)
        )
        return assistant_of(row), binding, _deployment(row)

    async def _find(
        self, workspace: WorkspaceId, condition: ColumnElement[bool]
    ) -> Assistant | None:
        statement = select(assistants).where(assistants.c.workspace == workspace, condition)
        row = await self._connection.fetch_first(statement)
        return None if row is None else assistant_of(row)

    async def _clear_other_defaults(self, workspace: WorkspaceId, assistant: Assistant) -> None:
        """Clears the default flag of the other assistants if this assistant is the default."""
        if assistant.is_default:
            others = and_(assistants.c.workspace == workspace, assistants.c.is_default)
            await self._connection.execute(
                update(assistants).where(others).values(is_default=False)
            )


def _answering_query() -> Select[tuple[object, ...]]:
    bound = and_(
        bindings.c.workspace == assistants.c.workspace,
        bindings.c.assistant == assistants.c.id,
        bindings.c.channel == bindparam("channel"),
    )
    return (
        select(
            *assistants.c,
            bindings.c.channel.label("bound"),
            bindings.c.answers_unasked,
            bindings.c.threads.label("bound_threads"),
            *_deployment_columns(),
        )
        .outerjoin_from(assistants, bindings, bound)
        .outerjoin(deployments, deployments.c.id == _newest_deployment())
        .where(assistants.c.workspace == bindparam("workspace"))
        .where(or_(bindings.c.channel.is_not(None), assistants.c.is_default))
        .order_by(bindings.c.channel.is_(None))
        .limit(1)
    )


def _newest_deployment() -> ScalarSelect[int]:
    newer = deployments.alias("newer")
    condition = and_(
        newer.c.workspace == assistants.c.workspace, newer.c.assistant == assistants.c.id
    )
    return select(func.max(newer.c.id)).where(condition).scalar_subquery()


def _deployment_columns() -> Iterator[ColumnElement[object]]:
    return (column.label(f"deployment_{column.name}") for column in deployments.c)


# Built once: this query runs for every message and is the most expensive one to build.
_ANSWERING_QUERY = _answering_query()


@contextmanager
def _refuse_duplicate_name(name: str) -> Iterator[None]:
    """Raises BadInput in place of a violation of the unique name."""
    try:
        yield
    except IntegrityError as error:
        if "name_key" in str(error.orig):
            raise BadInput(problem=f"There is an assistant called “{name}” already.") from error
        raise


def _values(assistant: Assistant) -> dict[str, object]:
    return {
        "name": assistant.name,
        "name_key": assistant.name.casefold(),
        "instructions": assistant.instructions,
        "sampling": assistant.sampling,
        "language": assistant.language,
        "chat_host": assistant.chat_host,
        "training_host": assistant.training_host,
        "base": assistant.base,
        "is_default": assistant.is_default,
        "history": assistant.history,
        "few_shot": assistant.few_shot,
        "offer_after_examples": assistant.offer_after_examples,
        "offer_after_preferences": assistant.offer_after_preferences,
        "offer_channel": assistant.offer_channel,
        "judge_host": assistant.judge_host,
        "judge_model": assistant.judge_model,
        "judge_criteria": assistant.judge_criteria,
        "reviewers": assistant.reviewers,
        "tools": ",".join(assistant.tools),
        "threads": assistant.threads,
    }


def assistant_of(row: Row[Any]) -> Assistant:
    """Returns the assistant of a row that has all its columns."""
    return Assistant(
        id=row.id,
        workspace=row.workspace,
        name=row.name,
        instructions=row.instructions,
        sampling=row.sampling,
        language=row.language,
        chat_host=row.chat_host,
        training_host=row.training_host,
        base=row.base,
        is_default=row.is_default,
        history=row.history,
        few_shot=row.few_shot,
        offer_after_examples=row.offer_after_examples,
        offer_after_preferences=row.offer_after_preferences,
        offer_channel=row.offer_channel,
        judge_host=row.judge_host,
        judge_model=row.judge_model,
        judge_criteria=row.judge_criteria,
        reviewers=row.reviewers,
        tools=tuple(filter(None, row.tools.split(","))),
        threads=row.threads,
    )


def _binding(row: Row[Any]) -> Binding:
    return Binding(row.channel, row.assistant, row.answers_unasked, row.threads)


def _deployment(row: Row[Any]) -> Deployment | None:
    if row.deployment_id is None:
        return None
    return Deployment(
        **{column.name: row._mapping[f"deployment_{column.name}"] for column in deployments.c}
    )
