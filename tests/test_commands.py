"""What people type after `/tune`, and what the table of commands promises."""

from __future__ import annotations

import pytest

from bot.command_catalogue import CATALOGUE
from bot.commands import Catalogue, Command, Option, OptionKind
from bot.domain import LOCAL, Role
from bot.errors import BadInput, NotFound
from bot.number_formats import possible_numbers
from bot.option_parsing import check_and_normalize_options, parse_options
from bot.words import LANGUAGES, Words
from tests.scene import Scene

COMMANDS = CATALOGUE.commands
WORDS = Words("en")
DISCORD_CHILDREN = 25
DISCORD_CHARACTERS = 8_000


def options(line: str) -> dict[str, str]:
    command, rest = CATALOGUE.find_command(line)
    return parse_options(command, rest, WORDS)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("start epochs:3 seed:7", {"epochs": "3", "seed": "7"}),
        ("start epochs=3 --seed=7", {"epochs": "3", "seed": "7"}),
        ("start EPOCHS:auto", {"epochs": "auto"}),
        ("use latest", {"model": "latest"}),
        ("use model:ft:sandbox:attune:a:1", {"model": "ft:sandbox:attune:a:1"}),
        ("use ft:sandbox:attune:a:1", {"model": "ft:sandbox:attune:a:1"}),
        ('compare Tell me: what is "neon"?', {"question": 'Tell me: what is "neon"?'}),
        (
            'assistant create poet instructions:"You are a poet." temperature:0.2',
            {"name": "poet", "instructions": "You are a poet.", "temperature": "0.2"},
        ),
        ('assistant show "my poet"', {"name": "my poet"}),
        ("assistant bind poet always:yes", {"name": "poet", "always": "yes"}),
        ("examples two words state:approved", {"search": "two words", "state": "approved"}),
        ("jobs", {}),
        ("assistant edit max_tokens:1 000 poet", {"name": "poet", "max_tokens": "1000"}),
        ("assistant edit max_tokens：１０００", {"max_tokens": "1000"}),
        ("admin budget person:100 000 workspace:off", {"person": "100 000", "workspace": "off"}),
    ],
)
def test_a_line_is_understood(line: str, expected: dict[str, str]) -> None:
    assert options(line) == expected


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("start epochs:0", "“epochs” must be from 1 to 50."),
        ("start epochs:many", "“epochs” must be a number, not “many”."),
        ("start method:magic", "“method” must be one of: supervised, dpo."),
        ("start tomorrow", "“tomorrow” is not an option of “start”."),
        ("start seed:9999999999", "“seed” must be from 0 to 2147483647."),
        ("examples limit:20 300", "“limit” must be from 1 to 200."),
        ("use", "“model” is missing. Try /tune help use."),
        ("jobs please", "“jobs” takes nothing after it."),
    ],
)
def test_a_wrong_line_is_refused_with_what_would_be_right(line: str, sentence: str) -> None:
    with pytest.raises(BadInput) as refused:
        options(line)

    assert sentence in WORDS.error_text(refused.value)


NUMERIC = [
    (command.path, option)
    for command in COMMANDS
    for option in command.options
    if option.kind in (OptionKind.INTEGER, OptionKind.NUMBER)
]
WHOLE = [one for one in NUMERIC if one[1].kind is OptionKind.INTEGER]
FRACTIONAL = [one for one in NUMERIC if one[1].kind is OptionKind.NUMBER]
WRITTEN = {
    "100,000": 100_000,
    "100.000": 100_000,
    "100 000": 100_000,
    "100\u202f000": 100_000,
    "100'000": 100_000,
    "1,000,000": 1_000_000,
    "1.000.000": 1_000_000,
    "１００": 100,
    "１０，０００": 10_000,
    "12": 12,
}
DECIMALS = {"0,5": 0.5, "0.5": 0.5, "０．５": 0.5, "0,25": 0.25, "0.125": 0.125, "1.000": 1.0}


