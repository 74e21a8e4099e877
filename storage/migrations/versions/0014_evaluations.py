"""Adds evaluations, which ask several models the same questions, and when to use a model."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=nullable)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), nullable=False)


def _word(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=32), nullable=False)


def upgrade() -> None:
    op.create_table(
        "evaluations",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        _text("workspace"),
        _number("assistant"),
        _text("channel"),
        _text("thread", nullable=True),
        _text("start"),
        _text("asked_by"),
        _word("state"),
        _text("model"),
        _text("against", nullable=True),
        _word("method"),
        _number("deployment"),
        _flag("is_gate"),
        _number("job", nullable=True),
        _number("most_questions", nullable=True),
        _text("contenders"),
        _number("questions"),
        _number("tokens"),
        sa.Column("price", sa.Float(), nullable=True),
        _flag("is_taken"),
        _text("report"),
        _text("trouble"),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("finished_at", sa.DateTime(), nullable=True),
        sa.CheckConstraint(
            "questions >= 0 AND tokens >= 0 AND price >= 0",
            name=op.f("ck_evaluations_amounts"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace", "assistant"],
            ["assistants.workspace", "assistants.id"],
            name=op.f("fk_evaluations_assistants"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace", "job"], ["jobs.workspace", "jobs.id"], name=op.f("fk_evaluations_jobs")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluations")),
        sa.UniqueConstraint("start", name=op.f("uq_evaluations_start")),
        sa.UniqueConstraint("workspace", "id", name=op.f("uq_evaluations_workspace_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_evaluations_state", "evaluations", ["state"])
    op.create_index(
        "ix_evaluations_workspace_created_at", "evaluations", ["workspace", "created_at"]
    )
    _create_questions()
    _create_answers()
    op.add_column(
        "jobs",
        sa.Column("use_if_better", sa.Boolean(), nullable=False, server_default=sa.false()),
    )


def _create_questions() -> None:
    op.create_table(
        "evaluation_questions",
        _text("workspace"),
        _number("evaluation"),
        _number("number"),
        _number("example"),
        _number("revision"),
        _flag("is_must_answer"),
        _of_evaluation("evaluation_questions"),
        sa.ForeignKeyConstraint(
            ["workspace", "example"],
            ["examples.workspace", "examples.id"],
            name=op.f("fk_evaluation_questions_examples"),
        ),
        sa.PrimaryKeyConstraint("evaluation", "number", name=op.f("pk_evaluation_questions")),
    )
    op.create_index(
        "ix_evaluation_questions_workspace_example",
        "evaluation_questions",
        ["workspace", "example"],
    )


def _create_answers() -> None:
    op.create_table(
        "evaluation_answers",
        _text("workspace"),
        _number("evaluation"),
        _number("number"),
        _number("contender"),
        _word("state"),
        _text("text"),
        _flag("is_refusal"),
        _number("prompt_tokens", nullable=True),
        _number("completion_tokens", nullable=True),
        sa.Column("first_text_seconds", sa.Float(), nullable=True),
        sa.Column("seconds", sa.Float(), nullable=True),
        _text("scores"),
        _text("trouble"),
        sa.CheckConstraint(
            "prompt_tokens >= 0 AND completion_tokens >= 0",
            name=op.f("ck_evaluation_answers_tokens"),
        ),
        _of_evaluation("evaluation_answers"),
        sa.PrimaryKeyConstraint(
            "evaluation", "number", "contender", name=op.f("pk_evaluation_answers")
        ),
    )


def _of_evaluation(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["workspace", "evaluation"],
        ["evaluations.workspace", "evaluations.id"],
        name=op.f(f"fk_{table}_evaluations"),
    )
