"""The pages that are written from the catalogue, the command line and the settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic.fields import FieldInfo
from typer.main import get_group

from adapters.console.command_hints import USAGE_BY_COMMAND
from attune.__main__ import app
from attune.settings import Settings
from bot.command_catalogue import CATALOGUE
from bot.commands import Command, Option
from bot.domain import Role
from bot.words import Words
from tests.written_hosts import hosts_page
from tests.written_modules import modules_page
from tests.written_training_states import training_states_page
from tuner.__main__ import API_KEY_VARIABLE

ROOT = Path(__file__).parent.parent
WORDS = Words("en")

WRITTEN = "<!-- Written by `python -m tests.docs --write`; a change by hand is lost. -->"
GROUPS: Mapping[str, tuple[str, ...]] = {
    "Where things are kept, and what is logged": (
        "ATTUNE_DATA_DIR",
        "DATABASE_URL",
        "ATTUNE_LOG_LEVEL",
        "ATTUNE_ERASE_AFTER_DAYS",
        "ATTUNE_KEEP_DAYS_EVENTS",
        "ATTUNE_KEEP_DAYS_ANSWERS",
        "ATTUNE_KEEP_DAYS_AUDIT",
    ),
    "Model hosts": (
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "ATTUNE_BASE_MODEL",
        "ATTUNE_HOSTS",
        "ATTUNE_TORCH_INDEX",
        "ATTUNE_START_PATIENCE_HOURS",
        "ATTUNE_JOB_PATIENCE_HOURS",
    ),
    "People": ("ATTUNE_ADMINS",),
    "The web address of `attune run`": (
        "ATTUNE_STUDIO_HOST",
        "ATTUNE_STUDIO_PORT",
        "ATTUNE_STUDIO_PASSWORD",
        "ATTUNE_TRUSTED_PROXIES",
    ),
    "Studio": ("ATTUNE_PUBLIC_URL", "ATTUNE_SECRET_KEY"),
    "Slack": (
        "SLACK_BOT_TOKEN",
        "SLACK_APP_TOKEN",
        "SLACK_SIGNING_SECRET",
        "SLACK_MODE",
        "SLACK_API_URL",
    ),
    "Discord": (
        "DISCORD_TOKEN",
        "ATTUNE_DISCORD_SERVERS",
        "DISCORD_API_URL",
        "DISCORD_GATEWAY_URL",
        "DISCORD_GUILD",
    ),
}
SURFACES = {"Studio": "adapters/studio", "Slack": "adapters/slack", "Discord": "adapters/discord"}
COMING = "Read and checked, but not used before that surface is there; it comes next."
REACTION_MEANINGS = {
    "🎓": "propose the answer as an example; taking it off withdraws the proposal",
    "✅": "approve it",
    "👍": "the bot's answer was good; taking it off takes the vote back",
    "👎": "it was not; the bot asks why",
    "❌": "stop the answer that is being written",
}

ROOM_MEANINGS = {
    "tune": "a command of the bot",
    "reply": "answer a message; an answer of the bot's needs no mention then",
    "click": "press a button by its label",
    "react": "put an emoji on a message, or take it `off`",
    "edit": "correct a message of your own",
    "delete": "delete one",
    "fill": "fill a field of the open form",
    "submit": "send the form",
    "dismiss": "close it unsent",
    "wait": "hold until no training runs and everything has been said; for scripts",
    "as": "speak as somebody else, a plain member; `/as you` makes you the admin again",
    "quit": "leave; so does Ctrl-D",
}


@dataclass(frozen=True, slots=True)
class Flag:
    """One option of a command in the shell, or its argument."""

    names: tuple[str, ...]
    meaning: str
    default: str


def written() -> Mapping[Path, str]:
    """What the written pages have to say."""
    return {
        ROOT / "docs/look-up/commands.md": "\n".join(commands_page()) + "\n",
        ROOT / "docs/look-up/settings.md": "\n".join(settings_page()) + "\n",
        ROOT / "docs/look-up/hosts.md": "\n".join(
            ["# Hosts and profiles", "", WRITTEN, "", *hosts_page()]
        )
        + "\n",
        ROOT / "docs/look-up/modules.md": "\n".join(
            ["# Where things are in the code", "", WRITTEN, "", *modules_page()]
        )
        + "\n",
        ROOT / "docs/understand/training-states.md": "\n".join(
            ["# The states of a training", "", WRITTEN, "", *training_states_page()]
        )
        + "\n",
        ROOT / ".env.example": "\n".join(env_example()) + "\n",
    }


def shell_commands() -> Mapping[str, tuple[str, tuple[Flag, ...]]]:
    """Each command's sentence, and its flags."""
    commands = get_group(app).commands
    return {
        name: (command.help or "", tuple(_flag(param) for param in command.params))
        for name, command in commands.items()
    }


