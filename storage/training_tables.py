"""The tables of training: snapshots, jobs, models, deployments and offers; part of `tables.py`."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from bot.domain import Estimate, Hyperparameters, ModelKind, Phase, RequestedAction, Split
from bot.rows import Method
from storage.column_types import FrozenJson, Json, Utc, enum_type, metadata
from storage.table_helpers import (
    boolean_column,
    check,
    enum_column,
    foreign_key,
    id_column,
    integer_column,
    numbered_table,
    text_column,
    unique_idempotency_key,
)

snapshots = numbered_table(
    "snapshots",
    integer_column("assistant"),
    enum_column("method", Method),
    integer_column("training_rows"),
    integer_column("validation_rows"),
    Column("created_at", Utc, nullable=False),
    UniqueConstraint("workspace", "id"),
    foreign_key("assistants", "assistant"),
    check("rows", "training_rows >= 0 AND validation_rows >= 0"),
)
Index(None, snapshots.c.created_at)

snapshot_rows = Table(
    "snapshot_rows",
    metadata,
    text_column("workspace"),
    integer_column("snapshot"),
    integer_column("position"),
    integer_column("example"),
    integer_column("revision"),
    enum_column("split", Split),
    text_column("sha256"),
    PrimaryKeyConstraint("snapshot", "position"),
    foreign_key("snapshots", "snapshot"),
    foreign_key("examples", "example"),
)
Index(None, snapshot_rows.c.workspace, snapshot_rows.c.example)
Index(None, snapshot_rows.c.workspace, snapshot_rows.c.snapshot)

jobs = numbered_table(
    "jobs",
    integer_column("assistant"),
    integer_column("snapshot"),
    text_column("idempotency_key"),
    text_column("channel"),
    Column("thread", Text),
    text_column("asked_by"),
    text_column("host"),
    text_column("base"),
    enum_column("method", Method),
    Column("hyperparameters", FrozenJson(Hyperparameters), nullable=False),
    Column("suffix", Text),
    Column("seed", BigInteger),
    boolean_column("use_when_done"),
    Column("estimate", FrozenJson(Estimate), nullable=False),
    enum_column("phase", Phase),
    enum_column("requested_action", RequestedAction, nullable=True, constraint="wish"),
    Column("training_file", Text),
    Column("validation_file", Text),
    Column("attempted_at", Utc),
    integer_column("attempts"),
    Column("host_job", Text),
    Column("status", Text),
    Column("resolved_hyperparameters", Json, nullable=False),
    Column("trained_tokens", BigInteger),
    Column("model", Text),
    Column("error_message", Text),
    Column("error_code", Text),
    Column("step", Integer),
    Column("total_steps", Integer),
    Column("train_loss", Float),
    Column("valid_loss", Float),
    Column("next_poll_at", Utc),
    Column("created_at", Utc),
    Column("confirmed_at", Utc),
    Column("running_at", Utc),
    Column("finished_at", Utc),
    Column("error_details", Json, nullable=False, server_default="{}"),
    Column("result_files", Json, nullable=False, server_default="[]"),
    Column("seconds_left", Float),
    Column("is_late", Boolean, nullable=False, server_default=false()),
    Column("use_if_better", Boolean, nullable=False, server_default=false()),
    unique_idempotency_key("jobs"),
    UniqueConstraint("workspace", "id"),
    foreign_key("assistants", "assistant"),
    foreign_key("snapshots", "snapshot"),
    check("attempts", "attempts >= 0"),
    check("trained_tokens", "trained_tokens >= 0"),
    check("steps", "step >= 0 AND total_steps >= 0"),
)
Index(None, jobs.c.phase)
Index(None, jobs.c.requested_action)
Index(None, jobs.c.workspace, jobs.c.confirmed_at)
Index(None, jobs.c.host, jobs.c.base, jobs.c.phase, jobs.c.finished_at)
Index(None, jobs.c.workspace, jobs.c.snapshot)

job_events = Table(
    "job_events",
    metadata,
    id_column("number"),
    text_column("workspace"),
    integer_column("job"),
    text_column("id"),
    Column("at", Utc, nullable=False),
    text_column("level"),
    text_column("message"),
    Column("step", Integer),
    Column("total_steps", Integer),
    UniqueConstraint("job", "id"),
    foreign_key("jobs", "job"),
    sqlite_autoincrement=True,
)
Index(None, job_events.c.workspace, job_events.c.job, job_events.c.at)

job_metrics = Table(
    "job_metrics",
    metadata,
    text_column("workspace"),
    integer_column("job"),
    integer_column("step"),
    text_column("event"),
    Column("metrics", Json, nullable=False),
    PrimaryKeyConstraint("job", "step"),
    foreign_key("jobs", "job"),
)
Index(None, job_metrics.c.workspace)

job_pings = Table(
    "job_pings",
    metadata,
    text_column("workspace"),
    integer_column("job"),
    text_column("user"),
    PrimaryKeyConstraint("job", "user"),
    foreign_key("jobs", "job"),
)
Index(None, job_pings.c.workspace, job_pings.c.user)

checkpoints = Table(
    "checkpoints",
    metadata,
    text_column("workspace"),
    integer_column("job"),
    integer_column("step"),
    text_column("model"),
    Column("metrics", Json, nullable=False),
    PrimaryKeyConstraint("job", "step"),
    foreign_key("jobs", "job"),
    check("step", "step >= 0"),
)
Index(None, checkpoints.c.workspace)

models = numbered_table(
    "models",
    integer_column("assistant"),
    text_column("name"),
    text_column("host"),
    enum_column("kind", ModelKind),
    Column("parent", Text),
    Column("job", Integer),
    Column("created_at", Utc, nullable=False),
    Column("expires_on", Text),
    boolean_column("is_tainted"),
    boolean_column("is_deleted"),
    Column("served_name", Text),
    Column("label", Text),
    Column("note", Text),
    UniqueConstraint("workspace", "name"),
    foreign_key("assistants", "assistant"),
    foreign_key("jobs", "job"),
)

deployments = numbered_table(
    "deployments",
    integer_column("assistant"),
    text_column("model"),
    text_column("host"),
    text_column("by"),
    Column("since", Utc, nullable=False),
    Column("previous_model", Text),
    Column("served_name", Text),
    foreign_key("assistants", "assistant"),
)
Index(None, deployments.c.workspace, deployments.c.assistant)

training_offers = Table(
    "training_offers",
    metadata,
    text_column("workspace"),
    integer_column("assistant"),
    Column("method", enum_type(Method), nullable=False),
    integer_column("state"),
    Column("at", Utc, nullable=False),
    PrimaryKeyConstraint("assistant", "method", "state"),
    foreign_key("assistants", "assistant"),
)
Index(None, training_offers.c.workspace, training_offers.c.assistant)
