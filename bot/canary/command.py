"""`/tune use`, which deploys a model or starts a canary, and the buttons that end a canary."""

from __future__ import annotations

from dataclasses import replace

from bot import models_in_use
from bot.canary import cards, notices
from bot.commands import Handlers, Option, OptionKind
from bot.domain import (
    Canary,
    CanaryEnd,
    CanaryId,
    CanaryState,
    Model,
    ModelName,
    Role,
)
from bot.errors import BadInput, NotFound, NotNow
from bot.models_in_use import is_event_audited
from bot.number_formats import parse_number_argument
from bot.outdated_clicks import outdated_refusal
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.replies import Card, Reply, Text
from bot.request import Request

handlers = Handlers()


@handlers.command(
    "use",
    Role.TRAINER,
    Option("model", OptionKind.MODEL, takes_rest=True, required=True),
    Option.number_or_word("share", suggestions=("5%", "10%", "25%", "50%")),
    Option.text("as"),
)
async def deploy_or_start_canary(request: Request, deps: Dependencies) -> Reply:
    """Deploys a tuned model, a checkpoint, the base or `latest`; starts a canary with `share:`."""
    share = _requested_share(request)
    if share is None:
        return await models_in_use.deploy_model(request, deps)
    async with deps.store.writing() as records:
        canary = await _start_or_change(request, share, records)
        name = await models_in_use.find_display_name(records, request.workspace_id, canary.model)
        await notices.queue_notice(
            records, canary, notices.STATUS_NOTICE, at=request.now, locale=request.words.language
        )
    deps.wake_runners()
    return Text(request.words("canary.begun", model=name, share=f"{share:.0%}"), is_for_all=True)


@handlers.button(cards.PROMOTE_BUTTON, Role.TRAINER)
async def promote_canary(request: Request, deps: Dependencies) -> Reply:
    """Ends the canary and deploys its model for all questions."""
    async with deps.store.writing() as records:
        canary, refusal = await _canary_of_button(request, records)
        if refusal is not None:
            return refusal
        name = await models_in_use.find_display_name(records, request.workspace_id, canary.model)
        promoting = Text(request.words("canary.promoting", model=name), private=True)
        if canary.state is not CanaryState.RUNNING:
            return promoting
        current = await records.deployments.current(request.workspace_id, canary.assistant)
        await records.deployments.add(
            request.workspace_id,
            canary.assistant,
            model=canary.model,
            host=canary.host,
            by=request.user_id,
            at=request.now,
            previous_model=current.model if current else None,
            served_name=canary.served_name,
        )
        await _end(request, canary, CanaryState.PROMOTED, records)
    return promoting


@handlers.button(cards.STOP_BUTTON, Role.TRAINER)
async def stop_canary(request: Request, deps: Dependencies) -> Reply:
    """Ends the canary, so that the model in use answers all questions again."""
    async with deps.store.writing() as records:
        canary, refusal = await _canary_of_button(request, records)
        if refusal is not None:
            return refusal
        if canary.state is CanaryState.RUNNING:
            await _end(request, canary, CanaryState.STOPPED, records)
        name = await models_in_use.find_display_name(records, request.workspace_id, canary.model)
    return Text(request.words("canary.stopping", model=name), private=True)


async def _start_or_change(request: Request, share: float, records: Records) -> Canary:
    """Starts a canary, or changes the share of the running one. Raises NotNow and NotFound."""
    words, name = request.words, request.text_option("model") or ""
    model = await models_in_use.find_model_by_name(request, name, records)
    model = await models_in_use.store_name_at_host(request, model, records)
    current = await records.deployments.current(request.workspace_id, request.assistant.id)
    in_use = current.model if current else request.assistant.base
    if model.name == in_use:
        raise NotNow(problem=words("use.already", model=model.label or model.name))
    running = await records.canaries.find_running(request.workspace_id, request.assistant.id)
    deployment = current.id if current else 0
    requested = model.name, model.served_name, deployment
    if (
        running is not None
        and (running.model, running.served_name, running.deployment) != requested
    ):
        other = await models_in_use.find_display_name(records, request.workspace_id, running.model)
        raise NotNow(problem=words("canary.another", model=other))
    if running is None:
        new = _new_canary(request, model, share, deployment=deployment, in_use=in_use)
        running = await records.canaries.add(request.workspace_id, new)
    await records.canaries.update_if_running(request.workspace_id, running.id, share=share)
    await request.audit(records, "canary.share", model=model.name, share=share)
    return replace(running, share=share)


def _new_canary(
    request: Request, model: Model, share: float, *, deployment: int, in_use: ModelName
) -> Canary:
    return Canary(
        id=CanaryId(0),
        workspace=request.workspace_id,
        assistant=request.assistant.id,
        place=request.place,
        idempotency_key=request.idempotency_key,
        started_by=request.user_id,
        state=CanaryState.RUNNING,
        model=model.name,
        host=model.host,
        served_name=model.served_name,
        share=share,
        deployment=deployment,
        in_use=in_use,
        started_at=request.now,
    )


async def _canary_of_button(request: Request, records: Records) -> tuple[Canary, Reply | None]:
    """Returns the canary of a button, and a refusal if the button shows an outdated state.

    Returns no refusal if this event ended the canary already, before a crash.
    """
    name, _, shown = request.argument.partition(".")
    number = CanaryId(parse_number_argument(name, "canary"))
    canary = await records.canaries.get(request.workspace_id, number)
    is_here = canary.place.channel == request.place.channel or request.role is Role.OPERATOR
    if not is_here and canary.started_by != request.user_id:
        raise NotFound(noun="canary", name=name)
    if await is_event_audited(request, records, "canary."):
        return canary, None
    is_as_shown = shown == await cards.canary_state_token(canary, records)
    if canary.state is CanaryState.RUNNING and is_as_shown:
        return canary, None
    card: Card = await cards.status_card(canary, records, request.words)
    return canary, outdated_refusal(request, replace(card, private=True))


async def _end(request: Request, canary: Canary, state: CanaryState, records: Records) -> None:
    await records.canaries.update_if_running(
        request.workspace_id,
        canary.id,
        state=state,
        why=CanaryEnd.BY_HAND,
        ended_by=request.user_id,
        ended_at=request.now,
    )
    await request.audit(records, f"canary.{state}", model=canary.model, event=request.event.key)
    for kind in (notices.STATUS_NOTICE, notices.ENDED_NOTICE):
        await notices.queue_notice(records, canary, kind, at=request.now)
    if canary.is_liked:
        await notices.queue_notice(records, canary, notices.LIKED_NOTICE, at=request.now)


def _requested_share(request: Request) -> float | None:
    """Returns the requested share, from 0.01 to 0.99, or None for all questions.

    `20%`, `20` and `0.2` are equal. Raises BadInput.
    """
    number = request.number_option("share", may_be_percent=True)
    if number is None or number == 100:
        return None
    share = number / 100 if number >= 1 or _is_percent(request) else number
    if not 0.01 <= share <= 0.99:
        raise BadInput(problem=request.words("canary.share"))
    return share


def _is_percent(request: Request) -> bool:
    return (request.text_option("share") or "").endswith(("%", "％"))
