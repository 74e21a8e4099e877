"""Forms on Slack: saving unchanged changes nothing, and what does not fit is not cut."""

from __future__ import annotations

import html
import random
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.message_splitting import utf16_length
from adapters.slack.block_kit import fits_in_modal, to_modal
from adapters.slack.payload_parsing import Bot, read_events
from adapters.slack.text_escaping import split_for_inputs
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
from tests.fakes.slack_rules import Json, check_view
from tests.slack_scene import Scene
from tests.waiting import until

TEAM = WorkspaceId("slack:T1")
HERE = Place(TEAM, ChannelId("C1"))

texts = st.one_of(
    st.text(max_size=300),
    st.text("a &<>;\n\t\r🦊é\u200d中*_`~:", max_size=400),
    st.sampled_from(["&amp;", "&lt;b&gt;", "<@U1>", ":fox_face:", "*a* _b_ `c`", "\\*", " \n", ""]),
    st.builds(
        lambda piece, times, end: piece * times + end,
        st.text("ab \n🦊\r<&", min_size=1, max_size=40),
        st.integers(1, 900),
        st.text(" \nx", max_size=3),
    ),
)
SLOW = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


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
    return Form("example.edit:1:1", "Edit", fields, "Save", reopen_action="example.edit:1")


def trimmed(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def escaped(text: str) -> str:
    return html.escape(trimmed(text), quote=False)


def sent(form: Form, given_back: Callable[[str], str], seed: int) -> FormSubmitted:
    """What Slack may make of an input that nobody touched, its inputs in any order."""
    view = to_modal(form, HERE, close="Close")
    check_view(view, "modal")
    values: Json = {}
    for block in view["blocks"]:
        shown = block["element"].get("initial_value", "")
        assert utf16_length(shown) <= block["element"]["max_length"] <= 3000
        typed = {"type": "plain_text_input", "value": given_back(shown) or None}
        values[block["block_id"]] = {"input": typed}
    blocks = random.Random(seed).sample(sorted(values), len(values))
    state = {"values": {block: values[block] for block in blocks}}
    body = {"type": "view_submission", "user": {"id": "U1"}, "view": {**view, "state": state}}
    (event,) = read_events(body, Bot("T1", "UBOT", "BBOT"), datetime.now(UTC))
    assert isinstance(event.what, FormSubmitted)
    return event.what


@SLOW
@given(
    st.lists(texts, min_size=1, max_size=6),
    st.sampled_from([str, trimmed, escaped]),
    st.integers(0, 9),
)
def test_a_form_saved_unchanged_changes_nothing_or_is_not_opened(
    contents: list[str], given_back: Callable[[str], str], seed: int
) -> None:
    row = row_of(contents)
    form = form_of(row)
    if not fits_in_modal(form):
        return

    assert replace_texts(row, sent(form, given_back, seed).values) == row


@SLOW
@given(texts, st.integers(10, 200))
def test_a_text_in_parts_is_the_text_and_no_part_ends_in_white_space(text: str, most: int) -> None:
    found = split_for_inputs(text, most)
    if found is None:
        return

    assert "".join(found) == text
    assert all(utf16_length(part) <= most for part in found)
    assert all(part == part.strip() for part in found[1:-1])


def test_an_edit_is_an_edit() -> None:
    form = form_of(row_of(["When?", "a < b"]))

    back = sent(form, lambda text: text.replace("<", ">"), 0)

    assert back.values["answer"] == "a > b"


def test_what_fits_is_opened_here() -> None:
    assert fits_in_modal(form_of(row_of(["When?", "word " * 2500])))
    assert fits_in_modal(form_of(row_of(["When?", "🦊" * 5000])))
    assert fits_in_modal(form_of(row_of([str(number) for number in range(100)])))


@pytest.mark.parametrize(
    "contents",
    [
        [str(number) for number in range(101)],
        ["When?", "word " * 70_000],
        ["When?", "a" + " " * 9000 + "b"],
        ["When?", "a\x00b"],
        ["When?", "a &amp; b"],
    ],
)
def test_what_does_not_fit_is_not_opened_in_part(contents: list[str]) -> None:
    assert not fits_in_modal(form_of(row_of(contents)))


async def kept(scene: Scene, *contents: str) -> Example:
    """An approved example, as an import brings it."""
    scene.slack.command("U1", "C1", "status")
    await scene.calm()
    assert scene.app is not None
    async with scene.app.store.writing() as records:
        assistant = await records.assistants.default(TEAM)
        assert assistant is not None
        method, state = Method.SUPERVISED, ExampleState.APPROVED
        new = NewExample(assistant.id, method, state, row_of(list(contents)), Origin.IMPORT)
        found, _ = await records.examples.add(TEAM, new, at=datetime.now(UTC))
    return found


async def row_now(scene: Scene, example: Example) -> Row | None:
    assert scene.app is not None
    async with scene.app.store.reading() as records:
        return (await records.examples.get(TEAM, example.id)).row


async def started_with(scene: Scene, **settings: str) -> None:
    await scene.stop()
    await until(lambda: not scene.slack.sockets)
    await scene.start(**settings)


@pytest.fixture
async def page(in_slack: Scene) -> httpx.AsyncClient:
    await started_with(in_slack, ATTUNE_PUBLIC_URL="https://attune.example")
    attune_app = in_slack.app
    assert attune_app is not None
    app = FastAPI()
    add_form_link_routes(app, attune_app, attune_app.links, attune_app.clock)
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="https://attune.example")


async def told_of(scene: Scene, example: Example) -> Json:
    known = len(scene.slack.ephemerals)
    scene.slack.command("U1", "C1", f"examples edit:{example.id}")
    return (await scene.whispered(known + 1))[-1]


async def test_a_row_with_more_messages_than_fit_is_edited_on_a_page(
    in_slack: Scene, page: httpx.AsyncClient
) -> None:
    contents = [f"message {number}" for number in range(120)]
    example = await kept(in_slack, *contents)
    told = await told_of(in_slack, example)
    (button,) = next(one for one in told["blocks"] if one["type"] == "actions")["elements"]
    path = urlsplit(str(button["url"])).path

    opened = await page.get(path)
    saved = await page.post(path, data={"answer60": "The end"})

    assert all(one in opened.text for one in contents)
    assert "is saved" in saved.text
    assert await row_now(in_slack, example) == row_of([*contents[:-1], "The end"])
    assert in_slack.slack.views == {}
    assert (await page.get(path)).status_code == 410


async def test_without_a_page_nothing_is_opened_and_nothing_changed(in_slack: Scene) -> None:
    await started_with(in_slack, ATTUNE_STUDIO_PORT="0")
    example = await kept(in_slack, "When?", "a" + " " * 9000 + "b")

    told = await told_of(in_slack, example)

    assert "studio" in told["text"]
    assert in_slack.slack.views == {}
    assert await row_now(in_slack, example) == example.row


async def test_saved_unchanged_an_example_keeps_its_revision(in_slack: Scene) -> None:
    example = await kept(in_slack, " When?\r\n", "word " * 2000 + "\n")
    in_slack.slack.command("U1", "C1", f"examples edit:{example.id}")

    in_slack.slack.submit("U1", await in_slack.view())

    assert "nothing was changed" in (await in_slack.whispered(2))[-1]["text"]
    assert await row_now(in_slack, example) == example.row
