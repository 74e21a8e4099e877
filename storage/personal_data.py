"""Everything that is stored about one person, to be exported or erased."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    CompoundSelect,
    Row,
    Table,
    and_,
    bindparam,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    tuple_,
    union_all,
    update,
)

from bot.domain import (
    ExampleId,
    ExampleState,
    RoomMessage,
    User,
    UserId,
    WorkspaceId,
    short_fingerprint,
)
from bot.ports.personal_data import FIRST_ROW_CURSOR, PersonalRowCursor
from storage.connection import Connection, among_first
from storage.evaluation_tables import ballots, canaries, evaluations, judgings
from storage.examples.example_columns import row_text_columns
from storage.synthetic_tables import synthetic_runs
from storage.tables import (
    IS_ACTIVE,
    audit,
    consents,
    deployments,
    direct_choices,
    example_authors,
    example_markers,
    example_reviews,
    examples,
    job_pings,
    jobs,
    notices,
    private_replies,
    revisions,
    roles,
    room_messages,
    room_reactions,
    spending,
    turns,
    undoables,
    votes,
)

PERSONAL_COLUMNS: Mapping[str, tuple[Column[Any], ...]] = {
    "consent": (consents.c.user,),
    "role": (roles.c.user,),
    "spending": (spending.c.user,),
    "vote": (votes.c.user,),
    "ballot": (ballots.c.user,),
    "mark": (example_markers.c.user,),
    "review": (example_reviews.c.user,),
    "author": (example_authors.c.item,),
    "edit": (revisions.c.editor,),
    "training": (jobs.c.asked_by,),
    "ping": (job_pings.c.user,),
    "shown": (private_replies.c.user,),
    "deployment": (deployments.c.by,),
    "evaluation": (evaluations.c.asked_by,),
    "judging": (judgings.c.asked_by,),
    "synthetic": (synthetic_runs.c.asked_by,),
    "trial": (canaries.c.started_by, canaries.c.ended_by),
    "reaction": (room_reactions.c.user,),
    "choice": (direct_choices.c.user,),
    "undoable": (undoables.c.user,),
    "audit": (audit.c.user,),
    "turn": (turns.c.asker,),
    "example": (examples.c.editor, examples.c.decided_by),
    "message": (room_messages.c.author_id,),
}
"""All columns with a user id, by the name of the record in the exported data."""

FORGOTTEN_USER = User(UserId("forgotten"), "–")
_HIDDEN = frozenset({"search_text", "fingerprint", "event_key", "workspace", "prompt", "author"})
_LIMIT = 500
_PARTS = ("author", "editor", "marked")
_PREFIX_LENGTH = 8
"""Minimum length of a quote in characters."""
_ANONYMIZED = (
    jobs.c.asked_by,
    deployments.c.by,
    evaluations.c.asked_by,
    judgings.c.asked_by,
    synthetic_runs.c.asked_by,
    canaries.c.started_by,
    canaries.c.ended_by,
    examples.c.decided_by,
    undoables.c.user,
)


class PersonalData:
    """Reads and erases one person's data across all tables, except text in examples and turns."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def table_rows(
        self,
        workspace: WorkspaceId,
        user: UserId,
        *,
        after: PersonalRowCursor = FIRST_ROW_CURSOR,
        limit: int = _LIMIT,
    ) -> tuple[Sequence[tuple[str, Mapping[str, object]]], PersonalRowCursor | None]:
        number, last = after
        if number == len(PERSONAL_COLUMNS):
            return [], None
        kind, columns = list(PERSONAL_COLUMNS.items())[number]
        table = columns[0].table
        assert isinstance(table, Table)
        is_theirs = or_(*(column == user for column in columns))
        query = select(table).where(table.c.workspace == workspace, is_theirs)
        keys = list(table.primary_key)
        if last:
            last_key = [literal(value, key.type) for key, value in zip(keys, last, strict=True)]
            query = query.where(tuple_(*keys) > tuple_(*last_key))
        rows = await self._connection.fetch_rows(query.order_by(*keys), most=limit)
        is_more = len(rows) == limit
        next_key = tuple(getattr(rows[-1], key.name) for key in keys) if is_more else ()
        next_cursor = (number, next_key) if is_more else (number + 1, ())
        return [(kind, _exported(row)) for row in rows], next_cursor

    async def examples(
        self, workspace: WorkspaceId, user: UserId, *, after: ExampleId, limit: int = _LIMIT
    ) -> Sequence[tuple[ExampleId, str]]:
        theirs = _examples_of(workspace, user, after).subquery()
        part = func.min(theirs.c.part)
        grouped = select(theirs.c.id, part.label("part")).group_by(theirs.c.id)
        rows = await self._connection.fetch_rows(grouped.order_by(theirs.c.id), most=limit)
        return [(ExampleId(row.id), _PARTS[row.part]) for row in rows]

    async def example_count(self, workspace: WorkspaceId, user: UserId) -> int:
        theirs = _examples_of(workspace, user, ExampleId(0)).subquery()
        counted = select(func.count(theirs.c.id.distinct()))
        return int((await self._connection.execute(counted)).scalar_one())

    async def room_messages(
        self, workspace: WorkspaceId, user: UserId, *, after: int, limit: int = _LIMIT
    ) -> Sequence[RoomMessage]:
        condition = and_(
            room_messages.c.workspace == workspace,
            room_messages.c.author_id == user,
            room_messages.c.number > after,
        )
        page = select(room_messages).where(condition).order_by(room_messages.c.number)
        return [_message(row) for row in await self._connection.fetch_rows(page, most=limit)]

    async def newest_item_token(self, workspace: WorkspaceId, user: UserId) -> str:
        own_turns = turns.c.workspace == workspace, turns.c.asker == user
        own_examples = example_authors.c.workspace == workspace, example_authors.c.item == user
        turn = select(func.max(turns.c.id)).where(*own_turns).scalar_subquery()
        example = select(func.max(example_authors.c.example)).where(*own_examples).scalar_subquery()
        row = (
            await self._connection.execute(select(turn.label("turn"), example.label("it")))
        ).one()
        return f"{row.turn or 0}.{row.it or 0}" if row.turn or row.it else ""

    async def examples_edited_by(
        self,
        workspace: WorkspaceId,
        user: UserId,
        *,
        after: ExampleId | None = None,
        limit: int = _LIMIT,
    ) -> Sequence[ExampleId]:
        edited: set[ExampleId] = set()
        columns: tuple[tuple[Column[Any], Column[Any], Column[Any]], ...] = (
            (revisions.c.example, revisions.c.workspace, revisions.c.editor),
            (examples.c.id, examples.c.workspace, examples.c.editor),
        )
        for number, owner, editor in columns:
            theirs = select(number.label("id")).distinct().order_by(number)
            page = theirs.where(owner == workspace, editor == user, number > (after or 0))
            rows = await self._connection.fetch_rows(page, most=limit)
            edited.update(ExampleId(row.id) for row in rows)
        return sorted(edited)[:limit]

    async def revert_revisions_by(
        self, workspace: WorkspaceId, edited: Sequence[ExampleId], user: UserId, *, at: datetime
    ) -> Sequence[ExampleId]:
        condition = and_(revisions.c.workspace == workspace, revisions.c.example.in_(edited))
        theirs = update(revisions).where(condition, revisions.c.editor == user)
        await self._connection.execute(theirs.values(row=None, editor=None))
        is_current = and_(
            examples.c.workspace == workspace,
            examples.c.id.in_(edited),
            examples.c.editor == user,
        )
        rows = await self._connection.fetch_rows(
            select(examples).where(is_current), most=len(edited)
        )
        self._connection.has_erased = True
        return [
            ExampleId(row.id) for row in rows if not await self._restore_earlier_revision(row, at)
        ]

    async def forget_person(
        self, workspace: WorkspaceId, user: UserId, *, limit: int = _LIMIT
    ) -> int:
        self._connection.has_erased = True
        changed = await self._forget_audit(workspace, user, limit)
        changed += await self._forget_spending(workspace, user, limit)
        has_consented = and_(consents.c.user == user, consents.c.given.is_(True))
        for table, is_theirs in (
            (roles, roles.c.user == user),
            (consents, has_consented),
            (example_markers, example_markers.c.user == user),
            (example_reviews, example_reviews.c.user == user),
            (ballots, ballots.c.user == user),
            (room_reactions, room_reactions.c.user == user),
            (direct_choices, direct_choices.c.user == user),
            (job_pings, job_pings.c.user == user),
            (private_replies, private_replies.c.user == user),
            (notices, notices.c.key == f"{workspace}.{user}.consent"),
        ):
            condition = among_first(table, table.c.workspace == workspace, is_theirs, limit=limit)
            changed += await self._connection.execute_counting_rows(delete(table).where(condition))
        for column in _ANONYMIZED:
            table = column.table
            assert isinstance(table, Table)
            condition = among_first(
                table, table.c.workspace == workspace, column == user, limit=limit
            )
            anonymize = update(table).where(condition).values({column.name: FORGOTTEN_USER.id})
            changed += await self._connection.execute_counting_rows(anonymize)
        return changed

    async def forget_room_messages(
        self, workspace: WorkspaceId, user: UserId, *, limit: int = _LIMIT
    ) -> int:
        is_theirs = and_(room_messages.c.workspace == workspace, room_messages.c.author_id == user)
        query = select(room_messages.c.number).where(is_theirs)
        numbers = [row.number for row in await self._connection.fetch_rows(query, most=limit)]
        if numbers:
            is_selected, answers = room_messages.c.number.in_(numbers), room_messages.c.reply_to
            await self._blank(is_selected, author=FORGOTTEN_USER, author_id=FORGOTTEN_USER.id)
            await self._blank(answers.in_(numbers) & room_messages.c.is_own)
        return len(numbers)

    async def forget_messages_quoting(
        self, workspace: WorkspaceId, quotes: Collection[str], *, after: int, limit: int = _LIMIT
    ) -> int | None:
        is_by_bot = and_(
            room_messages.c.workspace == workspace,
            room_messages.c.is_own,
            room_messages.c.number > after,
        )
        page = select(room_messages.c.number, room_messages.c.text, room_messages.c.body)
        ordered = page.where(is_by_bot).order_by(room_messages.c.number)
        rows = await self._connection.fetch_rows(ordered, most=limit)
        texts = [(row.number, f"{row.text} {row.body or ''}") for row in rows]
        quotes_by_prefix = _by_prefix(quotes)
        if quoting := [number for number, text in texts if _contains_quote(text, quotes_by_prefix)]:
            await self._blank(room_messages.c.number.in_(quoting))
        return rows[-1].number if len(rows) == limit else None

    async def _blank(self, condition: ColumnElement[bool], **values: object) -> None:
        blanked = (
            update(room_messages).where(condition).values(text="", body=None, files=None, **values)
        )
        await self._connection.execute(blanked)
        self._connection.has_erased = True

    async def _restore_earlier_revision(self, row: Row[Any], at: datetime) -> bool:
        """Makes the newest revision of another editor current; it must be approved again."""
        condition = and_(revisions.c.workspace == row.workspace, revisions.c.example == row.id)
        with_row = select(revisions).where(condition, revisions.c.row.is_not(None))
        previous = await self._connection.fetch_first(
            with_row.order_by(revisions.c.number.desc()).limit(1)
        )
        if previous is None or await self._has_duplicate(row, short_fingerprint(previous.row)):
            return False
        insert_gap = insert(revisions).values(
            workspace=row.workspace,
            example=row.id,
            number=row.revision,
            row=None,
            editor=None,
            at=row.revised_at,
        )
        await self._connection.execute(insert_gap)
        is_approved = row.state == ExampleState.APPROVED
        restored = {
            **row_text_columns(previous.row),
            "keeps_private_text": False,
            "revision": row.revision + 1,
            "editor": previous.editor,
            "revised_at": at,
            "updated_at": at,
            "state": ExampleState.PROPOSED if is_approved else row.state,
        }
        same = and_(examples.c.workspace == row.workspace, examples.c.id == row.id)
        await self._connection.execute(update(examples).where(same).values(restored))
        return True

    async def _has_duplicate(self, row: Row[Any], fingerprint: str) -> bool:
        is_duplicate = and_(
            examples.c.workspace == row.workspace,
            examples.c.assistant == row.assistant,
            examples.c.fingerprint == fingerprint,
            examples.c.id != row.id,
            IS_ACTIVE,
        )
        return (
            await self._connection.fetch_first(select(examples.c.id).where(is_duplicate))
            is not None
        )

    async def _forget_audit(self, workspace: WorkspaceId, user: UserId, limit: int) -> int:
        """Removes the person's id and texts from audit entries, but keeps their numbers."""
        query = select(audit.c.id, audit.c.details).where(audit.c.workspace == workspace)
        # A range instead of LIKE, for which SQLite uses no index.
        about_roles = audit.c.what >= "role", audit.c.what < "rolf"
        about = audit.c.details.contains(f'"{user}"', autoescape=True)
        own_entries = await self._connection.fetch_rows(
            query.where(audit.c.user == user), most=limit
        )
        named_in_roles = await self._connection.fetch_rows(
            query.where(*about_roles, about), most=limit
        )
        rows = {row.id: row.details for row in (*own_entries, *named_in_roles)}
        if rows:
            is_own_entry = audit.c.id.in_(list(rows)), audit.c.user == user
            await self._connection.execute(update(audit).where(*is_own_entry).values(user=None))
            number: BindParameter[int] = bindparam("number")
            numbers_only = bindparam("numbers_only", type_=audit.c.details.type)
            blank = update(audit).where(audit.c.id == number).values(details=numbers_only)
            numeric = [
                {"number": id_, "numbers_only": _numbers(details)} for id_, details in rows.items()
            ]
            await self._connection.execute_for_each(blank, numeric)
        return len(rows)

    async def _forget_spending(self, workspace: WorkspaceId, user: UserId, limit: int) -> int:
        """Moves the person's daily tokens to a placeholder, so that the workspace's sum stays."""
        condition = and_(spending.c.workspace == workspace, spending.c.user == user)
        rows = await self._connection.fetch_rows(select(spending).where(condition), most=limit)
        for row in rows:
            new = self._connection.insert(spending).values(
                workspace=workspace, day=row.day, user=FORGOTTEN_USER.id, tokens=row.tokens
            )
            more = spending.c.tokens + new.excluded.tokens
            await self._connection.execute(
                new.on_conflict_do_update(
                    index_elements=["workspace", "day", "user"], set_={"tokens": more}
                )
            )
            await self._connection.execute(
                delete(spending).where(condition, spending.c.day == row.day)
            )
        return len(rows)


