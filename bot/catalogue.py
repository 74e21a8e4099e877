"""Every command, button, form, reaction and shortcut, once, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bot import (
    access,
    administration,
    assistants,
    chat,
    comparison,
    datasets,
    deployments,
    examples,
    feedback,
    home,
    overview,
    privacy,
)
from bot.commands import Ask, Catalogue, Command, Deed, Option, OptionKind, plain
from bot.errors import NotNow, UnknownCommand
from bot.events import Deleted, Edited, Spoken
from bot.model import ExampleState, JobWish, Origin, Role, Said, WorkspaceId
from bot.outbox import Wording
from bot.ports.surface import Surface
from bot.ports.world import World
from bot.replies import Line, Listing, Reply, Silence, Text
from bot.rows import Method
from bot.tuning import cards, control, facts, start, story
from bot.words import Words

_M, _C, _T, _A = Role.MEMBER, Role.CURATOR, Role.TRAINER, Role.ADMIN

_PROBLEMS_WITH_ROOM = 500


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
    _text("validation"),
    _text("suffix"),
    _integer("seed", 0, 2**31 - 1),
    _yes_no("use"),
)

_NAMED = Option("name", OptionKind.ASSISTANT, rest=True)

COMMANDS = (
    Command("help", _M, lambda ask, world: show_help(ask), (_text("topic", rest=True),)),
    Command("teach", _M, lambda ask, world: _teach_form(ask)),
    Command("review", _C, lambda ask, world: examples.review(ask, store=world.store)),
    Command(
        "examples",
        _M,
        lambda ask, world: _examples(ask, world),
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
    ),
    Command(
        "import",
        _C,
        lambda ask, world: _import(ask, world),
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
    Command("jobs", _M, lambda ask, world: cards.jobs(ask, store=world.store)),
    Command("cancel", _T, lambda ask, world: _wish(ask, world, JobWish.CANCEL), (_JOB,)),
    Command("pause", _T, lambda ask, world: _wish(ask, world, JobWish.PAUSE), (_JOB,)),
    Command("resume", _T, lambda ask, world: _wish(ask, world, JobWish.RESUME), (_JOB,)),
    Command("models", _M, lambda ask, world: deployments.models(ask, store=world.store)),
    Command(
        "use",
        _T,
        lambda ask, world: deployments.use(ask, ask.text("model") or "", store=world.store),
        (Option("model", OptionKind.MODEL, rest=True, required=True),),
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
        (_text("question", rest=True, required=True), _yes_no("checkpoints")),
        costs_tokens=True,
    ),
    Command(
        "consent",
        _M,
        lambda ask, world: privacy.consent(ask, store=world.store),
        (_choice("switch", "on", "off", rest=True),),
    ),
    Command("my-data", _M, lambda ask, world: privacy.my_data(ask, store=world.store)),
    Command("forget-me", _M, lambda ask, world: privacy.ask_forget(ask)),
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
        lambda ask, world: assistants.bind(ask, store=world.store),
        (_NAMED, _yes_no("always")),
    ),
    Command("assistant unbind", _A, lambda ask, world: assistants.unbind(ask, store=world.store)),
    Command("assistant list", _M, lambda ask, world: assistants.listing(ask, store=world.store)),
    Command(
        "admin roles",
        _A,
        lambda ask, world: administration.roles(ask, store=world.store),
        (
            Option("user", OptionKind.USER, rest=True),
            _choice("role", "member", "curator", "trainer", "admin"),
        ),
    ),
    Command(
        "admin budget",
        _A,
        lambda ask, world: administration.budget(ask, store=world.store),
        (_text("person"), _text("workspace")),
    ),
    Command("admin sources", _A, lambda ask, world: privacy.sources(ask, store=world.store)),
    Command(
        "admin audit",
        _A,
        lambda ask, world: administration.audit(ask, store=world.store),
        (_text("what", rest=True), Option("user", OptionKind.USER), _integer("limit", 1, 200)),
    ),
)

BUTTONS = (
    Deed("example.approve", _C, lambda ask, world: _judge(ask, world, ExampleState.APPROVED)),
    Deed("example.reject", _C, lambda ask, world: _judge(ask, world, ExampleState.REJECTED)),
    Deed("example.skip", _C, lambda ask, world: examples.skip(ask, store=world.store)),
    Deed("example.edit", _C, lambda ask, world: examples.edit_form(ask, store=world.store)),
    Deed("example.drop", _C, lambda ask, world: examples.withdraw(ask, store=world.store)),
    Deed("example.undo", _C, lambda ask, world: examples.undo(ask, store=world.store)),
    Deed("example.show", _M, lambda ask, world: examples.show(ask, store=world.store)),
    Deed("example.revisions", _M, lambda ask, world: examples.revisions(ask, store=world.store)),
    Deed("example.similar", _M, lambda ask, world: examples.similar(ask, store=world.store)),
    Deed("example.context", _C, lambda ask, world: _context(ask, world)),
    Deed("examples.more", _M, lambda ask, world: examples.listing(ask, store=world.store)),
    Deed("tour", _M, lambda ask, world: _tour(ask, world)),
    Deed("counts", _M, lambda ask, world: overview.counts(ask, store=world.store)),
    Deed("channel", _M, lambda ask, world: overview.channel(ask)),
    Deed("answers", _M, lambda ask, world: chat.about_answers(ask, store=world.store)),
    Deed("workspaces", _A, lambda ask, world: overview.workspaces(ask, store=world.store)),
    Deed("hosts", _M, lambda ask, world: administration.hosts(ask, hosts=world.hosts)),
    Deed("host.test", _A, lambda ask, world: administration.test_host(ask, hosts=world.hosts)),
    Deed("starter", _C, lambda ask, world: _starter(ask, world)),
    Deed(
        "job.start", _T, lambda ask, world: start.start(ask, store=world.store, hosts=world.hosts)
    ),
    Deed("job.confirm", _T, lambda ask, world: _confirm(ask, world)),
    Deed("job.decline", _T, lambda ask, world: start.decline(ask, store=world.store)),
    Deed("job.cancel", _T, lambda ask, world: _wish(ask, world, JobWish.CANCEL)),
    Deed("job.pause", _T, lambda ask, world: _wish(ask, world, JobWish.PAUSE)),
    Deed("job.resume", _T, lambda ask, world: _wish(ask, world, JobWish.RESUME)),
    Deed("job.show", _M, lambda ask, world: cards.status(ask, store=world.store)),
    Deed("job.events", _M, lambda ask, world: story.events(ask, store=world.store)),
    Deed("job.rows", _C, lambda ask, world: story.rows(ask, store=world.store)),
    Deed("job.numbers", _M, lambda ask, world: story.numbers(ask, store=world.store)),
    Deed(
        "job.again", _T, lambda ask, world: story.again(ask, store=world.store, hosts=world.hosts)
    ),
    Deed("jobs.more", _M, lambda ask, world: cards.jobs(ask, store=world.store)),
    Deed("model.use", _T, lambda ask, world: deployments.use(ask, ask.argument, store=world.store)),
    Deed("model.history", _M, lambda ask, world: deployments.history(ask, store=world.store)),
    Deed("model.rollback", _T, lambda ask, world: deployments.rollback(ask, store=world.store)),
    Deed("model.ask_delete", _A, lambda ask, world: deployments.ask_delete(ask, store=world.store)),
    Deed(
        "model.delete",
        _A,
        lambda ask, world: deployments.delete(ask, store=world.store, hosts=world.hosts),
    ),
    Deed("model.keep", _M, lambda ask, world: deployments.keep(ask)),
    Deed("feedback.why", _M, lambda ask, world: feedback.why_form(ask, store=world.store)),
    Deed(
        "feedback.good",
        _M,
        lambda ask, world: feedback.click(ask, feedback.GOOD, store=world.store),
    ),
    Deed(
        "feedback.bad",
        _M,
        lambda ask, world: feedback.click(ask, feedback.BAD, store=world.store),
    ),
    Deed("compare.who", _M, lambda ask, world: comparison.contenders(ask, store=world.store)),
    Deed("consents", _A, lambda ask, world: privacy.consents(ask, store=world.store)),
    Deed("bindings", _M, lambda ask, world: assistants.bindings(ask, store=world.store)),
    Deed(
        "consent.on",
        _M,
        lambda ask, world: privacy.switch_consent(ask, given=True, store=world.store),
    ),
    Deed(
        "consent.off",
        _M,
        lambda ask, world: privacy.switch_consent(ask, given=False, store=world.store),
    ),
    Deed("privacy.my_data", _M, lambda ask, world: privacy.my_data(ask, store=world.store)),
    Deed("privacy.ask_forget", _M, lambda ask, world: privacy.ask_forget(ask)),
    Deed("privacy.forget", _M, lambda ask, world: _forget(ask, world)),
    Deed("privacy.keep", _M, lambda ask, world: privacy.keep(ask)),
    Deed("welcome.try", _M, lambda ask, world: home.try_me(ask)),
    Deed(
        "welcome.approvers", _M, lambda ask, world: administration.approvers(ask, store=world.store)
    ),
    Deed("welcome.sources", _A, lambda ask, world: privacy.sources(ask, store=world.store)),
)

FORMS = (
    Deed("import", _C, lambda ask, world: _import_whole(ask, world)),
    Deed("import.file", _C, lambda ask, world: _import(ask, world)),
    Deed("examples", _C, lambda ask, world: examples.bulk(ask, ask.options, store=world.store)),
    Deed("teach", _M, lambda ask, world: _taught(ask, world)),
    Deed(
        "example.edit", _C, lambda ask, world: examples.edited(ask, ask.options, store=world.store)
    ),
    Deed(
        "audit.export", _A, lambda ask, world: administration.export_audit(ask, store=world.store)
    ),
    Deed("compare", _M, lambda ask, world: _side_by_side(ask, world)),
    Deed("prefer", _M, lambda ask, world: feedback.prefer(ask, ask.options, store=world.store)),
    Deed(
        "feedback",
        _M,
        lambda ask, world: feedback.submitted(ask, ask.options, store=world.store),
    ),
    Deed(
        "sources",
        _A,
        lambda ask, world: privacy.sources_submitted(ask, ask.options, store=world.store),
    ),
)

REACTIONS = (
    Deed(examples.PROPOSED, _M, lambda ask, world: _propose(ask, world)),
    Deed(examples.APPROVED, _C, lambda ask, world: _approve(ask, world)),
    Deed("👍", _M, lambda ask, world: feedback.vote(ask, feedback.GOOD, store=world.store)),
    Deed("👎", _M, lambda ask, world: feedback.vote(ask, feedback.BAD, store=world.store)),
    Deed("❌", _M, lambda ask, world: _stop(ask, world)),
)

UNREACTIONS = (
    Deed(
        examples.PROPOSED,
        _M,
        lambda ask, world: examples.unpropose(ask, _marked(ask), store=world.store),
    ),
    Deed("👍", _M, lambda ask, world: feedback.unvote(ask, feedback.GOOD, store=world.store)),
    Deed("👎", _M, lambda ask, world: feedback.unvote(ask, feedback.BAD, store=world.store)),
)

SHORTCUTS = (
    Deed("save", _M, lambda ask, world: _propose(ask, world)),
    Deed(
        "improve",
        _M,
        lambda ask, world: feedback.improve_form(ask, _marked(ask).id, store=world.store),
    ),
)

HAPPENINGS = (
    Deed("spoken", _M, lambda ask, world: _answer(ask, world)),
    Deed("edited", _M, lambda ask, world: _source_edited(ask, world)),
    Deed("deleted", _M, lambda ask, world: _source_deleted(ask, world)),
    Deed("joined", _M, lambda ask, world: home.welcome(ask)),
    Deed("left", _M, lambda ask, world: privacy.left(ask, store=world.store)),
    Deed("visited", _M, lambda ask, world: home.home(ask, store=world.store)),
)

FORM_OPENERS = frozenset(
    [
        "teach",
        "import",
        "improve",
        "feedback.why",
        "feedback.bad",
        "example.edit",
        "welcome.sources",
    ]
) | {"admin sources"}

CATALOGUE = Catalogue(
    commands=COMMANDS,
    buttons=BUTTONS,
    forms=FORMS,
    reactions=REACTIONS,
    unreactions=UNREACTIONS,
    shortcuts=SHORTCUTS,
    happenings=HAPPENINGS,
    form_openers=FORM_OPENERS,
)

WORDINGS: Mapping[str, Wording] = {
    facts.STATUS: cards.word_status,
    facts.ENDED: cards.word_ended,
    facts.REFUSED: cards.word_refused,
    chat.FELL_BACK: chat.word_fell_back,
    privacy.CONSENT_WANTED: privacy.word_consent_wanted,
}


async def show_help(ask: Ask) -> Reply:
    """The commands the asker may use, or one of them with its options."""
    words = ask.words
    topic = ask.text("topic")
    if topic:
        return _explained(topic, words)
    mine = [command for command in COMMANDS if command.role <= ask.role]
    lines = tuple(Line(f"/tune {c.path}", words(c.key)) for c in mine)
    return Listing(words("help.title"), lines, note=words("help.note"))


def _explained(topic: str, words: Words) -> Reply:
    """One command with its options; a group's name lists the group."""
    listed = [c for c in COMMANDS if c.path == topic or c.path.startswith(f"{topic} ")]
    if not listed:
        raise UnknownCommand(name=topic)
    if len(listed) > 1:
        lines = tuple(Line(f"/tune {c.path}", words(c.key)) for c in listed)
        return Listing(words("help.title"), lines)
    options = tuple(
        Line(f"{option.name}:", words(f"option.{option.name}"), _range(option))
        for option in listed[0].options
    )
    role = words(f"role.{listed[0].role.name.lower()}")
    note = words("help.role", role=role)
    title = f"/tune {listed[0].path}: {words(listed[0].key)}"
    return Listing(title, options, empty=words("help.no_options"), note=note)


