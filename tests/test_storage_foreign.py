"""Nothing crosses: whatever is called with another workspace finds nothing and changes nothing."""

from __future__ import annotations

import asyncio
import inspect
import shutil
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import get_type_hints

import pytest

from bot.domain import (
    AnswerState,
    Assistant,
    Ballot,
    Binding,
    BlindVote,
    CallState,
    Canary,
    Checkpoint,
    Choice,
    Consent,
    Evaluation,
    EvaluationAnswer,
    EvaluationQuestion,
    EvaluationState,
    Example,
    ExampleFilter,
    ExampleId,
    ExampleState,
    Exclusion,
    GapQuestion,
    Grant,
    Job,
    JobEvent,
    JudgedPair,
    Judging,
    MessageId,
    Model,
    ModelKind,
    ModelName,
    Phase,
    Place,
    PrivateReply,
    QuestionOrder,
    ReviewKind,
    Role,
    Snapshot,
    SnapshotRow,
    Sources,
    Split,
    StepMetrics,
    SyntheticCall,
    SyntheticOrigin,
    SyntheticRun,
    Turn,
    Undoable,
    Vote,
    VoteState,
    Workspace,
)
from bot.errors import NotFound
from bot.ports.store import Records
from bot.rows import Method
from storage.database import Database
from tests.stores import (
    ANN,
    BOB,
    FOREIGN,
    GENERAL,
    HOME,
    HOST,
    NOW,
    PLACE,
    a_canary,
    a_job,
    a_row,
    a_source,
    a_synthetic_run,
    a_turn,
    an_evaluation,
    an_example,
    frozen,
    furnished,
    hash_of,
)

MESSAGE = MessageId("200.1")
SHOWN = PrivateReply("shown", ANN, Role.MEMBER, Place(HOME, GENERAL), "{}", NOW)
TODAY = date(2026, 11, 21)
SUPERVISED = Method.SUPERVISED


@dataclass(frozen=True)
class Household:
    """One of everything, at home."""

    assistant: Assistant
    example: Example
    snapshot: Snapshot
    row: SnapshotRow
    job: Job
    model: Model
    turn: Turn
    evaluation: Evaluation
    canary: Canary
    judging: Judging
    run: SyntheticRun


Call = Callable[[Records, Household], Awaitable[object] | AsyncIterator[object]]


async def opposite(answer: Awaitable[bool]) -> bool:
    return not await answer


async def first_of(answer: Awaitable[tuple[object, object]]) -> object:
    return (await answer)[0]


async def alone(answer: Awaitable[object]) -> None:
    """What the foreign workspace makes for itself is its own."""
    await answer


