"""Everything that is kept of one person, to be shown to them or erased."""

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
from bot.ports.personal_data import KEPT_FROM_THE_START, KeptCursor
from storage.canary_table import canaries
from storage.connection import Connection, among_first
from storage.evaluation_tables import ballots, evaluations
from storage.examples.values import text_columns_of
from storage.judging_tables import judgings
from storage.synthetic_tables import synthetic_runs
from storage.tables import (
    IS_LIVING,
    audit,
    consents,
    deployments,
    direct_choices,
    example_authors,
    example_marks,
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

PERSONAL: Mapping[str, tuple[Column[Any], ...]] = {
    "consent": (consents.c.user,),
    "role": (roles.c.user,),
    "spending": (spending.c.user,),
    "vote": (votes.c.user,),
    "ballot": (ballots.c.user,),
    "mark": (example_marks.c.user,),
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
"""Every column that names a person, by what its table is called in their data."""

FORGOTTEN = User(UserId("forgotten"), "–")
_HIDDEN = frozenset({"search_text", "fingerprint", "event_key", "workspace", "prompt", "author"})
_PART = 500
_PARTS = ("author", "editor", "marked")
_BEGINNING = 8
"""Characters that every quote has at least."""
_WITHOUT_NAME = (
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
    """Reads and erases across all tables; the text of examples and turns is theirs to erase."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def rows(
        self,
        workspace: WorkspaceId,
        user: UserId,
        *,
        after: KeptCursor = KEPT_FROM_THE_START,
        limit: int = _PART,
    ) -> tuple[Sequence[tuple[str, Mapping[str, object]]], KeptCursor | None]:
        number, last = after
        if number == len(PERSONAL):
            return [], None
        kind, columns = list(PERSONAL.items())[number]
        table = columns[0].table
        assert isinstance(table, Table)
        theirs = or_(*(column == user for column in columns))
        own = select(table).where(table.c.workspace == workspace, theirs)
        keys = list(table.primary_key)
        if last:
            passed = [literal(value, key.type) for key, value in zip(keys, last, strict=True)]
            own = own.where(tuple_(*keys) > tuple_(*passed))
        rows = await self._connection.rows(own.order_by(*keys), most=limit)
        is_more = len(rows) == limit
        passed_key = tuple(getattr(rows[-1], key.name) for key in keys) if is_more else ()
        following = (number, passed_key) if is_more else (number + 1, ())
        return [(kind, _shown(row)) for row in rows], following

    async def examples(
        self, workspace: WorkspaceId, user: UserId, *, after: ExampleId, limit: int = _PART
    ) -> Sequence[tuple[ExampleId, str]]:
        theirs = _examples_of(workspace, user, after).subquery()
        part = func.min(theirs.c.part)
        found = select(theirs.c.id, part.label("part")).group_by(theirs.c.id)
        rows = await self._connection.rows(found.order_by(theirs.c.id), most=limit)
        return [(ExampleId(row.id), _PARTS[row.part]) for row in rows]

    async def example_count(self, workspace: WorkspaceId, user: UserId) -> int:
        theirs = _examples_of(workspace, user, ExampleId(0)).subquery()
        counted = select(func.count(theirs.c.id.distinct()))
        return int((await self._connection.run(counted)).scalar_one())

    async def messages(
        self, workspace: WorkspaceId, user: UserId, *, after: int, limit: int = _PART
    ) -> Sequence[RoomMessage]:
        own = and_(
            room_messages.c.workspace == workspace,
            room_messages.c.author_id == user,
            room_messages.c.number > after,
        )
        page = select(room_messages).where(own).order_by(room_messages.c.number)
        return [_message(row) for row in await self._connection.rows(page, most=limit)]

    async def newest_item_token(self, workspace: WorkspaceId, user: UserId) -> str:
        theirs = turns.c.workspace == workspace, turns.c.asker == user
        own = example_authors.c.workspace == workspace, example_authors.c.item == user
        turn = select(func.max(turns.c.id)).where(*theirs).scalar_subquery()
        example = select(func.max(example_authors.c.example)).where(*own).scalar_subquery()
        row = (await self._connection.run(select(turn.label("turn"), example.label("it")))).one()
        return f"{row.turn or 0}.{row.it or 0}" if row.turn or row.it else ""

    async def examples_edited_by(
        self,
        workspace: WorkspaceId,
        user: UserId,
        *,
        after: ExampleId | None = None,
        limit: int = _PART,
    ) -> Sequence[ExampleId]:
        found: set[ExampleId] = set()
        columns: tuple[tuple[Column[Any], Column[Any], Column[Any]], ...] = (
            (revisions.c.example, revisions.c.workspace, revisions.c.editor),
            (examples.c.id, examples.c.workspace, examples.c.editor),
        )
        for number, owner, editor in columns:
            theirs = select(number.label("id")).distinct().order_by(number)
            beyond = theirs.where(owner == workspace, editor == user, number > (after or 0))
            rows = await self._connection.rows(beyond, most=limit)
            found.update(ExampleId(row.id) for row in rows)
        return sorted(found)[:limit]

    async def take_back(
        self, workspace: WorkspaceId, edited: Sequence[ExampleId], user: UserId, *, at: datetime
    ) -> Sequence[ExampleId]:
        own = and_(revisions.c.workspace == workspace, revisions.c.example.in_(edited))
        theirs = update(revisions).where(own, revisions.c.editor == user)
        await self._connection.run(theirs.values(row=None, editor=None))
        now = and_(
            examples.c.workspace == workspace,
            examples.c.id.in_(edited),
            examples.c.editor == user,
        )
        rows = await self._connection.rows(select(examples).where(now), most=len(edited))
        self._connection.has_erased = True
        return [ExampleId(row.id) for row in rows if not await self._restored(row, at)]

    async def forget(self, workspace: WorkspaceId, user: UserId, *, limit: int = _PART) -> int:
        self._connection.has_erased = True
        changed = await self._forget_audit(workspace, user, limit)
        changed += await self._forget_spending(workspace, user, limit)
        given = and_(consents.c.user == user, consents.c.given.is_(True))
        for table, theirs in (
            (roles, roles.c.user == user),
            (consents, given),
            (example_marks, example_marks.c.user == user),
            (example_reviews, example_reviews.c.user == user),
            (ballots, ballots.c.user == user),
            (room_reactions, room_reactions.c.user == user),
            (direct_choices, direct_choices.c.user == user),
            (job_pings, job_pings.c.user == user),
            (private_replies, private_replies.c.user == user),
            (notices, notices.c.key == f"{workspace}.{user}.consent"),
        ):
            own = among_first(table, table.c.workspace == workspace, theirs, limit=limit)
            changed += await self._connection.run_counting(delete(table).where(own))
        for column in _WITHOUT_NAME:
            table = column.table
            assert isinstance(table, Table)
            own = among_first(table, table.c.workspace == workspace, column == user, limit=limit)
            nobody = update(table).where(own).values({column.name: FORGOTTEN.id})
            changed += await self._connection.run_counting(nobody)
        return changed

    async def forget_messages(
        self, workspace: WorkspaceId, user: UserId, *, limit: int = _PART
    ) -> int:
        named = and_(room_messages.c.workspace == workspace, room_messages.c.author_id == user)
        some = select(room_messages.c.number).where(named)
        numbers = [row.number for row in await self._connection.rows(some, most=limit)]
        if numbers:
            these, answers = room_messages.c.number.in_(numbers), room_messages.c.reply_to
            await self._blank(these, author=FORGOTTEN, author_id=FORGOTTEN.id)
            await self._blank(answers.in_(numbers) & room_messages.c.is_own)
        return len(numbers)

    async def forget_quotes(
        self, workspace: WorkspaceId, quotes: Collection[str], *, after: int, limit: int = _PART
    ) -> int | None:
        ours = and_(
            room_messages.c.workspace == workspace,
            room_messages.c.is_own,
            room_messages.c.number > after,
        )
        page = select(room_messages.c.number, room_messages.c.text, room_messages.c.body)
        ordered = page.where(ours).order_by(room_messages.c.number)
        rows = await self._connection.rows(ordered, most=limit)
        said = [(row.number, f"{row.text} {row.body or ''}") for row in rows]
        by_beginning = _by_beginning(quotes)
        if found := [number for number, text in said if _quotes(text, by_beginning)]:
            await self._blank(room_messages.c.number.in_(found))
        return rows[-1].number if len(rows) == limit else None

    async def _blank(self, these: ColumnElement[bool], **more: object) -> None:
        gone = update(room_messages).where(these).values(text="", body=None, files=None, **more)
        await self._connection.run(gone)
        self._connection.has_erased = True

    async def _restored(self, row: Row[Any], at: datetime) -> bool:
        """The newest revision of somebody else is in force again, and waits for a curator."""
        own = and_(revisions.c.workspace == row.workspace, revisions.c.example == row.id)
        whole = select(revisions).where(own, revisions.c.row.is_not(None))
        before = await self._connection.first(whole.order_by(revisions.c.number.desc()).limit(1))
        if before is None or await self._has_twin(row, short_fingerprint(before.row)):
            return False
        gap = insert(revisions).values(
            workspace=row.workspace,
            example=row.id,
            number=row.revision,
            row=None,
            editor=None,
            at=row.revised_at,
        )
        await self._connection.run(gap)
        is_approved = row.state == ExampleState.APPROVED
        restored = {
            **text_columns_of(before.row),
            "keeps_private_text": False,
            "revision": row.revision + 1,
            "editor": before.editor,
            "revised_at": at,
            "updated_at": at,
            "state": ExampleState.PROPOSED if is_approved else row.state,
        }
        same = and_(examples.c.workspace == row.workspace, examples.c.id == row.id)
        await self._connection.run(update(examples).where(same).values(restored))
        return True

    async def _has_twin(self, row: Row[Any], mark: str) -> bool:
        twin = and_(
            examples.c.workspace == row.workspace,
            examples.c.assistant == row.assistant,
            examples.c.fingerprint == mark,
            examples.c.id != row.id,
            IS_LIVING,
        )
        return await self._connection.first(select(examples.c.id).where(twin)) is not None

    async def _forget_audit(self, workspace: WorkspaceId, user: UserId, limit: int) -> int:
        """What was done stays, with its numbers; who did it, and what they wrote, goes."""
        own = select(audit.c.id, audit.c.details).where(audit.c.workspace == workspace)
        # Not LIKE, for which SQLite takes no index.
        about_roles = audit.c.what >= "role", audit.c.what < "rolf"
        about = audit.c.details.contains(f'"{user}"', autoescape=True)
        by = await self._connection.rows(own.where(audit.c.user == user), most=limit)
        told = await self._connection.rows(own.where(*about_roles, about), most=limit)
        rows = {row.id: row.details for row in (*by, *told)}
        if rows:
            numbers = audit.c.id.in_(list(rows)), audit.c.user == user
            await self._connection.run(update(audit).where(*numbers).values(user=None))
            number: BindParameter[int] = bindparam("number")
            details = bindparam("left", type_=audit.c.details.type)
            blank = update(audit).where(audit.c.id == number).values(details=details)
            numeric = [{"number": number, "left": _numbers(kept)} for number, kept in rows.items()]
            await self._connection.run_each(blank, numeric)
        return len(rows)

    async def _forget_spending(self, workspace: WorkspaceId, user: UserId, limit: int) -> int:
        """The tokens of the workspace stay counted."""
        own = and_(spending.c.workspace == workspace, spending.c.user == user)
        rows = await self._connection.rows(select(spending).where(own), most=limit)
        for row in rows:
            new = self._connection.insert(spending).values(
                workspace=workspace, day=row.day, user=FORGOTTEN.id, tokens=row.tokens
            )
            more = spending.c.tokens + new.excluded.tokens
            await self._connection.run(
                new.on_conflict_do_update(
                    index_elements=["workspace", "day", "user"], set_={"tokens": more}
                )
            )
            await self._connection.run(delete(spending).where(own, spending.c.day == row.day))
        return len(rows)


def _numbers(details: Mapping[str, object]) -> Mapping[str, object]:
    return {name: value for name, value in details.items() if isinstance(value, int | float | None)}


def _examples_of(workspace: WorkspaceId, user: UserId, after: ExampleId) -> CompoundSelect[Any]:
    """The number of each example that they had a part in, and of which of `_PARTS`."""
    named = [
        (example_authors.c.example, example_authors.c.item, 0),
        (revisions.c.example, revisions.c.editor, 1),
        (examples.c.id, examples.c.editor, 1),
        (example_marks.c.example, example_marks.c.user, 2),
    ]
    return union_all(
        *(
            select(number.label("id"), literal(part).label("part")).where(
                number.table.c.workspace == workspace, person == user, number > after
            )
            for number, person, part in named
        )
    )


def _by_beginning(quotes: Collection[str]) -> Mapping[str, Sequence[str]]:
    """Quotes by their first characters, so that a text is looked through once for all of them."""
    found: dict[str, list[str]] = {}
    for quote in quotes:
        found.setdefault(quote[:_BEGINNING], []).append(quote)
    return found


def _quotes(text: str, by_beginning: Mapping[str, Sequence[str]]) -> bool:
    flat = " ".join(text.split())
    return any(
        flat.startswith(quote, at)
        for at in range(len(flat))
        for quote in by_beginning.get(flat[at : at + _BEGINNING], ())
    )


def _shown(row: Row[Any]) -> Mapping[str, object]:
    return {name: value for name, value in row._asdict().items() if name not in _HIDDEN}


def _message(row: Row[Any]) -> RoomMessage:
    hidden = ("workspace", "author_id")
    return RoomMessage(**{k: value for k, value in row._asdict().items() if k not in hidden})
