"""Forms on Discord: saving unchanged changes nothing, and what was typed is not lost."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.discord.embeds_and_modals import fits_in_modal, to_modal
from adapters.discord.payload_parsing import Bot, EventContext, PayloadWithContext, read_event
from adapters.studio.invitation_form import add_form_link_routes
from bot.domain import (
    ChannelId,
    Example,
    ExampleState,
    NewExample,
    Origin,
    Place,
    Row,
    WorkspaceId,
)
from bot.events import FormSubmitted
from bot.examples.row_texts import editable_texts, replace_texts
from bot.replies import Field, FieldKind, Form
from bot.rows import Method
from tests.discord_scene import TEAM, Scene
from tests.fakes.discord import ADMIN, ANN, GENERAL, GUILD
from tests.fakes.discord_rest import labels, shown
from tests.fakes.discord_rules import Json, check_modal
from tests.waiting import until

texts = st.one_of(
    st.text(max_size=300),
    st.text("a \n\t\r🦊é\u200d中", max_size=400),
    st.builds(
        lambda piece, times, end: piece * times + end,
        st.text("ab \n🦊\r", min_size=1, max_size=40),
        st.integers(1, 900),
        st.text(" \nx", max_size=3),
    ),
)
SLOW = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def as_discord_sends_it(form: Json) -> Json:
    """components/reference#text-input: 4000 places of UTF-16 at most, white space cut off."""
    answered = []
    for part in form["components"]:
        inner = part.get("component")
        if inner is None:
            continue
        value = inner.get("value", "")
        assert len(value.encode("utf-16-le")) // 2 <= min(4000, inner["max_length"])
        typed = value.replace("\r\n", "\n").replace("\r", "\n").strip()
        answered.append(
            {"type": 18, "component": {"custom_id": inner["custom_id"], "type": 4, "value": typed}}
        )
    return {"custom_id": form["custom_id"], "components": answered}


def submitted(data: Json) -> FormSubmitted:
    payload = {"id": "1", "type": 5, "token": "t", "data": data, "user": {"id": "102"}}
    around = EventContext(Place(WorkspaceId("discord:10"), ChannelId("20")))
    told = PayloadWithContext(
        "INTERACTION_CREATE", payload, Bot("900", "900"), around, datetime.now(UTC)
    )
    what = read_event(told).what
    assert isinstance(what, FormSubmitted)
    return what


def row_of(contents: list[str]) -> Row:
    roles = ("user", "assistant")
    return {
        "messages": [
            {"role": roles[number % 2], "content": text} for number, text in enumerate(contents)
        ]
    }


def form_of(row: Row) -> Form:
    fields = tuple(
        Field(name, name, FieldKind.TEXT, text) for name, text in editable_texts(row).items()
    )
    return Form("example.edit:1:1", "Edit", fields, "Save")


@SLOW
@given(st.lists(texts, min_size=1, max_size=6))
def test_a_form_saved_unchanged_changes_nothing_or_is_not_opened(contents: list[str]) -> None:
    row = row_of(contents)
    form = form_of(row)
    if not fits_in_modal(form):
        return

    drawn = to_modal(form)
    check_modal(drawn)
    back = submitted(as_discord_sends_it(drawn))

    assert replace_texts(row, back.values) == row


def test_what_fits_is_opened_here() -> None:
    assert fits_in_modal(form_of(row_of(["When?", "word " * 2500])))
    assert fits_in_modal(form_of(row_of(["When?", "🦊" * 5000])))


@pytest.mark.parametrize(
    "contents",
    [
        ["When?", "word " * 5000],
        ["a", "b", "c", "d", "e", "f"],
        ["When?", "a" + " " * 9000 + "b"],
        ["When?", "a\x00b"],
    ],
)
def test_what_does_not_fit_is_not_opened_in_part(contents: list[str]) -> None:
    assert not fits_in_modal(form_of(row_of(contents)))


async def kept(scene: Scene, answer: str) -> Example:
    """An approved example, as an import brings it."""
    assert scene.app is not None
    async with scene.app.store.writing() as records:
        assistant = await records.assistants.default(TEAM)
        assert assistant is not None
        example = NewExample(
            assistant.id,
            Method.SUPERVISED,
            ExampleState.APPROVED,
            row_of(["When do you open?", answer]),
            Origin.IMPORT,
        )
        found, _ = await records.examples.add(TEAM, example, at=datetime.now(UTC))
    return found


async def answer_of(scene: Scene, example: Example) -> str:
    assert scene.app is not None
    async with scene.app.store.reading() as records:
        found = await records.examples.get(TEAM, example.id)
    assert found.row is not None
    return editable_texts(found.row)["answer"]


async def offered_link(scene: Scene, example: Example) -> str:
    scene.discord.command(ADMIN, GENERAL, "examples", edit=str(example.id))
    (told,) = await scene.whispered()
    assert "longer than a form" in shown(told)
    return urlsplit(str(told["components"][0]["components"][0]["url"])).path


@pytest.fixture
async def page(in_discord: Scene) -> httpx.AsyncClient:
    await in_discord.stop()
    await in_discord.start(ATTUNE_PUBLIC_URL="https://attune.example")
    attune_app = in_discord.app
    assert attune_app is not None
    app = FastAPI()
    add_form_link_routes(app, attune_app, attune_app.links, attune_app.clock)
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="https://attune.example")


