"""Which model answers: use, roll back, and the models there are."""

from __future__ import annotations

from collections.abc import Sequence

from bot.commands import Ask
from bot.errors import HostForgot, NotFound, NotNow
from bot.model import Model, ModelKind, ModelName, Role
from bot.ports.provider import Hosts
from bot.ports.store import Records, Store
from bot.replies import Button, Card, Fact, Line, Listing, Reply, Text, Tone

LATEST = "latest"
_ROLLED_BACK = "model.rolled_back"


async def use(ask: Ask, name: str, *, store: Store) -> Reply:
    """A tuned model, a checkpoint, the base, or `latest`."""
    async with store.writing() as records:
        model = await _wanted(ask, name, records)
        current = await records.deployments.current(ask.id, ask.assistant.id)
        if current is not None and current.model == model.name:
            return Text(ask.words("use.already", model=model.name))
        await records.deployments.add(
            ask.id,
            ask.assistant.id,
            model=model.name,
            host=model.host,
            by=ask.by,
            at=ask.now,
            after=current.model if current else None,
        )
        await records.audit.add(ask.id, ask.by, "model.used", at=ask.now, model=model.name)
    key = "use.tainted" if model.is_tainted else "use.done"
    return Text(ask.words(key, model=model.name, assistant=ask.assistant.name))


async def rollback(ask: Ask, *, store: Store) -> Reply:
    """Back to what answered before the model that answers now; again, one step further.

    The audit remembers for which event it was done: run again after a crash it does nothing.
    """
    async with store.writing() as records:
        history = await records.deployments.history(ask.id, ask.assistant.id)
        current = history[0] if history else None
        if current is None or (current.after is None and current.model == ask.assistant.base):
            raise NotNow(problem=ask.words("rollback.nothing"))
        if await _is_done(ask, records):
            return Text(ask.words("use.already", model=current.model))
        name = current.after or ask.assistant.base
        earlier = next((one for one in history[1:] if one.model == name), None)
        # What was deleted since cannot answer again; the base always can.
        known = await records.models.find(ask.id, name)
        model = await _wanted(ask, name if known else ask.assistant.base, records)
        await records.deployments.add(
            ask.id,
            ask.assistant.id,
            model=model.name,
            host=model.host,
            by=ask.by,
            at=ask.now,
            after=earlier.after if earlier else None,
        )
        await records.audit.add(
            ask.id, ask.by, _ROLLED_BACK, at=ask.now, model=name, event=ask.event.key
        )
    return Text(ask.words("rollback.done", model=model.name, before=current.model))


async def ask_delete(ask: Ask, *, store: Store) -> Reply:
    """What is deleted cannot be brought back, so one is asked again."""
    async with store.reading() as records:
        family = await _deletable(ask, records)
    words, name = ask.words, family[0].name
    return Card(
        words("delete.title", model=name),
        lines=(words("delete.note", count=len(family) - 1),),
        buttons=(
            Button(words("button.delete"), f"model.delete:{name}"[:100], is_danger=True),
            Button(words("button.keep"), "model.keep"),
        ),
    )


async def delete(ask: Ask, *, store: Store, hosts: Hosts) -> Reply:
    """Gone at its host, then from our list; done again after a crash it comes to the same."""
    async with store.reading() as records:
        family = await _deletable(ask, records)
    for model in family:
        try:
            await hosts.get(model.host).delete_model(model.name)
        except HostForgot:
            continue
    async with store.writing() as records:
        for model in family:
            await records.models.delete(ask.id, model.name)
        name = family[0].name
        await records.audit.add(ask.id, ask.by, "model.deleted", at=ask.now, model=name)
    return Card(ask.words("delete.done", model=name), replaces=True)


async def keep(ask: Ask) -> Reply:
    return Card(ask.words("delete.kept"), replaces=True)


