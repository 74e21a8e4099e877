"""Every table, once.

Each has its workspace, and a child names its parent together with the workspace, so that the
database itself refuses a link across workspaces. Inbox, outbox, audit, spending and the room stand
free of `workspaces`: an event may come before its workspace is known, and a note of its removal
may stay after everything else is erased.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Date,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    false,
    literal_column,
    or_,
    true,
)
from sqlalchemy.schema import SchemaItem

from bot.domain import (
    AnswerEnd,
    Estimate,
    ExampleState,
    Hyperparameters,
    ModelKind,
    Origin,
    Phase,
    RequestedAction,
    Sampling,
    Split,
    TurnState,
)
from bot.rows import Method
from storage.columns import Frozen, Json, Utc, one_of
from storage.columns import metadata as metadata
from storage.evaluation_tables import evaluations as evaluations
from storage.example_tables import example_marks as example_marks
from storage.example_tables import example_messages as example_messages
from storage.judging_tables import judgings as judgings
from storage.offer_table import training_offers as training_offers
from storage.queue_tables import inbox as inbox
from storage.queue_tables import remote_cleanups as remote_cleanups
from storage.queue_tables import undoables as undoables
from storage.residue_table import residues as residues
from storage.role_table import roles as roles
from storage.room_tables import room_messages as room_messages
from storage.room_tables import room_reactions as room_reactions
from storage.taught_table import taught_turns as taught_turns


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _number(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False)


def _id(name: str = "id") -> Column[int]:
    return Column(name, Integer, primary_key=True, autoincrement=True)


def _flags(name: str) -> Column[int]:
    """Several words in one number; a table that is older has none of them."""
    return Column(name, Integer, nullable=False, server_default="0")


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False)


def _word(name: str, enum: type[StrEnum], key: str = "", nullable: bool = False) -> Column[StrEnum]:
    # Not IN: for more than two words SQLite would build a set of them, anew for every row.
    rule = " OR ".join(f"{name} = '{word}'" for word in enum)
    check = CheckConstraint(rule, name=name)
    return Column(name, one_of(enum), check, key=key or name, nullable=nullable)


def _check(name: str, rule: str) -> CheckConstraint:
    return CheckConstraint(rule, name=name)


def _of_workspace() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["workspace"], ["workspaces.id"])


def _of(table: str, column: str) -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["workspace", column], [f"{table}.workspace", f"{table}.id"])


def _partial(
    name: str | None, *columns: Column[Any], where: ColumnElement[bool], unique: bool = False
) -> None:
    """An index of the rows that meet a condition; a query uses it if it names that condition."""
    Index(name, *columns, unique=unique, sqlite_where=where, postgresql_where=where)


def _numbered(name: str, *items: SchemaItem) -> Table:
    """A table whose ids are spoken aloud or kept elsewhere, so that none is ever given twice."""
    return Table(name, metadata, _id(), _text("workspace"), *items, sqlite_autoincrement=True)


workspaces = Table(
    "workspaces",
    metadata,
    Column("id", Text, primary_key=True),
    _text("name"),
    _number("sources"),
    Column("person_cap", BigInteger),
    Column("workspace_cap", BigInteger),
    _flags("allowed"),
    Column("training_cap", Float, _check("training_cap", "training_cap >= 0")),
    Column("is_allowed", Boolean, nullable=False, server_default=true()),
    Column("removal_reported_at", Utc),
    Column("closed_at", Utc),
    Column("must_mask", Boolean, nullable=False, server_default=false()),
    _check("sources", "sources BETWEEN 1 AND 3"),
    _check("caps", "person_cap >= 0 AND workspace_cap >= 0"),
)

# Of a direct message nobody knows a workspace before this does, so it stands free as well.
direct_choices = Table(
    "direct_choices",
    metadata,
    _text("workspace"),
    _text("user"),
    _flag("is_chosen"),
    PrimaryKeyConstraint("user", "workspace"),
)
Index(None, direct_choices.c.workspace)

guest_channels = Table(
    "guest_channels",
    metadata,
    _text("workspace"),
    _text("channel"),
    PrimaryKeyConstraint("workspace", "channel"),
    _of_workspace(),
)

consents = Table(
    "consents",
    metadata,
    _text("workspace"),
    _text("user"),
    _number("version"),
    _flag("given"),
    Column("at", Utc, nullable=False),
    PrimaryKeyConstraint("workspace", "user"),
    _of_workspace(),
)

assistants = _numbered(
    "assistants",
    _text("name"),
    _text("name_key"),
    _text("instructions"),
    Column("sampling", Frozen(Sampling), nullable=False),
    Column("language", Text),
    _text("chat_host"),
    _text("training_host"),
    _text("base"),
    _flag("is_default"),
    _flag("history"),
    _number("few_shot"),
    Column("offer_after_examples", Integer),
    Column("offer_after_preferences", Integer),
    Column("offer_channel", Text),
    Column("judge_host", Text),
    Column("judge_model", Text),
    Column("judge_criteria", Text, nullable=False, server_default=""),
    UniqueConstraint("workspace", "id"),
    UniqueConstraint("workspace", "name_key"),
    _of_workspace(),
    _check("few_shot", "few_shot >= 0"),
)
_partial("ix_assistants_offered", assistants.c.id, where=assistants.c.offer_channel.is_not(None))
_partial(
    "uq_assistants_default", assistants.c.workspace, unique=True, where=assistants.c.is_default
)

bindings = Table(
    "bindings",
    metadata,
    _text("workspace"),
    _text("channel"),
    _number("assistant"),
    _flag("always"),
    PrimaryKeyConstraint("workspace", "channel"),
    _of("assistants", "assistant"),
)

# The text of the revision in force stands in `examples`, that of earlier ones
# in `revisions`: each text is kept once, and an import touches one table.
examples = _numbered(
    "examples",
    _number("assistant"),
    _word("method", Method),
    _word("state", ExampleState),
    Column("row", Json),
    Column("search_text", Text),
    Column("fingerprint", Text),
    _number("revision"),
    Column("editor", Text),
    Column("revised_at", Utc, nullable=False),
    _word("origin", Origin),
    Column("channel", Text),
    Column("message", Text),
    Column("thread", Text),
    Column("permalink", Text),
    _flag("held_out"),
    Column("created_at", Utc, nullable=False),
    Column("updated_at", Utc, nullable=False),
    _flags("exclusions"),
    Column("decided_by", Text),
    _flags("private_text"),
    Column("keeps_private_text", Boolean, nullable=False, server_default=false()),
    UniqueConstraint("workspace", "id"),
    _of("assistants", "assistant"),
    _check("revision", "revision >= 1"),
    _check("source", "(channel IS NULL) = (message IS NULL)"),
)
# Pages run in the order of ids within a state; the assistant is read along, for counting.
Index(None, examples.c.workspace, examples.c.state, examples.c.id, examples.c.assistant)
# Written out, not bound: SQLite takes a partial index only where a query repeats its words.
IS_LIVING = examples.c.state.in_([literal_column("'proposed'"), literal_column("'approved'")])
_partial(
    "uq_examples_fingerprint",
    examples.c.workspace,
    examples.c.assistant,
    examples.c.fingerprint,
    unique=True,
    where=IS_LIVING,
)
_partial(
    "uq_examples_source",
    examples.c.workspace,
    examples.c.channel,
    examples.c.message,
    examples.c.assistant,
    examples.c.method,
    unique=True,
    where=IS_LIVING & examples.c.message.is_not(None),
)
_is_private = examples.c.private_text != literal_column("0")
_partial(
    "ix_examples_private_text",
    examples.c.workspace,
    examples.c.assistant,
    examples.c.id,
    where=_is_private,
)
for _person in (examples.c.editor, examples.c.decided_by):
    _is_named = _person.is_not(None)
    _columns = examples.c.workspace, _person
    _partial(None, *_columns, where=_is_named)

example_authors = Table(
    "example_authors",
    metadata,
    _text("workspace"),
    _number("example"),
    _number("position"),
    _text("item"),
    PrimaryKeyConstraint("workspace", "example", "position"),
    _of("examples", "example"),
)
Index(None, example_authors.c.workspace, example_authors.c.item, example_authors.c.example)

example_tags = Table(
    "example_tags",
    metadata,
    _text("workspace"),
    _number("example"),
    _number("position"),
    _text("item"),
    PrimaryKeyConstraint("workspace", "example", "position"),
    _of("examples", "example"),
)
Index(None, example_tags.c.workspace, example_tags.c.item, example_tags.c.example)

revisions = Table(
    "revisions",
    metadata,
    _text("workspace"),
    _number("example"),
    _number("number"),
    Column("row", Json),
    Column("editor", Text),
    Column("at", Utc, nullable=False),
    PrimaryKeyConstraint("workspace", "example", "number"),
    _of("examples", "example"),
    _check("number", "number >= 1"),
)
Index(None, revisions.c.workspace, revisions.c.editor, revisions.c.example)

# Where cards stand whose buttons decide about an example.
example_cards = Table(
    "example_cards",
    metadata,
    _text("workspace"),
    _text("channel"),
    _text("message"),
    _number("position"),
    _number("example"),
    Column("thread", Text),
    PrimaryKeyConstraint("workspace", "channel", "message", "position"),
    _of("examples", "example"),
)
Index(None, example_cards.c.workspace, example_cards.c.example)

snapshots = _numbered(
    "snapshots",
    _number("assistant"),
    _word("method", Method),
    _number("training_rows"),
    _number("validation_rows"),
    Column("created_at", Utc, nullable=False),
    UniqueConstraint("workspace", "id"),
    _of("assistants", "assistant"),
    _check("rows", "training_rows >= 0 AND validation_rows >= 0"),
)
Index(None, snapshots.c.created_at)

snapshot_rows = Table(
    "snapshot_rows",
    metadata,
    _text("workspace"),
    _number("snapshot"),
    _number("position"),
    _number("example"),
    _number("revision"),
    _word("split", Split),
    _text("sha256"),
    PrimaryKeyConstraint("snapshot", "position"),
    _of("snapshots", "snapshot"),
    _of("examples", "example"),
)
Index(None, snapshot_rows.c.workspace, snapshot_rows.c.example)
Index(None, snapshot_rows.c.workspace, snapshot_rows.c.snapshot)

jobs = _numbered(
    "jobs",
    _number("assistant"),
    _number("snapshot"),
    Column("start", Text, nullable=False, unique=True),
    _text("channel"),
    Column("thread", Text),
    _text("asked_by"),
    _text("host"),
    _text("base"),
    _word("method", Method),
    Column("hyperparameters", Frozen(Hyperparameters), nullable=False),
    Column("suffix", Text),
    Column("seed", BigInteger),
    _flag("use_when_done"),
    Column("estimate", Frozen(Estimate), nullable=False),
    _word("phase", Phase),
    _word("wish", RequestedAction, key="requested_action", nullable=True),
    Column("training_file", Text),
    Column("validation_file", Text),
    Column("attempted_at", Utc),
    _number("attempts"),
    Column("host_job", Text),
    Column("status", Text),
    Column("resolved", Json, nullable=False),
    Column("trained_tokens", BigInteger),
    Column("model", Text),
    Column("trouble", Text),
    Column("trouble_code", Text),
    Column("step", Integer),
    Column("total_steps", Integer),
    Column("train_loss", Float),
    Column("valid_loss", Float),
    Column("next_look", Utc),
    Column("created_at", Utc),
    Column("confirmed_at", Utc),
    Column("running_at", Utc),
    Column("finished_at", Utc),
    Column("trouble_details", Json, nullable=False, server_default="{}"),
    Column("result_files", Json, nullable=False, server_default="[]"),
    Column("seconds_left", Float),
    Column("is_late", Boolean, nullable=False, server_default=false()),
    Column("use_if_better", Boolean, nullable=False, server_default=false()),
    UniqueConstraint("workspace", "id"),
    _of("assistants", "assistant"),
    _of("snapshots", "snapshot"),
    _check("attempts", "attempts >= 0"),
    _check("trained_tokens", "trained_tokens >= 0"),
    _check("steps", "step >= 0 AND total_steps >= 0"),
)
Index(None, jobs.c.phase)
Index(None, jobs.c.requested_action)
Index(None, jobs.c.workspace, jobs.c.confirmed_at)
Index(None, jobs.c.host, jobs.c.base, jobs.c.phase, jobs.c.finished_at)
Index(None, jobs.c.workspace, jobs.c.snapshot)

job_events = Table(
    "job_events",
    metadata,
    _id("number"),
    _text("workspace"),
    _number("job"),
    _text("id"),
    Column("at", Utc, nullable=False),
    _text("level"),
    _text("message"),
    Column("step", Integer),
    Column("total_steps", Integer),
    UniqueConstraint("job", "id"),
    _of("jobs", "job"),
    sqlite_autoincrement=True,
)
Index(None, job_events.c.workspace, job_events.c.job, job_events.c.at)

job_metrics = Table(
    "job_metrics",
    metadata,
    _text("workspace"),
    _number("job"),
    _number("step"),
    _text("event"),
    Column("metrics", Json, nullable=False),
    PrimaryKeyConstraint("job", "step"),
    _of("jobs", "job"),
)
Index(None, job_metrics.c.workspace)

checkpoints = Table(
    "checkpoints",
    metadata,
    _text("workspace"),
    _number("job"),
    _number("step"),
    _text("model"),
    Column("metrics", Json, nullable=False),
    PrimaryKeyConstraint("job", "step"),
    _of("jobs", "job"),
    _check("step", "step >= 0"),
)
Index(None, checkpoints.c.workspace)

models = _numbered(
    "models",
    _number("assistant"),
    _text("name"),
    _text("host"),
    _word("kind", ModelKind),
    Column("parent", Text),
    Column("job", Integer),
    Column("created_at", Utc, nullable=False),
    Column("expires_on", Text),
    _flag("is_tainted"),
    _flag("is_deleted"),
    Column("called", Text),
    Column("label", Text),
    Column("note", Text),
    UniqueConstraint("workspace", "name"),
    _of("assistants", "assistant"),
    _of("jobs", "job"),
)

deployments = _numbered(
    "deployments",
    _number("assistant"),
    _text("model"),
    _text("host"),
    _text("by"),
    Column("since", Utc, nullable=False),
    Column("after", Text),
    Column("called", Text),
    _of("assistants", "assistant"),
)
Index(None, deployments.c.workspace, deployments.c.assistant)

turns = _numbered(
    "turns",
    _number("assistant"),
    _text("channel"),
    Column("thread", Text),
    _text("event_key"),
    _text("asker"),
    _text("question"),
    _text("reply"),
    _text("model"),
    _text("host"),
    _word("state", TurnState),
    Column("at", Utc, nullable=False),
    Column("message", Text),
    Column("prompt", Json, nullable=False),
    Column("prompt_tokens", Integer),
    Column("completion_tokens", Integer),
    Column("first_text_seconds", Float),
    Column("seconds", Float),
    Column("is_refusal", Boolean, nullable=False, server_default=false()),
    Column("asked_message", Text),
    Column("end", one_of(AnswerEnd)),
    UniqueConstraint("workspace", "id"),
    UniqueConstraint("workspace", "event_key"),
    _of("assistants", "assistant"),
    _check("tokens", "prompt_tokens >= 0 AND completion_tokens >= 0"),
    _check("durations", "first_text_seconds >= 0 AND seconds >= 0"),
)
Index(None, turns.c.workspace, turns.c.channel, turns.c.message)
Index(None, turns.c.workspace, turns.c.channel, turns.c.asked_message)
Index(None, turns.c.workspace, turns.c.asker)
Index(None, turns.c.workspace, turns.c.model)
Index(None, turns.c.workspace, turns.c.assistant, turns.c.at)
Index(None, turns.c.at)
# Written out, as above. What is forgotten leaves it, so that each part finds the next at once.
HAS_WORDS = or_(turns.c.question != literal_column("''"), turns.c.reply != literal_column("''"))
_partial("ix_turns_words", turns.c.workspace, turns.c.channel, turns.c.thread, where=HAS_WORDS)

votes = Table(
    "votes",
    metadata,
    _text("workspace"),
    _number("turn"),
    _text("user"),
    _number("value"),
    Column("reason", Text),
    Column("at", Utc, nullable=False),
    PrimaryKeyConstraint("turn", "user"),
    _of("turns", "turn"),
    _check("value", "value IN (-1, 1)"),
)
Index(None, votes.c.workspace, votes.c.user)
Index(None, votes.c.workspace, votes.c.turn)
_has_reason = votes.c.reason.is_not(None)
_partial("ix_votes_reason", votes.c.workspace, votes.c.turn, where=_has_reason)

notices = _numbered(
    "notices",
    Column("key", Text, nullable=False, unique=True),
    _text("channel"),
    Column("thread", Text),
    _text("kind"),
    Column("subject", Integer),
    Column("details", Json, nullable=False),
    _number("version"),
    _number("delivered"),
    Column("message", Text),
    _number("attempts"),
    Column("due_at", Utc, nullable=False),
    _check("versions", "version >= 1 AND delivered BETWEEN 0 AND version"),
    _check("attempts", "attempts >= 0"),
)
IS_BEHIND = notices.c.delivered < notices.c.version
_partial("ix_notices_due", notices.c.due_at, where=IS_BEHIND)
Index(None, notices.c.workspace, notices.c.channel, notices.c.message)
Index(None, notices.c.due_at)

audit = _numbered(
    "audit",
    Column("at", Utc, nullable=False),
    Column("user", Text),
    _text("what"),
    Column("details", Json, nullable=False),
)
Index(None, audit.c.workspace)
Index(None, audit.c.workspace, audit.c.user)
Index(None, audit.c.workspace, audit.c.what)
Index(None, audit.c.at)

spending = Table(
    "spending",
    metadata,
    _text("workspace"),
    Column("day", Date, nullable=False),
    _text("user"),
    Column("tokens", BigInteger, nullable=False),
    PrimaryKeyConstraint("workspace", "day", "user"),
    _check("tokens", "tokens >= 0"),
)
