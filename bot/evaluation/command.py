"""`/tune evaluate` and its buttons: estimates, confirms, declines and stops an evaluation."""

from __future__ import annotations

from bot import access
from bot.commands import Handlers, Option, OptionKind
from bot.domain import (
    Evaluation,
    EvaluationId,
    EvaluationState,
    ModelKind,
    Role,
)
from bot.errors import BadInput, NotNow, Outdated
from bot.evaluation import cards
from bot.evaluation.notices import EVALUATION_RUN
from bot.evaluation.planning import EvaluationPlan, plan_evaluation, store_estimate, unpriced_host
from bot.models_in_use import find_model_by_name
from bot.paid_run_actions import confirm_run, decline_run, estimated_run, stop_run
from bot.ports.dependencies import Dependencies
from bot.ports.model_hosts import Hosts
from bot.ports.store import Records
from bot.replies import Button, Card, Reply
from bot.request import Request
from bot.rows import Method
from bot.significance import MIN_QUESTIONS

handlers = Handlers()

_MAX_QUESTIONS = 5000


@handlers.command(
    "evaluate",
    Role.TRAINER,
    Option("model", OptionKind.MODEL),
    Option("against", OptionKind.MODEL),
    Option.integer("questions", 1, _MAX_QUESTIONS),
)
async def estimate_evaluation(request: Request, deps: Dependencies) -> Reply:
    """Returns a card with the questions, models and price; nothing is sent to a model."""
    access.refuse_closed_workspace(request.workspace, request.words)
    async with deps.store.reading() as records:
        new = await requested_evaluation(request, records)
    evaluation, plan = await plan_and_store_estimate(request, new, deps)
    title = request.words("evaluate.title", model=evaluation.contenders[0].model)
    label = request.words("button.evaluate")
    confirm = Button(label, f"evaluation.confirm:{evaluation.id}", is_primary=True)
    return estimate_card(request, evaluation, plan, title=title, confirm=confirm)


@handlers.button("evaluation.confirm", Role.TRAINER)
async def confirm_evaluation(request: Request, deps: Dependencies) -> Reply:
    """Stores the confirmation; the runner then asks the models."""
    async with deps.store.writing() as records:
        await confirm_estimate(request, records, deps.hosts, is_vote=False)
    deps.wake_runners()
    return Card(request.words("evaluate.confirmed", name=request.user.name), replaces=True)


@handlers.button("evaluation.decline", Role.TRAINER)
async def decline_evaluation(request: Request, deps: Dependencies) -> Reply:
    async with deps.store.writing() as records:
        return await decline_run(request, records.evaluations, EVALUATION_RUN)


@handlers.button("evaluation.stop", Role.TRAINER)
async def stop_evaluation(request: Request, deps: Dependencies) -> Reply:
    """Stops an evaluation and cancels its calls; the report covers the answers so far."""
    async with deps.store.writing() as records:
        reply = await stop_run(request, records.evaluations, records, EVALUATION_RUN)
    deps.wake_runners()
    return reply


async def plan_and_store_estimate(
    request: Request, new: Evaluation, deps: Dependencies
) -> tuple[Evaluation, EvaluationPlan]:
    """Plans an evaluation and stores it until it is confirmed. Raises NotNow.

    Returns the evaluation with its price and display names, and the plan.
    """
    plan = await plan_evaluation(deps.store, new, request.assistant, deps.hosts, now=request.now)
    if not plan.questions:
        raise NotNow(problem=request.words("evaluate.no_questions"))
    if len(plan.contenders) < 2:
        raise NotNow(problem=request.words("evaluate.nothing_to_compare"))
    async with deps.store.writing() as records:
        evaluation = await store_estimate(records, new, plan)
        return await cards.with_display_names(evaluation, records), plan


async def confirm_estimate(
    request: Request, records: Records, hosts: Hosts, *, is_vote: bool, name: str = ""
) -> Evaluation:
    """Confirms an estimated evaluation. Raises NotNow, Outdated and NotFound.

    `name` is the evaluation's number if it is not the whole argument of the button.
    """
    evaluation = await estimated_run(request, records.evaluations, EVALUATION_RUN, name)
    if evaluation.is_vote is not is_vote:
        raise Outdated(problem=request.words("start.already"))
    host = unpriced_host(evaluation, hosts)
    await confirm_run(request, evaluation, records.evaluations, records, EVALUATION_RUN, host=host)
    return evaluation


async def requested_evaluation(request: Request, records: Records) -> Evaluation:
    """Returns the evaluation that the options of a command name. Raises NotFound and BadInput."""
    model = await find_model_by_name(request, request.text_option("model") or "latest", records)
    current = await records.deployments.current(request.workspace_id, request.assistant.id)
    against = current.model if current else None
    if (against_name := request.text_option("against")) is not None:
        against = (await find_model_by_name(request, against_name, records)).name
    if against == model.name and request.text_option("against"):
        raise BadInput(problem=request.words("evaluate.itself", model=model.name))
    method = Method.SUPERVISED
    if model.job is not None:
        method = (await records.jobs.get(request.workspace_id, model.job)).method
    return Evaluation(
        id=EvaluationId(0),
        workspace=request.workspace_id,
        assistant=request.assistant.id,
        place=request.place,
        idempotency_key=request.idempotency_key,
        asked_by=request.user_id,
        state=EvaluationState.ESTIMATED,
        model=model.name,
        against=against,
        method=method,
        deployment=current.id if current else 0,
        is_gate=False,
        job=model.job if model.kind is not ModelKind.BASE else None,
        most_questions=request.integer_option("questions"),
        created_at=request.now,
    )


def estimate_card(
    request: Request, evaluation: Evaluation, plan: EvaluationPlan, *, title: str, confirm: Button
) -> Card:
    """Returns the card of an estimate, with the button that confirms it."""
    words = request.words
    names = [cards.contender_name(contender, words) for contender in evaluation.contenders]
    price = words.price_text(evaluation.price)
    lines = [
        words("evaluate.cost", tokens=f"{evaluation.tokens:,}", price=price),
        words("evaluate.asked", count=evaluation.questions, models=len(evaluation.contenders)),
        " · ".join(names),
    ]
    must = sum(question.is_must_answer for question in plan.questions)
    if must:
        lines.append(words("evaluate.must", count=must))
    if plan.gaps:
        lines.append(words("evaluate.gaps", count=len(plan.gaps)))
    if plan.learned:
        lines.append(words("evaluate.learned", count=plan.learned))
    if len(plan.questions) - must < MIN_QUESTIONS:
        lines.append(words("evaluation.too_few", least=MIN_QUESTIONS))
    return Card(
        title=title,
        lines=tuple(lines),
        buttons=(
            confirm,
            Button(words("button.cancel"), f"evaluation.decline:{evaluation.id}"),
        ),
    )