def commands_page() -> Iterator[str]:
    yield from ("# Commands", "", WRITTEN, "")
    yield from ("## In chat", "")
    yield "One group, `/tune`, with the same words everywhere. Options are written `name:value`,"
    yield 'with quotes where there are blanks: `instructions:"You are kind."` An option marked ¹'
    yield "may also stand without its name; then it comes last."
    yield from ("", "| command | what it does | needs |", "| --- | --- | --- |")
    for command in CATALOGUE.commands:
        link = f"[`/tune {command.path}`](#tune-{command.path.replace(' ', '-')})"
        label = link if command.options else f"`/tune {command.path}`"
        yield f"| {label} | {WORDS(command.summary_key)} | {_role(command.role)} |"
    for command in CATALOGUE.commands:
        yield from _options_section(command)
    yield from ("", "## Reactions", "", "| emoji | what it does | needs |", "| --- | --- | --- |")
    for deed in CATALOGUE.reactions:
        yield f"| {deed.name} | {REACTION_MEANINGS[deed.name]} | {_role(deed.role)} |"
    yield from _room_section()
    yield from _shell_section()


def settings_page() -> Iterator[str]:
    yield from ("# Settings", "", WRITTEN, "")
    yield "Read once, at the start, from the environment and from a file `.env` in the current"
    yield "folder; the environment wins. A wrong value ends the start with the name of the variable"
    yield "and what to do. Unset means the default. `.env.example` has all of them, to be copied."
    for title, names in GROUPS.items():
        yield from ("", f"## {title}", "")
        if _is_coming(title):
            yield from (COMING, "")
        yield from ("| variable | meaning | default |", "| --- | --- | --- |")
        for name in names:
            field = settings()[name]
            default = f"`{_plain(field)}`" if _plain(field) else "–"
            yield f"| `{name}` | {field.description}{_choices(field)} | {default} |"
    yield from ("", "## The tuner by itself", "")
    key = API_KEY_VARIABLE
    yield f"`attune tuner` reads `{key}` where no `--api-key` is given, so that the key"
    yield "does not stand in the list of processes."


def env_example() -> Iterator[str]:
    yield "# Every setting with its default. Copy to .env; take the # away where you change one."
    yield "# docs/look-up/settings.md says the same. Written by python -m tests.docs --write."
    for title, names in GROUPS.items():
        yield from ("", f"## {title.replace('`', '')}")
        if _is_coming(title):
            yield f"# {COMING}"
        for name in names:
            field = settings()[name]
            yield f"# {(field.description or '').replace('`', '')}{_choices(field)}"
            yield f"#{name}={_plain(field)}"


def settings() -> Mapping[str, FieldInfo]:
    """Each variable's field, by the name in the environment."""
    return {field.alias or name: field for name, field in Settings.model_fields.items()}


def _options_section(command: Command) -> Iterator[str]:
    if not command.options:
        return
    yield from ("", f"### /tune {command.path}", "")
    yield from ("| option | meaning | values |", "| --- | --- | --- |")
    for option in command.options:
        mark = "¹" if option.takes_rest else ""
        needed = " (needed)" if option.required else ""
        meaning = WORDS(f"option.{option.name}") + needed
        yield f"| `{option.name}:`{mark} | {meaning} | {_values(option)} |"


def _room_section() -> Iterator[str]:
    yield from ("", "## In the terminal room", "")
    yield "What the room adds to `/tune`, because a terminal has no mouse. N is a message's number;"
    yield "LAST is the newest one that fits, and `/click` may leave it out."
    yield from ("", "| write | what it does |", "| --- | --- |")
    for word, usage in USAGE_BY_COMMAND.items():
        yield f"| `{usage}` | {ROOM_MEANINGS[word]} |"


def _shell_section() -> Iterator[str]:
    yield from ("", "## In the shell", "", "| command | what it does |", "| --- | --- |")
    for name, (sentence, _) in shell_commands().items():
        yield f"| `attune {name}` | {sentence} |"
    for name, (_, flags) in shell_commands().items():
        if flags:
            yield from ("", f"### attune {name}", "")
            yield from ("| option | meaning | default |", "| --- | --- | --- |")
            for flag in flags:
                names = ", ".join(f"`{name}`" for name in flag.names)
                yield f"| {names} | {flag.meaning} | {flag.default} |"


def _values(option: Option) -> str:
    if option.choices:
        return " · ".join(f"`{choice}`" for choice in option.choices)
    if option.minimum is not None and option.maximum is not None:
        return f"{option.minimum:,g} to {option.maximum:,.10g}"
    if option.minimum is not None:
        return f"from {option.minimum:g}"
    return str(option.kind).replace("_", " ")


def _role(role: Role) -> str:
    return WORDS(f"role.{role.name.lower()}")


def _flag(param: object) -> Flag:
    default = getattr(param, "default", None)
    is_needed = getattr(param, "required", False)
    shown = "needed" if is_needed else "–" if default is None else f"`{default}`"
    names = tuple(getattr(param, "opts", ()))
    return Flag(names, getattr(param, "help", None) or "–", shown)


def _plain(field: FieldInfo) -> str:
    return "" if field.default is None else str(field.default)


def _choices(field: FieldInfo) -> str:
    arguments = getattr(field.annotation, "__args__", ())
    names = [one for one in arguments if isinstance(one, str)]
    return f" One of: {', '.join(names)}." if names else ""


def _is_coming(title: str) -> bool:
    return title in SURFACES and not (ROOT / SURFACES[title]).is_dir()
