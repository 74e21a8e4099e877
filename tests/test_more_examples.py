"""The button "More" looks for the same to the end, whatever was looked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.command_catalogue import CATALOGUE
from bot.domain import LOCAL, ExampleState, NewExample, Origin, Row, UserId
from bot.events import ButtonClicked, CommandInvoked
from bot.option_parsing import button_action, parse_options
from bot.replies import MAX_ACTION_LENGTH, Listing, Reply
from bot.rows import Method
from bot.words import Words
from tests.scene import Scene

LONG = " ".join(f"word{number}" for number in range(12))
TAG = "a: b"


def row(text: str, method: Method) -> Row:
    asked = {"role": "user", "content": text}
    said = [{"role": "assistant", "content": f"yes {text}"}]
    if method is Method.SUPERVISED:
        return {"messages": [asked, *said]}
    no = [{"role": "assistant", "content": f"no {text}"}]
    return {"input": {"messages": [asked]}, "preferred_output": said, "non_preferred_output": no}


@pytest.fixture
async def many(scene: Scene) -> Scene:
    """Forty-eight examples, of every origin, method, state and author that a filter tells apart."""
    await scene.do("/tune help")
    async with scene.store.writing() as records:
        assistant = await records.assistants.default(LOCAL)
        assert assistant is not None
        for number in range(48):
            method = Method.DPO if number % 2 else Method.SUPERVISED
            state = ExampleState.APPROVED if number % 4 < 2 else ExampleState.REJECTED
            origin = Origin.FORM if number % 3 else Origin.IMPORT
            authors = (UserId("mina" if number % 5 else "omar"),)
            text = f"{LONG} “{number}” x{'é' if number % 2 else ''}"
            new = NewExample(assistant.id, method, state, row(text, method), origin, authors)
            kept, _ = await records.examples.add(LOCAL, new, at=scene.clock.now())
            await records.examples.set_tags(LOCAL, kept.id, [TAG] if number % 7 else [])
    return scene


async def ask(scene: Scene, what: ButtonClicked | CommandInvoked, key: str) -> Listing:
    reply: Reply = await scene.app.handle_for_page(scene.event(what, key=key))
    assert isinstance(reply, Listing), reply
    return reply


@pytest.mark.parametrize(
    "looked_for",
    [
        "",
        "origin:form",
        "origin:import limit:3",
        "method:dpo",
        "method:dpo origin:form state:approved author:mina",
        f'tag:"{TAG}" limit:7',
        f'tag:"{TAG}" origin:form word3',
        'search:"word1 word2"',
        "“1",
    ],
)
async def test_page_by_page_one_sees_what_one_looked_for_and_no_more(
    many: Scene, looked_for: str
) -> None:
    whole = looked_for.replace("limit:3", "").replace("limit:7", "")
    wanted = await ask(many, CommandInvoked(f"examples {whole} limit:200"), "all")
    page = await ask(many, CommandInvoked(f"examples {looked_for}"), "first")
    found = [line.id for line in page.lines]
    while page.more is not None:
        page = await ask(many, ButtonClicked(page.more.action), f"page {len(found)}")
        found += [line.id for line in page.lines]

    assert found == [line.id for line in wanted.lines]
    assert len(found) == wanted.total


async def test_what_fits_no_button_is_not_cut_but_can_be_typed_on(many: Scene) -> None:
    page = await ask(many, CommandInvoked(f"examples {LONG}"), "first")
    last = page.lines[-1].id

    following = await ask(many, CommandInvoked(f"examples {LONG} after:{last}"), "second")

    assert page.more is None
    assert f"after:{last}" in page.note
    assert {line.id for line in following.lines}.isdisjoint({line.id for line in page.lines})


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(texts, texts, st.sampled_from(list(Origin)), st.sampled_from(list(Method)))
def test_options_in_a_button_mean_what_they_meant(
    search: str, tag: str, origin: Origin, method: Method
) -> None:
    options = {"search": search, "tag": tag, "origin": str(origin), "method": str(method)}

    action = button_action("examples.more:", options)

    if action is not None:
        assert len(action) <= MAX_ACTION_LENGTH
        command, _ = CATALOGUE.find_command("examples")
        read = parse_options(command, action.partition(":")[2], Words("en"))
        assert {name: value.strip() for name, value in read.items()} == {
            name: value.strip() for name, value in options.items() if value
        }
