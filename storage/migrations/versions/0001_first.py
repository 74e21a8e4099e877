"""Creates the first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:

    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("user", sa.Text(), nullable=True),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_audit_workspace"), "audit", ["workspace"])
    op.create_table(
        "inbox",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("message_key", sa.Text(), nullable=True),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.CheckConstraint("state <> 'done' OR payload = ''", name=op.f("ck_inbox_erased")),
        sa.CheckConstraint("state IN ('received', 'running', 'done')", name=op.f("ck_inbox_state")),
        sa.CheckConstraint("attempts >= 0", name=op.f("ck_inbox_attempts")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_inbox")),
        sa.UniqueConstraint("message_key", name=op.f("uq_inbox_message_key")),
    )
    op.create_index(op.f("ix_inbox_state_received_at"), "inbox", ["state", "received_at"])
    op.create_table(
        "notices",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("thread", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Integer(), nullable=True),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("delivered", sa.Integer(), nullable=False),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(), nullable=False),
        sa.CheckConstraint("attempts >= 0", name=op.f("ck_notices_attempts")),
        sa.CheckConstraint(
            "version >= 1 AND delivered BETWEEN 0 AND version", name=op.f("ck_notices_versions")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notices")),
        sa.UniqueConstraint("key", name=op.f("uq_notices_key")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_notices_due",
        "notices",
        ["due_at"],
        sqlite_where=sa.text("delivered < version"),
        postgresql_where=sa.text("delivered < version"),
    )
    op.create_index(
        op.f("ix_notices_workspace_channel_message"), "notices", ["workspace", "channel", "message"]
    )
    op.create_table(
        "room_messages",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("thread", sa.Integer(), nullable=True),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("is_own", sa.Boolean(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("edited_at", sa.DateTime(), nullable=True),
        sa.Column("reply_to", sa.Integer(), nullable=True),
        sa.Column("key", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_room_messages")),
        sa.UniqueConstraint("key", name=op.f("uq_room_messages_key")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_room_messages_channel_thread"), "room_messages", ["channel", "thread"])
    op.create_table(
        "spending",
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("tokens >= 0", name=op.f("ck_spending_tokens")),
        sa.PrimaryKeyConstraint("workspace", "day", "user", name=op.f("pk_spending")),
    )
    op.create_table(
        "workspaces",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sources", sa.Integer(), nullable=False),
        sa.Column("person_cap", sa.BigInteger(), nullable=True),
        sa.Column("workspace_cap", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "person_cap >= 0 AND workspace_cap >= 0", name=op.f("ck_workspaces_caps")
        ),
        sa.CheckConstraint("sources BETWEEN 1 AND 3", name=op.f("ck_workspaces_sources")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workspaces")),
    )
    op.create_table(
        "assistants",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("instructions", sa.Text(), nullable=False),
        sa.Column("sampling", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("chat_host", sa.Text(), nullable=False),
        sa.Column("training_host", sa.Text(), nullable=False),
        sa.Column("base", sa.Text(), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("history", sa.Boolean(), nullable=False),
        sa.Column("few_shot", sa.Integer(), nullable=False),
        sa.CheckConstraint("few_shot >= 0", name=op.f("ck_assistants_few_shot")),
        sa.ForeignKeyConstraint(
            ["workspace"], ["workspaces.id"], name=op.f("fk_assistants_workspaces")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assistants")),
        sa.UniqueConstraint("workspace", "id", name=op.f("uq_assistants_workspace_id")),
        sa.UniqueConstraint("workspace", "name_key", name=op.f("uq_assistants_workspace_name_key")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_assistants_default",
        "assistants",
        ["workspace"],
        unique=True,
        sqlite_where=sa.text("is_default"),
        postgresql_where=sa.text("is_default"),
    )
    op.create_table(
        "consents",
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("given", sa.Boolean(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace"], ["workspaces.id"], name=op.f("fk_consents_workspaces")
        ),
        sa.PrimaryKeyConstraint("workspace", "user", name=op.f("pk_consents")),
    )
    op.create_table(
        "roles",
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("role", sa.Integer(), nullable=False),
        sa.CheckConstraint("role BETWEEN 1 AND 5", name=op.f("ck_roles_role")),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], name=op.f("fk_roles_workspaces")),
        sa.PrimaryKeyConstraint("workspace", "user", name=op.f("pk_roles")),
    )
    op.create_table(
        "room_reactions",
        sa.Column("position", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("emoji", sa.Text(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["number"], ["room_messages.number"], name=op.f("fk_room_reactions_room_messages")
        ),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_room_reactions")),
        sa.UniqueConstraint(
            "number", "emoji", "user", name=op.f("uq_room_reactions_number_emoji_user")
        ),
    )
    op.create_table(
        "bindings",
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("assistant", sa.Integer(), nullable=False),
        sa.Column("always", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace", "assistant"],
            ["assistants.workspace", "assistants.id"],
            name=op.f("fk_bindings_assistants"),
        ),
        sa.PrimaryKeyConstraint("workspace", "channel", name=op.f("pk_bindings")),
    )
    op.create_table(
        "deployments",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("assistant", sa.Integer(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(), nullable=False),
        sa.Column("after", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["workspace", "assistant"],
            ["assistants.workspace", "assistants.id"],
            name=op.f("fk_deployments_assistants"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deployments")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_deployments_workspace_assistant"), "deployments", ["workspace", "assistant"]
    )
    op.create_table(
        "examples",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("assistant", sa.Integer(), nullable=False),
        sa.Column("method", sa.String(32), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("row", sa.Text(), nullable=True),
        sa.Column("search_text", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.Text(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("editor", sa.Text(), nullable=True),
        sa.Column("revised_at", sa.DateTime(), nullable=False),
        sa.Column("origin", sa.String(32), nullable=False),
        sa.Column("channel", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("thread", sa.Text(), nullable=True),
        sa.Column("permalink", sa.Text(), nullable=True),
        sa.Column("held_out", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.CheckConstraint(
            "(channel IS NULL) = (message IS NULL)", name=op.f("ck_examples_source")
        ),
        sa.CheckConstraint("revision >= 1", name=op.f("ck_examples_revision")),
        sa.CheckConstraint(
            "method = 'supervised' OR method = 'dpo'", name=op.f("ck_examples_method")
        ),
        sa.CheckConstraint(
            "state = 'proposed' OR state = 'approved' OR state = 'rejected' OR state = 'withdrawn'",
            name=op.f("ck_examples_state"),
        ),
        sa.CheckConstraint(
            "origin = 'studio' OR origin = 'console' OR origin = 'import' OR "
            "origin = 'form' OR origin = 'message'",
            name=op.f("ck_examples_origin"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace", "assistant"],
            ["assistants.workspace", "assistants.id"],
            name=op.f("fk_examples_assistants"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_examples")),
        sa.UniqueConstraint("workspace", "id", name=op.f("uq_examples_workspace_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_examples_workspace_state_id_assistant"),
        "examples",
        ["workspace", "state", "id", "assistant"],
    )
    op.create_index(
        "uq_examples_fingerprint",
        "examples",
        ["workspace", "assistant", "fingerprint"],
        unique=True,
        sqlite_where=sa.text("state IN ('proposed', 'approved')"),
        postgresql_where=sa.text("state IN ('proposed', 'approved')"),
    )
    op.create_index(
        "uq_examples_source",
        "examples",
        ["workspace", "channel", "message", "assistant", "method"],
        unique=True,
        sqlite_where=sa.text("state IN ('proposed', 'approved') AND message IS NOT NULL"),
        postgresql_where=sa.text("state IN ('proposed', 'approved') AND message IS NOT NULL"),
    )
    op.create_table(
        "snapshots",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("assistant", sa.Integer(), nullable=False),
        sa.Column("method", sa.String(32), nullable=False),
        sa.Column("training_rows", sa.Integer(), nullable=False),
        sa.Column("validation_rows", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.CheckConstraint(
            "training_rows >= 0 AND validation_rows >= 0", name=op.f("ck_snapshots_rows")
        ),
        sa.CheckConstraint(
            "method = 'supervised' OR method = 'dpo'", name=op.f("ck_snapshots_method")
        ),
        sa.ForeignKeyConstraint(
            ["workspace", "assistant"],
            ["assistants.workspace", "assistants.id"],
            name=op.f("fk_snapshots_assistants"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_snapshots")),
        sa.UniqueConstraint("workspace", "id", name=op.f("uq_snapshots_workspace_id")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "turns",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("assistant", sa.Integer(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("thread", sa.Text(), nullable=True),
        sa.Column("event_key", sa.Text(), nullable=False),
        sa.Column("asker", sa.Text(), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("reply", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("prompt_tokens", sa.Integer(), nullable=True),
        sa.Column("completion_tokens", sa.Integer(), nullable=True),
        sa.Column("first_text_seconds", sa.Float(), nullable=True),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.CheckConstraint(
            "first_text_seconds >= 0 AND seconds >= 0", name=op.f("ck_turns_durations")
        ),
        sa.CheckConstraint(
            "prompt_tokens >= 0 AND completion_tokens >= 0", name=op.f("ck_turns_tokens")
        ),
        sa.CheckConstraint(
            "state = 'streaming' OR state = 'done' OR state = 'stopped' OR state = 'failed'",
            name=op.f("ck_turns_state"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace", "assistant"],
            ["assistants.workspace", "assistants.id"],
            name=op.f("fk_turns_assistants"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_turns")),
        sa.UniqueConstraint("workspace", "event_key", name=op.f("uq_turns_workspace_event_key")),
        sa.UniqueConstraint("workspace", "id", name=op.f("uq_turns_workspace_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_turns_workspace_asker"), "turns", ["workspace", "asker"])
    op.create_index(
        op.f("ix_turns_workspace_channel_message"), "turns", ["workspace", "channel", "message"]
    )
    op.create_table(
        "example_authors",
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("example", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("item", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace", "example"],
            ["examples.workspace", "examples.id"],
            name=op.f("fk_example_authors_examples"),
        ),
        sa.PrimaryKeyConstraint(
            "workspace", "example", "position", name=op.f("pk_example_authors")
        ),
    )
    op.create_index(
        op.f("ix_example_authors_workspace_item"), "example_authors", ["workspace", "item"]
    )
    op.create_table(
        "example_tags",
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("example", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("item", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace", "example"],
            ["examples.workspace", "examples.id"],
            name=op.f("fk_example_tags_examples"),
        ),
        sa.PrimaryKeyConstraint("workspace", "example", "position", name=op.f("pk_example_tags")),
    )
    op.create_index(op.f("ix_example_tags_workspace_item"), "example_tags", ["workspace", "item"])
    op.create_table(
        "jobs",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("assistant", sa.Integer(), nullable=False),
        sa.Column("snapshot", sa.Integer(), nullable=False),
        sa.Column("start", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("thread", sa.Text(), nullable=True),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("base", sa.Text(), nullable=False),
        sa.Column("method", sa.String(32), nullable=False),
        sa.Column("hyperparameters", sa.Text(), nullable=False),
        sa.Column("suffix", sa.Text(), nullable=True),
        sa.Column("seed", sa.BigInteger(), nullable=True),
        sa.Column("use_when_done", sa.Boolean(), nullable=False),
        sa.Column("estimate", sa.Text(), nullable=False),
        sa.Column("phase", sa.String(32), nullable=False),
        sa.Column("wish", sa.String(32), nullable=True),
        sa.Column("training_file", sa.Text(), nullable=True),
        sa.Column("validation_file", sa.Text(), nullable=True),
        sa.Column("attempted_at", sa.DateTime(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("host_job", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("resolved", sa.Text(), nullable=False),
        sa.Column("trained_tokens", sa.BigInteger(), nullable=True),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("trouble", sa.Text(), nullable=True),
        sa.Column("trouble_code", sa.Text(), nullable=True),
        sa.Column("step", sa.Integer(), nullable=True),
        sa.Column("total_steps", sa.Integer(), nullable=True),
        sa.Column("train_loss", sa.Float(), nullable=True),
        sa.Column("valid_loss", sa.Float(), nullable=True),
        sa.Column("next_look", sa.DateTime(), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=True),
        sa.Column("confirmed_at", sa.DateTime(), nullable=True),
        sa.Column("running_at", sa.DateTime(), nullable=True),
        sa.Column("finished_at", sa.DateTime(), nullable=True),
        sa.CheckConstraint("attempts >= 0", name=op.f("ck_jobs_attempts")),
        sa.CheckConstraint("step >= 0 AND total_steps >= 0", name=op.f("ck_jobs_steps")),
        sa.CheckConstraint("trained_tokens >= 0", name=op.f("ck_jobs_trained_tokens")),
        sa.CheckConstraint("method = 'supervised' OR method = 'dpo'", name=op.f("ck_jobs_method")),
        sa.CheckConstraint(
            "phase = 'estimated' OR phase = 'confirmed' OR phase = 'uploading' OR "
            "phase = 'creating' OR phase = 'watching' OR phase = 'warming' OR "
            "phase = 'succeeded' OR phase = 'failed' OR phase = 'cancelled' OR "
            "phase = 'abandoned'",
            name=op.f("ck_jobs_phase"),
        ),
        sa.CheckConstraint(
            "wish = 'cancel' OR wish = 'pause' OR wish = 'resume' OR wish = 'forget'",
            name=op.f("ck_jobs_wish"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace", "assistant"],
            ["assistants.workspace", "assistants.id"],
            name=op.f("fk_jobs_assistants"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace", "snapshot"],
            ["snapshots.workspace", "snapshots.id"],
            name=op.f("fk_jobs_snapshots"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sa.UniqueConstraint("start", name=op.f("uq_jobs_start")),
        sa.UniqueConstraint("workspace", "id", name=op.f("uq_jobs_workspace_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_jobs_phase"), "jobs", ["phase"])
    op.create_index(op.f("ix_jobs_workspace_snapshot"), "jobs", ["workspace", "snapshot"])
    op.create_table(
        "revisions",
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("example", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("row", sa.Text(), nullable=True),
        sa.Column("editor", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.CheckConstraint("number >= 1", name=op.f("ck_revisions_number")),
        sa.ForeignKeyConstraint(
            ["workspace", "example"],
            ["examples.workspace", "examples.id"],
            name=op.f("fk_revisions_examples"),
        ),
        sa.PrimaryKeyConstraint("workspace", "example", "number", name=op.f("pk_revisions")),
    )
    op.create_table(
        "snapshot_rows",
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("snapshot", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("example", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("split", sa.String(32), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "split = 'train' OR split = 'validation'", name=op.f("ck_snapshot_rows_split")
        ),
        sa.ForeignKeyConstraint(
            ["workspace", "example"],
            ["examples.workspace", "examples.id"],
            name=op.f("fk_snapshot_rows_examples"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace", "snapshot"],
            ["snapshots.workspace", "snapshots.id"],
            name=op.f("fk_snapshot_rows_snapshots"),
        ),
        sa.PrimaryKeyConstraint("snapshot", "position", name=op.f("pk_snapshot_rows")),
    )
    op.create_index(
        op.f("ix_snapshot_rows_workspace_example"), "snapshot_rows", ["workspace", "example"]
    )
    op.create_table(
        "votes",
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.CheckConstraint("value IN (-1, 1)", name=op.f("ck_votes_value")),
        sa.ForeignKeyConstraint(
            ["workspace", "turn"], ["turns.workspace", "turns.id"], name=op.f("fk_votes_turns")
        ),
        sa.PrimaryKeyConstraint("turn", "user", name=op.f("pk_votes")),
    )
    op.create_index(op.f("ix_votes_workspace_user"), "votes", ["workspace", "user"])
    op.create_table(
        "checkpoints",
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("job", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("metrics", sa.Text(), nullable=False),
        sa.CheckConstraint("step >= 0", name=op.f("ck_checkpoints_step")),
        sa.ForeignKeyConstraint(
            ["workspace", "job"], ["jobs.workspace", "jobs.id"], name=op.f("fk_checkpoints_jobs")
        ),
        sa.PrimaryKeyConstraint("job", "step", name=op.f("pk_checkpoints")),
    )
    op.create_table(
        "job_events",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("job", sa.Integer(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=True),
        sa.Column("total_steps", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["workspace", "job"], ["jobs.workspace", "jobs.id"], name=op.f("fk_job_events_jobs")
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_job_events")),
        sa.UniqueConstraint("job", "id", name=op.f("uq_job_events_job_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_job_events_workspace_job_at"), "job_events", ["workspace", "job", "at"]
    )
    op.create_table(
        "job_metrics",
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("job", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("metrics", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace", "job"], ["jobs.workspace", "jobs.id"], name=op.f("fk_job_metrics_jobs")
        ),
        sa.PrimaryKeyConstraint("job", "step", name=op.f("pk_job_metrics")),
    )
    op.create_table(
        "models",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("assistant", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("parent", sa.Text(), nullable=True),
        sa.Column("job", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("expires_on", sa.Text(), nullable=True),
        sa.Column("is_tainted", sa.Boolean(), nullable=False),
        sa.Column("is_deleted", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "kind = 'base' OR kind = 'tuned' OR kind = 'checkpoint'", name=op.f("ck_models_kind")
        ),
        sa.ForeignKeyConstraint(
            ["workspace", "assistant"],
            ["assistants.workspace", "assistants.id"],
            name=op.f("fk_models_assistants"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace", "job"], ["jobs.workspace", "jobs.id"], name=op.f("fk_models_jobs")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_models")),
        sa.UniqueConstraint("workspace", "name", name=op.f("uq_models_workspace_name")),
        sqlite_autoincrement=True,
    )