def _range(option: Option) -> str:
    if option.choices:
        return " | ".join(option.choices)
    if option.least is not None and option.most is not None:
        return f"{plain(option.least)}…{plain(option.most)}"
    return ""


async def _teach_form(ask: Ask) -> Reply:
    return examples.teach_form(ask.words)


async def _taught(ask: Ask, world: World) -> Reply:
    values = ask.options
    return await examples.teach(
        ask, values.get("question", ""), values.get("answer", ""), store=world.store
    )


async def _examples(ask: Ask, world: World) -> Reply:
    """`edit:` and `withdraw:` need a curator, looking does not."""
    for name, deed in (("edit", "example.edit"), ("withdraw", "example.drop")):
        number = ask.text(name)
        if number:
            found, _ = CATALOGUE.button(deed)
            access.require(ask.role, found.role, ask.words)
            return await found.run(replace(ask, argument=number), world)
    return await examples.listing(ask, store=world.store)


async def _import(ask: Ask, world: World) -> Reply:
    starter = ask.text("starter")
    if starter:
        return await _starter(replace(ask, argument=starter), world)
    if ask.attachment is None and ask.workspace.platform != "local":
        return datasets.import_form(ask.words)
    return await datasets.import_file(ask, store=world.store, surface=_holding(ask, world))


