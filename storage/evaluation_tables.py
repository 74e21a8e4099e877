"""The tables that compare models: evaluations, votes, judgings, gaps and canaries."""

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

from bot.domain import (
    AnswerState,
    CallState,
    CanaryEnd,
    CanaryState,
    Choice,
    EvaluationState,
    GapOutcome,
    Preferred,
    VoteState,
)
from bot.rows import Method
from storage.column_types import Json, Utc, enum_type, metadata
from storage.table_helpers import (
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
    Column("state", enum_type(EvaluationState), nullable=False),
    text_column("model"),
    Column("against", Text),
    Column("method", enum_type(Method), nullable=False),
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
    Column("state", enum_type(AnswerState), nullable=False),
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
    Column("state", enum_type(VoteState), nullable=False),
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
    Column("choice", enum_type(Choice), nullable=False),
    boolean_column("is_curator"),
    Column("at", Utc, nullable=False),
    PrimaryKeyConstraint("evaluation", "number", "user"),
    ForeignKeyConstraint(
        ["workspace", "evaluation"], ["blind_votes.workspace", "blind_votes.evaluation"]
    ),
)
Index(None, ballots.c.workspace, ballots.c.user)

judgings = numbered_table(
    "judgings",
    integer_column("evaluation"),
    text_column("channel"),
    Column("thread", Text),
    text_column("idempotency_key"),
    text_column("asked_by"),
    Column("state", enum_type(EvaluationState), nullable=False),
    integer_column("against"),
    text_column("host"),
    text_column("model"),
    text_column("criteria"),
    integer_column("pairs"),
    integer_column("tokens"),
    Column("price", Float),
    Column("report", Json, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("finished_at", Utc),
    unique_idempotency_key("judgings"),
    UniqueConstraint("workspace", "id"),
    foreign_key("evaluations", "evaluation"),
    check("amounts", "pairs >= 0 AND tokens >= 0 AND price >= 0"),
)
Index(None, judgings.c.state)
Index(None, judgings.c.workspace, judgings.c.evaluation)
Index(None, judgings.c.workspace, judgings.c.created_at)

judged_pairs = Table(
    "judged_pairs",
    metadata,
    text_column("workspace"),
    integer_column("judging"),
    integer_column("number"),
    boolean_column("is_swapped"),
    Column("state", enum_type(CallState), nullable=False),
    Column("preferred", enum_type(Preferred)),
    PrimaryKeyConstraint("judging", "number", "is_swapped"),
    foreign_key("judgings", "judging"),
)
Index(None, judged_pairs.c.workspace)

# Badly answered questions: what was taught, and answers of models since.
taught_turns = Table(
    "taught_turns",
    metadata,
    text_column("workspace"),
    integer_column("turn"),
    Column("example", Integer),
    Column("at", Utc, nullable=False),
    PrimaryKeyConstraint("turn"),
    foreign_key("turns", "turn"),
    foreign_key("examples", "example"),
)
Index(None, taught_turns.c.workspace, taught_turns.c.turn)
Index(None, taught_turns.c.workspace, taught_turns.c.example)

evaluation_gaps = Table(
    "evaluation_gaps",
    metadata,
    text_column("workspace"),
    integer_column("evaluation"),
    integer_column("turn"),
    Column("state", enum_type(CallState), nullable=False),
    Column("example", Integer),
    text_column("answer"),
    Column("outcome", enum_type(GapOutcome)),
    PrimaryKeyConstraint("evaluation", "turn"),
    foreign_key("evaluations", "evaluation"),
    foreign_key("turns", "turn"),
    foreign_key("examples", "example"),
)
Index(None, evaluation_gaps.c.workspace, evaluation_gaps.c.turn)
Index(None, evaluation_gaps.c.turn)
Index(None, evaluation_gaps.c.workspace, evaluation_gaps.c.example)

# Models that answer a share of the questions.
canaries = numbered_table(
    "canaries",
    integer_column("assistant"),
    text_column("channel"),
    Column("thread", Text),
    text_column("idempotency_key"),
    text_column("started_by"),
    Column("state", enum_type(CanaryState), nullable=False),
    text_column("model"),
    text_column("host"),
    Column("served_name", Text),
    Column("share", Float, nullable=False),
    integer_column("deployment"),
    text_column("in_use"),
    Column("started_at", Utc, nullable=False),
    integer_column("vote_checks"),
    integer_column("failures"),
    boolean_column("is_liked"),
    Column("why", enum_type(CanaryEnd)),
    Column("ended_by", Text),
    Column("ended_at", Utc),
    unique_idempotency_key("canaries"),
    UniqueConstraint("workspace", "id"),
    foreign_key("assistants", "assistant"),
    check("share", "share > 0 AND share < 1"),
    check("counts", "vote_checks >= 0 AND failures >= 0"),
)
Index(None, canaries.c.state)
Index(None, canaries.c.workspace, canaries.c.assistant)
