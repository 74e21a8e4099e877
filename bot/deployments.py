"""Which model answers: use, roll back, and the models there are."""

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
from bot.ports.dependencies import Dependencies
from bot.ports.provider import Serving
from bot.ports.store import Records
from bot.references import person_reference, time_reference
from bot.replies import Button, Card, Fact, Listing, ListingRow, Refused, Reply, Text, Tone
from bot.request import Request
from bot.words import Words

handlers = Handlers()


LATEST = "latest"
HANDLE_LENGTH = 80
"""So much of a name's end fits into a button and is a model's alone."""
_ROLLED_BACK = "model.rolled_back"


@handlers.button("model.use", Role.TRAINER)
async def use_model_of_button(request: Request, deps: Dependencies) -> Reply:
    """The model of a button, unless another answers since the button was shown."""
    shown, _, name = request.argument.partition(":")
    return await _use(request, name, deps, instead_of=shown)


async def use_model(request: Request, deps: Dependencies) -> Reply:
    """A tuned model, a checkpoint, the base, or `latest`, for all questions."""
    return await _use(request, request.text_option("model") or "", deps)


async def _use(
    request: Request, name: str, deps: Dependencies, *, instead_of: str | None = None
) -> Reply:
    """In place of the deployment that a button shows, if any."""
    await _serve_again(request, name, deps)
    async with deps.store.writing() as records:
        model = await with_host_name(
            request, await find_model_by_name(request, name, records), records
        )
        current = await records.deployments.current(request.workspace_id, request.assistant.id)
        if current is not None and (current.model, current.served_name) == (
            model.name,
            model.served_name,
        ):
            return Text(request.words("use.already", model=model.display_name))
        if instead_of is not None and instead_of != _stamp(current):
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


async def _serve_again(request: Request, name: str, deps: Dependencies) -> None:
    """Deploys a model that was stopped. Raises NotNow while its host makes it ready."""
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
    host = deps.hosts.paid(model.host, request.workspace)
    if host.profile.serving is not Serving.BY_CALL:
        return
    served = f"attune-{job.idempotency_key}"
    called = await host.serve(job.host_job or "", model.name, base=job.base, name=served)
    if called is None:
        price = request.words.price(host.price(job.base).hosting)
        raise NotNow(problem=request.words("use.serving", model=model.display_name, price=price))
    async with deps.store.writing() as records:
        await records.models.set_served_name(request.workspace_id, model.name, called)