async def _import_whole(ask: Ask, world: World) -> Reply:
    """With every refused row named, for a surface that has room for them."""
    return await datasets.import_file(
        ask, store=world.store, surface=_holding(ask, world), shown=_PROBLEMS_WITH_ROOM
    )


def _holding(ask: Ask, world: World) -> Surface:
    """Where the file lies: who runs the studio brings it into any workspace."""
    platform = ask.attachment.platform if ask.attachment else ""
    return world.surfaces.of(WorkspaceId(platform) if platform else ask.id)


async def _starter(ask: Ask, world: World) -> Reply:
    return await datasets.import_starter(
        ask, ask.argument, starters=world.starters, store=world.store
    )


async def _side_by_side(ask: Ask, world: World) -> Reply:
    return await comparison.side_by_side(
        ask, ask.options, store=world.store, hosts=world.hosts, clock=world.clock
    )


async def _tour(ask: Ask, world: World) -> Reply:
    return await overview.tour(ask, store=world.store, starters=world.starters)


async def _context(ask: Ask, world: World) -> Reply:
    surface = world.surfaces.of(ask.id)
    return await examples.context(ask, store=world.store, surface=surface)


async def _judge(ask: Ask, world: World, state: ExampleState) -> Reply:
    return await examples.judge(ask, state, store=world.store)


