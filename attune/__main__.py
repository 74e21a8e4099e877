"""The command line: parses options, calls the service, prints results."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import sys
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Never, TypeVar

import typer

from attune.data_folder import PRIVATE_UMASK, private_folder
from attune.engine.commands import app as engine_commands
from attune.import_speed import pause_garbage_collection
from attune.settings import Settings, read_settings
from bot.errors import AttuneError
from bot.ports.model_export import ModelFormat
from bot.rows import Method

if TYPE_CHECKING:
    from bot.words import Words
    from tuner.server import ServerSettings as TunerSettings

Result = TypeVar("Result")


class Format(StrEnum):
    """Format of an export."""

    JSONL = "jsonl"
    CSV = "csv"
    DATASET = "dataset"


class EngineName(StrEnum):
    """Training engine of a tuner."""

    SANDBOX = "sandbox"
    LOCAL = "local"


def _workspace(value: str) -> str:
    if value != "local" and not re.fullmatch(r"(slack|discord):[A-Za-z0-9]+", value):
        raise typer.BadParameter("Write local, slack:T… or discord:…")
    return value


Workspace = Annotated[str, typer.Option(help="PLATFORM:ID, or local", callback=_workspace)]
Assistant = Annotated[str | None, typer.Option(help="Its name; the default one if left out")]


app = typer.Typer(
    name="attune",
    help="Teach your team's own assistant from Slack, Discord or here.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


DataFolder = Annotated[Path | None, typer.Option(help="The folder to keep all state in")]
ApiKeys = Annotated[
    list[str] | None, typer.Option(help="May be given again", envvar="ATTUNE_TUNER_KEY")
]
Bases = Annotated[
    list[str] | None,
    typer.Option(
        help="For `local`: a model to train and serve, as PATH, HUB_ID or NAME=one of these;"
        " may be given again"
    ),
]
Launch = Annotated[
    str | None,
    typer.Option(help="For `local`: what starts a training, with {python} and {job} filled in"),
]
Queue = Annotated[int, typer.Option(help="For `local`: so many answers may be under way or wait")]


@app.command()
def chat() -> None:
    """Chat in the terminal; with a script on stdin, run its lines one after the other."""
    from attune.chat_command import run_chat

    settings = _settings()
    raise typer.Exit(_run(run_chat(settings)))


@app.command()
def run() -> None:
    """Start the service: the studio, and Slack and Discord where they are configured."""
    from attune.run_command import run_service

    _run(run_service(_settings()))


def is_terminal() -> bool:
    """Whether a person can answer a question."""
    return sys.stdin.isatty()


class _Preview:
    """Shows what an import would learn, and asks a person in a terminal."""

    def __init__(self, words: Words, *, is_confirmed: bool) -> None:
        self._words = words
        self._is_confirmed = is_confirmed
        self.is_shown = False

    def confirm(self, lines: Sequence[str], is_sure: bool) -> bool:
        if is_sure and (self._is_confirmed or not is_terminal()):
            return True
        self.is_shown = True
        for line in lines:
            typer.echo(line)
        return self._is_confirmed or (
            is_terminal() and typer.confirm(self._words("import.confirm"))
        )


@app.command(name="import")
def import_(
    file: Path,
    workspace: Workspace = "local",
    assistant: Assistant = None,
    columns: Annotated[str, typer.Option(help="question=HEADING,answer=HEADING")] = "",
    encoding: Annotated[str, typer.Option(help="Of the text, where it is not found")] = "",
    yes: Annotated[bool, typer.Option(help="Ask nothing, also where columns were guessed")] = False,
) -> None:
    """Import a file: CSV, XLSX, ODS, JSON, JSON Lines or a chat export; lists refused rows."""
    with pause_garbage_collection():
        from attune.operator_commands import import_file
        from bot.domain import WorkspaceId
        from bot.import_command import SHOWN_ON_PAGE, parse_columns_option, refused_row_lines
        from bot.imports import ImportOptions
        from bot.words import Words

    words = Words(_locale())

    preview = _Preview(words, is_confirmed=yes or bool(columns))
    lines, tally = _run(
        import_file(
            _settings(),
            file,
            workspace=WorkspaceId(workspace),
            assistant=assistant,
            words=words,
            options=ImportOptions(parse_columns_option(columns, words), encoding),
            confirm=preview.confirm,
        )
    )
    for name in ("new", "known", "refused"):
        typer.echo(f"{words('import.' + name)}: {getattr(tally, name)}")
    for line in (
        *(() if preview.is_shown else lines),
        *refused_row_lines(tally, words, shown=SHOWN_ON_PAGE),
    ):
        typer.echo(line)
    if not tally.new and not tally.known:
        raise typer.Exit(1)


@app.command()
def export(
    out: Annotated[Path | None, typer.Option(help="A file instead of the screen")] = None,
    workspace: Workspace = "local",
    assistant: Assistant = None,
    format: Annotated[Format, typer.Option()] = Format.JSONL,  # noqa: A002
    method: Annotated[Method, typer.Option()] = Method.SUPERVISED,
) -> None:
    """Export the approved examples in the format in which they are trained."""
    from attune.operator_commands import export_file
    from bot.domain import WorkspaceId
    from bot.words import Words

    async def write() -> None:
        chunks = export_file(
            _settings(),
            workspace=WorkspaceId(workspace),
            assistant=assistant,
            options={"format": format, "method": method},
            words=Words(_locale()),
        )
        blocks = [block async for block in chunks]
        if out is None:
            sys.stdout.buffer.write(b"".join(blocks))
        else:
            await asyncio.to_thread(out.write_bytes, b"".join(blocks))

    _run(write())


@app.command()
def export_model(
    model: Annotated[str, typer.Argument(metavar="MODEL")],
    out: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is not there yet")],
    form: Annotated[
        ModelFormat | None,
        typer.Option(help="As it is kept unless said otherwise; merged and GGUF need torch"),
    ] = None,
    base: Annotated[
        Path | None, typer.Option(help="The folder of its base, unless `attune engine` has it")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="The folder of a tuner that runs by itself")
    ] = None,
) -> None:
    """Export a tuned model as files that other programs load, with a model card."""
    from attune.model_export import export_model as write

    _run(write(_settings(), model, out.resolve(), form=form, data=data, base=base))
    typer.echo(f"{model} is in {out}. Its README.md says how to load it.")


tuner = typer.Typer(
    help="Run a server that speaks the OpenAI API and really trains.", invoke_without_command=True
)
app.add_typer(tuner, name="tuner")
app.add_typer(engine_commands, name="engine")


_ALIAS_HELP = "Another name for a model, as NAME=MODEL; may be given again"
_CORS_HELP = "Pages from there may ask by a browser; * for all; may be given again"


@tuner.callback()
def serve_tuner(
    context: typer.Context,
    data: DataFolder = None,
    api_key: ApiKeys = None,
    host: Annotated[str, typer.Option(help="Where it listens")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one")] = 8100,
    min_examples: Annotated[int, typer.Option(help="Refuse files with fewer rows")] = 10,
    max_rows: Annotated[int, typer.Option(help="Refuse files with more lines")] = 500_000,
    engine: Annotated[EngineName, typer.Option(help="What trains")] = EngineName.SANDBOX,
    base: Bases = None,
    launch: Launch = None,
    queue: Queue = 64,
    alias: Annotated[list[str] | None, typer.Option(help=_ALIAS_HELP)] = None,
    cors_origin: Annotated[list[str] | None, typer.Option(help=_CORS_HELP)] = None,
) -> None:
    """Run a server that speaks the OpenAI API and really trains."""
    if context.invoked_subcommand:
        return
    from tuner.job_runner import DEFAULT_LAUNCH_COMMAND
    from tuner.server import ServerSettings as TunerSettings

    if data is None:
        raise typer.BadParameter("Say where all state shall be kept.", param_hint="--data")
    if (engine is EngineName.LOCAL) is not bool(base):
        raise typer.BadParameter("--engine local and --base belong together.", param_hint="--base")
    settings = TunerSettings(
        host=host,
        port=port,
        data=data.resolve(),
        api_keys=tuple(api_key or ()),
        min_examples=min_examples,
        max_rows=max_rows,
        bases=tuple(base or ()),
        launch=launch or DEFAULT_LAUNCH_COMMAND,
        max_queued_answers=queue,
        aliases=tuple(alias or ()),
        cors_origins=tuple(cors_origin or ()),
    )
    _serve(settings)


def _serve(settings: TunerSettings) -> None:
    from tuner.errors import CannotStart
    from tuner.server import serve

    try:
        _run(serve(settings, on_ready=lambda url: typer.echo(f"The tuner answers on {url}/v1")))
    except CannotStart as error:
        _fail(str(error))


@tuner.command()
def make_tiny_base(place: Annotated[Path, typer.Argument(metavar="DIR")]) -> None:
    """Make a tiny model that learns its examples, without a download, in about a minute."""
    from tuner.errors import CannotStart
    from tuner.server import make_tiny_base as make

    try:
        make(
            place.resolve(), tell=lambda step, steps, loss: typer.echo(f"{step}/{steps} {loss:.2f}")
        )
    except CannotStart as error:
        _fail(str(error))
    typer.echo(f"Serve it: attune tuner --data DIR --engine local --base {place}")


@app.command()
def doctor() -> None:
    """Check the installation, and say how to get what is missing."""
    from attune.doctor import check_installation

    async def report() -> bool:
        is_well = True
        async for finding in check_installation(_settings()):
            is_well = is_well and finding.is_well
            mark = "✓" if finding.is_well else "✗"
            typer.echo(f"{mark} {finding.what}" + (f": {finding.remedy}" if finding.remedy else ""))
        return is_well

    raise typer.Exit(0 if _run(report()) else 1)


slack = typer.Typer(help="Connect Slack.", no_args_is_help=True)
app.add_typer(slack, name="slack")


@slack.command()
def manifest() -> None:
    """Print the app manifest to paste at api.slack.com/apps."""
    import json

    from adapters.slack.manifest import manifest as drawn
    from bot.command_catalogue import CATALOGUE
    from bot.errors import SettingsError

    settings = _settings()
    is_http = settings.slack_mode == "http"
    if is_http and not settings.public_url:
        _fail(
            SettingsError(
                variable="ATTUNE_PUBLIC_URL",
                problem="HTTP mode needs the address that Slack can reach",
                remedy="Write it like https://attune.example.org.",
            ).sentence
        )
    described = drawn(CATALOGUE, public_url=settings.public_url, is_http=is_http)
    typer.echo(json.dumps(described, indent=2))


discord = typer.Typer(help="Connect Discord.", no_args_is_help=True)
app.add_typer(discord, name="discord")


@discord.command()
def invite() -> None:
    """Print the link that adds the bot to a server, with the permissions that it needs."""
    from adapters.discord.doctor_checks import application_id
    from adapters.discord.invite_link import invite_link
    from attune.bootstrap import discord_access
    from bot.errors import SettingsError

    access = discord_access(_settings())
    if access is None:
        _fail(
            SettingsError(
                variable="DISCORD_TOKEN",
                problem="it is not set",
                remedy="Copy it from your application at discord.com/developers, page Bot.",
            ).sentence
        )
    typer.echo(invite_link(_run(application_id(access))))


@app.command()
def studio() -> None:
    """Print the studio's address on this machine, with its token if there is no password."""
    from attune.studio_access import studio_address

    settings = _settings()
    with _exit_on_error():
        typer.echo(studio_address(settings))