CALLS: dict[str, Call] = {
    "workspaces.find": lambda r, _: r.workspaces.find(FOREIGN),
    "workspaces.add": lambda r, _: r.workspaces.add(Workspace(FOREIGN, "Other", Sources.FORMS)),
    "workspaces.set_sources": lambda r, _: r.workspaces.set_sources(
        FOREIGN, Sources.OUTSIDE, allowed=Exclusion.GUEST
    ),
    "workspaces.set_allowed": lambda r, _: r.workspaces.set_allowed(FOREIGN, False),
    "workspaces.set_must_mask": lambda r, _: r.workspaces.set_must_mask(FOREIGN, True),
    "workspaces.record_reported_removal": lambda r, _: r.workspaces.record_reported_removal(
        FOREIGN, at=NOW
    ),
    "workspaces.close": lambda r, _: r.workspaces.close(FOREIGN, at=NOW),
    "workspaces.reopen": lambda r, _: r.workspaces.reopen(FOREIGN),
    "workspaces.set_retention": lambda r, _: r.workspaces.set_retention(
        FOREIGN, keep_days=1, keep_unapproved_days=1
    ),
    "workspaces.rename": lambda r, _: r.workspaces.rename(FOREIGN, "Other"),
    "workspaces.set_caps": lambda r, _: r.workspaces.set_caps(
        FOREIGN, person_cap=1, workspace_cap=1
    ),
    "workspaces.erase_part": lambda r, _: alone(r.workspaces.erase_part(FOREIGN)),
    "roles.get": lambda r, _: r.roles.get(FOREIGN, ANN),
    "roles.set_grant": lambda r, _: r.roles.set_grant(FOREIGN, ANN, Grant(Role.MEMBER, NOW)),
    "roles.highest_group_role": lambda r, _: r.roles.highest_group_role(FOREIGN, [ANN]),
    "roles.all": lambda r, _: r.roles.all(FOREIGN),
    "guest_channels.set_may_ask": lambda r, _: r.guest_channels.set_may_ask(
        FOREIGN, GENERAL, may_ask=False
    ),
    "guest_channels.all": lambda r, _: r.guest_channels.all(FOREIGN),
    "guest_channels.allows": lambda r, _: r.guest_channels.allows(FOREIGN, GENERAL),
    "assistants.add": lambda r, h: r.assistants.add(FOREIGN, h.assistant),
    "assistants.get": lambda r, h: r.assistants.get(FOREIGN, h.assistant.id),
    "assistants.find_by_name": lambda r, h: r.assistants.find_by_name(FOREIGN, h.assistant.name),
    "assistants.default": lambda r, _: r.assistants.default(FOREIGN),
    "assistants.all": lambda r, _: r.assistants.all(FOREIGN),
    "assistants.update": lambda r, h: r.assistants.update(FOREIGN, replace(h.assistant, name="X")),
    "assistants.bind": lambda r, h: r.assistants.bind(
        FOREIGN, Binding(GENERAL, h.assistant.id, answers_unasked=False)
    ),
    "assistants.unbind": lambda r, _: r.assistants.unbind(FOREIGN, GENERAL),
    "assistants.binding": lambda r, _: r.assistants.binding(FOREIGN, GENERAL),
    "assistants.bindings": lambda r, _: r.assistants.bindings(FOREIGN),
    "assistants.answering_in": lambda r, _: r.assistants.answering_in(FOREIGN, GENERAL),
    "examples.add": lambda r, h: r.examples.add(FOREIGN, an_example(h.assistant.id), at=NOW),
    "examples.add_many": lambda r, h: r.examples.add_many(
        FOREIGN, [an_example(h.assistant.id)], at=NOW
    ),
    "examples.get": lambda r, h: r.examples.get(FOREIGN, h.example.id),
    "examples.find_by_source": lambda r, _: r.examples.find_by_source(FOREIGN, GENERAL, MESSAGE),
    "examples.page": lambda r, _: r.examples.page(FOREIGN, ExampleFilter()),
    "examples.count": lambda r, _: r.examples.count(FOREIGN, ExampleFilter()),
    "examples.add_revision": lambda r, h: r.examples.add_revision(
        FOREIGN, h.example.id, a_row("X"), BOB, at=NOW
    ),
    "examples.allow_private_text": lambda r, h: r.examples.allow_private_text(
        FOREIGN, h.example.id, at=NOW
    ),
    "examples.revisions": lambda r, h: r.examples.revisions(FOREIGN, h.example.id),
    "examples.set_state": lambda r, h: r.examples.set_state(
        FOREIGN, [h.example.id], ExampleState.REJECTED, at=NOW
    ),
    "undoables.add": lambda r, _: alone(r.undoables.add(FOREIGN, Undoable(ANN, "role", {}, NOW))),
    "private_replies.add": lambda r, _: alone(
        r.private_replies.add(FOREIGN, replace(SHOWN, event="another"))
    ),
    "private_replies.find": lambda r, _: r.private_replies.find(FOREIGN, 1),
    "private_replies.delete_all": lambda r, _: r.private_replies.delete_all(FOREIGN),
    "jobs.set_ping": lambda r, h: r.jobs.set_ping(FOREIGN, h.job.id, BOB, on=True),
    "jobs.users_to_ping": lambda r, h: r.jobs.users_to_ping(FOREIGN, h.job.id),
    "undoables.find": lambda r, _: r.undoables.find(FOREIGN, 1),
    "undoables.all": lambda r, _: r.undoables.all(FOREIGN),
    "models.unmark_deleted": lambda r, h: r.models.unmark_deleted(FOREIGN, h.model.name),
    "examples.awaiting_consent": lambda r, h: r.examples.awaiting_consent(FOREIGN, [h.example.id]),
    "examples.current_states": lambda r, h: r.examples.current_states(FOREIGN, [h.example.id]),
    "examples.trainable_revisions": lambda r, h: r.examples.trainable_revisions(
        FOREIGN, h.assistant.id, Method.SUPERVISED
    ),
    "reviews.put_reviews": lambda r, h: r.reviews.put_reviews(
        FOREIGN, [h.example.id], ANN, ReviewKind.APPROVED, at=NOW
    ),
    "reviews.delete_review": lambda r, h: r.reviews.delete_review(
        FOREIGN, h.example.id, ANN, ReviewKind.APPROVED
    ),
    "reviews.unassign": lambda r, h: r.reviews.unassign(FOREIGN, h.example.id),
    "reviews.list_for_example": lambda r, h: r.reviews.list_for_example(FOREIGN, h.example.id),
    "reviews.agreed_examples": lambda r, h: r.reviews.agreed_examples(
        FOREIGN, [h.example.id], ReviewKind.APPROVED, needed=1
    ),
    "reviews.verdicts_by_person": lambda r, h: r.reviews.verdicts_by_person(
        FOREIGN, h.assistant.id
    ),
    "example_cards.put_card": lambda r, h: r.example_cards.put_card(
        FOREIGN, PLACE, MESSAGE, [h.example.id]
    ),
    "example_cards.examples_shown_in": lambda r, _: r.example_cards.examples_shown_in(
        FOREIGN, GENERAL, MESSAGE
    ),
    "example_cards.cards_showing": lambda r, h: r.example_cards.cards_showing(
        FOREIGN, [h.example.id]
    ),
    "examples.add_tag": lambda r, h: r.examples.add_tag(FOREIGN, [h.example.id], "x"),
    "examples.list_ids": lambda r, _: r.examples.list_ids(FOREIGN, ExampleFilter(), until=NOW),
    "examples.set_tags": lambda r, h: r.examples.set_tags(FOREIGN, h.example.id, ["X"]),
    "examples.set_held_out": lambda r, h: r.examples.set_held_out(
        FOREIGN, [h.example.id], held_out=True
    ),
    "examples.count_trainable": lambda r, h: r.examples.count_trainable(
        FOREIGN, h.assistant.id, SUPERVISED
    ),
    "snapshots.create": lambda r, h: r.snapshots.create(
        FOREIGN, h.assistant.id, SUPERVISED, training_rows=1, validation_rows=0, at=NOW
    ),
    "snapshots.append_rows": lambda r, h: r.snapshots.append_rows(
        FOREIGN, h.snapshot.id, [h.row], first_position=100
    ),
    "examples.list_ids_by_author": lambda r, _: r.examples.list_ids_by_author(FOREIGN, ANN),
    "examples.erase": lambda r, h: r.examples.erase(FOREIGN, [h.example.id]),
    "examples.iterate_trainable": lambda r, h: r.examples.iterate_trainable(
        FOREIGN, h.assistant.id, SUPERVISED
    ),
    "example_messages.add_messages": lambda r, h: r.example_messages.add_messages(
        FOREIGN, h.example.id, [a_source("300.1")]
    ),
    "example_messages.messages_of": lambda r, h: r.example_messages.messages_of(
        FOREIGN, h.example.id
    ),
    "example_messages.example_ids_of_messages": lambda r, _: (
        r.example_messages.example_ids_of_messages(FOREIGN, GENERAL, [MESSAGE])
    ),
    "example_messages.example_ids_in_channel": lambda r, _: (
        r.example_messages.example_ids_in_channel(FOREIGN, GENERAL, None)
    ),
    "example_messages.add_marker": lambda r, h: r.example_messages.add_marker(
        FOREIGN, h.example.id, BOB
    ),
    "example_messages.remove_marker": lambda r, h: r.example_messages.remove_marker(
        FOREIGN, h.example.id, ANN
    ),
    "personal_data.table_rows": lambda r, _: first_of(r.personal_data.table_rows(FOREIGN, ANN)),
    "personal_data.examples": lambda r, _: r.personal_data.examples(
        FOREIGN, ANN, after=ExampleId(0)
    ),
    "personal_data.example_count": lambda r, _: r.personal_data.example_count(FOREIGN, ANN),
    "personal_data.room_messages": lambda r, _: r.personal_data.room_messages(
        FOREIGN, ANN, after=0
    ),
    "personal_data.examples_edited_by": lambda r, _: r.personal_data.examples_edited_by(
        FOREIGN, ANN
    ),
    "personal_data.revert_revisions_by": lambda r, h: r.personal_data.revert_revisions_by(
        FOREIGN, [h.example.id], ANN, at=NOW
    ),
    "personal_data.newest_item_token": lambda r, _: r.personal_data.newest_item_token(FOREIGN, ANN),
    "personal_data.forget_person": lambda r, _: r.personal_data.forget_person(FOREIGN, ANN),
    "personal_data.forget_room_messages": lambda r, _: r.personal_data.forget_room_messages(
        FOREIGN, ANN
    ),
    "personal_data.forget_messages_quoting": lambda r, _: r.personal_data.forget_messages_quoting(
        FOREIGN, ["X"], after=0
    ),
    "snapshots.get": lambda r, h: r.snapshots.get(FOREIGN, h.snapshot.id),
    "snapshots.rows": lambda r, h: r.snapshots.rows(FOREIGN, h.snapshot.id),
    "snapshots.revisions": lambda r, h: r.snapshots.revisions(FOREIGN, h.snapshot.id),
    "snapshots.count_untrainable_rows": lambda r, h: r.snapshots.count_untrainable_rows(
        FOREIGN, h.snapshot.id
    ),
    "snapshots.list_containing": lambda r, h: r.snapshots.list_containing(FOREIGN, [h.example.id]),
    "jobs.add": lambda r, h: r.jobs.add(FOREIGN, h.job),
    "jobs.confirm": lambda r, h: r.jobs.confirm(FOREIGN, h.job.id, at=NOW),
    "jobs.decline": lambda r, h: r.jobs.decline(FOREIGN, h.job.id),
    "jobs.get": lambda r, h: r.jobs.get(FOREIGN, h.job.id),
    "jobs.update_if": lambda r, h: r.jobs.update_if(FOREIGN, h.job.id, phase=Phase.FAILED),
    "jobs.page": lambda r, _: r.jobs.page(FOREIGN),
    "jobs.newest_success": lambda r, h: r.jobs.newest_success(FOREIGN, h.job.assistant),
    "outbox.is_empty": lambda r, _: opposite(r.outbox.is_empty(FOREIGN)),
    "jobs.list_open_in_workspace": lambda r, _: r.jobs.list_open_in_workspace(FOREIGN),
    "jobs.request_file_deletion": lambda r, h: r.jobs.request_file_deletion(
        FOREIGN, [h.snapshot.id], at=NOW
    ),
    "jobs.add_events": lambda r, h: r.jobs.add_events(
        FOREIGN, h.job.id, [JobEvent("X", NOW, "info", "X", 1, 2, {"train_loss": 1.0})]
    ),
    "jobs.events": lambda r, h: r.jobs.events(FOREIGN, h.job.id),
    "jobs.event_ids": lambda r, h: r.jobs.event_ids(FOREIGN, h.job.id),
    "jobs.add_metrics": lambda r, h: r.jobs.add_metrics(
        FOREIGN, h.job.id, [StepMetrics(1, {"train_loss": 9.0})]
    ),
    "jobs.metrics": lambda r, h: r.jobs.metrics(FOREIGN, h.job.id),
    "jobs.committed_cost": lambda r, _: r.jobs.committed_cost(FOREIGN, since=NOW),
    "jobs.add_checkpoints": lambda r, h: r.jobs.add_checkpoints(
        FOREIGN, h.job.id, [Checkpoint(1, ModelName("X"), {})]
    ),
    "jobs.checkpoints": lambda r, h: r.jobs.checkpoints(FOREIGN, h.job.id),
    "snapshots.training_examples_among": lambda r, h: r.snapshots.training_examples_among(
        FOREIGN, h.snapshot.id, [h.row.example]
    ),
    "evaluations.add": lambda r, h: r.evaluations.add(FOREIGN, h.evaluation),
    "evaluations.get": lambda r, h: r.evaluations.get(FOREIGN, h.evaluation.id),
    "evaluations.update_if": lambda r, h: r.evaluations.update_if(
        FOREIGN, h.evaluation.id, when=tuple(EvaluationState), is_deployed=True
    ),
    "evaluations.page": lambda r, _: r.evaluations.page(FOREIGN),
    "evaluations.delete_estimate": lambda r, h: r.evaluations.delete_estimate(
        FOREIGN, h.evaluation.id
    ),
    "evaluations.find_started_by_job": lambda r, h: r.evaluations.find_started_by_job(
        FOREIGN, h.job.id
    ),
    "outbox.locale_of": lambda r, h: r.outbox.locale_of(FOREIGN, ["notice"]),
    "evaluations.find_by_idempotency_key": lambda r, h: r.evaluations.find_by_idempotency_key(
        FOREIGN, h.evaluation.idempotency_key
    ),
    "evaluations.list_open_in_workspace": lambda r, _: r.evaluations.list_open_in_workspace(
        FOREIGN
    ),
    "evaluations.committed_cost": lambda r, _: r.evaluations.committed_cost(FOREIGN, since=NOW),
    "evaluations.replace_questions": lambda r, h: r.evaluations.replace_questions(
        FOREIGN, h.evaluation.id, [EvaluationQuestion(9, h.example.id, 1, False)]
    ),
    "evaluations.questions": lambda r, h: r.evaluations.questions(FOREIGN, h.evaluation.id),
    "evaluations.pending_questions": lambda r, h: r.evaluations.pending_questions(
        FOREIGN, h.evaluation.id, 0, limit=9
    ),
    "evaluations.mark_asked": lambda r, h: r.evaluations.mark_asked(
        FOREIGN, h.evaluation.id, 0, [2]
    ),
    "evaluations.unmark_asked": lambda r, h: r.evaluations.unmark_asked(
        FOREIGN, h.evaluation.id, 0, 1
    ),
    "evaluations.put_answer": lambda r, h: r.evaluations.put_answer(
        FOREIGN, h.evaluation.id, EvaluationAnswer(1, 0, AnswerState.DONE, "X")
    ),
    "evaluations.mark_outcome_unknown": lambda r, h: r.evaluations.mark_outcome_unknown(
        FOREIGN, h.evaluation.id, [0]
    ),
    "evaluations.answers": lambda r, h: r.evaluations.answers(FOREIGN, h.evaluation.id),
    "judgings.add": lambda r, h: r.judgings.add(
        FOREIGN, replace(h.judging, idempotency_key="other")
    ),
    "evaluation_gaps.add_calls": lambda r, h: r.evaluation_gaps.add_calls(
        FOREIGN, h.evaluation.id, [GapQuestion(h.turn.id, CallState.WAITING)]
    ),
    "evaluation_gaps.claim_waiting": lambda r, h: r.evaluation_gaps.claim_waiting(
        FOREIGN, h.evaluation.id, limit=9
    ),
    "evaluation_gaps.record_outcome": lambda r, h: r.evaluation_gaps.record_outcome(
        FOREIGN, h.evaluation.id, GapQuestion(h.turn.id, CallState.DONE)
    ),
    "evaluation_gaps.mark_outcome_unknown": lambda r, h: r.evaluation_gaps.mark_outcome_unknown(
        FOREIGN, h.evaluation.id
    ),
    "evaluation_gaps.calls": lambda r, h: r.evaluation_gaps.calls(FOREIGN, h.evaluation.id),
    "evaluation_gaps.refresh_waiting_questions": lambda r, h: (
        r.evaluation_gaps.refresh_waiting_questions(FOREIGN, h.evaluation.id)
    ),
    "evaluation_gaps.count_by_state": lambda r, h: r.evaluation_gaps.count_by_state(
        FOREIGN, h.evaluation.id
    ),
    "evaluation_gaps.list_by_model": lambda r, h: r.evaluation_gaps.list_by_model(
        FOREIGN, h.assistant.id, h.evaluation.model, since=NOW
    ),
    "judgings.get": lambda r, h: r.judgings.get(FOREIGN, h.judging.id),
    "judgings.update_if": lambda r, h: r.judgings.update_if(
        FOREIGN, h.judging.id, when=tuple(EvaluationState), state=EvaluationState.STOPPED
    ),
    "judgings.delete_estimate": lambda r, h: r.judgings.delete_estimate(FOREIGN, h.judging.id),
    "judgings.committed_cost": lambda r, _: r.judgings.committed_cost(FOREIGN, since=NOW),
    "judgings.add_calls": lambda r, h: r.judgings.add_calls(
        FOREIGN, h.judging.id, [JudgedPair(2, False, CallState.WAITING)]
    ),
    "judgings.claim_waiting": lambda r, h: r.judgings.claim_waiting(FOREIGN, h.judging.id, limit=9),
    "judgings.record_outcome": lambda r, h: r.judgings.record_outcome(
        FOREIGN, h.judging.id, JudgedPair(1, False, CallState.DONE)
    ),
    "judgings.mark_outcome_unknown": lambda r, h: r.judgings.mark_outcome_unknown(
        FOREIGN, h.judging.id
    ),
    "judgings.calls": lambda r, h: r.judgings.calls(FOREIGN, h.judging.id),
    "judgings.count_by_state": lambda r, h: r.judgings.count_by_state(FOREIGN, h.judging.id),
    "examples.list_derived": lambda r, h: r.examples.list_derived(FOREIGN, [h.example.id]),
    **{
        f"synthetic_runs.{name}": call
        for name, call in {
            "add": lambda r, h: r.synthetic_runs.add(
                FOREIGN, replace(h.run, idempotency_key="other")
            ),
            "get": lambda r, h: r.synthetic_runs.get(FOREIGN, h.run.id),
            "update_if": lambda r, h: r.synthetic_runs.update_if(
                FOREIGN, h.run.id, when=tuple(EvaluationState), state=EvaluationState.STOPPED
            ),
            "delete_estimate": lambda r, h: r.synthetic_runs.delete_estimate(FOREIGN, h.run.id),
            "committed_cost": lambda r, _: r.synthetic_runs.committed_cost(FOREIGN, since=NOW),
            "add_calls": lambda r, h: r.synthetic_runs.add_calls(
                FOREIGN, h.run.id, [SyntheticCall(h.example.id, CallState.WAITING)]
            ),
            "claim_waiting": lambda r, h: r.synthetic_runs.claim_waiting(
                FOREIGN, h.run.id, limit=9
            ),
            "record_outcome": lambda r, h: r.synthetic_runs.record_outcome(
                FOREIGN, h.run.id, SyntheticCall(h.example.id, CallState.DONE, 3)
            ),
            "mark_outcome_unknown": lambda r, h: r.synthetic_runs.mark_outcome_unknown(
                FOREIGN, h.run.id
            ),
            "count_by_state": lambda r, h: r.synthetic_runs.count_by_state(FOREIGN, h.run.id),
            "calls": lambda r, h: r.synthetic_runs.calls(FOREIGN, h.run.id),
            "sources_with_proposals": lambda r, h: r.synthetic_runs.sources_with_proposals(
                FOREIGN, h.assistant.id
            ),
        }.items()
    },
    "training_offers.count_new_rows": lambda r, h: r.training_offers.count_new_rows(
        FOREIGN, h.assistant.id, Method.SUPERVISED, learned=None
    ),
    "training_offers.was_posted": lambda r, h: r.training_offers.was_posted(
        FOREIGN, h.assistant.id, Method.SUPERVISED, 0
    ),
    "training_offers.record_posted": lambda r, h: r.training_offers.record_posted(
        FOREIGN, h.assistant.id, Method.SUPERVISED, 0, at=NOW
    ),
    "answer_stats.daily": lambda r, h: r.answer_stats.daily(FOREIGN, h.assistant.id, since=NOW),
    "answer_stats.unanswered_turns": lambda r, h: r.answer_stats.unanswered_turns(
        FOREIGN, h.assistant.id, since=NOW, is_marked=False
    ),
    "answer_stats.mark_taught_or_dismissed": lambda r, h: r.answer_stats.mark_taught_or_dismissed(
        FOREIGN, [h.turn.id], h.example.id, at=NOW
    ),
    "evaluations.questions_with_answers": lambda r, h: r.evaluations.questions_with_answers(
        FOREIGN, h.evaluation.id, QuestionOrder.DIFFERENCE
    ),
    "evaluations.count_settled_answers": lambda r, h: r.evaluations.count_settled_answers(
        FOREIGN, h.evaluation.id
    ),
    "blind_votes.add": lambda r, h: r.blind_votes.add(
        FOREIGN, BlindVote(FOREIGN, h.evaluation.id, VoteState.OPEN, 1)
    ),
    "blind_votes.get": lambda r, h: r.blind_votes.get(FOREIGN, h.evaluation.id),
    "blind_votes.update_if": lambda r, h: r.blind_votes.update_if(
        FOREIGN, h.evaluation.id, when=tuple(VoteState), state=VoteState.CLOSED
    ),
    "blind_votes.put_ballot": lambda r, h: r.blind_votes.put_ballot(
        FOREIGN, h.evaluation.id, Ballot(1, ANN, Choice.SECOND, True, NOW)
    ),
    "blind_votes.ballots": lambda r, h: r.blind_votes.ballots(FOREIGN, h.evaluation.id),
    "blind_votes.count_ballots_and_voters": lambda r, h: r.blind_votes.count_ballots_and_voters(
        FOREIGN, h.evaluation.id
    ),
    "canaries.add": lambda r, h: r.canaries.add(FOREIGN, h.canary),
    "canaries.get": lambda r, h: r.canaries.get(FOREIGN, h.canary.id),
    "canaries.find_running": lambda r, h: r.canaries.find_running(FOREIGN, h.assistant.id),
    "canaries.update_if_running": lambda r, h: r.canaries.update_if_running(
        FOREIGN, h.canary.id, vote_checks=9
    ),
    "canaries.count_failure": lambda r, h: r.canaries.count_failure(FOREIGN, h.canary.id),
    "canaries.history": lambda r, h: r.canaries.history(FOREIGN, h.assistant.id),
    "turns.model_feedback": lambda r, h: r.turns.model_feedback(FOREIGN, h.assistant.id, since=NOW),
    "turns.votes_by_model": lambda r, h: r.turns.votes_by_model(FOREIGN, h.assistant.id),
    "models.add": lambda r, h: r.models.add(FOREIGN, h.model),
    "models.find": lambda r, h: r.models.find(FOREIGN, h.model.name),
    "models.all": lambda r, h: r.models.all(FOREIGN, h.assistant.id),
    "models.mark_tainted": lambda r, h: r.models.mark_tainted(FOREIGN, [h.snapshot.id]),
    "models.set_served_name": lambda r, h: r.models.set_served_name(
        FOREIGN, h.model.name, ModelName("X")
    ),
    "models.set_label_and_note": lambda r, h: r.models.set_label_and_note(
        FOREIGN, h.model.name, label="X", note=None
    ),
    "models.mark_deleted": lambda r, h: r.models.mark_deleted(FOREIGN, h.model.name),
    "deployments.add": lambda r, h: r.deployments.add(
        FOREIGN, h.assistant.id, model=h.model.name, host=HOST, by=BOB, at=NOW, previous_model=None
    ),
    "deployments.current": lambda r, h: r.deployments.current(FOREIGN, h.assistant.id),
    "deployments.history": lambda r, h: r.deployments.history(FOREIGN, h.assistant.id),
    "turns.add": lambda r, h: r.turns.add(FOREIGN, h.turn),
    "turns.update_fields": lambda r, h: r.turns.update_fields(FOREIGN, h.turn.id, reply="X"),
    "turns.get_many": lambda r, h: r.turns.get_many(FOREIGN, [h.turn.id]),
    "turns.get": lambda r, h: r.turns.get(FOREIGN, h.turn.id),
    "turns.by_reply_message": lambda r, _: r.turns.by_reply_message(FOREIGN, GENERAL, MESSAGE),
    "turns.by_reply_messages": lambda r, _: r.turns.by_reply_messages(FOREIGN, GENERAL, [MESSAGE]),
    "turns.by_event": lambda r, h: r.turns.by_event(FOREIGN, h.turn.event_key),
    "turns.count_by_asker": lambda r, _: r.turns.count_by_asker(FOREIGN, ANN),
    "turns.has_answered": lambda r, h: r.turns.has_answered(FOREIGN, h.turn.model),
    "turns.by_asker": lambda r, _: r.turns.by_asker(FOREIGN, ANN),
    "turns.erase_votes_of_user": lambda r, _: r.turns.erase_votes_of_user(FOREIGN, ANN),
    "turns.by_question_message": lambda r, _: r.turns.by_question_message(
        FOREIGN, GENERAL, MESSAGE
    ),
    "turns.forget_texts_of_messages": lambda r, _: r.turns.forget_texts_of_messages(
        FOREIGN, GENERAL, [MESSAGE]
    ),
    "turns.forget_texts_in_channel": lambda r, _: r.turns.forget_texts_in_channel(
        FOREIGN, GENERAL, None
    ),
    "turns.delete_before": lambda r, _: r.turns.delete_before(NOW, workspace=FOREIGN),
    "turns.erase_by_asker": lambda r, _: r.turns.erase_by_asker(FOREIGN, ANN),
    "turns.put_vote": lambda r, h: r.turns.put_vote(FOREIGN, Vote(h.turn.id, ANN, -1, "X", NOW)),
    "turns.remove_vote": lambda r, h: r.turns.remove_vote(FOREIGN, h.turn.id, ANN, 1),
    "turns.votes": lambda r, h: r.turns.votes(FOREIGN, h.turn.id),
    "inbox.add": lambda r, _: r.inbox.add(
        FOREIGN, "event", message_key="message", payload="X", at=NOW
    ),
    "inbox.has_unfinished": lambda r, _: r.inbox.has_unfinished(FOREIGN, "message"),
    "audit.add": lambda r, _: r.audit.add(FOREIGN, ANN, "X", at=NOW),
    "audit.page": lambda r, _: r.audit.page(FOREIGN),
    "audit.of_kind": lambda r, _: r.audit.of_kind(FOREIGN, "X"),
    "daily_tokens.add": lambda r, _: r.daily_tokens.add(FOREIGN, ANN, TODAY, 1),
    "daily_tokens.tokens_of_day": lambda r, _: r.daily_tokens.tokens_of_day(FOREIGN, ANN, TODAY),
    "consents.put": lambda r, _: r.consents.put(FOREIGN, Consent(ANN, 9, given=False, at=NOW)),
    # A choice takes the place of one's own elsewhere, and of nobody else's.
    "direct_message_workspaces.choose_workspace": lambda r, _: (
        r.direct_message_workspaces.choose_workspace(FOREIGN, BOB)
    ),
    "direct_message_workspaces.end_choice": lambda r, _: r.direct_message_workspaces.end_choice(
        FOREIGN, ANN
    ),
    "direct_message_workspaces.forget_person": lambda r, _: (
        r.direct_message_workspaces.forget_person(FOREIGN, ANN)
    ),
    "consents.get": lambda r, _: r.consents.get(FOREIGN, ANN),
    "consents.all": lambda r, _: r.consents.all(FOREIGN),
}

