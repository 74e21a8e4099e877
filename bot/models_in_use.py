"""Deployments: puts a model in use, rolls back, and lists models and earlier deployments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bot.commands import Handlers
from bot.domain import (
    Canary,
    CanaryState,
    Deployment,
    Model,
    ModelKind,
    ModelName,
    Role,
    WorkspaceId,
)
from bot.errors import NotFound, NotNow
from bot.events import ButtonClicked
from bot.mentions_and_times import person_reference, time_reference
from bot.ports.dependencies import Dependencies
from bot.ports.model_hosts import Serving
from bot.ports.store import Records
from bot.replies import Button, Card, Fact, Listing, ListingRow, Refused, Reply, Text, Tone
from bot.request import Request
from bot.words import Words

handlers = Handlers()


LATEST_MODEL = "latest"
MODEL_NAME_ENDING_LENGTH = 80
"""Characters of the end of a model's name that identify the model in a button's action."""
_ROLLED_BACK = "model.rolled_back"


@handlers.button("model.use", Role.TRAINER)
async def deploy_model_of_button(request: Request, deps: Dependencies) -> Reply:
    """Puts the model of a button in use, unless the deployment changed since it was shown."""
    shown_deployment, _, name = request.argument.partition(":")
    return await _use(request, name, deps, instead_of=shown_deployment)


async def deploy_model(request: Request, deps: Dependencies) -> Reply:
    """Puts a tuned model, a checkpoint, the base or `latest` in use for all questions."""
    return await _use(request, request.text_option("model") or "", deps)


async def _use(
    request: Request, name: str, deps: Dependencies, *, instead_of: str | None = None
) -> Reply:
    """Puts a model in use; refuses if `instead_of`, the deployment a button shows, is outdated."""
    await _ensure_served(request, name, deps)
    async with deps.store.writing() as records:
        model = await store_name_at_host(
            request, await find_model_by_name(request, name, records), records
        )
        current = await records.deployments.current(request.workspace_id, request.assistant.id)
        if current is not None and (current.model, current.served_name) == (
            model.name,
            model.served_name,
        ):
            return Text(request.words("use.already", model=model.display_name))
        if instead_of is not None and instead_of != _deployment_id(current):
            answering = current.model if current else request.assistant.base
            name = await find_display_name(records, request.workspace_id, answering)
            return _refuse_use(request, model, current, name)
        await _deploy(model, request, records, after=current.model if current else None)
        await request.audit(records, "model.used", model=model.name)
    key = "use.tainted" if model.is_tainted else "use.done"
    return Text(
        request.words(key, model=model.display_name, assistant=request.assistant.name),
        is_for_all=True,
    )


async def _ensure_served(request: Request, name: str, deps: Dependencies) -> None:
    """Deploys the model at a host that serves models by an API call, if it is not deployed.

    Raises NotNow until the host has made the model ready.
    """
    async with deps.store.reading() as records:
        model = await find_model_by_name(request, name, records)
        job = (
            await records.jobs.get(request.workspace_id, model.job)
            if model.job is not None
            else None
        )
    if (
        model.kind is not ModelKind.TUNED
        or model.served_name
        or request.text_option("as")
        or job is None
    ):
        return
    host = deps.hosts.get_paid(model.host, request.workspace)
    if host.profile.serving is not Serving.DEPLOYED_BY_API:
        return
    deployment_name = f"attune-{job.idempotency_key}"
    served_name = await host.deploy(
        job.host_job or "", model.name, base=job.base, name=deployment_name
    )
    if served_name is None:
        price = request.words.price_text(host.price(job.base).hosting)
        raise NotNow(problem=request.words("use.serving", model=model.display_name, price=price))
    async with deps.store.writing() as records:
        await records.models.set_served_name(request.workspace_id, model.name, served_name)


@handlers.command("rollback", Role.TRAINER)
@handlers.button("model.rollback", Role.TRAINER)
async def rollback(request: Request, deps: Dependencies) -> Reply:
    """Puts the previous model in use; a second rollback goes one step further back.

    The audit entry holds the event's key, so that an event that is handled again after a crash
    does not roll back twice.
    """
    async with deps.store.writing() as records:
        history = await records.deployments.history(request.workspace_id, request.assistant.id)
        current = history[0] if history else None
        if current is None or (
            current.previous_model is None and current.model == request.assistant.base
        ):
            raise NotNow(problem=request.words("rollback.nothing"))
        answering = await find_display_name(records, request.workspace_id, current.model)
        if await is_event_audited(request, records, _ROLLED_BACK):
            return Text(request.words("use.already", model=answering))
        if not _is_current_in_button(request, current):
            return _refuse_outdated(request, current, answering)
        name = current.previous_model or request.assistant.base
        earlier = next((deployment for deployment in history[1:] if deployment.model == name), None)
        # The previous model may have been deleted since; the base always exists.
        exists = await records.models.find(request.workspace_id, name) is not None
        model = await find_model_by_name(
            request, name if exists else request.assistant.base, records
        )
        await _deploy(model, request, records, after=earlier.previous_model if earlier else None)
        await request.audit(records, _ROLLED_BACK, model=name, event=request.event.key)
    return Text(
        request.words("rollback.done", model=model.display_name, before=answering), is_for_all=True
    )


async def _deploy(
    model: Model, request: Request, records: Records, *, after: ModelName | None
) -> None:
    await records.deployments.add(
        request.workspace_id,
        request.assistant.id,
        model=model.name,
        host=model.host,
        by=request.user_id,
        at=request.now,
        previous_model=after,
        served_name=model.served_name,
    )


def rollback_button(model: ModelName, words: Words) -> Button:
    """Returns a button that rolls back from this model, but not from a later one."""
    return Button(words("button.rollback"), f"model.rollback:{model[-MODEL_NAME_ENDING_LENGTH:]}")


def deploy_button(
    model: ModelName,
    current: Deployment | None,
    words: Words,
    *,
    is_primary: bool = False,
    label: str = "button.use",
) -> Button:
    """Returns a button that puts a model in use, unless `current` is replaced before the click."""
    action = f"model.use:{_deployment_id(current)}:{model[-MODEL_NAME_ENDING_LENGTH:]}"
    return Button(words(label), action, is_primary=is_primary)


def _deployment_id(current: Deployment | None) -> str:
    return str(current.id) if current else "0"


def _refuse_use(
    request: Request, model: Model, current: Deployment | None, answering: str
) -> Refused:
    text = request.words("use.changed", model=answering, name=current.by if current else "–")
    buttons = (deploy_button(model.name, current, request.words),)
    return Refused(text, Card(text, buttons=buttons, private=True))


def _is_current_in_button(request: Request, current: Deployment) -> bool:
    if not isinstance(request.event.what, ButtonClicked):
        return True
    return bool(request.argument) and current.model.endswith(request.argument)


def _refuse_outdated(request: Request, current: Deployment, answering: str) -> Refused:
    text = request.words("rollback.changed", model=answering, name=current.by)
    buttons = (rollback_button(current.model, request.words),)
    return Refused(text, Card(text, buttons=buttons, private=True))


async def is_event_audited(request: Request, records: Records, what: str) -> bool:
    """Whether an earlier attempt at this event has written an audit entry of the kind `what`."""
    entries = await records.audit.page(request.workspace_id, what=what)
    return any(entry.details.get("event") == request.event.key for entry in entries)


async def list_models(request: Request, deps: Dependencies) -> Reply:
    """Lists the assistant's models, newest first, and the base."""
    async with deps.store.reading() as records:
        models = await records.models.all(request.workspace_id, request.assistant.id)
        current = await records.deployments.current(request.workspace_id, request.assistant.id)
        votes = await records.turns.votes_by_model(request.workspace_id, request.assistant.id)

    lines = tuple(
        _with_votes(_model_row(request, model, current, deps), votes.get(model.name), request.words)
        for model in (*models, _base(request))
    )
    return Listing(request.words("models.title", count=len(lines)), lines)


