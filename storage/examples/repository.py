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

from bot.batches import batched
from bot.domain import (
    MUST_ANSWER,
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
    row_text,
    short_fingerprint,
)
from bot.errors import BadInput, NotFound
from bot.private_text import mask_row, private_texts, row_kinds
from bot.rows import Method
from storage.connection import MANY, Connection, foreign_key_as_not_found
from storage.evaluations import erase_answers
from storage.example_messages import ExampleMessages
from storage.examples.importing import insert_in_bulk
from storage.examples.queries import (
    LIVING,
    belonging_to,
    comes_after,
    duplicates_of,
    filter_conditions,
    has_id_in,
    has_item,
    may_come_back,
    of_assistant,
    read_examples,
)
from storage.examples.values import columns_of, stored_example, text_columns_of
from storage.tables import (
    IS_LIVING,
    assistants,
    example_authors,
    example_marks,
    example_messages,
    example_reviews,
    example_tags,
    revisions,
    workspaces,
)
from storage.tables import (
    examples as table,
)
from storage.trainable import awaits_consent, is_trainable

PAGE = 200

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
    example_marks,
    example_reviews,
)


class Examples:
    """Keeps examples; of a living one there is never a second with the same meaning."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(
        self, workspace: WorkspaceId, example: NewExample, *, at: datetime
    ) -> tuple[Example, bool]:
        example = (await self._as_approvals_require(workspace, [example]))[0]
        statement = self._connection.insert(table).on_conflict_do_nothing().returning(table.c.id)
        values = columns_of(workspace, example, at=at)
        with foreign_key_as_not_found("assistant", example.assistant):
            row = await self._connection.first(statement, **values)
        messages = example.messages + ((example.source,) if example.source else ())
        if row is None:
            twin = await self._first(workspace, duplicates_of(example), example.assistant)
            await ExampleMessages(self._connection).add(workspace, twin.id, messages)
            return twin, False
        await ExampleMessages(self._connection).add(workspace, row.id, messages)
        await self._put_list(example_authors, workspace, row.id, example.authors)
        await self._put_list(example_tags, workspace, row.id, example.tags)
        return stored_example(example, workspace, row.id, at=at), True

    async def add_many(
        self, workspace: WorkspaceId, examples: Sequence[NewExample], *, at: datetime
    ) -> int:
        new = 0
        examples = await self._as_approvals_require(workspace, examples)
        marked: dict[tuple[AssistantId, str], tuple[NewExample, RowText]] = {}
        for example in examples:
            if example.row is not None and example.state in LIVING:
                text = example.text or row_text(example.row)
                marked.setdefault((example.assistant, text.fingerprint), (example, text))
            else:
                new += (await self.add(workspace, example, at=at))[1]
        return new + await insert_in_bulk(self._connection, workspace, marked, at=at)

    async def get(self, workspace: WorkspaceId, example: ExampleId) -> Example:
        return await self._first(workspace, table.c.id == example, example)

    async def by_source(
        self, workspace: WorkspaceId, channel: ChannelId, message: MessageId
    ) -> Example | None:
        taken = and_(table.c.channel == channel, table.c.message == message, IS_LIVING)
        found = await read_examples(self._connection, workspace, taken, limit=1)
        return found[0] if found else None

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
        wanted = list(filter_conditions(filters))
        if among is not None:
            wanted.append(table.c.id.in_(among))
        if after is not None:
            wanted.append(comes_after(order, workspace, after))
        return await read_examples(self._connection, workspace, *wanted, limit=limit, order=order)

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
        wanted = [
            *filter_conditions(filters),
            table.c.id > (after or 0),
            table.c.created_at <= until,
        ]
        if among is not None:
            wanted.append(table.c.id.in_(among))
        if has_text:
            wanted.append(table.c.row.is_not(None))
        found = select(table.c.id).where(table.c.workspace == workspace, *wanted)
        rows = await self._connection.rows(found.order_by(table.c.id), most=limit)
        return [ExampleId(row.id) for row in rows]

    async def count(self, workspace: WorkspaceId, filters: ExampleFilter) -> int:
        own = and_(table.c.workspace == workspace, *filter_conditions(filters))
        counted = select(func.count()).select_from(table).where(own)
        return int((await self._connection.run(counted)).scalar_one())

    async def revise(
        self, workspace: WorkspaceId, example: ExampleId, row: Row, editor: UserId, *, at: datetime
    ) -> Example:
        before = await self.get(workspace, example)
        if row_kinds(row) and await self._must_mask(workspace):
            row = mask_row(row)
        await self._refuse_a_second(before, row)
        own = has_id_in(workspace, [example])
        await self._connection.run(
            insert(revisions).from_select(
                ["workspace", "example", "number", "row", "editor", "at"],
                select(
                    table.c.workspace,
                    table.c.id,
                    table.c.revision,
                    table.c.row,
                    table.c.editor,
                    table.c.revised_at,
                ).where(own),
            )
        )
        number = before.revision + 1
        keeps = before.keeps_private_text and _holds_nothing_new(before.row or {}, row)
        told = {"revision": number, "editor": editor, "revised_at": at, "updated_at": at}
        text = {**text_columns_of(row), "keeps_private_text": keeps}
        await self._connection.run(update(table).where(own).values({**told, **text}))
        return await self.get(workspace, example)

    async def keep_private_text(
        self, workspace: WorkspaceId, example: ExampleId, *, at: datetime
    ) -> None:
        own = has_id_in(workspace, [example])
        kept = update(table).where(own).values(keeps_private_text=True, updated_at=at)
        await self._connection.run(kept)

    async def revisions(self, workspace: WorkspaceId, example: ExampleId) -> Sequence[Revision]:
        earlier = select(revisions).where(belonging_to(revisions, workspace, [example]))
        rows = await self._connection.fetch_all(earlier, revisions.c.number)
        found = [Revision(row.number, row.row, row.editor, row.at) for row in rows]
        row = await self._connection.first(select(table).where(has_id_in(workspace, [example])))
        if row is not None:
            found.append(Revision(row.revision, row.row, row.editor, row.revised_at))
        return found

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
        for part in batched(examples, MANY):
            own = has_id_in(workspace, part)
            if state in LIVING:
                # Again where one was in the way that could not come back itself.
                while moved := await self._move(may_come_back(own), state, at, by):
                    changed += moved
                own = and_(own, IS_LIVING)
            changed += await self._move(own, state, at, by)
            if state is ExampleState.APPROVED:
                await self._move(_replaced_by(workspace, part), ExampleState.WITHDRAWN, at, by)
        return changed

    async def list_derived(
        self, workspace: WorkspaceId, examples: Sequence[ExampleId]
    ) -> Sequence[ExampleId]:
        found: list[ExampleId] = []
        for part in batched(examples, MANY):
            own = and_(table.c.workspace == workspace, table.c.derived_from.in_(part))
            rows = await self._connection.fetch_all(select(table.c.id).where(own), table.c.id)
            found += [ExampleId(row.id) for row in rows]
        return found

    async def awaiting_consent(
        self, workspace: WorkspaceId, examples: Sequence[ExampleId]
    ) -> set[ExampleId]:
        found: set[ExampleId] = set()
        for part in batched(examples, MANY):
            waiting = select(table.c.id).where(has_id_in(workspace, part), awaits_consent())
            found.update(row.id for row in await self._connection.rows(waiting, most=len(part)))
        return found

    async def current_states(
        self, workspace: WorkspaceId, examples: Sequence[ExampleId]
    ) -> Mapping[ExampleId, tuple[int, ExampleState]]:
        found: dict[ExampleId, tuple[int, ExampleState]] = {}
        for part in batched(examples, MANY):
            wanted = select(table.c.id, table.c.revision, table.c.state)
            own = wanted.where(has_id_in(workspace, part))
            for row in await self._connection.rows(own, most=len(part)):
                found[row.id] = (row.revision, row.state)
        return found

    async def set_tags(
        self, workspace: WorkspaceId, example: ExampleId, tags: Sequence[str]
    ) -> None:
        if await self._connection.has(table, workspace, example):
            if MUST_ANSWER in tags and (await self.get(workspace, example)).synthetic:
                tags = [tag for tag in tags if tag != MUST_ANSWER]
            old = belonging_to(example_tags, workspace, [example])
            await self._connection.run(delete(example_tags).where(old))
            await self._put_list(example_tags, workspace, example, tags)

    async def add_tag(
        self, workspace: WorkspaceId, examples: Sequence[ExampleId], tag: str
    ) -> None:
        own = and_(
            example_tags.c.workspace == table.c.workspace, example_tags.c.example == table.c.id
        )
        last = select(func.max(example_tags.c.position)).where(own).scalar_subquery()
        may_have = true() if tag != MUST_ANSWER else table.c.derived_from.is_(None)
        for part in batched(examples, MANY):
            new = select(
                table.c.workspace, table.c.id, func.coalesce(last + 1, 0), literal(tag)
            ).where(
                has_id_in(workspace, part),
                may_have,
                ~exists().where(own, example_tags.c.item == tag),
            )
            names = ["workspace", "example", "position", "item"]
            await self._connection.run(insert(example_tags).from_select(names, new))

    async def hold_out(
        self, workspace: WorkspaceId, examples: Sequence[ExampleId], *, held_out: bool
    ) -> None:
        for part in batched(examples, MANY):
            own = and_(has_id_in(workspace, part), table.c.held_out.is_not(held_out))
            if held_out:
                own = and_(own, table.c.derived_from.is_(None))
            await self._connection.run(update(table).where(own).values(held_out=held_out))

    async def by_author(
        self, workspace: WorkspaceId, user: UserId, *, limit: int = 500
    ) -> Sequence[ExampleId]:
        own = and_(example_authors.c.workspace == workspace, example_authors.c.item == user)
        statement = select(example_authors.c.example).distinct().where(own)
        ordered = statement.order_by(example_authors.c.example)
        rows = await self._connection.rows(ordered, most=limit)
        return [ExampleId(row.example) for row in rows]

    async def erase(self, workspace: WorkspaceId, examples: Sequence[ExampleId]) -> None:
        await erase_answers(self._connection, workspace, examples)
        for part in batched(examples, MANY):
            for child in _CHILDREN:
                own = belonging_to(child, workspace, part)
                await self._connection.run(delete(child).where(own))
            gone = update(table).where(has_id_in(workspace, part)).values(_ERASED)
            await self._connection.run(gone)
        self._connection.has_erased = True

    async def count_trainable(
        self, workspace: WorkspaceId, assistant: AssistantId, method: Method
    ) -> int:
        wanted = and_(of_assistant(workspace, assistant), table.c.method == method, is_trainable())
        counted = select(func.count()).select_from(table).where(wanted)
        return int((await self._connection.run(counted)).scalar_one())

    async def trainable_revisions(
        self, workspace: WorkspaceId, assistant: AssistantId, method: Method
    ) -> Mapping[ExampleId, int]:
        wanted = and_(
            of_assistant(workspace, assistant),
            table.c.method == method,
            is_trainable(),
            ~has_item(example_tags, MUST_ANSWER),
        )
        rows = self._connection.stream(
            select(table.c.id, table.c.revision).where(wanted), table.c.id
        )
        return {ExampleId(row.id): row.revision async for row in rows}

    async def trainable(
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
        rule = and_(is_trainable(shown_in=shown_in), *filter_conditions(filters or ExampleFilter()))
        wanted = and_(table.c.assistant == assistant, table.c.method == method, rule)
        last, left = after or 0, limit
        while left is None or left > 0:
            beyond, most = table.c.id > last, PAGE if left is None else min(PAGE, left)
            found = await read_examples(self._connection, workspace, wanted, beyond, limit=most)
            for example in found:
                yield example
            if len(found) < most:
                return
            last, left = found[-1].id, None if left is None else left - len(found)

    async def _as_approvals_require(
        self, workspace: WorkspaceId, examples: Sequence[NewExample]
    ) -> Sequence[NewExample]:
        """With masks for private text, and proposed for several reviewers, where demanded."""
        reviewed = and_(assistants.c.workspace == workspace, assistants.c.reviewers > 1)
        several = exists().where(reviewed).label("several")
        own = select(workspaces.c.must_mask, several).where(workspaces.c.id == workspace)
        demands = await self._connection.first(own)
        if demands is not None and demands.several:
            some = select(assistants.c.id).where(reviewed)
            found = {row.id for row in await self._connection.fetch_all(some, assistants.c.id)}
            examples = [_as_proposed(one) if one.assistant in found else one for one in examples]
        if demands is None or not demands.must_mask:
            return examples
        return [
            replace(one, row=mask_row(one.row), text=None) if one.row else one for one in examples
        ]

    async def _must_mask(self, workspace: WorkspaceId) -> bool:
        demand = select(workspaces.c.must_mask).where(workspaces.c.id == workspace)
        found = await self._connection.first(demand)
        return found is not None and bool(found.must_mask)

    async def _first(
        self, workspace: WorkspaceId, condition: ColumnElement[bool], name: int
    ) -> Example:
        found = await read_examples(self._connection, workspace, condition, limit=1)
        if not found:
            raise NotFound(noun="example", name=name)
        return found[0]

    async def _put_list(
        self, child: Table, workspace: WorkspaceId, example: int, items: Sequence[str]
    ) -> None:
        rows = [
            (workspace, example, position, item)
            for position, item in enumerate(dict.fromkeys(items))
        ]
        names = ["workspace", "example", "position", "item"]
        await self._connection.insert_many(insert(child), names, rows)

    async def _refuse_a_second(self, example: Example, row: Row) -> None:
        twins = and_(
            table.c.assistant == example.assistant,
            table.c.fingerprint == short_fingerprint(row),
            table.c.id != example.id,
            IS_LIVING,
        )
        if example.state in LIVING and (
            found := await read_examples(self._connection, example.workspace, twins, limit=1)
        ):
            raise BadInput(problem=f"Example {found[0].id} says exactly this already.")

    async def _move(
        self, own: ColumnElement[bool], state: ExampleState, at: datetime, by: UserId | None
    ) -> int:
        others = and_(own, table.c.state != state)
        return await self._connection.run_counting(
            update(table).where(others).values(state=state, updated_at=at, decided_by=by)
        )


def _replaced_by(workspace: WorkspaceId, approved: Sequence[ExampleId]) -> ColumnElement[bool]:
    """The living examples in whose place a model wrote one of these, approved now."""
    new = table.alias("new")
    sources = select(new.c.derived_from).where(
        new.c.workspace == workspace,
        new.c.id.in_(approved),
        new.c.replaces_source,
        new.c.state == ExampleState.APPROVED,
    )
    return and_(table.c.workspace == workspace, table.c.id.in_(sources), IS_LIVING)


def _as_proposed(example: NewExample) -> NewExample:
    is_approved = example.state is ExampleState.APPROVED
    return replace(example, state=ExampleState.PROPOSED) if is_approved else example


def _holds_nothing_new(before: Row, after: Row) -> bool:
    """Whether all private text of a row was in it before, where it was decided upon."""
    return set(private_texts(after)) <= set(private_texts(before))
