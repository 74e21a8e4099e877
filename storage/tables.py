"""Every table of the database.

Every table has a workspace column, and a foreign key to a row includes the workspace, so that
the database refuses links across workspaces. Inbox, outbox, audit, spending and the room have no
foreign key to `workspaces`: an event may come before its workspace is known, and a notice about
a removed workspace may outlive its other rows.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Float,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    false,
    literal_column,
    or_,
    select,
    true,
)

from bot.domain import (
    ExampleState,
    IncompleteReason,
    Origin,
    Sampling,
    TurnState,
)
from bot.rows import Method
from storage.column_types import FrozenJson, Json, Utc, enum_type
from storage.column_types import metadata as metadata
from storage.evaluation_tables import evaluation_gaps as evaluation_gaps
from storage.evaluation_tables import evaluations as evaluations
from storage.evaluation_tables import judgings as judgings
from storage.evaluation_tables import taught_turns as taught_turns
from storage.example_message_tables import example_markers as example_markers
from storage.example_message_tables import example_messages as example_messages
from storage.example_message_tables import example_reviews as example_reviews
from storage.queue_tables import inbox as inbox
from storage.queue_tables import private_replies as private_replies
from storage.queue_tables import remote_cleanups as remote_cleanups
from storage.queue_tables import undoables as undoables
from storage.room_tables import room_messages as room_messages
from storage.room_tables import room_reactions as room_reactions
from storage.synthetic_tables import origin_columns
from storage.synthetic_tables import synthetic_calls as synthetic_calls
from storage.synthetic_tables import synthetic_runs as synthetic_runs
from storage.table_helpers import (
    bits_column,
    boolean_column,
    check,
    enum_column,
    foreign_key,
    integer_column,
    numbered_table,
    partial_index,
    text_column,
    workspace_key,
)
from storage.training_tables import checkpoints as checkpoints
from storage.training_tables import deployments as deployments
from storage.training_tables import job_events as job_events
from storage.training_tables import job_metrics as job_metrics
from storage.training_tables import job_pings as job_pings
from storage.training_tables import jobs as jobs
from storage.training_tables import models as models
from storage.training_tables import snapshot_rows as snapshot_rows
from storage.training_tables import snapshots as snapshots
from storage.training_tables import training_offers as training_offers

workspaces = Table(
    "workspaces",
    metadata,
    Column("id", Text, primary_key=True),
    text_column("name"),
    integer_column("sources"),
    Column("person_cap", BigInteger),
    Column("workspace_cap", BigInteger),
    bits_column("allowed"),
    Column("training_cap", Float, check("training_cap", "training_cap >= 0")),
    Column("is_allowed", Boolean, nullable=False, server_default=true()),
    Column("removal_reported_at", Utc),
    Column("closed_at", Utc),
    Column("must_mask", Boolean, nullable=False, server_default=false()),
    Column("keep_days", Integer),
    Column("keep_unapproved_days", Integer),
    check("sources", "sources BETWEEN 1 AND 3"),
    check("caps", "person_cap >= 0 AND workspace_cap >= 0"),
)
CLOSED_WORKSPACES = select(workspaces.c.id).where(workspaces.c.closed_at.is_not(None))
"""Ids of closed workspaces, for which nothing is answered, trained or posted."""

# No foreign key: this table decides which workspace a direct message belongs to.
direct_choices = Table(
    "direct_choices",
    metadata,
    text_column("workspace"),
    text_column("user"),
    boolean_column("is_chosen"),
    PrimaryKeyConstraint("user", "workspace"),
)
Index(None, direct_choices.c.workspace)

guest_channels = Table(
    "guest_channels",
    metadata,
    text_column("workspace"),
    text_column("channel"),
    PrimaryKeyConstraint("workspace", "channel"),
    workspace_key(),
)

# Roles that an admin granted, with the time of the grant.
roles = Table(
    "roles",
    metadata,
    text_column("workspace"),
    text_column("user"),
    integer_column("role"),
    Column("is_external", Boolean, nullable=False, server_default=false()),
    Column("at", Utc, nullable=False, server_default="1970-01-01 00:00:00"),
    PrimaryKeyConstraint("workspace", "user"),
    workspace_key(),
    check("role", "role BETWEEN 1 AND 5"),
)

consents = Table(
    "consents",
    metadata,
    text_column("workspace"),
    text_column("user"),
    integer_column("version"),
    boolean_column("given"),
    Column("at", Utc, nullable=False),
    PrimaryKeyConstraint("workspace", "user"),
    workspace_key(),
)

assistants = numbered_table(
    "assistants",
    text_column("name"),
    text_column("name_key"),
    text_column("instructions"),
    Column("sampling", FrozenJson(Sampling), nullable=False),
    Column("language", Text),
    text_column("chat_host"),
    text_column("training_host"),
    text_column("base"),
    boolean_column("is_default"),
    boolean_column("history"),
    integer_column("few_shot"),
    Column("offer_after_examples", Integer),
    Column("offer_after_preferences", Integer),
    Column("offer_channel", Text),
    Column("judge_host", Text),
    Column("judge_model", Text),
    Column("judge_criteria", Text, nullable=False, server_default=""),
    Column("reviewers", Integer, nullable=False, server_default="1"),
    Column("tools", Text, nullable=False, server_default=""),
    Column("threads", Boolean, nullable=False, server_default=false()),
    UniqueConstraint("workspace", "id"),
    UniqueConstraint("workspace", "name_key"),
    workspace_key(),
    check("few_shot", "few_shot >= 0"),
)
partial_index(
    "ix_assistants_offered", assistants.c.id, where=assistants.c.offer_channel.is_not(None)
)
partial_index(
    "uq_assistants_default", assistants.c.workspace, unique=True, where=assistants.c.is_default
)

bindings = Table(
    "bindings",
    metadata,
    text_column("workspace"),
    text_column("channel"),
    integer_column("assistant"),
    boolean_column("answers_unasked"),
    Column("threads", Boolean),
    PrimaryKeyConstraint("workspace", "channel"),
    foreign_key("assistants", "assistant"),
)

# The text of the current revision is in `examples`, the text of earlier ones in `revisions`, so
# that each text is stored once and an import writes to one table.
examples = numbered_table(
    "examples",
    integer_column("assistant"),
    enum_column("method", Method),
    enum_column("state", ExampleState),
    Column("row", Json),
    Column("search_text", Text),
    Column("fingerprint", Text),
    integer_column("revision"),
    Column("editor", Text),
    Column("revised_at", Utc, nullable=False),
    enum_column("origin", Origin),
    Column("channel", Text),
    Column("message", Text),
    Column("thread", Text),
    Column("permalink", Text),
    boolean_column("held_out"),
    Column("created_at", Utc, nullable=False),
    Column("updated_at", Utc, nullable=False),
    bits_column("exclusions"),
    Column("decided_by", Text),
    bits_column("private_text"),
    Column("keeps_private_text", Boolean, nullable=False, server_default=false()),
    *origin_columns(),
    UniqueConstraint("workspace", "id"),
    foreign_key("assistants", "assistant"),
    check("revision", "revision >= 1"),
    check("source", "(channel IS NULL) = (message IS NULL)"),
)
# Pages are in the order of ids within a state; the assistant is included for counts.
Index(None, examples.c.workspace, examples.c.state, examples.c.id, examples.c.assistant)
# Literals, not parameters: SQLite uses a partial index only if the query repeats its condition.
IS_ACTIVE = examples.c.state.in_([literal_column("'proposed'"), literal_column("'approved'")])
IS_EDITED = examples.c.revision > literal_column("1")
partial_index(
    "ix_examples_edited",
    examples.c.workspace,
    examples.c.assistant,
    examples.c.revised_at,
    where=IS_EDITED,
)
partial_index(
    "uq_examples_fingerprint",
    examples.c.workspace,
    examples.c.assistant,
    examples.c.fingerprint,
    unique=True,
    where=IS_ACTIVE,
)
partial_index(
    "uq_examples_source",
    examples.c.workspace,
    examples.c.channel,
    examples.c.message,
    examples.c.assistant,
    examples.c.method,
    unique=True,
    where=IS_ACTIVE & examples.c.message.is_not(None),
)
_is_private = examples.c.private_text != literal_column("0")
partial_index(
    "ix_examples_private_text",
    examples.c.workspace,
    examples.c.assistant,
    examples.c.id,
    where=_is_private,
)
for _column in (examples.c.editor, examples.c.decided_by, examples.c.derived_from):
    _is_named = _column.is_not(None)
    _columns = examples.c.workspace, _column
    partial_index(None, *_columns, where=_is_named)

example_authors = Table(
    "example_authors",
    metadata,
    text_column("workspace"),
    integer_column("example"),
    integer_column("position"),
    text_column("item"),
    PrimaryKeyConstraint("workspace", "example", "position"),
    foreign_key("examples", "example"),
)
Index(None, example_authors.c.workspace, example_authors.c.item, example_authors.c.example)

example_tags = Table(
    "example_tags",
    metadata,
    text_column("workspace"),
    integer_column("example"),
    integer_column("position"),
    text_column("item"),
    PrimaryKeyConstraint("workspace", "example", "position"),
    foreign_key("examples", "example"),
)
Index(None, example_tags.c.workspace, example_tags.c.item, example_tags.c.example)

revisions = Table(
    "revisions",
    metadata,
    text_column("workspace"),
    integer_column("example"),
    integer_column("number"),
    Column("row", Json),
    Column("editor", Text),
    Column("at", Utc, nullable=False),
    PrimaryKeyConstraint("workspace", "example", "number"),
    foreign_key("examples", "example"),
    check("number", "number >= 1"),
)
Index(None, revisions.c.workspace, revisions.c.editor, revisions.c.example)

# Posted messages with buttons that decide about examples.
example_cards = Table(
    "example_cards",
    metadata,
    text_column("workspace"),
    text_column("channel"),
    text_column("message"),
    integer_column("position"),
    integer_column("example"),
    Column("thread", Text),
    PrimaryKeyConstraint("workspace", "channel", "message", "position"),
    foreign_key("examples", "example"),
)
Index(None, example_cards.c.workspace, example_cards.c.example)

turns = numbered_table(
    "turns",
    integer_column("assistant"),
    text_column("channel"),
    Column("thread", Text),
    text_column("event_key"),
    text_column("asker"),
    text_column("question"),
    text_column("reply"),
    text_column("model"),
    text_column("host"),
    enum_column("state", TurnState),
    Column("at", Utc, nullable=False),
    Column("reply_message", Text),
    Column("prompt", Json, nullable=False),
    Column("prompt_tokens", Integer),
    Column("completion_tokens", Integer),
    Column("first_text_seconds", Float),
    Column("seconds", Float),
    Column("is_refusal", Boolean, nullable=False, server_default=false()),
    Column("question_message", Text),
    Column("incomplete_reason", enum_type(IncompleteReason)),
    UniqueConstraint("workspace", "id"),
    UniqueConstraint("workspace", "event_key"),
    foreign_key("assistants", "assistant"),
    check("tokens", "prompt_tokens >= 0 AND completion_tokens >= 0"),
    check("durations", "first_text_seconds >= 0 AND seconds >= 0"),
)
Index(None, turns.c.workspace, turns.c.channel, turns.c.reply_message)
Index(None, turns.c.workspace, turns.c.channel, turns.c.question_message)
Index(None, turns.c.workspace, turns.c.asker)
Index(None, turns.c.workspace, turns.c.model)
Index(None, turns.c.workspace, turns.c.assistant, turns.c.at)
Index(None, turns.c.at)
IS_COMPLETE_ANSWER = (turns.c.state == TurnState.DONE) & turns.c.incomplete_reason.is_(None)
"""Whether an answer is complete as in `bot.ports.metered_calls.require_complete`: not failed, cut
or empty.
"""
# Literals, as above. Forgotten turns leave the index, so that each part finds the next at once.
HAS_TEXT = or_(turns.c.question != literal_column("''"), turns.c.reply != literal_column("''"))
partial_index("ix_turns_words", turns.c.workspace, turns.c.channel, turns.c.thread, where=HAS_TEXT)

votes = Table(
    "votes",
    metadata,
    text_column("workspace"),
    integer_column("turn"),
    text_column("user"),
    integer_column("value"),
    Column("reason", Text),
    Column("at", Utc, nullable=False),
    PrimaryKeyConstraint("turn", "user"),
    foreign_key("turns", "turn"),
    check("value", "value IN (-1, 1)"),
)
Index(None, votes.c.workspace, votes.c.user)
Index(None, votes.c.workspace, votes.c.turn)
_has_reason = votes.c.reason.is_not(None)
partial_index("ix_votes_reason", votes.c.workspace, votes.c.turn, where=_has_reason)

notices = numbered_table(
    "notices",
    Column("key", Text, nullable=False, unique=True),
    text_column("channel"),
    Column("thread", Text),
    text_column("kind"),
    Column("subject", Integer),
    Column("details", Json, nullable=False),
    integer_column("version"),
    integer_column("delivered"),
    Column("message", Text),
    integer_column("attempts"),
    Column("due_at", Utc, nullable=False),
    check("versions", "version >= 1 AND delivered BETWEEN 0 AND version"),
    check("attempts", "attempts >= 0"),
)
IS_UNDELIVERED = notices.c.delivered < notices.c.version
partial_index("ix_notices_due", notices.c.due_at, where=IS_UNDELIVERED)
Index(None, notices.c.workspace, notices.c.channel, notices.c.message)
Index(None, notices.c.due_at)

audit = numbered_table(
    "audit",
    Column("at", Utc, nullable=False),
    Column("user", Text),
    text_column("what"),
    Column("details", Json, nullable=False),
)
Index(None, audit.c.workspace)
Index(None, audit.c.workspace, audit.c.user)
Index(None, audit.c.workspace, audit.c.what)
Index(None, audit.c.at)

spending = Table(
    "spending",
    metadata,
    text_column("workspace"),
    Column("day", Date, nullable=False),
    text_column("user"),
    Column("tokens", BigInteger, nullable=False),
    PrimaryKeyConstraint("workspace", "day", "user"),
    check("tokens", "tokens >= 0"),
)

# Names of tables with erased rows whose bytes may still be in the file; see `free_pages.py`.
residues = Table("residues", metadata, Column("name", Text, primary_key=True))
