"""Every table of the tuner's database."""

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

SCHEMA_VERSION = 1

metadata = MetaData()

schema_version = Table("schema_version", metadata, Column("version", Integer, nullable=False))

# One sequence for all kinds of object: an identifier contains its number, so that a page can start
# after a row that was deleted meanwhile.
sequence = Table("sequence", metadata, Column("value", Integer, nullable=False))

files = Table(
    "files",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", String, nullable=False, unique=True),
    Column("bytes", Integer, CheckConstraint("bytes >= 0"), nullable=False),
    Column("created_at", Integer, nullable=False),
    Column("expires_at", Integer),
    Column("filename", String, nullable=False),
    Column("purpose", String, nullable=False),
    Column("rows", Integer),
    Column("method", String),
)

jobs = Table(
    "jobs",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", String, nullable=False, unique=True),
    Column("created_at", Integer, nullable=False),
    Column("started_at", Integer),
    Column("finished_at", Integer),
    Column("estimated_finish", Integer),
    Column("status", String, nullable=False),
    Column("model", String, nullable=False),
    Column("model_name", String, nullable=False, unique=True),
    Column("suffix", String),
    Column("seed", Integer, nullable=False),
    Column("method", String, nullable=False),
    Column("hyperparameters", JSON, nullable=False),
    Column("training_file", String, nullable=False),
    Column("validation_file", String),
    Column("metadata", JSON(none_as_null=True)),
    Column("error", JSON(none_as_null=True)),
    Column("trained_tokens", Integer),
    Column("result_file", String),
    Column("is_checked", Integer, nullable=False, server_default="0"),
    Column("events_offset", Integer, nullable=False, server_default="0"),
    Column("last_step", Integer, nullable=False, server_default="0"),
    Column("deaths", Integer, nullable=False, server_default="0"),
    Column("last_saved", Integer, nullable=False, server_default="0"),
    Column("progress_at_death", Integer, nullable=False, server_default="0"),
    CheckConstraint(
        "status IN ('validating_files', 'queued', 'running', 'paused',"
        " 'succeeded', 'failed', 'cancelled')",
        name="known_status",
    ),
    CheckConstraint("method IN ('supervised', 'dpo')", name="known_method"),
)
Index("jobs_by_status", jobs.c.status)

events = Table(
    "events",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", String, nullable=False, unique=True),
    Column("job", ForeignKey("jobs.id"), nullable=False),
    Column("created_at", Integer, nullable=False),
    Column("level", String, CheckConstraint("level IN ('info','warn','error')"), nullable=False),
    Column("message", String, nullable=False),
    Column("data", JSON(none_as_null=True)),
    Column("step", Integer),
    UniqueConstraint("job", "step"),
)
Index("events_by_job", events.c.job, events.c.number)

models = Table(
    "models",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", String, nullable=False, unique=True),
    Column("job", ForeignKey("jobs.id"), nullable=False),
    Column("created_at", Integer, nullable=False),
    Column("step", Integer),
    Column("checkpoint", String),
    Column("metrics", JSON(none_as_null=True)),
    UniqueConstraint("job", "step"),
)