@handlers.button("model.history", Role.CURATOR, is_for_pages=True)
async def list_deployments(request: Request, deps: Dependencies) -> Reply:
    """Lists the deployments and canaries, newest first, with the person who started each."""
    async with deps.store.reading() as records:
        deployments = await records.deployments.history(request.workspace_id, request.assistant.id)
        models = await records.models.all(request.workspace_id, request.assistant.id)
        canaries = await records.canaries.history(request.workspace_id, request.assistant.id)
    labels = {model.name: model.display_name for model in models}
    # `previous_model` is the target of a rollback, which is not always the deployment before.
    before = [*(deployment.model for deployment in deployments[1:]), request.assistant.base]
    rows = []
    for deployment, replaced in zip(deployments, before, strict=False):
        by = person_reference(deployment.by)
        note = request.words("model.after", by=by, after=labels.get(replaced, replaced))
        rows.append((deployment.since, deployment.model, note))
    rows += [(c.started_at, c.model, _canary_line(c, request.words)) for c in canaries]
    newest = sorted(rows, key=lambda row: row[0], reverse=True)
    lines = tuple(
        ListingRow(time_reference(time), labels.get(model, model), note)
        for time, model, note in newest
    )
    return Listing(request.words("model.history"), lines, empty=request.words("model.no_history"))


def _canary_line(canary: Canary, words: Words) -> str:
    """Returns the share of a canary, who started it, and how it ended."""
    end = canary.why if canary.state is CanaryState.STOPPED else canary.state
    began = words(
        "canary.history", share=f"{canary.share:.0%}", by=person_reference(canary.started_by)
    )
    by = person_reference(canary.ended_by) if canary.ended_by else "–"
    return f"{began} · {words(f'canary.history.{end}', name=by)}"


def _with_votes(row: ListingRow, votes: tuple[int, int] | None, words: Words) -> ListingRow:
    """Returns the row of a model with the votes on its answers (good, bad), if there are any."""
    if votes is None:
        return row
    text = words("model.votes", liked=votes[0], disliked=votes[1])
    facts = (*row.facts, Fact(words("fact.votes"), text, "votes"))
    return replace(row, note=f"{row.note} · {text}", facts=facts)