async def _deletable(ask: Ask, records: Records) -> list[Model]:
    """A tuned model and its checkpoints. Raises NotNow while one of them answers."""
    model = await _wanted(ask, ask.argument, records)
    if model.kind is ModelKind.BASE:
        raise NotNow(problem=ask.words("delete.base"))
    found = await records.models.all(ask.id, ask.assistant.id)
    is_whole = model.kind is ModelKind.TUNED and model.job is not None
    heirs = [one for one in found if is_whole and one.job == model.job and one.name != model.name]
    current = await records.deployments.current(ask.id, ask.assistant.id)
    family = [model, *heirs]
    if current is not None and current.model in [one.name for one in family]:
        raise NotNow(problem=ask.words("delete.answers", model=current.model))
    return family


async def _is_done(ask: Ask, records: Records) -> bool:
    entries = await records.audit.page(ask.id, what=_ROLLED_BACK)
    return any(entry.details.get("event") == ask.event.key for entry in entries)


async def models(ask: Ask, *, store: Store) -> Reply:
    """The base and all that was made from it, newest first."""
    async with store.reading() as records:
        found = await records.models.all(ask.id, ask.assistant.id)
        current = await records.deployments.current(ask.id, ask.assistant.id)
    answering = current.model if current else ask.assistant.base
    listed = [*found, _base(ask)]
    lines = tuple(_line(ask, model, answering) for model in listed)
    return Listing(ask.words("models.title", count=len(lines)), lines)


async def history(ask: Ask, *, store: Store) -> Reply:
    """Which model answered when, by whose word, after which."""
    async with store.reading() as records:
        found = await records.deployments.history(ask.id, ask.assistant.id)
    lines = tuple(
        Line(
            f"{one.since:%Y-%m-%d %H:%M}",
            one.model,
            ask.words("model.after", by=one.by, after=one.after or ask.assistant.base),
        )
        for one in found
    )
    return Listing(ask.words("model.history"), lines, empty=ask.words("model.no_history"))


def _line(ask: Ask, model: Model, answering: ModelName) -> Line:
    words = ask.words
    notes = [words(f"model.{model.kind}")]
    if model.name == answering:
        notes.append(words("model.answering"))
    if model.job is not None:
        notes.append(words("model.job", job=model.job))
    if model.parent and model.kind is not ModelKind.BASE:
        notes.append(words("model.parent", parent=model.parent))
    if model.is_tainted:
        notes.append(words("model.tainted"))
    buttons: tuple[Button, ...] = ()
    if model.name != answering:
        buttons = (Button(words("button.use"), f"model.use:{model.name}"[:100]),)
        if model.kind is ModelKind.TUNED and ask.role >= Role.ADMIN:
            action = f"model.ask_delete:{model.name}"[:100]
            buttons += (Button(words("button.delete"), action, is_danger=True),)
    return Line(
        model.name.rpartition(":")[2],
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


async def _wanted(ask: Ask, name: str, records: Records) -> Model:
    found = await records.models.all(ask.id, ask.assistant.id)
    if name == LATEST:
        return _latest(ask, found)
    if name in (ask.assistant.base, "base"):
        return _base(ask)
    matches = [model for model in found if _matches(model, name)]
    if len(matches) != 1 and name not in [model.name for model in matches]:
        raise NotFound(noun="model", name=name)
    return next((model for model in matches if model.name == name), matches[0])


def _matches(model: Model, name: str) -> bool:
    """Its whole name, the end of it, or the number of its job."""
    is_job = model.kind is ModelKind.TUNED and name == str(model.job)
    return model.name == name or model.name.endswith(f":{name}") or is_job


def _latest(ask: Ask, found: Sequence[Model]) -> Model:
    tuned = [model for model in found if model.kind is ModelKind.TUNED]
    if not tuned:
        raise NotNow(problem=ask.words("use.none_yet"))
    return tuned[0]


def _base(ask: Ask) -> Model:
    return Model(
        workspace=ask.id,
        assistant=ask.assistant.id,
        name=ask.assistant.base,
        host=ask.assistant.chat_host,
        kind=ModelKind.BASE,
        parent=None,
        job=None,
        created_at=ask.now,
    )
