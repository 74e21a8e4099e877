"""The tables of evaluations: questions and answers, and the blind votes on them."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from bot.domain import AnswerState, Choice, EvaluationState, VoteState
from bot.rows import Method
from storage.columns import Json, Utc, metadata, one_of


def _of_evaluation() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["workspace", "evaluation"], ["evaluations.workspace", "evaluations.id"]
    )


evaluations = Table(
    "evaluations",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("workspace", Text, nullable=False),
    Column("assistant", Integer, nullable=False),
    Column("channel", Text, nullable=False),
    Column("thread", Text),
    Column("start", Text, nullable=False, unique=True),
    Column("asked_by", Text, nullable=False),
    Column("state", one_of(EvaluationState), nullable=False),
    Column("model", Text, nullable=False),
    Column("against", Text),
    Column("method", one_of(Method), nullable=False),
    Column("deployment", Integer, nullable=False),
    Column("is_gate", Boolean, nullable=False),
    Column("job", Integer),
    Column("most_questions", Integer),
    Column("contenders", Json, nullable=False),
    Column("questions", Integer, nullable=False),
    Column("tokens", Integer, nullable=False),
    Column("price", Float),
    Column("is_taken", Boolean, nullable=False),
    Column("report", Json, nullable=False),
    Column("trouble", Json, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("finished_at", Utc),
    Column("is_vote", Boolean, nullable=False, server_default=false()),
    UniqueConstraint("workspace", "id"),
    ForeignKeyConstraint(["workspace", "assistant"], ["assistants.workspace", "assistants.id"]),
    ForeignKeyConstraint(["workspace", "job"], ["jobs.workspace", "jobs.id"]),
    CheckConstraint("questions >= 0 AND tokens >= 0 AND price >= 0", name="amounts"),
    sqlite_autoincrement=True,
)
Index(None, evaluations.c.state)
Index(None, evaluations.c.workspace, evaluations.c.created_at)

evaluation_questions = Table(
    "evaluation_questions",
    metadata,
    Column("workspace", Text, nullable=False),
    Column("evaluation", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("example", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("is_must_answer", Boolean, nullable=False),
    PrimaryKeyConstraint("evaluation", "number"),
    _of_evaluation(),
    ForeignKeyConstraint(["workspace", "example"], ["examples.workspace", "examples.id"]),
)
Index(None, evaluation_questions.c.workspace, evaluation_questions.c.example)

evaluation_answers = Table(
    "evaluation_answers",
    metadata,
    Column("workspace", Text, nullable=False),
    Column("evaluation", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("contender", Integer, nullable=False),
    Column("state", one_of(AnswerState), nullable=False),
    Column("text", Text, nullable=False),
    Column("is_refusal", Boolean, nullable=False),
    Column("prompt_tokens", Integer),
    Column("completion_tokens", Integer),
    Column("first_text_seconds", Float),
    Column("seconds", Float),
    Column("scores", Json, nullable=False),
    Column("trouble", Json, nullable=False),
    PrimaryKeyConstraint("evaluation", "number", "contender"),
    _of_evaluation(),
    CheckConstraint("prompt_tokens >= 0 AND completion_tokens >= 0", name="tokens"),
)
Index(None, evaluation_answers.c.workspace)

blind_votes = Table(
    "blind_votes",
    metadata,
    Column("workspace", Text, nullable=False),
    Column("evaluation", Integer, primary_key=True, autoincrement=False),
    Column("state", one_of(VoteState), nullable=False),
    Column("hours", Integer, nullable=False),
    Column("cards", Integer, nullable=False),
    Column("ends_at", Utc),
    Column("result", Json, nullable=False),
    UniqueConstraint("workspace", "evaluation"),
    _of_evaluation(),
    CheckConstraint("hours > 0 AND cards >= 0", name="amounts"),
)
Index(None, blind_votes.c.state)

ballots = Table(
    "ballots",
    metadata,
    Column("workspace", Text, nullable=False),
    Column("evaluation", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("user", Text, nullable=False),
    Column("choice", one_of(Choice), nullable=False),
    Column("is_curator", Boolean, nullable=False),
    Column("at", Utc, nullable=False),
    PrimaryKeyConstraint("evaluation", "number", "user"),
    ForeignKeyConstraint(
        ["workspace", "evaluation"], ["blind_votes.workspace", "blind_votes.evaluation"]
    ),
)
Index(None, ballots.c.workspace, ballots.c.user)
