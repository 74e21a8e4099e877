"""The words after `/tune`, once, as a table."""

from __future__ import annotations

from bot import (
    administration,
    assistants,
    comparison,
    datasets,
    deployments,
    guests,
    privacy,
)
from bot.catalogue import runs
from bot.commands import Command, Option, OptionKind
from bot.domain import ExampleState, Origin, RequestedAction, Role
from bot.rows import Method
from bot.tuning import cards, host_resources, start

_S, _M, _C, _T, _A = Role.STRANGER, Role.MEMBER, Role.CURATOR, Role.TRAINER, Role.ADMIN


def _text(name: str, *, rest: bool = False, required: bool = False) -> Option:
    return Option(name, rest=rest, required=required)


def _choice(name: str, *choices: str, rest: bool = False, required: bool = False) -> Option:
    return Option(name, OptionKind.CHOICE, choices=choices, rest=rest, required=required)


def _yes_no(name: str) -> Option:
    return Option(name, OptionKind.YES_NO, choices=("yes", "no"))


def _number(name: str, least: float, most: float) -> Option:
    return Option(name, OptionKind.NUMBER, least=least, most=most)


def _integer(name: str, least: int, most: int) -> Option:
    return Option(name, OptionKind.INTEGER, least=least, most=most)


def _amount(name: str) -> Option:
    return Option(name, OptionKind.AMOUNT)


_METHOD = _choice("method", *(method.value for method in Method))
_JOB = Option("job", OptionKind.JOB, rest=True)

_ASSISTANT_OPTIONS = (
    _text("instructions"),
    Option("temperature", OptionKind.NUMBER, least=0, most=2),
    Option("max_tokens", OptionKind.INTEGER, least=1, most=100_000),
    Option("top_p", OptionKind.NUMBER, least=0, most=1),
    Option("presence_penalty", OptionKind.NUMBER, least=-2, most=2),
    Option("frequency_penalty", OptionKind.NUMBER, least=-2, most=2),
    _text("stop"),
    _choice("language", "en", "zh", "auto"),
    Option("chat_host", OptionKind.HOST),
    Option("training_host", OptionKind.HOST),
    _text("base"),
    _yes_no("history"),
    _integer("few_shot", 0, 32),
)

_START_OPTIONS = (
    Option("base", OptionKind.MODEL),
    Option("host", OptionKind.HOST),
    _METHOD,
    _integer("epochs", 1, 50),
    _integer("batch_size", 1, 256),
    _number("learning_rate", 0.0001, 100),
    _number("beta", 0.0001, 2),
    _amount("validation"),
    _text("suffix"),
    _integer("seed", 0, 2**31 - 1),
    _yes_no("use"),
)

_NAMED = Option("name", OptionKind.ASSISTANT, rest=True)