async def _confirm(ask: Ask, world: World) -> Reply:
    reply = await start.confirm(ask, store=world.store)
    world.wake()
    return reply


async def _wish(ask: Ask, world: World, wanted: JobWish) -> Reply:
    reply = await control.wish(ask, wanted, store=world.store)
    world.wake()
    return reply


async def _forget(ask: Ask, world: World) -> Reply:
    reply = await privacy.forget(ask, store=world.store)
    world.wake()
    return reply


def _marked(ask: Ask) -> Said:
    if ask.message is None:
        raise NotNow(problem=ask.words("message.gone"))
    return ask.message


async def _propose(ask: Ask, world: World) -> Reply:
    surface = world.surfaces.of(ask.id)
    return await examples.propose(ask, _marked(ask), store=world.store, surface=surface)


async def _approve(ask: Ask, world: World) -> Reply:
    surface = world.surfaces.of(ask.id)
    return await examples.approve_marked(ask, _marked(ask), store=world.store, surface=surface)


async def _stop(ask: Ask, world: World) -> Reply:
    message = ask.clicked
    if message is None:
        return Silence()
    return await chat.stop(ask, message, store=world.store, running=world.running)


async def _answer(ask: Ask, world: World) -> Reply:
    what = ask.event.what
    if not isinstance(what, Spoken):
        return Silence()
    if not what.message.text.strip():
        return Text(ask.words("chat.empty"))
    return await chat.answer(
        ask,
        what.message,
        store=world.store,
        hosts=world.hosts,
        surface=world.surfaces.of(ask.id),
        clock=world.clock,
        running=world.running,
    )


async def _source_edited(ask: Ask, world: World) -> Reply:
    what = ask.event.what
    if not isinstance(what, Edited):
        return Silence()
    surface = world.surfaces.of(ask.id)
    if await examples.source_edited(ask, what.message, store=world.store, surface=surface):
        return Silence()
    return await privacy.source_deleted(ask, (what.message,), store=world.store)


async def _source_deleted(ask: Ask, world: World) -> Reply:
    what = ask.event.what
    if isinstance(what, Deleted):
        return await privacy.source_deleted(ask, what.messages, store=world.store)
    return Silence()
