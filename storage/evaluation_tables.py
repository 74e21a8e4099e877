"""The tables of evaluations: their questions and answers, and the blind votes on them."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
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
from storage.schema import (
    boolean_column,
    check,
    foreign_key,
    integer_column,
    numbered_table,
    text_column,
    unique_idempotency_key,
)

evaluations = numbered_table(
    "evaluations",
    integer_column("assistant"),
    text_column("channel"),
    Column("thread", Text),
    text_column("idempotency_key"),
    text_column("asked_by"),
    Column("state", one_of(EvaluationState), nullable=False),
    text_column("model"),
    Column("against", Text),
    Column("method", one_of(Method), nullable=False),
    integer_column("deployment"),
    boolean_column("is_gate"),
    Column("job", Integer),
    Column("most_questions", Integer),
    Column("contenders", Json, nullable=False),
    integer_column("questions"),
    integer_column("tokens"),
    Column("price", Float),
    boolean_column("is_deployed"),
    Column("report", Json, nullable=False),
    Column("error", Json, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("finished_at", Utc),
    Column("is_vote", Boolean, nullable=False, server_default=false()),
    unique_idempotency_key("evaluations"),
    UniqueConstraint("workspace", "id"),
    foreign_key("assistants", "assistant"),
    foreign_key("jobs", "job"),
    check("amounts", "questions >= 0 AND tokens >= 0 AND price >= 0"),
)
Index(None, evaluations.c.state)
Index(None, evaluations.c.workspace, evaluations.c.created_at)

evaluation_questions = Table(
    "evaluation_questions",
    metadata,
    text_column("workspace"),
    integer_column("evaluation"),
    integer_column("number"),
    integer_column("example"),
    integer_column("revision"),
    boolean_column("is_must_answer"),
    PrimaryKeyConstraint("evaluation", "number"),
    foreign_key("evaluations", "evaluation"),
    foreign_key("examples", "example"),
)
Index(None, evaluation_questions.c.workspace, evaluation_questions.c.example)

evaluation_answers = Table(
    "evaluation_answers",
    metadata,
    text_column("workspace"),
    integer_column("evaluation"),
    integer_column("number"),
    integer_column("contender"),
    Column("state", one_of(AnswerState), nullable=False),
    text_column("text"),
    boolean_column("is_refusal"),
    Column("prompt_tokens", Integer),
    Column("completion_tokens", Integer),
    Column("first_text_seconds", Float),
    Column("seconds", Float),
    Column("scores", Json, nullable=False),
    Column("error", Json, nullable=False),
    PrimaryKeyConstraint("evaluation", "number", "contender"),
    foreign_key("evaluations", "evaluation"),
    check("tokens", "prompt_tokens >= 0 AND completion_tokens >= 0"),
)
Index(None, evaluation_answers.c.workspace)

blind_votes = Table(
    "blind_votes",
    metadata,
    text_column("workspace"),
    Column("evaluation", Integer, primary_key=True, autoincrement=False),
    Column("state", one_of(VoteState), nullable=False),
    integer_column("hours"),
    integer_column("cards"),
    Column("ends_at", Utc),
    Column("result", Json, nullable=False),
    UniqueConstraint("workspace", "evaluation"),
    foreign_key("evaluations", "evaluation"),
    check("amounts", "hours > 0 AND cards >= 0"),
)
Index(None, blind_votes.c.state)

ballots = Table(
    "ballots",
    metadata,
    text_column("workspace"),
    integer_column("evaluation"),
    integer_column("number"),
    text_column("user"),
    Column("choice", one_of(Choice), nullable=False),
    boolean_column("is_curator"),
    Column("at", Utc, nullable=False),
    PrimaryKeyConstraint("evaluation", "number", "user"),
    ForeignKeyConstraint(
        ["workspace", "evaluation"], ["blind_votes.workspace", "blind_votes.evaluation"]
    ),
)
Index(None, ballots.c.workspace, ballots.c.user)
