"""Renames columns after the fields that they hold."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"

_RENAMED = (
    ("bindings", "always", "answers_unasked"),
    ("canaries", "called", "served_name"),
    ("canaries", "looks", "vote_checks"),
    ("canaries", "start", "idempotency_key"),
    ("deployments", "after", "previous_model"),
    ("deployments", "called", "served_name"),
    ("evaluation_answers", "trouble", "error"),
    ("evaluations", "is_taken", "is_deployed"),
    ("evaluations", "start", "idempotency_key"),
    ("evaluations", "trouble", "error"),
    ("jobs", "next_look", "next_poll_at"),
    ("jobs", "resolved", "resolved_hyperparameters"),
    ("jobs", "start", "idempotency_key"),
    ("jobs", "trouble", "error_message"),
    ("jobs", "trouble_code", "error_code"),
    ("jobs", "trouble_details", "error_details"),
    ("jobs", "wish", "requested_action"),
    ("judgings", "start", "idempotency_key"),
    ("models", "called", "served_name"),
    ("synthetic_runs", "start", "idempotency_key"),
    ("turns", "asked_message", "question_message"),
    ("turns", "end", "incomplete_reason"),
    ("turns", "message", "reply_message"),
)


def upgrade() -> None:
    for table, before, now in _RENAMED:
        op.execute(f'ALTER TABLE {table} RENAME COLUMN "{before}" TO {now}')
    op.drop_index("ix_jobs_wish", "jobs")
    op.create_index("ix_jobs_requested_action", "jobs", ["requested_action"])
    for before, now in (("asked_message", "question_message"), ("message", "reply_message")):
        op.drop_index(f"ix_turns_workspace_channel_{before}", "turns")
        columns = ["workspace", "channel", now]
        op.create_index(f"ix_turns_workspace_channel_{now}", "turns", columns)
    _move_remote_cleanups()


def _move_remote_cleanups() -> None:
    """Moves the rows to a table of the new name; no other table refers to it."""
    op.create_table(
        "remote_cleanups",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("idempotency_key", sa.Text, nullable=False),
        sa.Column("host_job", sa.Text),
        sa.Column("files", sa.Text, nullable=False),
        sa.Column("next_attempt_at", sa.DateTime, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("models", sa.Text, nullable=False, server_default="[]"),
        sa.CheckConstraint("attempts >= 0", name="attempts"),
    )
    op.execute(
        "INSERT INTO remote_cleanups (id, host, idempotency_key, host_job, files, next_attempt_at,"
        " attempts, models)"
        " SELECT id, host, start, host_job, files, next_look, attempts, models FROM leavings"
    )
    op.drop_table("leavings")