def value_of(path: str, option: Option, written: str) -> float | str:
    """The option as it is read, or the sentence that refuses it."""
    command, _ = CATALOGUE.find_command(path)
    needed = {one.name: "x" for one in command.options if one.required}
    try:
        return float(
            check_and_normalize_options(command, {**needed, option.name: written}, WORDS)[
                option.name
            ]
        )
    except BadInput as refused:
        return WORDS.error_text(refused)


def takes(option: Option, number: float) -> bool:
    least = float("-inf") if option.minimum is None else option.minimum
    most = float("inf") if option.maximum is None else option.maximum
    return least <= number <= most


@pytest.mark.parametrize("written", WRITTEN)
def test_a_whole_number_is_read_with_any_separators(written: str) -> None:
    for path, option in WHOLE:
        read = value_of(path, option, written)
        if takes(option, WRITTEN[written]):
            assert read == WRITTEN[written], (path, option.name)
        else:
            assert f"“{option.name}” must be" in str(read), path


@pytest.mark.parametrize("written", ["0,5", "1,5", "2.75", "12,5"])
def test_a_whole_number_has_no_decimals(written: str) -> None:
    for path, option in WHOLE:
        assert f"“{option.name}” must be" in str(value_of(path, option, written)), path


@pytest.mark.parametrize("written", DECIMALS)
def test_a_number_is_read_with_either_decimal_mark(written: str) -> None:
    for path, option in FRACTIONAL:
        assert value_of(path, option, written) == DECIMALS[written], (path, option.name)


@pytest.mark.parametrize("written", ["1,000", "1,125", "100,000", "1.000.000", "１，０００"])
def test_a_number_with_thousands_is_not_taken_for_a_small_one(written: str) -> None:
    for path, option in FRACTIONAL:
        assert isinstance(value_of(path, option, written), str), (path, option.name)


@pytest.mark.parametrize("written", ["1,00,000", "1,2,3", "10 00", "inf", "nan", "1_0", "12,,5"])
def test_what_is_no_number_is_refused(written: str) -> None:
    assert not possible_numbers(written)


@pytest.mark.parametrize("locale", LANGUAGES)
@pytest.mark.parametrize(
    ("written", "tokens"),
    [(text, number) for text, number in WRITTEN.items() if number > 12] + [("1,5", None)],
)
async def test_a_cap_is_what_was_written_or_refused(
    scene: Scene, locale: str, written: str, tokens: int | None
) -> None:
    await scene.command(f"assistant edit attune language:{locale}")

    await scene.command(f"admin budget person:{written}")

    async with scene.database.reading() as records:
        workspace = await records.workspaces.find(LOCAL)
    assert workspace is not None
    assert workspace.person_cap == tokens


@pytest.mark.parametrize(
    ("written", "dollars"),
    [
        ("1.5", 1.5),
        ("1,50", 1.5),
        ("1,234.56", 1234.56),
        ("1.234,56", 1234.56),
        ("1 000", 1000.0),
        ("1000", 1000.0),
        ("1,000", None),
        ("1.000", None),
        ("100.000", None),
        ("50%", None),
    ],
)
async def test_money_is_never_guessed(scene: Scene, written: str, dollars: float | None) -> None:
    await scene.command(f"admin budget training:{written}")

    async with scene.database.reading() as records:
        workspace = await records.workspaces.find(LOCAL)
    assert workspace is not None
    assert workspace.training_cap == dollars


async def test_an_ambiguous_number_is_named_with_both_readings(scene: Scene) -> None:
    await scene.command("admin budget training:1,000")

    assert "can be read as 1 or as 1000" in await scene.last()


def unnamed(command: Command, line: str, word: str, **given: str) -> bool:
    """Whether a command takes a word that it does not know, or does not name it."""
    try:
        parse_options(command, line, WORDS, given=given or None)
    except BadInput as refused:
        return word not in str(refused)
    return True