# These serve the loops of the whole installation, or the local workspace alone.
FOR_EVERYBODY = {
    "assistants.any_sends_examples",
    "room.file_references",
    "workspaces.page",
    "direct_message_workspaces.chosen_workspace",
    "direct_message_workspaces.ever_chosen_workspaces",
    "workspaces.list_removed_or_closed",
    "workspaces.list_with_retention",
    "workspaces.count",
    "assistants.list_with_deployments",
    "models.list_of_workspaces",
    "models.list_tainted",
    "models.set_expiry_dates",
    "jobs.count_open",
    "jobs.get_many",
    "outbox.add_new",
    "jobs.list_open",
    "evaluations.list_open",
    "training_offers.assistants_with_offers",
    "judgings.list_open",
    "synthetic_runs.list_open",
    "evaluations.delete_old_estimates",
    "judgings.delete_old_estimates",
    "synthetic_runs.delete_old_estimates",
    "blind_votes.list_open",
    "canaries.list_running",
    "jobs.past_durations",
    "outbox.put",
    "outbox.list_due",
    "outbox.mark_delivered",
    "outbox.move_to_place",
    "outbox.postpone",
    "outbox.delete",
    "inbox.mark_begun",
    "inbox.count_attempt",
    "inbox.mark_done",
    "inbox.list_unfinished",
    "inbox.delete_finished_before",
    "outbox.delete_delivered_before",
    "audit.delete_before",
    "snapshots.delete_unused",
    "jobs.list_awaiting_file_deletion",
    "jobs.postpone_poll",
    "private_replies.delete_before",
    "undoables.list_due",
    "undoables.next_due_time",
    "undoables.postpone",
    "undoables.delete",
    "remote_cleanups.add",
    "remote_cleanups.list_due",
    "remote_cleanups.postpone",
    "remote_cleanups.delete",
    "room.post",
    "room.edit",
    "room.get",
    "room.page",
    "room.list_channels",
    "room.list_authors",
    "room.set_reaction",
}


