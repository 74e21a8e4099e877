"""What people type after `/tune`, and what the table of commands promises."""

from __future__ import annotations

import pytest

from bot.catalogue import CATALOGUE
from bot.catalogue.commands import COMMANDS
from bot.commands import Catalogue, Command, Option, parse
from bot.errors import BadInput, NotFound
from bot.model import Role
from bot.words import LANGUAGES, Words

WORDS = Words("en")
DISCORD_CHILDREN = 25
DISCORD_CHARACTERS = 8_000


def options(line: str) -> dict[str, str]:
    command, rest = CATALOGUE.command(line)
    return parse(command, rest, WORDS)


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
        ("use", "“model” is missing. Try /tune help use."),
        ("jobs please", "“jobs” takes nothing after it."),
    ],
)
def test_a_wrong_line_is_refused_with_what_would_be_right(line: str, sentence: str) -> None:
    with pytest.raises(BadInput) as refused:
        options(line)

    assert sentence in WORDS.error(refused.value)


def test_an_unknown_word_is_named() -> None:
    with pytest.raises(NotFound, match="bogus"):
        CATALOGUE.command("bogus now")


def test_completion_goes_from_words_to_options_to_choices() -> None:
    assert list(CATALOGUE.complete("sta")) == ["start", "status"]
    assert "start method:" not in list(CATALOGUE.complete("start me"))
    assert "start method:dpo" in list(CATALOGUE.complete("start me"))
    assert "start method:dpo" not in list(CATALOGUE.complete("start method:dpo me"))


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
    texts = [words(command.key) + command.path for command in COMMANDS]
    texts += [
        words(f"option.{option.name}") + option.name + "".join(option.choices)
        for command in COMMANDS
        for option in command.options
    ]

    assert sum(map(len, texts)) <= DISCORD_CHARACTERS


def test_names_that_stand_twice_are_refused() -> None:
    with pytest.raises(ValueError, match="stands twice"):
        Catalogue(COMMANDS, buttons=(*CATALOGUE.buttons, CATALOGUE.buttons[0]))