async def test_a_text_longer_than_a_form_is_edited_on_a_page(
    in_discord: Scene, page: httpx.AsyncClient
) -> None:
    long = "A line.\n\nAnother <b>line</b> 🦊\n" * 1500
    example = await kept(in_discord, long)
    path = await offered_link(in_discord, example)

    opened = await page.get(path)
    saved = await page.post(path, data={"question": "When do you open?", "answer": f"{long}End"})

    assert "Another &lt;b&gt;line" in opened.text
    assert "is saved" in saved.text
    assert await answer_of(in_discord, example) == f"{long}End"
    assert (await page.get(path)).status_code == 410
    assert (await page.post(path, data={"answer": "again"})).status_code == 410


async def test_a_page_saved_unchanged_changes_nothing(
    in_discord: Scene, page: httpx.AsyncClient
) -> None:
    long = "\n A line.\r\nAnother\n" * 2000
    example = await kept(in_discord, long)
    path = await offered_link(in_discord, example)

    sent = long.replace("\r\n", "\n").replace("\n", "\r\n")
    saved = await page.post(path, data={"question": "When do you open?", "answer": sent})

    assert "nothing was changed" in saved.text
    assert await answer_of(in_discord, example) == long


async def test_without_a_page_nothing_is_opened(in_discord: Scene) -> None:
    example = await kept(in_discord, "word " * 5000)

    in_discord.discord.command(ADMIN, GENERAL, "examples", edit=str(example.id))

    (told,) = await in_discord.whispered()
    assert "ATTUNE_PUBLIC_URL" in shown(told)
    assert len(await answer_of(in_discord, example)) == 25000


async def test_a_change_meanwhile_is_not_overwritten(in_discord: Scene) -> None:
    example = await kept(in_discord, "At nine.")
    discord = in_discord.discord
    early = discord.command(ADMIN, GENERAL, "examples", edit=str(example.id))
    late = discord.command(ADMIN, GENERAL, "examples", edit=str(example.id))
    await in_discord.form(early)
    await in_discord.form(late)
    discord.submit(ADMIN, early, answer="At ten.")
    await in_discord.whispered()

    discord.submit(ADMIN, late, answer="At eleven.")

    told = (await in_discord.whispered(2))[-1]
    assert "changed meanwhile" in shown(told)
    assert await answer_of(in_discord, example) == "At ten."


async def refused(scene: Scene, user: str) -> Json:
    """A form that is refused, as its empty sibling is; what its sender is told."""
    asked = scene.discord.command(user, GENERAL, "admin sources")
    await scene.form(asked)
    scene.discord.submit(user, asked, sources="messages", permission="")
    told = (await scene.whispered())[-1]
    assert labels(told) == ["Open it again"]
    return told


async def test_a_refused_form_opens_again_as_it_was_typed(in_discord: Scene) -> None:
    told = await refused(in_discord, ADMIN)

    again = await in_discord.form(in_discord.discord.click(ADMIN, told, "Open it again"))

    selects = [one["component"] for one in again["components"] if "component" in one]
    chosen = [one["value"] for one in selects[0]["options"] if one.get("default")]
    assert chosen == ["messages"]


async def test_typed_words_come_back_in_the_form(in_discord: Scene) -> None:
    example = await kept(in_discord, "At nine.")
    discord = in_discord.discord
    asked = discord.command(ADMIN, GENERAL, "examples", edit=str(example.id))
    await in_discord.form(asked)
    discord.command(ADMIN, GENERAL, "examples", withdraw=str(example.id))
    await in_discord.whispered()
    await _erase(in_discord, example)
    discord.submit(ADMIN, asked, answer="Three lines\nof my\nown.")
    told = (await in_discord.whispered(2))[-1]

    again = await in_discord.form(discord.click(ADMIN, told, "Open it again"))

    typed = [one["component"].get("value") for one in again["components"]]
    assert typed == ["When do you open?", "Three lines\nof my\nown."]


async def test_somebody_elses_draft_is_not_opened(in_discord: Scene) -> None:
    told = await refused(in_discord, ADMIN)

    in_discord.discord.click(ANN, told, "Open it again")

    await until(lambda: "no longer here" in shown(in_discord.discord.ephemerals[-1]))


async def test_a_draft_goes_with_the_channel_in_which_it_was_typed(in_discord: Scene) -> None:
    told = await refused(in_discord, ADMIN)
    gone = {"id": GENERAL, "guild_id": GUILD, "type": 0}
    in_discord.discord.gateway.dispatch("CHANNEL_DELETE", gone)
    await in_discord.settled()

    in_discord.discord.click(ADMIN, told, "Open it again")

    await until(lambda: "no longer here" in shown(in_discord.discord.ephemerals[-1]))


async def test_a_form_of_an_earlier_run_comes_back_too(in_discord: Scene) -> None:
    example = await kept(in_discord, "At nine.")
    asked = in_discord.discord.command(ADMIN, GENERAL, "examples", edit=str(example.id))
    await in_discord.form(asked)
    await _erase(in_discord, example)
    await in_discord.restart()
    in_discord.discord.submit(ADMIN, asked, answer="Mine")
    (told,) = await in_discord.whispered()

    again = await in_discord.form(in_discord.discord.click(ADMIN, told, "Open it again"))

    assert [one["component"].get("value") for one in again["components"]] == [
        "When do you open?",
        "Mine",
    ]


async def _erase(scene: Scene, example: Example) -> None:
    assert scene.app is not None
    async with scene.app.store.writing() as records:
        await records.examples.erase(TEAM, [example.id])
