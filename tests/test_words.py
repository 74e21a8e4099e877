"""The catalogue of words holds together, in every language."""

import ast
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from string import Formatter

import pytest

from adapters.studio.pages.admin_pages import ADMIN_PAGES, AUDITED_SUBJECTS
from bot import errors
from bot.check_results import CheckKind
from bot.command_catalogue import CATALOGUE
from bot.domain import ExampleState, ModelKind, Origin, Phase, RequestedAction, Role, Sources, Split
from bot.errors import EmptyAnswer, NotNow, template
from bot.private_text import PrivateText
from bot.rows import PROBLEM_TEXTS, Method, Problem, check_row
from bot.words import LANGUAGES, Words, best_language, en, zh

ROOT = Path(__file__).parent.parent
KINDS_OF_ERRORS = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.AttuneError)
}
SAYING = ("words", "say", "LineError")
"""Calls whose first argument is a key."""
ENGLISH = dict(en.SENTENCES) | {
    f"error.{name}": template(kind) for name, kind in KINDS_OF_ERRORS.items()
}
DISCORD_DESCRIPTION = 100
"""https://docs.discord.com/developers/interactions/application-commands"""


def fields_of(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name is not None}


def keys_said(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and node.args and name_of(node.func) in SAYING:
            yield from texts_in(node.args[0])
        elif isinstance(node, ast.Assign) and [name_of(target) for target in node.targets] == [
            "key"
        ]:
            yield from (text for text in texts_in(node.value) if "." in text)


def name_of(called: ast.expr) -> str:
    if isinstance(called, ast.Attribute):
        return called.attr
    return called.id if isinstance(called, ast.Name) else ""


def texts_in(value: ast.expr) -> Iterator[str]:
    if isinstance(value, ast.IfExp):
        yield from texts_in(value.body)
        yield from texts_in(value.orelse)
    elif isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value


def keys(prefix: str, *names: str | Enum) -> list[str]:
    return [
        f"{prefix}.{str(n.name).lower() if isinstance(n, Role | Sources | PrivateText) else n}"
        for n in names
    ]


DRAWN = [
    *keys("phase", *(phase for phase in Phase if phase is not Phase.WATCHING)),
    *keys("ended", *(phase for phase in Phase if phase.is_over)),
    *keys("state", *ExampleState),
    *keys("origin", *Origin),
    *keys("method", *Method),
    *keys("model", *ModelKind),
    *keys("role", *Role),
    *keys("role.ask", *Role),
    *keys("finding", *PrivateText),
    *keys("job.wish", *RequestedAction),
    *keys(
        "job.asked",
        *(
            requested_action
            for requested_action in RequestedAction
            if requested_action is not RequestedAction.FORGET
        ),
    ),
    *keys(
        "job.refused",
        *(
            requested_action
            for requested_action in RequestedAction
            if requested_action is not RequestedAction.FORGET
        ),
    ),
    *keys("sources", *Sources),
    *keys("sources.rule", "local", "slack", "discord"),
    *keys("split", *Split),
    *keys("lost", "text", "home"),
    *keys("studio.audit", *AUDITED_SUBJECTS),
    *keys("check", *CheckKind, "private"),
    *(f"check.{kind}.note" for kind in (*CheckKind, "private")),
    *keys(
        "studio.lead",
        "examples",
        "preferences",
        "check",
        "jobs",
        "evaluations",
        "models",
        "compare",
        *ADMIN_PAGES,
    ),
    *(command.summary_key for command in CATALOGUE.commands),
    *(f"option.{option.name}" for command in CATALOGUE.commands for option in command.options),
    *(f"name.{option.name}" for command in CATALOGUE.commands for option in command.options),
    *(f"name.{word}" for command in CATALOGUE.commands for word in command.path.split()),
]
"""Keys put together while the house runs, which no search for literal ones finds."""


def test_chinese_says_all_that_english_says_and_nothing_else() -> None:
    assert set(zh.SENTENCES) == set(ENGLISH)


def test_chinese_names_the_same_details() -> None:
    english = {key: fields_of(sentence) for key, sentence in ENGLISH.items()}

    assert {key: fields_of(sentence) for key, sentence in zh.SENTENCES.items()} == english


def test_every_key_that_is_said_has_a_sentence() -> None:
    files = [file for wing in ("bot", "adapters", "attune") for file in (ROOT / wing).rglob("*.py")]

    said = {key for file in files for key in keys_said(file.read_text(encoding="utf-8"))}

    assert "welcome" in said
    assert said - set(ENGLISH) == set()


@pytest.mark.parametrize("sentences", [en.SENTENCES, zh.SENTENCES], ids=LANGUAGES)
def test_every_key_put_together_has_a_sentence(sentences: dict[str, str]) -> None:
    assert set(DRAWN) - set(sentences) == set()


@pytest.mark.parametrize("sentences", [en.SENTENCES, zh.SENTENCES], ids=LANGUAGES)
def test_descriptions_of_commands_and_options_fit_discord(sentences: dict[str, str]) -> None:
    described = {key: sentences[key] for key in DRAWN if key.startswith(("command.", "option."))}

    assert [key for key, text in described.items() if len(text) > DISCORD_DESCRIPTION] == []


@pytest.mark.parametrize(
    ("language", "said"), [("en", "The message is gone."), ("zh", "这条消息已经不在了。")]
)
def test_an_error_speaks_the_language_of_the_asker(language: str, said: str) -> None:
    assert Words(language).error_text(errors.MessageGone()) == said


def test_the_details_of_an_error_are_put_in() -> None:
    assert "“sandbox”" in Words("zh").error_text(EmptyAnswer(host="sandbox"))
    assert Words("zh").error_text(NotNow(problem="等一下")) == "等一下"


def test_one_and_many_are_told_apart() -> None:
    words = Words("en")

    assert words("models.title", count=1) == "1 model"
    assert words("models.title", count=0) == "0 models"
    assert words("import.more", count=3) == "… and 3 more refused rows."


def test_chinese_has_one_form_for_any_number() -> None:
    counted = [
        key for key, sentence in ENGLISH.items() if "|" in sentence and "{count}" in sentence
    ]

    assert [key for key in counted if "|" in zh.SENTENCES[key]] == []
    assert Words("zh")("models.title", count=1) == "1 个模型"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_bar_that_is_meant_survives(language: str) -> None:
    assert "|" in Words(language)("assistant.too_many_stops")


@pytest.mark.parametrize("locale", ["zh", "zh-CN", "zh_TW", "zh-TW", "ZH-hant"])
def test_all_kinds_of_chinese_get_chinese(locale: str) -> None:
    assert best_language(locale) == "zh"


@pytest.mark.parametrize("locale", ["en", "en-GB", "fr", "", None])
def test_everybody_else_gets_english(locale: str | None) -> None:
    assert best_language(locale) == "en"


def test_a_language_knows_which_keys_it_has() -> None:
    assert Words("zh").has_sentence("status.queued")
    assert not Words("zh").has_sentence("status.dreaming")


HOSTILE = dict.fromkeys(
    ("key", "self", "language", "locale", "sentence", "details", "code", "line", "reason"),
    "{0} {key} {self.x} <|end|> |",
)
"""Details that share a name with a parameter on their way, or look like a template."""


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_reason_renders_in_every_language_whatever_its_details(language: str) -> None:
    for code in PROBLEM_TEXTS:
        own = dict.fromkeys(fields_of(PROBLEM_TEXTS[code]), "<{own}>")
        problem = Problem(7, code, HOSTILE | own)

        sentence = Words(language).problem_text(problem)

        assert "7" in sentence, code
        assert sentence.count("<{own}>") >= len(own), code


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", ["key", "self", "code", "line", "{key}", "message"])
def test_a_message_with_an_unknown_key_is_told(name: str, language: str) -> None:
    row = {"messages": [{"role": "user", "content": "Hi", name: 1}]}
    problem = check_row(row, Method.SUPERVISED)

    assert problem is not None
    assert f"“{name}”" in Words(language).problem_text(problem)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_error_renders_whatever_its_details(language: str) -> None:
    for kind in KINDS_OF_ERRORS.values():
        error = kind(**HOSTILE)

        assert Words(language).error_text(error), kind
        assert error.sentence, kind


@pytest.mark.parametrize("language", LANGUAGES)
def test_learned_is_said_only_of_what_was_trained(language: str) -> None:
    """Saving an example teaches no model yet."""
    sentences = {"en": ENGLISH, "zh": zh.SENTENCES}[language]
    saving = ("teach.", "example.", "save.", "feedback.", "import.", "prefer.", "welcome.", "bulk.")

    said = {key: text for key, text in sentences.items() if key.startswith(saving)}

    assert len(said) > 50
    pattern = re.compile(
        r"\b(I|I have|I've|Now) (learned|learnt|remember)|^Learn(ed|t)\b|学到了|学会了|记住了"
    )
    assert [key for key, text in said.items() if pattern.search(text)] == []


AUDITING = {"audit.add": 2, "request.audit": 1}
"""What writes into the audit, and which of its arguments is the name of the entry."""


def call_name(call: ast.Call) -> str:
    return ".".join(ast.unparse(call.func).split(".")[-2:])


def audited(module: Path) -> Iterator[str]:
    """What a module writes into the audit, where the name stands in the call or in a constant."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    constants: dict[str, ast.expr] = {}
    for one in tree.body:
        if isinstance(one, ast.Assign):
            names, values = one.targets[0], one.value
            pairs = (
                zip(names.elts, values.elts, strict=True)
                if isinstance(names, ast.Tuple) and isinstance(values, ast.Tuple)
                else [(names, values)]
            )
            constants |= {name.id: value for name, value in pairs if isinstance(name, ast.Name)}
    for call in ast.walk(tree):
        position = AUDITING.get(call_name(call)) if isinstance(call, ast.Call) else None
        if isinstance(call, ast.Call) and position is not None:
            for part in ast.walk(call.args[position]):
                known = constants.get(part.id) if isinstance(part, ast.Name) else part
                if isinstance(known, ast.Constant) and re.fullmatch(
                    r"\w+\.[\w.]*\w", str(known.value)
                ):
                    yield str(known.value)


def test_every_entry_of_the_audit_has_words() -> None:
    found = {name for module in Path("bot").rglob("*.py") for name in audited(module)}

    assert len(found) > 30
    states = {f"job.{one}" for one in ("cancel", "pause", "resume", "abandoned")}
    runs = ("evaluation", "judging", "synthetic")
    states |= {f"{run}.{what}" for run in runs for what in ("confirmed", "stop")}
    states |= {"canary.promoted", "evaluation.done", "undone.role", "example.approved_by_one"}
    assert {one for one in found | states if f"audit.{one}" not in ENGLISH} == set()


def audited_details(module: Path) -> Iterator[str]:
    """The names of the details that a module writes into the audit, also by a dict of its own."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    dicts: dict[str, ast.Dict] = {
        target.id: one.value
        for one in ast.walk(tree)
        if isinstance(one, ast.Assign) and isinstance(one.value, ast.Dict)
        for target in one.targets
        if isinstance(target, ast.Name)
    }
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or call_name(call) not in AUDITING:
            continue
        for keyword in call.keywords:
            named = keyword.value.id if isinstance(keyword.value, ast.Name) else ""
            if keyword.arg is not None:
                yield keyword.arg
            elif named in dicts:
                yield from (ast.literal_eval(key) for key in constant_keys(dicts[named]))


def constant_keys(found: ast.Dict) -> list[ast.Constant]:
    return [key for key in found.keys if isinstance(key, ast.Constant)]


def test_every_detail_of_the_audit_has_words() -> None:
    found = {name for module in Path("bot").rglob("*.py") for name in audited_details(module)}

    assert {"share", "price", "must_mask", "whole"} <= found
    found |= {"evaluation", "judging", "synthetic"}
    wordless = {"at", "event", "turn"}
    assert {one for one in found - wordless if f"audit.detail.{one}" not in ENGLISH} == set()


@pytest.mark.parametrize("sentences", [en.SENTENCES, zh.SENTENCES], ids=LANGUAGES)
def test_no_sentence_says_a_time_zone_beside_a_time(sentences: dict[str, str]) -> None:
    """Where people see times in their own zone, another one beside them would be wrong."""
    zoned = {key for key, text in sentences.items() if re.search(r"\}\W*UTC", text)}
    assert zoned - {"error.OverCap"} == set()