def methods_of_the_port() -> Iterator[tuple[str, list[str]]]:
    for noun, protocol in get_type_hints(Records).items():
        for name, method in inspect.getmembers(protocol, inspect.isfunction):
            if not name.startswith("_"):
                yield f"{noun}.{name}", list(inspect.signature(method).parameters)


def test_every_method_of_the_port_is_tried() -> None:
    named = {name for name, parameters in methods_of_the_port() if "workspace" in parameters}

    assert named == set(CALLS)
    assert {name for name, _ in methods_of_the_port()} - named == FOR_EVERYBODY


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Household]:
    path = tmp_path_factory.mktemp("home") / "attune.db"
    return path, asyncio.run(furnish(path))


async def furnish(path: Path) -> Household:
    store = await Database.open(f"sqlite:///{path}")
    assistant = await furnished(store)
    async with store.writing() as records:
        household = await fill(records, await records.assistants.get(HOME, assistant))
    await store.close()
    return household


async def fill(r: Records, assistant: Assistant) -> Household:
    new = replace(an_example(assistant.id), source=a_source(), tags=("t",))
    example, _ = await r.examples.add(HOME, new, at=NOW)
    await r.examples.add_revision(HOME, example.id, a_row("Edited"), ANN, at=NOW)
    await r.example_cards.put_card(HOME, PLACE, MESSAGE, [example.id])
    await r.example_messages.add_marker(HOME, example.id, ANN)
    await r.reviews.put_reviews(HOME, [example.id], ANN, ReviewKind.APPROVED, at=NOW)
    snapshot = await frozen(r, assistant.id, "one", "two")
    job = await r.jobs.add(HOME, a_job(snapshot))
    await r.jobs.set_ping(HOME, job.id, ANN, on=True)
    event = JobEvent("e", NOW, "info", "step", 1, 2, {"train_loss": 0.5})
    await r.jobs.add_events(HOME, job.id, [event])
    await r.jobs.add_checkpoints(HOME, job.id, [Checkpoint(1, ModelName("c"), {})])
    name, base = ModelName("ft:ada"), assistant.base
    model = Model(HOME, assistant.id, name, HOST, ModelKind.TUNED, base, job.id, NOW)
    await r.models.add(HOME, model)
    await r.deployments.add(
        HOME, assistant.id, model=name, host=HOST, by=ANN, at=NOW, previous_model=None
    )
    turn = await r.turns.add(
        HOME, replace(a_turn(assistant.id), reply_message=MESSAGE, question_message=MESSAGE)
    )
    await r.turns.put_vote(HOME, Vote(turn.id, ANN, 1, "good", NOW))
    await r.training_offers.record_posted(HOME, assistant.id, Method.SUPERVISED, 0, at=NOW)
    await r.answer_stats.mark_taught_or_dismissed(HOME, [turn.id], example.id, at=NOW)
    evaluation = await r.evaluations.add(HOME, an_evaluation(assistant.id))
    question = EvaluationQuestion(1, example.id, 1, is_must_answer=False)
    await r.evaluations.replace_questions(HOME, evaluation.id, [question])
    await r.evaluations.mark_asked(HOME, evaluation.id, 0, [1])
    gap = GapQuestion(turn.id, CallState.WAITING)
    await r.evaluation_gaps.add_calls(HOME, evaluation.id, [gap])
    await r.evaluation_gaps.claim_waiting(HOME, evaluation.id, limit=1)
    await r.blind_votes.add(HOME, BlindVote(HOME, evaluation.id, VoteState.OPEN, 24))
    await r.blind_votes.put_ballot(HOME, evaluation.id, Ballot(1, ANN, Choice.FIRST, False, NOW))
    canary = await r.canaries.add(HOME, a_canary(assistant.id))
    await r.assistants.bind(HOME, Binding(GENERAL, assistant.id, answers_unasked=True))
    await r.roles.set_grant(HOME, ANN, Grant(Role.ADMIN, NOW))
    await r.private_replies.add(HOME, SHOWN)
    await r.undoables.add(HOME, Undoable(ANN, "role", {}, NOW))
    await r.guest_channels.set_may_ask(HOME, GENERAL, may_ask=True)
    await r.direct_message_workspaces.choose_workspace(HOME, ANN)
    await r.consents.put(HOME, Consent(ANN, 1, given=True, at=NOW))
    await r.daily_tokens.add(HOME, ANN, TODAY, 5)
    await r.audit.add(HOME, ANN, "job.start", at=NOW)
    await r.inbox.add(HOME, "event", message_key="message", payload="{}", at=NOW)
    await r.outbox.put("notice", PLACE, "job", at=NOW)
    (notice,) = await r.outbox.list_due(now=NOW)
    await r.outbox.mark_delivered(notice.id, version=1, message=MESSAGE)
    row = SnapshotRow(example.id, 1, Split.TRAIN, hash_of("row"), None)
    judging = await r.judgings.add(HOME, a_judging(evaluation))
    await r.judgings.add_calls(HOME, judging.id, [JudgedPair(1, False, CallState.WAITING)])
    await r.judgings.claim_waiting(HOME, judging.id, limit=1)
    run = await r.synthetic_runs.add(HOME, a_synthetic_run(assistant.id))
    await r.synthetic_runs.add_calls(HOME, run.id, [SyntheticCall(example.id, CallState.WAITING)])
    await r.synthetic_runs.claim_waiting(HOME, run.id, limit=1)
    written = replace(new, row=a_row("Written"), source=None)
    written = replace(written, synthetic=SyntheticOrigin(example.id, ModelName("m")))
    await r.examples.add(HOME, written, at=NOW)
    own = assistant, example, snapshot, row, job, model, turn, evaluation, canary, judging, run
    return Household(*own)