def _model_row(
    request: Request, model: Model, current: Deployment | None, deps: Dependencies
) -> ListingRow:
    words = request.words
    answering = current.model if current else request.assistant.base
    notes = [model.note] if model.note else []
    notes.append(words(f"model.{model.kind}"))
    if model.name == answering:
        notes.append(words("model.answering"))
    if model.job is not None:
        notes.append(words("model.job", job=model.job))
    if model.parent and model.kind is not ModelKind.BASE:
        notes.append(words("model.parent", parent=model.parent))
    if model.served_name:
        notes.append(words("model.called", name=model.served_name))
    if model.expires_on:
        notes.append(words("model.ends", date=model.expires_on))
    if model.is_tainted:
        notes.append(words("model.tainted"))
    buttons = _buttons(request, model, current, is_answering=model.name == answering)
    if request.role >= Role.CURATOR and _has_files(model, deps):
        export = Button(
            words("button.take_away"), f"model.export:{model.name[-MODEL_NAME_ENDING_LENGTH:]}"
        )
        buttons = (*buttons[:1], export, *buttons[1:])
    return ListingRow(
        model.label or model.name.rpartition(":")[2],
        model.name,
        " · ".join(notes),
        buttons,
        facts=(
            Fact(words("fact.kind"), words(f"model.{model.kind}"), f"kind.{model.kind}"),
            Fact(words("fact.parent"), model.parent or "", "parent"),
            Fact(words("fact.job"), "" if model.job is None else str(model.job), "job"),
            Fact(words("fact.host"), model.host, "host"),
            Fact(words("fact.date"), f"{model.created_at:%Y-%m-%d %H:%M}", "date"),
            Fact(words("fact.expires"), model.expires_on or "", "expires"),
        ),
        tone=Tone.GOOD if model.name == answering else Tone.PLAIN,
    )


def _has_files(model: Model, deps: Dependencies) -> bool:
    """Whether the model's weights are on this machine, so that they can be exported."""
    is_base = model.kind is ModelKind.BASE
    return not is_base and deps.exporter is not None and deps.exporter.has_files_of(model.host)


def _buttons(
    request: Request, model: Model, current: Deployment | None, *, is_answering: bool
) -> tuple[Button, ...]:
    words, handle = request.words, model.name[-MODEL_NAME_ENDING_LENGTH:]
    use = () if is_answering else (deploy_button(model.name, current, words),)
    if model.kind is not ModelKind.TUNED or request.role < Role.TRAINER:
        return use
    name = Button(words("button.name"), f"model.name:{handle}")
    if is_answering or request.role < Role.ADMIN:
        return *use, name
    return *use, name, Button(words("button.delete"), f"model.delete:{handle}", is_danger=True)


async def find_model_by_name(request: Request, name: str, records: Records) -> Model:
    """Returns a model of the assistant by its name; see `matches_name`.

    The name may also be `latest` or `base`. Raises NotFound, also if several models match.
    """
    models = await records.models.all(request.workspace_id, request.assistant.id)
    if name == LATEST_MODEL:
        return _latest(request, models)
    if name in (request.assistant.base, "base"):
        return _base(request)
    matches = [model for model in models if matches_model_name(model, name)]
    if len(matches) != 1 and name not in [model.name for model in matches]:
        raise NotFound(noun="model", name=name)
    return next((model for model in matches if model.name == name), matches[0])


async def find_display_name(records: Records, workspace: WorkspaceId, name: ModelName) -> ModelName:
    """Returns the display name of a model, or its id if it has none."""
    model = await records.models.find(workspace, name)
    return ModelName(model.display_name) if model else name


async def store_name_at_host(request: Request, model: Model, records: Records) -> Model:
    """Stores the option `as` as the model's name at its host and returns the model with it.

    The option is needed for a model that somebody deployed at the host by hand.
    """
    served_name = request.text_option("as")
    if served_name is None or model.kind is ModelKind.BASE:
        return model
    await records.models.set_served_name(request.workspace_id, model.name, ModelName(served_name))
    return replace(model, served_name=ModelName(served_name))


def matches_model_name(model: Model, name: str) -> bool:
    """Whether `name` is the model's name, its end, its label or the number of its job."""
    is_job = model.kind is ModelKind.TUNED and name == str(model.job)
    is_handle = len(name) == MODEL_NAME_ENDING_LENGTH and model.name.endswith(name)
    is_name = name in (model.name, model.label) or model.name.endswith(f":{name}")
    return is_name or is_job or is_handle


def _latest(request: Request, models: Sequence[Model]) -> Model:
    """Returns the newest tuned model. Raises NotNow if there is none."""
    tuned = [model for model in models if model.kind is ModelKind.TUNED]
    if not tuned:
        raise NotNow(problem=request.words("use.none_yet"))
    return tuned[0]


def _base(request: Request) -> Model:
    return Model(
        workspace=request.workspace_id,
        assistant=request.assistant.id,
        name=request.assistant.base,
        host=request.assistant.chat_host,
        kind=ModelKind.BASE,
        parent=None,
        job=None,
        created_at=request.now,
    )