COMMANDS: tuple[Command, ...] = (
    Command(
        "help",
        _S,
        lambda ask, deps: runs.helped(ask, deps, COMMANDS),
        (_text("topic", rest=True),),
        is_private=True,
        is_shareable=True,
    ),
    Command("teach", _M, lambda ask, deps: runs.teach_form(ask)),
    Command("review", _C, runs.review, is_private=True),
    Command(
        "examples",
        _M,
        lambda ask, deps: runs.find_examples(ask, deps),
        (
            _text("search", rest=True),
            _choice("state", *(state.value for state in ExampleState)),
            _text("author"),
            _text("tag"),
            _choice("origin", *(origin.value for origin in Origin)),
            _METHOD,
            _integer("limit", 1, 200),
            Option("after", OptionKind.INTEGER, least=0),
            Option("edit", OptionKind.EXAMPLE),
            Option("withdraw", OptionKind.EXAMPLE),
        ),
        is_private=True,
        is_shareable=True,
    ),
    Command(
        "import",
        _C,
        lambda ask, deps: runs.import_file(ask, deps),
        (_text("starter"), Option("file", OptionKind.FILE, rest=True)),
    ),
    Command(
        "export",
        _C,
        lambda ask, deps: datasets.export(ask, store=deps.store),
        (_choice("format", "jsonl", "csv", rest=True), _METHOD),
    ),
    Command(
        "start",
        _T,
        lambda ask, deps: start.start(ask, store=deps.store, hosts=deps.hosts),
        _START_OPTIONS,
    ),
    Command("status", _M, lambda ask, deps: cards.status(ask, store=deps.store), (_JOB,)),
    Command(
        "jobs",
        _M,
        lambda ask, deps: cards.jobs(ask, store=deps.store),
        is_private=True,
        is_shareable=True,
    ),
    Command(
        "cancel",
        _T,
        lambda ask, deps: runs.requested_action(ask, deps, RequestedAction.CANCEL),
        (_JOB,),
    ),
    Command(
        "pause",
        _T,
        lambda ask, deps: runs.requested_action(ask, deps, RequestedAction.PAUSE),
        (_JOB,),
    ),
    Command(
        "resume",
        _T,
        lambda ask, deps: runs.requested_action(ask, deps, RequestedAction.RESUME),
        (_JOB,),
    ),
    Command(
        "models",
        _M,
        lambda ask, deps: runs.models(ask, deps),
        (Option("lineage", OptionKind.MODEL, rest=True),),
        is_private=True,
        is_shareable=True,
    ),
    Command(
        "hosted",
        _T,
        lambda ask, deps: host_resources.listing(ask, store=deps.store, hosts=deps.hosts),
        is_private=True,
    ),
    Command(
        "use",
        _T,
        lambda ask, deps: deployments.use(ask, ask.text("model") or "", store=deps.store),
        (Option("model", OptionKind.MODEL, rest=True, required=True), _text("as")),
    ),
    Command("rollback", _T, lambda ask, deps: deployments.rollback(ask, store=deps.store)),
    Command(
        "compare",
        _M,
        lambda ask, deps: comparison.compare(ask, ask.text("question") or "", deps),
        (Option("question", rest=True, required=True, is_sentence=True), _yes_no("checkpoints")),
        costs_tokens=True,
    ),
    Command(
        "consent",
        _S,
        lambda ask, deps: privacy.consent(ask, store=deps.store),
        (_choice("switch", "on", "off", rest=True),),
    ),
    Command("my-data", _S, lambda ask, deps: privacy.my_data(ask, store=deps.store)),
    Command("forget-me", _S, lambda ask, deps: privacy.ask_forget(ask)),
    Command(
        "assistant create",
        _A,
        lambda ask, deps: assistants.create(ask, store=deps.store, hosts=deps.hosts),
        (_text("name", rest=True, required=True), *_ASSISTANT_OPTIONS),
    ),
    Command(
        "assistant show",
        _M,
        lambda ask, deps: assistants.show(ask, store=deps.store),
        (_NAMED,),
        is_private=True,
    ),
    Command(
        "assistant edit",
        _A,
        lambda ask, deps: assistants.edit(ask, store=deps.store, hosts=deps.hosts),
        (_NAMED, *_ASSISTANT_OPTIONS),
    ),
    Command(
        "assistant bind",
        _A,
        lambda ask, deps: assistants.bind(ask, store=deps.store, surfaces=deps.surfaces),
        (_NAMED, _yes_no("always")),
    ),
    Command("assistant unbind", _A, lambda ask, deps: assistants.unbind(ask, store=deps.store)),
    Command(
        "assistant list",
        _M,
        lambda ask, deps: assistants.listing(ask, store=deps.store),
        is_private=True,
        is_shareable=True,
    ),
    Command(
        "admin roles",
        _A,
        lambda ask, deps: administration.roles(ask, store=deps.store, surfaces=deps.surfaces),
        (
            Option("user", OptionKind.USER, rest=True),
            _choice("role", "none", "member", "curator", "trainer", "admin"),
            _yes_no("external"),
        ),
        is_private=True,
        is_shareable=True,
    ),
    Command(
        "admin budget",
        _A,
        lambda ask, deps: administration.budget(ask, store=deps.store),
        (_amount("person"), _amount("workspace"), _amount("training")),
        is_private=True,
        is_shareable=True,
    ),
    Command(
        "admin guests",
        _A,
        lambda ask, deps: guests.guests(ask, store=deps.store),
        (_choice("where", "here", "everywhere", "nowhere", rest=True),),
        is_private=True,
    ),
    Command("admin sources", _A, lambda ask, deps: privacy.sources(ask, store=deps.store)),
    Command(
        "admin audit",
        _A,
        lambda ask, deps: administration.audit(ask, store=deps.store),
        (_text("what", rest=True), Option("user", OptionKind.USER), _integer("limit", 1, 200)),
        is_private=True,
        is_shareable=True,
    ),
)
