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
from bot.model import ExampleState, JobWish, Origin, Role
from bot.rows import Method
from bot.tuning import cards, hosted, start

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
        lambda ask, world: runs.helped(ask, world, COMMANDS),
        (_text("topic", rest=True),),
        is_private=True,
        is_shareable=True,
    ),
    Command("teach", _M, lambda ask, world: runs.teach_form(ask)),
    Command("review", _C, runs.review, is_private=True),
    Command(
        "examples",
        _M,
        lambda ask, world: runs.find_examples(ask, world),
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
        lambda ask, world: runs.import_file(ask, world),
        (_text("starter"), Option("file", OptionKind.FILE, rest=True)),
    ),
    Command(
        "export",
        _C,
        lambda ask, world: datasets.export(ask, store=world.store),
        (_choice("format", "jsonl", "csv", rest=True), _METHOD),
    ),
    Command(
        "start",
        _T,
        lambda ask, world: start.start(ask, store=world.store, hosts=world.hosts),
        _START_OPTIONS,
    ),
    Command("status", _M, lambda ask, world: cards.status(ask, store=world.store), (_JOB,)),
    Command(
        "jobs",
        _M,
        lambda ask, world: cards.jobs(ask, store=world.store),
        is_private=True,
        is_shareable=True,
    ),
    Command("cancel", _T, lambda ask, world: runs.wish(ask, world, JobWish.CANCEL), (_JOB,)),
    Command("pause", _T, lambda ask, world: runs.wish(ask, world, JobWish.PAUSE), (_JOB,)),
    Command("resume", _T, lambda ask, world: runs.wish(ask, world, JobWish.RESUME), (_JOB,)),
    Command(
        "models",
        _M,
        lambda ask, world: runs.models(ask, world),
        (Option("lineage", OptionKind.MODEL, rest=True),),
        is_private=True,
        is_shareable=True,
    ),
    Command(
        "hosted",
        _T,
        lambda ask, world: hosted.listing(ask, store=world.store, hosts=world.hosts),
        is_private=True,
    ),
    Command(
        "use",
        _T,
        lambda ask, world: deployments.use(ask, ask.text("model") or "", store=world.store),
        (Option("model", OptionKind.MODEL, rest=True, required=True), _text("as")),
    ),
    Command("rollback", _T, lambda ask, world: deployments.rollback(ask, store=world.store)),
    Command(
        "compare",
        _M,
        lambda ask, world: comparison.compare(
            ask,
            ask.text("question") or "",
            store=world.store,
            hosts=world.hosts,
            clock=world.clock,
        ),
        (Option("question", rest=True, required=True, is_sentence=True), _yes_no("checkpoints")),
        costs_tokens=True,
    ),
    Command(
        "consent",
        _S,
        lambda ask, world: privacy.consent(ask, store=world.store),
        (_choice("switch", "on", "off", rest=True),),
    ),
    Command("my-data", _S, lambda ask, world: privacy.my_data(ask, store=world.store)),
    Command("forget-me", _S, lambda ask, world: privacy.ask_forget(ask)),
    Command(
        "assistant create",
        _A,
        lambda ask, world: assistants.create(ask, store=world.store, hosts=world.hosts),
        (_text("name", rest=True, required=True), *_ASSISTANT_OPTIONS),
    ),
    Command(
        "assistant show",
        _M,
        lambda ask, world: assistants.show(ask, store=world.store),
        (_NAMED,),
        is_private=True,
    ),
    Command(
        "assistant edit",
        _A,
        lambda ask, world: assistants.edit(ask, store=world.store, hosts=world.hosts),
        (_NAMED, *_ASSISTANT_OPTIONS),
    ),
    Command(
        "assistant bind",
        _A,
        lambda ask, world: assistants.bind(ask, store=world.store, surfaces=world.surfaces),
        (_NAMED, _yes_no("always")),
    ),
    Command("assistant unbind", _A, lambda ask, world: assistants.unbind(ask, store=world.store)),
    Command(
        "assistant list",
        _M,
        lambda ask, world: assistants.listing(ask, store=world.store),
        is_private=True,
        is_shareable=True,
    ),
    Command(
        "admin roles",
        _A,
        lambda ask, world: administration.roles(ask, store=world.store, surfaces=world.surfaces),
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
        lambda ask, world: administration.budget(ask, store=world.store),
        (_amount("person"), _amount("workspace"), _amount("training")),
        is_private=True,
        is_shareable=True,
    ),
    Command(
        "admin guests",
        _A,
        lambda ask, world: guests.guests(ask, store=world.store),
        (_choice("where", "here", "everywhere", "nowhere", rest=True),),
        is_private=True,
    ),
    Command("admin sources", _A, lambda ask, world: privacy.sources(ask, store=world.store)),
    Command(
        "admin audit",
        _A,
        lambda ask, world: administration.audit(ask, store=world.store),
        (_text("what", rest=True), Option("user", OptionKind.USER), _integer("limit", 1, 200)),
        is_private=True,
        is_shareable=True,
    ),
)