def a_judging(evaluation: Evaluation) -> Judging:
    return Judging(
        id=0,
        workspace=HOME,
        evaluation=evaluation.id,
        place=PLACE,
        idempotency_key="judging",
        asked_by=ANN,
        state=EvaluationState.RUNNING,
        against=1,
        host=HOST,
        model=ModelName("judge"),
        criteria="",
        pairs=1,
        tokens=1,
        price=0.0,
        created_at=NOW,
    )


@pytest.mark.parametrize("name", CALLS)
async def test_a_foreign_workspace_finds_and_changes_nothing(
    name: str, home: tuple[Path, Household], tmp_path: Path
) -> None:
    path = tmp_path / "attune.db"
    shutil.copy(home[0], path)
    before = belongings(path)

    found = await tried(path, CALLS[name], home[1])

    assert is_nothing(found)
    assert belongings(path) == before


async def tried(path: Path, call: Call, household: Household) -> object:
    store = await Database.open(f"sqlite:///{path}")
    found: object = None
    with suppress(NotFound):
        async with store.writing() as records:
            result = call(records, household)
            if isinstance(result, AsyncIterator):
                found = [each async for each in result]
            else:
                found = await result
    await store.close()
    return found


def is_nothing(found: object) -> bool:
    """Nothing, or only what the foreign workspace has made for itself just now."""
    if isinstance(found, Workspace):
        return found.id == FOREIGN
    if isinstance(found, Assistant):
        return found.workspace == FOREIGN
    return not found or found == (0, 0)


def belongings(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row that is not the foreign workspace's."""
    kept = {}
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (table,) in tables.fetchall():
            rows = connection.execute(f'SELECT * FROM "{table}"').fetchall()
            if not table.startswith("sqlite_"):
                kept[table] = [row for row in rows if FOREIGN not in row]
    return kept


def test_every_table_has_something_to_lose(home: tuple[Path, Household]) -> None:
    empty = {table for table, rows in belongings(home[0]).items() if not rows}

    assert empty == {"room_messages", "room_reactions", "remote_cleanups", "residues"}