@app.command()
def health() -> None:
    """Check whether a service answers on this machine, for health checks."""
    from attune.run_command import is_healthy

    raise typer.Exit(0 if is_healthy(_settings()) else 1)


@app.command()
def migrate() -> None:
    """Migrate the database to this version."""
    from storage.migrations.migrate import migrate as bring

    settings = _settings()
    with _exit_on_error():
        private_folder(settings.data_dir)
    _run(bring(settings.database))
    typer.echo("The database is up to date.")


def main() -> None:
    """Runs the `attune` command."""
    os.umask(PRIVATE_UMASK)
    app()


def _settings() -> Settings:
    from attune.logs import configure_logging

    try:
        settings = read_settings()
    except AttuneError as error:
        _fail(error.sentence)
    configure_logging(settings.log_level)
    return settings


def _run(work: Coroutine[object, object, Result]) -> Result:
    try:
        return asyncio.run(work)
    except AttuneError as error:
        _fail(error.sentence)
    except BaseExceptionGroup as group:
        refused, rest = group.split(AttuneError)
        if refused is None or rest is not None:
            raise
        _fail(str(_first(refused)))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    finally:
        # Without this the last garbage collection before the exit takes half a second.
        gc.freeze()


@contextmanager
def _exit_on_error() -> Iterator[None]:
    """Ends the command with the sentence of an AttuneError that is raised in the block."""
    try:
        yield
    except AttuneError as error:
        _fail(error.sentence)


def _first(group: BaseExceptionGroup[AttuneError]) -> BaseException:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def _fail(sentence: str) -> Never:
    typer.echo(sentence, err=True)
    raise typer.Exit(2)


def _locale() -> str:
    return os.environ.get("LC_ALL") or os.environ.get("LANG") or "en"


if __name__ == "__main__":
    main()