@handlers.command("rollback", Role.TRAINER)
@handlers.button("model.rollback", Role.TRAINER)
async def rollback(request: Request, deps: Dependencies) -> Reply:
    """Back to what answered before the model that answers now; again, one step further.

    The audit remembers for which event it was done: run again after a crash it does nothing.
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
        if not _is_as_shown(request, current):
            return _refuse_outdated(request, current, answering)
        name = current.previous_model or request.assistant.base
        earlier = next((one for one in history[1:] if one.model == name), None)
        # What was deleted since cannot answer again; the base always can.
        known = await records.models.find(request.workspace_id, name)
        model = await find_model_by_name(
            request, name if known else request.assistant.base, records
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
        after=after,
        served_name=model.served_name,
    )


def rollback_button(model: ModelName, words: Words) -> Button:
    """Back from this model; another that answers meanwhile is not rolled back by it."""
    return Button(words("button.rollback"), f"model.rollback:{model[-HANDLE_LENGTH:]}")


def use_button(
    model: ModelName,
    current: Deployment | None,
    words: Words,
    *,
    is_primary: bool = False,
    label: str = "button.use",
) -> Button:
    """Puts a model in place of what answers now; refused once another does."""
    action = f"model.use:{_stamp(current)}:{model[-HANDLE_LENGTH:]}"
    return Button(words(label), action, is_primary=is_primary)


def _stamp(current: Deployment | None) -> str:
    return str(current.id) if current else "0"


def _refuse_use(
    request: Request, model: Model, current: Deployment | None, answering: str
) -> Refused:
    text = request.words("use.changed", model=answering, name=current.by if current else "–")
    buttons = (use_button(model.name, current, request.words),)
    return Refused(text, Card(text, buttons=buttons, private=True))


def _is_as_shown(request: Request, current: Deployment) -> bool:
    if not isinstance(request.event.what, ButtonClicked):
        return True
    return bool(request.argument) and current.model.endswith(request.argument)


def _refuse_outdated(request: Request, current: Deployment, answering: str) -> Refused:
    text = request.words("rollback.changed", model=answering, name=current.by)
    buttons = (rollback_button(current.model, request.words),)
    return Refused(text, Card(text, buttons=buttons, private=True))


async def is_event_audited(request: Request, records: Records, what: str) -> bool:
    """Whether an earlier attempt at this event has left an audit entry of the kind."""
    entries = await records.audit.page(request.workspace_id, what=what)
    return any(entry.details.get("event") == request.event.key for entry in entries)


async def list_models(request: Request, deps: Dependencies) -> Reply:
    """The base and all that was made from it, newest first."""
    async with deps.store.reading() as records:
        found = await records.models.all(request.workspace_id, request.assistant.id)
        current = await records.deployments.current(request.workspace_id, request.assistant.id)
        votes = await records.turns.votes_by_model(request.workspace_id, request.assistant.id)
    listed = [*found, _base(request)]
    lines = tuple(
        _with_votes(_line(request, model, current, deps), votes.get(model.name), request.words)
        for model in listed
    )
    return Listing(request.words("models.title", count=len(lines)), lines)


@handlers.button("model.history", Role.CURATOR, is_for_pages=True)
async def history(request: Request, deps: Dependencies) -> Reply:
    """Which model answered when, by whose word, after which."""
    async with deps.store.reading() as records:
        found = await records.deployments.history(request.workspace_id, request.assistant.id)
        models = await records.models.all(request.workspace_id, request.assistant.id)
        canaries = await records.canaries.history(request.workspace_id, request.assistant.id)
    labels = {model.name: model.display_name for model in models}
    # A rollback does not go back to what it came from: `previous_model` skips that.
    before = [*(one.model for one in found[1:]), request.assistant.base]
    rows = [
        (
            one.since,
            one.model,
            request.words("model.after", by=person_reference(one.by), after=labels.get(left, left)),
        )
        for one, left in zip(found, before, strict=False)
    ]
    rows += [(one.started_at, one.model, _canary_line(one, request.words)) for one in canaries]
    newest = sorted(rows, key=lambda row: row[0], reverse=True)
    lines = tuple(
        ListingRow(time_reference(at), labels.get(model, model), note) for at, model, note in newest
    )
    return Listing(request.words("model.history"), lines, empty=request.words("model.no_history"))


def _canary_line(canary: Canary, words: Words) -> str:
    """Who let it answer which share, and what became of that."""
    end = canary.why if canary.state is CanaryState.STOPPED else canary.state
    began = words(
        "canary.history", share=f"{canary.share:.0%}", by=person_reference(canary.started_by)
    )
    by = person_reference(canary.ended_by) if canary.ended_by else "–"
    return f"{began} · {words(f'canary.history.{end}', name=by)}"


def _with_votes(row: ListingRow, votes: tuple[int, int] | None, words: Words) -> ListingRow:
    """What people thought of its answers, where they said so."""
    if votes is None:
        return row
    said = words("model.votes", liked=votes[0], disliked=votes[1])
    facts = (*row.facts, Fact(words("fact.votes"), said, "votes"))
    return replace(row, note=f"{row.note} · {said}", facts=facts)


def _line(
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
        taken = Button(words("button.take_away"), f"model.export:{model.name[-HANDLE_LENGTH:]}")
        buttons = (*buttons[:1], taken, *buttons[1:])
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
    """Whether it was trained on this machine, so that its weights can be taken away."""
    is_base = model.kind is ModelKind.BASE
    return not is_base and deps.exporter is not None and deps.exporter.has_files_of(model.host)


def _buttons(
    request: Request, model: Model, current: Deployment | None, *, is_answering: bool
) -> tuple[Button, ...]:
    words, handle = request.words, model.name[-HANDLE_LENGTH:]
    use = () if is_answering else (use_button(model.name, current, words),)
    if model.kind is not ModelKind.TUNED or request.role < Role.TRAINER:
        return use
    name = Button(words("button.name"), f"model.name:{handle}")
    if is_answering or request.role < Role.ADMIN:
        return *use, name
    return *use, name, Button(words("button.delete"), f"model.delete:{handle}", is_danger=True)


async def find_model_by_name(request: Request, name: str, records: Records) -> Model:
    """By `latest`, `base`, a name, the end of its id or the number of its job. Raises NotFound."""
    found = await records.models.all(request.workspace_id, request.assistant.id)
    if name == LATEST:
        return _latest(request, found)
    if name in (request.assistant.base, "base"):
        return _base(request)
    matches = [model for model in found if matches_name(model, name)]
    if len(matches) != 1 and name not in [model.name for model in matches]:
        raise NotFound(noun="model", name=name)
    return next((model for model in matches if model.name == name), matches[0])


async def find_display_name(records: Records, workspace: WorkspaceId, name: ModelName) -> ModelName:
    """The short name of a model, where it has one; else its id."""
    model = await records.models.find(workspace, name)
    return ModelName(model.display_name) if model else name


async def with_host_name(request: Request, model: Model, records: Records) -> Model:
    """`as:NAME` is what the host calls it, where somebody has deployed it there by hand."""
    called = request.text_option("as")
    if called is None or model.kind is ModelKind.BASE:
        return model
    await records.models.set_served_name(request.workspace_id, model.name, ModelName(called))
    return replace(model, served_name=ModelName(called))


def matches_name(model: Model, name: str) -> bool:
    """Its whole name, the end of it, what people call it, or the number of its job."""
    is_job = model.kind is ModelKind.TUNED and name == str(model.job)
    is_handle = len(name) == HANDLE_LENGTH and model.name.endswith(name)
    is_name = name in (model.name, model.label) or model.name.endswith(f":{name}")
    return is_name or is_job or is_handle


def _latest(request: Request, found: Sequence[Model]) -> Model:
    tuned = [model for model in found if model.kind is ModelKind.TUNED]
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
