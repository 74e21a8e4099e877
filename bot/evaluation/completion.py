"""Finishes an evaluation: stores its report and deploys its model if the gate allows it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from bot.domain import Evaluation, EvaluationState
from bot.evaluation import notices, report
from bot.evaluation.deployment_gate import gate_rejection
from bot.evaluation.planning import is_same_deployment
from bot.evaluation.question_calls import count_ended_calls
from bot.paid_run_actions import queue_run_notice
from bot.ports.model_hosts import Hosts
from bot.ports.store import Records, Store

ENDED_EVALUATION_KEY = "final"
"""The key of a stored error's detail: whether the error ended the evaluation."""
_UNFINISHED = (EvaluationState.RUNNING, EvaluationState.STOPPING)


async def is_ready_to_finish(evaluation: Evaluation, records: Records) -> bool:
    """Whether an evaluation can be finished: it is being stopped, or all of its calls have ended.

    No call of the evaluation may be running.
    """
    if evaluation.state is EvaluationState.STOPPING:
        return True
    if evaluation.state is not EvaluationState.RUNNING:
        return False
    done, total = await count_ended_calls(evaluation, records)
    return done >= total


async def finish_evaluation(
    evaluation: Evaluation, *, store: Store, hosts: Hosts, at: datetime
) -> None:
    """Finishes an evaluation once; stores report, deployment and notices in one transaction."""
    result = await report.make_report(store, evaluation, hosts)
    state = EvaluationState.DONE
    if evaluation.state is EvaluationState.STOPPING:
        is_final = bool(evaluation.error.get(ENDED_EVALUATION_KEY))
        state = EvaluationState.FAILED if is_final else EvaluationState.STOPPED
    finished = replace(evaluation, state=state)
    async with store.writing() as records:
        all_contenders = range(len(evaluation.contenders))
        own = evaluation.workspace, evaluation.id
        await records.evaluations.mark_outcome_unknown(*own, all_contenders)
        await records.evaluation_gaps.mark_outcome_unknown(*own)
        is_deployed = evaluation.is_gate and await _may_deploy(finished, result, records)
        if not await records.evaluations.update_if(
            *own,
            when=_UNFINISHED,
            state=state,
            report=report.dump_report(result),
            finished_at=at,
            is_deployed=is_deployed,
        ):
            return
        if is_deployed:
            await _deploy(evaluation, records, at)
        await records.audit.add(
            evaluation.workspace, None, f"evaluation.{state}", at=at, evaluation=evaluation.id
        )
        await queue_run_notice(records, evaluation, notices.STATUS_NOTICE, at=at)
        # The answers of a blind vote are shown by the vote.
        if not evaluation.is_vote or state is not EvaluationState.DONE:
            await queue_run_notice(records, evaluation, notices.ENDED_NOTICE, at=at)


async def _may_deploy(finished: Evaluation, result: report.Report, records: Records) -> bool:
    current = await records.deployments.current(finished.workspace, finished.assistant)
    is_same = is_same_deployment(finished, current)
    model = await records.models.find(finished.workspace, finished.model)
    exists = model is not None and not model.is_deleted
    return exists and gate_rejection(finished, result, is_same_in_use=is_same) is None


async def _deploy(evaluation: Evaluation, records: Records, at: datetime) -> None:
    new = evaluation.contenders[0]
    await records.deployments.add(
        evaluation.workspace,
        evaluation.assistant,
        model=evaluation.model,
        host=new.host,
        by=evaluation.asked_by,
        at=at,
        previous_model=evaluation.against,
        served_name=None if new.address == evaluation.model else new.address,
    )
    await records.audit.add(
        evaluation.workspace, evaluation.asked_by, "model.used", at=at, model=evaluation.model
    )
