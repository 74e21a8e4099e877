"""Language models on this machine: installs them and lets an assistant use them."""

from __future__ import annotations

from dataclasses import replace

from bot.commands import Handlers
from bot.domain import HostName, ModelName, Role
from bot.errors import EngineError, NotFound
from bot.number_formats import format_bytes
from bot.ports.dependencies import Dependencies
from bot.ports.engine_installation import InstallProgress, LanguageEngine
from bot.replies import Button, Card, Fact, Progress, Reply, Text, Tone
from bot.request import Request
from bot.words import Words

handlers = Handlers()

LOCAL_HOST = HostName("local")
_MEGABYTE = 1024 * 1024


@handlers.button("engine", Role.OPERATOR, is_for_pages=True)
async def show_engine_state(request: Request, deps: Dependencies) -> Reply:
    """Shows the installed models, or the progress or failure of an installation."""
    engine, words = _engine(deps), request.words
    if progress := engine.install_progress():
        return _progress_card(progress, words)
    if failure := engine.last_install_error():
        return Card(
            words("engine.failed"),
            lines=(words.error_text(failure),),
            buttons=(Button(words("engine.again"), "engine.install", is_primary=True),),
            tone=Tone.BAD,
        )
    models = engine.installed_models()
    if not models:
        button = Button(words("engine.install"), "engine.install", is_primary=True)
        return Card(words("engine.none"), lines=(words("engine.why"),), buttons=(button,))
    facts = [
        Fact(model.name, f"{format_bytes(model.bytes)}, {model.license}, {model.source}")
        for model in models
    ]
    moves = tuple(
        Button(words("engine.use", model=model.name), f"engine.use:{model.name}")
        for model in models
        if (request.assistant.base, request.assistant.chat_host) != (model.name, LOCAL_HOST)
    )
    return Card(words("engine.there"), facts=tuple(facts), buttons=moves, tone=Tone.GOOD)


@handlers.button("engine.install", Role.OPERATOR, is_for_pages=True)
async def show_install_plan(request: Request, deps: Dependencies) -> Reply:
    """Shows the sizes and the licence of a model before it is downloaded."""
    words, plan = request.words, await _engine(deps).plan_install()
    build = words("engine.gpu" if plan.has_gpu else "engine.cpu")
    return Card(
        words("engine.sure", model=plan.model),
        lines=(words("engine.sure.note"),),
        facts=(
            Fact(words("engine.model"), plan.model),
            Fact(words("engine.license"), plan.license),
            Fact(words("engine.source"), plan.source),
            Fact(words("engine.build"), build),
            Fact(words("engine.download"), format_bytes(plan.download_bytes)),
            Fact(words("engine.disk"), format_bytes(plan.disk_bytes)),
        ),
        buttons=(Button(words("engine.confirm"), "engine.confirm", is_primary=True),),
        private=True,
    )


@handlers.button("engine.confirm", Role.OPERATOR, is_for_pages=True)
async def install_model(request: Request, deps: Dependencies) -> Reply:
    """Starts an installation, which runs in the service even if the page is closed.

    After a restart of the service it must be started again and goes on where it was.
    """
    _engine(deps).start_install()
    async with deps.store.writing() as records:
        await request.audit(records, "engine.installed")
    return Text(request.words("engine.started"), private=True)


@handlers.button("engine.cancel", Role.OPERATOR, is_for_pages=True)
async def cancel_installation(request: Request, deps: Dependencies) -> Reply:
    await _engine(deps).cancel_install()
    return Text(request.words("engine.cancelled"), private=True)


@handlers.button("engine.use", Role.OPERATOR, is_for_pages=True)
async def use_local_model(request: Request, deps: Dependencies) -> Reply:
    """Sets the assistant's base model and both of its hosts to a local model."""
    name = ModelName(request.argument)
    if name not in deps.hosts.get_paid(LOCAL_HOST, request.workspace).bases:
        raise NotFound(noun="model", name=name)
    assistant = request.assistant
    async with deps.store.writing() as records:
        changed = replace(assistant, base=name, chat_host=LOCAL_HOST, training_host=LOCAL_HOST)
        await records.assistants.update(request.workspace_id, changed)
        current = await records.deployments.current(request.workspace_id, assistant.id)
        if current is not None:
            await records.deployments.add(
                request.workspace_id,
                assistant.id,
                model=name,
                host=LOCAL_HOST,
                by=request.user_id,
                at=request.now,
                previous_model=current.model,
            )
        await request.audit(records, "assistant.edited", name=assistant.name)
    deps.publish_change("hosts")
    return Text(request.words("engine.used", model=name, assistant=assistant.name), is_for_all=True)


def _progress_card(progress: InstallProgress, words: Words) -> Card:
    return Card(
        words("engine.running"),
        lines=(
            words(f"engine.step.{progress.step}"),
            words(
                "engine.so_far",
                done=format_bytes(progress.bytes),
                expected=format_bytes(progress.expected_bytes),
            ),
        ),
        buttons=(Button(words("engine.cancel"), "engine.cancel"),),
        progress=Progress(
            progress.bytes // _MEGABYTE, max(1, progress.expected_bytes // _MEGABYTE)
        ),
        tone=Tone.BUSY,
    )


def _engine(deps: Dependencies) -> LanguageEngine:
    if deps.engine is None:
        raise EngineError(problem="This program cannot install one.", log="–")
    return deps.engine