@pytest.mark.parametrize("token", ["nosuch:7", "nosuch=7", "--nosuch=7"])
def test_an_option_that_a_command_does_not_know_is_named(token: str) -> None:
    """But where any word may stand."""
    strict = [
        one
        for one in COMMANDS
        if not one.rest_option
        or not (one.rest_option.is_sentence or one.rest_option.kind is OptionKind.MODEL)
    ]

    assert strict
    assert [one.path for one in strict if unnamed(one, token, "nosuch")] == []


def test_an_unknown_option_of_a_surface_is_named_too() -> None:
    assert [one.path for one in COMMANDS if unnamed(one, "", "nosuch", nosuch="7")] == []


def test_a_word_too_many_is_named() -> None:
    without_rest = [one for one in COMMANDS if not one.rest_option]

    assert without_rest
    assert [one.path for one in without_rest if unnamed(one, "please", "please")] == []


@pytest.mark.parametrize(
    "line",
    [
        "examples search:one two",
        "status job:1 two",
        "consent on two",
        "consent switch:on two",
        "export csv two",
        "assistant show name:ada two",
        "assistant bind two:three",
        "use latest ass:two",
        "compare checkpoint:two what is it?",
        "admin guests here two",
    ],
)
def test_no_word_is_passed_over(line: str) -> None:
    with pytest.raises(BadInput, match="two"):
        options(line)


@pytest.mark.parametrize("line", ["start seed:1 seed:2", "examples state:approved STATE=rejected"])
def test_an_option_that_is_there_twice_is_refused(line: str) -> None:
    with pytest.raises(BadInput, match="twice"):
        options(line)


@pytest.mark.parametrize(
    ("line", "question"),
    [
        ("compare Solve x=3 for me", "Solve x=3 for me"),
        ("compare note:this https://a.example/b?c=d", "note:this https://a.example/b?c=d"),
    ],
)
def test_in_a_question_anything_may_stand(line: str, question: str) -> None:
    assert options(line) == {"question": question}


def test_quotes_let_any_word_be_looked_for() -> None:
    assert options('examples "status:open"') == {"search": "status:open"}


@pytest.mark.parametrize(("said", "meant"), [("ON", "on"), ("Off", "off")])
def test_a_choice_means_the_same_in_any_case(said: str, meant: str) -> None:
    assert options(f"consent {said}") == {"switch": meant}


def test_an_unknown_word_of_a_group_is_named() -> None:
    with pytest.raises(NotFound, match="admin nosuch"):
        CATALOGUE.find_command("admin nosuch user:1")


def test_an_unknown_word_is_named() -> None:
    with pytest.raises(NotFound, match="bogus"):
        CATALOGUE.find_command("bogus now")


def test_completion_goes_from_words_to_options_to_choices() -> None:
    assert list(CATALOGUE.completions("sta")) == ["start", "status"]
    assert "start method:" not in list(CATALOGUE.completions("start me"))
    assert "start method:dpo" in list(CATALOGUE.completions("start me"))
    assert "start method:dpo" not in list(CATALOGUE.completions("start method:dpo me"))


def test_a_command_with_two_options_of_one_name_is_refused_when_it_is_built() -> None:
    twice = (Option("a"), Option("a"))

    with pytest.raises(ValueError, match="each name once"):
        Command("x", Role.MEMBER, COMMANDS[0].run, twice)


def test_discord_could_hold_the_whole_group() -> None:
    top = {command.path.partition(" ")[0] for command in COMMANDS}

    assert len(top) <= DISCORD_CHILDREN


@pytest.mark.parametrize("language", LANGUAGES)
def test_discord_could_hold_its_words(language: str) -> None:
    words = Words(language)
    texts = [words(command.summary_key) + command.path for command in COMMANDS]
    texts += [
        words(f"option.{option.name}") + option.name + "".join(option.choices)
        for command in COMMANDS
        for option in command.options
    ]

    assert sum(map(len, texts)) <= DISCORD_CHARACTERS


def test_names_that_stand_twice_are_refused() -> None:
    with pytest.raises(ValueError, match="stands twice"):
        Catalogue(COMMANDS, buttons=(*CATALOGUE.buttons, CATALOGUE.buttons[0]))