def _numbers(details: Mapping[str, object]) -> Mapping[str, object]:
    return {name: value for name, value in details.items() if isinstance(value, int | float | None)}


def _examples_of(workspace: WorkspaceId, user: UserId, after: ExampleId) -> CompoundSelect[Any]:
    """Returns the examples that the person had a part in, with the part's index in `_PARTS`."""
    named = [
        (example_authors.c.example, example_authors.c.item, 0),
        (revisions.c.example, revisions.c.editor, 1),
        (examples.c.id, examples.c.editor, 1),
        (example_markers.c.example, example_markers.c.user, 2),
    ]
    return union_all(
        *(
            select(number.label("id"), literal(part).label("part")).where(
                number.table.c.workspace == workspace, person == user, number > after
            )
            for number, person, part in named
        )
    )


def _by_prefix(quotes: Collection[str]) -> Mapping[str, Sequence[str]]:
    """Groups quotes by their first characters, so that one pass over a text finds all of them."""
    groups: dict[str, list[str]] = {}
    for quote in quotes:
        groups.setdefault(quote[:_PREFIX_LENGTH], []).append(quote)
    return groups


def _contains_quote(text: str, quotes_by_prefix: Mapping[str, Sequence[str]]) -> bool:
    flat = " ".join(text.split())
    return any(
        flat.startswith(quote, start)
        for start in range(len(flat))
        for quote in quotes_by_prefix.get(flat[start : start + _PREFIX_LENGTH], ())
    )


def _exported(row: Row[Any]) -> Mapping[str, object]:
    return {name: value for name, value in row._asdict().items() if name not in _HIDDEN}


def _message(row: Row[Any]) -> RoomMessage:
    hidden = ("workspace", "author_id")
    return RoomMessage(**{k: value for k, value in row._asdict().items() if k not in hidden})
