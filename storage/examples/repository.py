"""Examples and the changes of their state, from proposed to erased."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Table,
    and_,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    true,
    update,
)

from bot.database_batches import batched
from bot.domain import (
    MUST_ANSWER_TAG,
    AssistantId,
    ChannelId,
    Example,
    ExampleFilter,
    ExampleId,
    ExampleOrder,
    ExampleState,
    MessageId,
    NewExample,
    Revision,
    Row,
    RowText,
    UserId,
    WorkspaceId,
    short_fingerprint,
    to_row_text,
)
from bot.errors import BadInput, NotFound
from bot.private_text import mask_row, private_kinds_in_row, private_texts_in_row
from bot.rows import Method
from storage.connection import MAX_VALUES_PER_IN_LIST, Connection, foreign_key_as_not_found
from storage.evaluations import erase_answers
from storage.example_messages import ExampleMessages
from storage.examples.bulk_insert import insert_in_bulk
from storage.examples.example_columns import example_columns, example_from_new, row_text_columns
from storage.examples.queries import (
    ACTIVE_STATES,
    belonging_to,
    comes_after,
    filter_conditions,
    has_id_in,
    has_item,
    is_duplicate_of,
    may_become_active,
    of_assistant,
    read_examples,
)
from storage.tables import (
    IS_ACTIVE,
    assistants,
    example_authors,
    example_markers,
    example_messages,
    example_reviews,
    example_tags,
    revisions,
    workspaces,
)
from storage.tables import (
    examples as table,
)
from storage.trainable_conditions import awaits_consent, is_trainable

PAGE_ROWS = 200

_ERASED: dict[str, object] = {
    **dict.fromkeys(("row", "search_text", "fingerprint", "editor")),
    **dict.fromkeys(("channel", "message", "thread", "permalink")),
    "decided_by": None,
    "private_text": 0,
    "keeps_private_text": False,
    "derived_from": None,
    "written_by": None,
    "state": ExampleState.WITHDRAWN,
}


_CHILDREN = (
    revisions,
    example_authors,
    example_tags,
    example_messages,
    example_markers,
    example_reviews,
)


class Examples:
    """Repository of examples; of two active examples none has the text or message of the other."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(
        self, workspace: WorkspaceId, example: NewExample, *, at: datetime
    ) -> tuple[Example, bool]:
        example = (await self._apply_workspace_rules(workspace, [example]))[0]
        statement = self._connection.insert(table).on_conflict_do_nothing().returning(table.c.id)
        values = example_columns(workspace, example, at=at)
        with foreign_key_as_not_found("assistant", example.assistant):
            inserted = await self._connection.fetch_first(statement, **values)
        messages = example.messages + ((example.source,) if example.source else ())
        if inserted is None:
            duplicate = await self._get_where(
                workspace, is_duplicate_of(example), example.assistant
            )
            await ExampleMessages(self._connection).add_messages(workspace, duplicate.id, messages)
            return duplicate, False
        await ExampleMessages(self._connection).add_messages(workspace, inserted.id, messages)
        await self._put_list(example_authors, workspace, inserted.id, example.authors)
        await self._put_list(example_tags, workspace, inserted.id, example.tags)
        return example_from_new(example, workspace, inserted.id, at=at), True

    async def add_many(
        self, workspace: WorkspaceId, examples: Sequence[NewExample], *, at: datetime
    ) -> int:
        new = 0
        examples = await self._apply_workspace_rules(workspace, examples)
        by_fingerprint: dict[tuple[AssistantId, str], tuple[NewExample, RowText]] = {}
        for example in examples:
            if example.row is not None and example.state in ACTIVE_STATES:
                text = example.text or to_row_text(example.row)
                by_fingerprint.setdefault((example.assistant, text.fingerprint), (example, text))
            else:
                new += (await self.add(workspace, example, at=at))[1]
        return new + await insert_in_bulk(self._connection, workspace, by_fingerprint, at=at)

    async def get(self, workspace: WorkspaceId, example: ExampleId) -> Example:
        return await self._get_where(workspace, table.c.id == example, example)

    async def find_by_source(
        self, workspace: WorkspaceId, channel: ChannelId, message: MessageId
    ) -> Example | None:
        is_source = and_(table.c.channel == channel, table.c.message == message, IS_ACTIVE)
        matches = await read_examples(self._connection, workspace, is_source, limit=1)
        return matches[0] if matches else None

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
        conditions = list(filter_conditions(filters))
        if among is not None:
            conditions.append(table.c.id.in_(among))
        if after is not None:
            conditions.append(comes_after(order, workspace, after))
        return await read_examples(
            self._connection, workspace, *conditions, limit=limit, order=order
        )

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
        conditions = [
            *filter_conditions(filters),
            table.c.id > (after or 0),
            table.c.created_at <= until,
        ]
        if among is not None:
            conditions.append(table.c.id.in_(among))
        if has_text:
            conditions.append(table.c.row.is_not(None))
        query = select(table.c.id).where(table.c.workspace == workspace, *conditions)
        rows = await self._connection.fetch_rows(query.order_by(table.c.id), most=limit)
        return [ExampleId(row.id) for row in rows]

    async def count(self, workspace: WorkspaceId, filters: ExampleFilter) -> int:
        condition = and_(table.c.workspace == workspace, *filter_conditions(filters))
        counted = select(func.count()).select_from(table).where(condition)
        return int((await self._connection.execute(counted)).scalar_one())

    async def add_revision(
        self, workspace: WorkspaceId, example: ExampleId, row: Row, editor: UserId, *, at: datetime
    ) -> Example:
        before = await self.get(workspace, example)
        if private_kinds_in_row(row) and await self._must_mask(workspace):
            row = mask_row(row)
        await self._refuse_duplicate(before, row)
        condition = has_id_in(workspace, [example])
        await self._connection.execute(
            insert(revisions).from_select(
                ["workspace", "example", "number", "row", "editor", "at"],
                select(
                    table.c.workspace,
                    table.c.id,
                    table.c.revision,
                    table.c.row,
                    table.c.editor,
                    table.c.revised_at,
                ).where(condition),
            )
        )
        number = before.revision + 1
        keeps_private_text = before.keeps_private_text and _adds_no_private_text(
            before.row or {}, row
        )
        revision = {"revision": number, "editor": editor, "revised_at": at, "updated_at": at}
        text = {**row_text_columns(row), "keeps_private_text": keeps_private_text}
        await self._connection.execute(update(table).where(condition).values({**revision, **text}))
        return await self.get(workspace, example)

    async def allow_private_text(
        self, workspace: WorkspaceId, example: ExampleId, *, at: datetime
    ) -> None:
        condition = has_id_in(workspace, [example])
        statement = update(table).where(condition).values(keeps_private_text=True, updated_at=at)
        await self._connection.execute(statement)

    async def revisions(self, workspace: WorkspaceId, example: ExampleId) -> Sequence[Revision]:
        earlier = select(revisions).where(belonging_to(revisions, workspace, [example]))
        rows = await self._connection.fetch_all(earlier, revisions.c.number)
        history = [Revision(row.number, row.row, row.editor, row.at) for row in rows]
        row = await self._connection.fetch_first(
            select(table).where(has_id_in(workspace, [example]))
        )
        if row is not None:
            history.append(Revision(row.revision, row.row, row.editor, row.revised_at))
        return history

    async def set_state(
        self,
        workspace: WorkspaceId,
        examples: Sequence[ExampleId],
        state: ExampleState,
        *,
        at: datetime,
        by: UserId | None = None,
    ) -> int:
        changed = 0
        for part in batched(examples, MAX_VALUES_PER_IN_LIST):
            condition = has_id_in(workspace, part)
            if state in ACTIVE_STATES:
                # Repeated, since an example may be blocked by another that cannot become active.
                while moved := await self._set_state_where(
                    may_become_active(condition), state, at, by
                ):
                    changed += moved
                condition = and_(condition, IS_ACTIVE)
            changed += await self._set_state_where(condition, state, at, by)
            if state is ExampleState.APPROVED:
                await self._set_state_where(
                    _replaced_sources(workspace, part), ExampleState.WITHDRAWN, at, by
                )
        return changed

    async def list_derived(
        self, workspace: WorkspaceId, examples: Sequence[ExampleId]
    ) -> Sequence[ExampleId]:
        derived: list[ExampleId] = []
        for part in batched(examples, MAX_VALUES_PER_IN_LIST):
            condition = and_(table.c.workspace == workspace, table.c.derived_from.in_(part))
            rows = await self._connection.fetch_all(select(table.c.id).where(condition), table.c.id)
            derived += [ExampleId(row.id) for row in rows]
        return derived

    async def awaiting_consent(
        self, workspace: WorkspaceId, examples: Sequence[ExampleId]
    ) -> set[ExampleId]:
        awaiting: set[ExampleId] = set()
        for part in batched(examples, MAX_VALUES_PER_IN_LIST):
            waiting = select(table.c.id).where(has_id_in(workspace, part), awaits_consent())
            awaiting.update(
                row.id for row in await self._connection.fetch_rows(waiting, most=len(part))
            )
        return awaiting

    async def current_states(
        self, workspace: WorkspaceId, examples: Sequence[ExampleId]
    ) -> Mapping[ExampleId, tuple[int, ExampleState]]:
        states: dict[ExampleId, tuple[int, ExampleState]] = {}
        for part in batched(examples, MAX_VALUES_PER_IN_LIST):
            query = select(table.c.id, table.c.revision, table.c.state)
            condition = query.where(has_id_in(workspace, part))
            for row in await self._connection.fetch_rows(condition, most=len(part)):
                states[row.id] = (row.revision, row.state)
        return states

    async def set_tags(
        self, workspace: WorkspaceId, example: ExampleId, tags: Sequence[str]
    ) -> None:
        if await self._connection.row_exists(table, workspace, example):
            if MUST_ANSWER_TAG in tags and (await self.get(workspace, example)).synthetic:
                tags = [tag for tag in tags if tag != MUST_ANSWER_TAG]
            old = belonging_to(example_tags, workspace, [example])
            await self._connection.execute(delete(example_tags).where(old))
            await self._put_list(example_tags, workspace, example, tags)

    async def add_tag(
        self, workspace: WorkspaceId, examples: Sequence[ExampleId], tag: str
    ) -> None:
        condition = and_(
            example_tags.c.workspace == table.c.workspace, example_tags.c.example == table.c.id
        )
        last = select(func.max(example_tags.c.position)).where(condition).scalar_subquery()
        may_be_tagged = true() if tag != MUST_ANSWER_TAG else table.c.derived_from.is_(None)
        for part in batched(examples, MAX_VALUES_PER_IN_LIST):
            tagged = select(
                table.c.workspace, table.c.id, func.coalesce(last + 1, 0), literal(tag)
            ).where(
                has_id_in(workspace, part),
                may_be_tagged,
                ~exists().where(condition, example_tags.c.item == tag),
            )
            names = ["workspace", "example", "position", "item"]
            await self._connection.execute(insert(example_tags).from_select(names, tagged))

    async def set_held_out(
        self, workspace: WorkspaceId, examples: Sequence[ExampleId], *, held_out: bool
    ) -> None:
        for part in batched(examples, MAX_VALUES_PER_IN_LIST):
            condition = and_(has_id_in(workspace, part), table.c.held_out.is_not(held_out))
            if held_out:
                condition = and_(condition, table.c.derived_from.is_(None))
            await self._connection.execute(update(table).where(condition).values(held_out=held_out))

    async def list_ids_by_author(
        self, workspace: WorkspaceId, user: UserId, *, limit: int = 500
    ) -> Sequence[ExampleId]:
        condition = and_(example_authors.c.workspace == workspace, example_authors.c.item == user)
        statement = select(example_authors.c.example).distinct().where(condition)
        ordered = statement.order_by(example_authors.c.example)
        rows = await self._connection.fetch_rows(ordered, most=limit)
        return [ExampleId(row.example) for row in rows]

    async def erase(self, workspace: WorkspaceId, examples: Sequence[ExampleId]) -> None:
        await erase_answers(self._connection, workspace, examples)
        for part in batched(examples, MAX_VALUES_PER_IN_LIST):
            for child in _CHILDREN:
                condition = belonging_to(child, workspace, part)
                await self._connection.execute(delete(child).where(condition))
            statement = update(table).where(has_id_in(workspace, part)).values(_ERASED)
            await self._connection.execute(statement)
        self._connection.has_erased = True

    async def count_trainable(
        self, workspace: WorkspaceId, assistant: AssistantId, method: Method
    ) -> int:
        condition = and_(
            of_assistant(workspace, assistant), table.c.method == method, is_trainable()
        )
        counted = select(func.count()).select_from(table).where(condition)
        return int((await self._connection.execute(counted)).scalar_one())

    async def trainable_revisions(
        self, workspace: WorkspaceId, assistant: AssistantId, method: Method
    ) -> Mapping[ExampleId, int]:
        condition = and_(
            of_assistant(workspace, assistant),
            table.c.method == method,
            is_trainable(),
            ~has_item(example_tags, MUST_ANSWER_TAG),
        )
        rows = self._connection.stream(
            select(table.c.id, table.c.revision).where(condition), table.c.id
        )
        return {ExampleId(row.id): row.revision async for row in rows}

    async def iterate_trainable(
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
        rule = and_(is_trainable(shown_in=shown_in), *filter_conditions(filters or ExampleFilter()))
        if among is not None:
            rule = and_(rule, table.c.id.in_(among))
        condition = and_(table.c.assistant == assistant, table.c.method == method, rule)
        last, remaining = after or 0, limit
        while remaining is None or remaining > 0:
            is_after, most = (
                table.c.id > last,
                PAGE_ROWS if remaining is None else min(PAGE_ROWS, remaining),
            )
            page = await read_examples(self._connection, workspace, condition, is_after, limit=most)
            for example in page:
                yield example
            if len(page) < most:
                return
            last, remaining = page[-1].id, None if remaining is None else remaining - len(page)

    async def _apply_workspace_rules(
        self, workspace: WorkspaceId, examples: Sequence[NewExample]
    ) -> Sequence[NewExample]:
        """Masks private text and sets examples to proposed, where the workspace requires that."""
        reviewed = and_(assistants.c.workspace == workspace, assistants.c.reviewers > 1)
        several = exists().where(reviewed).label("several")
        settings_query = select(workspaces.c.must_mask, several).where(workspaces.c.id == workspace)
        settings = await self._connection.fetch_first(settings_query)
        if settings is not None and settings.several:
            reviewed_query = select(assistants.c.id).where(reviewed)
            with_reviewers = {
                row.id for row in await self._connection.fetch_all(reviewed_query, assistants.c.id)
            }
            examples = [
                _as_proposed(example) if example.assistant in with_reviewers else example
                for example in examples
            ]
        if settings is None or not settings.must_mask:
            return examples
        return [_masked(example) for example in examples]

    async def _must_mask(self, workspace: WorkspaceId) -> bool:
        query = select(workspaces.c.must_mask).where(workspaces.c.id == workspace)
        row = await self._connection.fetch_first(query)
        return row is not None and bool(row.must_mask)

    async def _get_where(
        self, workspace: WorkspaceId, condition: ColumnElement[bool], name: int
    ) -> Example:
        matches = await read_examples(self._connection, workspace, condition, limit=1)
        if not matches:
            raise NotFound(noun="example", name=name)
        return matches[0]

    async def _put_list(
        self, child: Table, workspace: WorkspaceId, example: int, items: Sequence[str]
    ) -> None:
        rows = [
            (workspace, example, position, item)
            for position, item in enumerate(dict.fromkeys(items))
        ]
        names = ["workspace", "example", "position", "item"]
        await self._connection.insert_many(insert(child), names, rows)

    async def _refuse_duplicate(self, example: Example, row: Row) -> None:
        twins = and_(
            table.c.assistant == example.assistant,
            table.c.fingerprint == short_fingerprint(row),
            table.c.id != example.id,
            IS_ACTIVE,
        )
        if example.state in ACTIVE_STATES and (
            matches := await read_examples(self._connection, example.workspace, twins, limit=1)
        ):
            raise BadInput(problem=f"Example {matches[0].id} says exactly this already.")

    async def _set_state_where(
        self, own: ColumnElement[bool], state: ExampleState, at: datetime, by: UserId | None
    ) -> int:
        condition = and_(own, table.c.state != state)
        return await self._connection.execute_counting_rows(
            update(table).where(condition).values(state=state, updated_at=at, decided_by=by)
        )


def _replaced_sources(workspace: WorkspaceId, approved: Sequence[ExampleId]) -> ColumnElement[bool]:
    """Returns a condition for active examples that approved synthetic examples replace."""
    new = table.alias("new")
    sources = select(new.c.derived_from).where(
        new.c.workspace == workspace,
        new.c.id.in_(approved),
        new.c.replaces_source,
        new.c.state == ExampleState.APPROVED,
    )
    return and_(table.c.workspace == workspace, table.c.id.in_(sources), IS_ACTIVE)


def _masked(example: NewExample) -> NewExample:
    if example.row is None or (example.text is not None and not example.text.private):
        return example
    return replace(example, row=mask_row(example.row), text=None)


def _as_proposed(example: NewExample) -> NewExample:
    is_approved = example.state is ExampleState.APPROVED
    return replace(example, state=ExampleState.PROPOSED) if is_approved else example


def _adds_no_private_text(before: Row, after: Row) -> bool:
    """Whether all private text of a row was already in it before, when it was decided on."""
    return set(private_texts_in_row(after)) <= set(private_texts_in_row(before))
