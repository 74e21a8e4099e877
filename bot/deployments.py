"""Which model answers: use, roll back, and the models there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bot.domain import Deployment, Model, ModelKind, ModelName, Role
from bot.errors import NotFound, NotNow
from bot.events import ButtonClicked
from bot.ports.store import Records, Store
from bot.replies import Button, Card, Fact, Listing, ListingRow, Refused, Reply, Text, Tone
from bot.request import Request
from bot.words import Words

LATEST = "latest"
HANDLE_LENGTH = 80
"""So much of a name's end fits into a button and is a model's alone."""
_ROLLED_BACK = "model.rolled_back"


async def use(ask: Request, name: str, *, store: Store) -> Reply:
    """A tuned model, a checkpoint, the base, or `latest`."""
    async with store.writing() as records:
        model = await _called(ask, await _wanted(ask, name, records), records)
        current = await records.deployments.current(ask.id, ask.assistant.id)
        if current is not None and (current.model, current.called) == (model.name, model.called):
            return Text(ask.words("use.already", model=model.name))
        await records.deployments.add(
            ask.id,
            ask.assistant.id,
            model=model.name,
            host=model.host,
            by=ask.by,
            at=ask.now,
            after=current.model if current else None,
            called=model.called,
        )
        await records.audit.add(ask.id, ask.by, "model.used", at=ask.now, model=model.name)
    key = "use.tainted" if model.is_tainted else "use.done"
    return Text(ask.words(key, model=model.name, assistant=ask.assistant.name))


async def rollback(ask: Request, *, store: Store) -> Reply:
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
        if not _is_as_shown(ask, current):
            return _refuse_outdated(ask, current)
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
            called=model.called,
        )
        await records.audit.add(
            ask.id, ask.by, _ROLLED_BACK, at=ask.now, model=name, event=ask.event.key
        )
    return Text(ask.words("rollback.done", model=model.name, before=current.model))


def rollback_button(model: ModelName, words: Words) -> Button:
    """Back from this model; another that answers meanwhile is not rolled back by it."""
    return Button(words("button.rollback"), f"model.rollback:{model[-HANDLE_LENGTH:]}")


def _is_as_shown(ask: Request, current: Deployment) -> bool:
    if not isinstance(ask.event.what, ButtonClicked):
        return True
    return bool(ask.argument) and current.model.endswith(ask.argument)


def _refuse_outdated(ask: Request, current: Deployment) -> Refused:
    text = ask.words("rollback.changed", model=current.model, name=current.by)
    buttons = (rollback_button(current.model, ask.words),)
    return Refused(text, Card(text, buttons=buttons, private=True))


async def _is_done(ask: Request, records: Records) -> bool:
    entries = await records.audit.page(ask.id, what=_ROLLED_BACK)
    return any(entry.details.get("event") == ask.event.key for entry in entries)


async def models(ask: Request, *, store: Store) -> Reply:
    """The base and all that was made from it, newest first."""
    async with store.reading() as records:
        found = await records.models.all(ask.id, ask.assistant.id)
        current = await records.deployments.current(ask.id, ask.assistant.id)
    answering = current.model if current else ask.assistant.base
    listed = [*found, _base(ask)]
    lines = tuple(_line(ask, model, answering) for model in listed)
    return Listing(ask.words("models.title", count=len(lines)), lines)


async def history(ask: Request, *, store: Store) -> Reply:
    """Which model answered when, by whose word, after which."""
    async with store.reading() as records:
        found = await records.deployments.history(ask.id, ask.assistant.id)
    # Where a rollback came back from is no place to go back to, so `after` does not know it.
    before = [*(one.model for one in found[1:]), ask.assistant.base]
    lines = tuple(
        ListingRow(
            f"{one.since:%Y-%m-%d %H:%M}",
            one.model,
            ask.words("model.after", by=one.by, after=left),
        )
        for one, left in zip(found, before, strict=False)
    )
    return Listing(ask.words("model.history"), lines, empty=ask.words("model.no_history"))


def _line(ask: Request, model: Model, answering: ModelName) -> ListingRow:
    words = ask.words
    notes = [words(f"model.{model.kind}")]
    if model.name == answering:
        notes.append(words("model.answering"))
    if model.job is not None:
        notes.append(words("model.job", job=model.job))
    if model.parent and model.kind is not ModelKind.BASE:
        notes.append(words("model.parent", parent=model.parent))
    if model.called:
        notes.append(words("model.called", name=model.called))
    if model.expires_on:
        notes.append(words("model.ends", date=model.expires_on))
    if model.is_tainted:
        notes.append(words("model.tainted"))
    buttons = _buttons(ask, model) if model.name != answering else ()
    return ListingRow(
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


def _buttons(ask: Request, model: Model) -> tuple[Button, ...]:
    words, handle = ask.words, model.name[-HANDLE_LENGTH:]
    use = Button(words("button.use"), f"model.use:{handle}")
    if model.kind is not ModelKind.TUNED or ask.role < Role.ADMIN:
        return (use,)
    return use, Button(words("button.delete"), f"model.delete:{handle}", is_danger=True)


async def _wanted(ask: Request, name: str, records: Records) -> Model:
    found = await records.models.all(ask.id, ask.assistant.id)
    if name == LATEST:
        return _latest(ask, found)
    if name in (ask.assistant.base, "base"):
        return _base(ask)
    matches = [model for model in found if _matches(model, name)]
    if len(matches) != 1 and name not in [model.name for model in matches]:
        raise NotFound(noun="model", name=name)
    return next((model for model in matches if model.name == name), matches[0])


async def _called(ask: Request, model: Model, records: Records) -> Model:
    """`as:NAME` is what the host calls it, where somebody has deployed it there by hand."""
    called = ask.text("as")
    if called is None or model.kind is ModelKind.BASE:
        return model
    await records.models.call(ask.id, model.name, ModelName(called))
    return replace(model, called=ModelName(called))


def _matches(model: Model, name: str) -> bool:
    """Its whole name, the end of it, or the number of its job."""
    is_job = model.kind is ModelKind.TUNED and name == str(model.job)
    is_handle = len(name) == HANDLE_LENGTH and model.name.endswith(name)
    return model.name == name or model.name.endswith(f":{name}") or is_job or is_handle


def _latest(ask: Request, found: Sequence[Model]) -> Model:
    tuned = [model for model in found if model.kind is ModelKind.TUNED]
    if not tuned:
        raise NotNow(problem=ask.words("use.none_yet"))
    return tuned[0]


def _base(ask: Request) -> Model:
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
