"""The studio's pages over the real house, seen and used without a browser."""

from __future__ import annotations

import asyncio
import gc
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from nicegui import Client, ui
from nicegui.elements.upload_files import FileUpload, SmallFileUpload
from nicegui.props import Props
from nicegui.testing import User
from nicegui.testing.user_simulation import user_simulation

from adapters.local_room import ASSISTANT_USER, is_deleted, render_message
from adapters.plain_text import draw_reply_without_buttons
from adapters.studio import Studio, register_pages
from adapters.studio.pages.list_controls import sort_rows
from adapters.studio.safe_html import quoted_prop
from bot.command_catalogue import CATALOGUE
from bot.domain import (
    LOCAL,
    Attachment,
    ChannelId,
    ExampleOrder,
    MessageId,
    Place,
    WorkspaceId,
)
from bot.events import ButtonClicked, CommandInvoked, Event, FormSubmitted
from bot.replies import (
    Card,
    Document,
    Fact,
    Form,
    Listing,
    ListingRow,
    Refused,
    Reply,
    Stream,
    Text,
    Tone,
)
from tests.fakes.connected import CHAT
from tests.fakes.faults import hangs
from tests.scene import Scene
from tests.studio_desk import MINA, OWNER, Desk
from tests.waiting import until

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
]


@pytest.fixture
async def window(scene: Scene) -> AsyncIterator[User]:
    # NiceGUI collects garbage before and after each test; what lives already is left out of that.
    gc.freeze()
    async with user_simulation() as user:
        app = scene.app
        studio = Studio(app, app.room, CATALOGUE, scene.clock, app.links, has_password=False)
        register_pages(studio)
        yield user
        # Else NiceGUI unloads the modules that the pages came from.
        Client.page_routes.clear()


# Words of ours that nobody has put into Chinese; names and units are single words.
_ENGLISH = re.compile(r"^(?!/tune).*[A-Za-z]{2,} [a-z]{2,} [a-z]{2,}", re.MULTILINE)


# What a page asks


async def test_a_page_holds_the_reply_and_the_room_stays_silent(scene: Scene, desk: Desk) -> None:
    reply = await desk.ask(CommandInvoked("teach"))

    assert isinstance(reply, Form)
    assert await scene.messages() == []


async def test_a_refusal_comes_back_in_words(desk: Desk) -> None:
    reply = await desk.ask(ButtonClicked("starter:limericks"), by=MINA)

    assert isinstance(reply, Refused)
    assert "curator" in reply.text


async def test_an_event_is_answered_once(scene: Scene) -> None:
    place = Place(LOCAL, ChannelId("general"))
    event = Event("page:once", place, OWNER, scene.clock.now(), CommandInvoked("help"))

    first, second = await scene.app.handle_for_page(event), await scene.app.handle_for_page(event)

    assert isinstance(first, Listing)
    assert not isinstance(second, Listing)


async def test_an_unknown_assistant_is_told(scene: Scene) -> None:
    place = Place(LOCAL, ChannelId("general"))
    now = scene.clock.now()
    event = Event("page:who", place, OWNER, now, ButtonClicked("counts"), assistant="nobody")

    reply = await scene.app.handle_read_only(event)

    assert isinstance(reply, Refused)
    assert "nobody" in reply.text


# The tour


async def steps(desk: Desk) -> list[str]:
    told = await desk.query("tour")
    assert isinstance(told, Listing)
    return [line.id for line in told.lines if line.tone is Tone.GOOD]


async def test_the_tour_marks_what_really_happened(scene: Scene, desk: Desk) -> None:
    begun = await steps(desk)
    await desk.ask(ButtonClicked("starter:limericks"))
    taught = await steps(desk)
    await scene.tuned()
    tuned = await steps(desk)
    await scene.say("@attune hello")
    await scene.settle()

    assert begun == []
    assert taught == ["teach"]
    assert tuned == ["teach", "train", "wait"]
    assert await steps(desk) == ["teach", "train", "wait", "ask"]


# Examples


async def test_filters_find_by_state_origin_and_method(scene: Scene, desk: Desk) -> None:
    await scene.learn(12)

    assert (await desk.listing(state="approved", origin="import")).total == 12
    assert (await desk.listing(state="proposed")).total == 0
    assert (await desk.listing(method="dpo")).total == 0
    assert len((await desk.listing(limit="5")).lines) == 5


async def test_bulk_changes_the_chosen_ones(scene: Scene, desk: Desk) -> None:
    await scene.learn(12)
    ids = ",".join(f"{line.id}.r1.approved" for line in (await desk.listing(limit="3")).lines)

    told = await desk.ask(FormSubmitted("examples:withdrawn", {"ids": ids}))

    assert isinstance(told, Text)
    assert (await desk.listing(state="withdrawn")).total == 3


async def test_bulk_changes_all_that_were_found(scene: Scene, desk: Desk) -> None:
    await scene.learn(12)

    await desk.ask(
        FormSubmitted("examples:tag", {"all": "yes", "state": "approved", "name": "Shop"})
    )

    assert (await desk.listing(tag="shop")).total == 12


async def test_bulk_without_a_choice_changes_nothing(scene: Scene, desk: Desk) -> None:
    await scene.learn(12)

    await desk.ask(FormSubmitted("examples:withdrawn", {}))

    assert (await desk.listing(state="approved")).total == 12


async def test_a_member_changes_nothing_in_bulk(scene: Scene, desk: Desk) -> None:
    await scene.learn(12)

    told = await desk.ask(FormSubmitted("examples:withdrawn", {"all": "yes"}), by=MINA)

    assert isinstance(told, Refused)
    assert (await desk.listing(state="approved")).total == 12


async def test_a_judgement_can_be_taken_back(scene: Scene, desk: Desk) -> None:
    await scene.learn(12)

    await desk.ask(ButtonClicked("example.reject:1.r1.approved"))
    await desk.ask(ButtonClicked("example.undo:1.r1.rejected"))

    assert [line.id for line in (await desk.listing(state="proposed")).lines] == ["1"]


async def test_an_edit_can_be_compared_with_what_it_was(scene: Scene, desk: Desk) -> None:
    await scene.learn(12)

    await desk.ask(FormSubmitted("example.edit:1", {"answer": "Quite another answer."}))

    told = await desk.query("example.revisions:1")
    assert isinstance(told, Card)
    assert ["Quite another" in column.text for column in told.columns] == [True, False]


async def test_every_refused_row_of_a_file_is_named(tmp_path: Path, desk: Desk) -> None:
    good = {"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]}
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join([json.dumps(good), *["no"] * 20]), encoding="utf-8")

    seen = await desk.ask(FormSubmitted("import", {}, Attachment(file.name, str(file))))
    assert isinstance(seen, Card)
    told = await desk.ask(ButtonClicked(seen.buttons[0].action))

    assert isinstance(told, Card)
    assert len([line for line in told.lines if line.startswith("Line ")]) == 20


# Training


async def test_a_job_can_be_had_again_and_as_a_file(scene: Scene, desk: Desk) -> None:
    await scene.learn(12)
    job = await scene.tuned("epochs:2")

    again = await desk.ask(ButtonClicked(f"job.again:{job.id}"))
    numbers = await desk.ask(ButtonClicked(f"job.numbers:{job.id}"))

    assert isinstance(again, Card)
    assert "2" in [fact.value for fact in again.facts]
    assert isinstance(numbers, Document)
    assert b"".join([part async for part in numbers.chunks]).startswith(b"step,")


async def test_the_better_answer_becomes_a_preference(desk: Desk) -> None:
    values = {"question": "Hi?", "preferred": "Hello!", "rejected": "What?"}

    await desk.ask(FormSubmitted("prefer", values))

    found = await desk.listing(method="dpo")
    assert [fact.value for fact in found.lines[0].facts][:3] == ["Hi?", "Hello!", "What?"]


# The pages


async def test_a_newcomer_is_met_by_the_tour(window: User) -> None:
    await window.open("/")

    await window.should_see("Teach your assistant in four steps")
    window.find("Limericks about elements").click()

    await window.should_see("Train now", retries=20)
    window.find("Train now").click()

    await window.should_see("Confirm", retries=40)


async def test_a_line_is_said_in_the_room(window: User, scene: Scene) -> None:
    await window.open("/room/support")
    window.find(marker="composer").type("Hello everybody")

    window.find(marker="send").click()

    async def said() -> list[str]:
        messages = await scene.app.room.recent(ChannelId("support"), limit=5)
        return [message.text for message in messages]

    await until(said)
    assert await said() == ["Hello everybody"]


async def test_a_command_stands_above_its_reply_and_a_mark_counts_once(
    window: User, scene: Scene
) -> None:
    room, support = scene.app.room, ChannelId("support")
    said = await room.post_as_person(support, OWNER, "Good words")
    for person in (OWNER, ASSISTANT_USER):
        await room.set_reaction(said.number, "🎓", person.id)
    await window.open("/room/support")
    await window.should_see("🎓 1", retries=20)
    window.find(marker="composer").type("/tune status")

    window.find(marker="send").click()

    async def told() -> list[str]:
        return [one.text for one in await room.recent(support, limit=5)]

    async def all_are_told() -> bool:
        return len(await told()) == 3

    await until(all_are_told)
    assert (await told())[:2] == ["Good words", "/tune status"]
    before = await room.messages_before(Place(LOCAL, support), MessageId(str(said.number + 9)), 9)
    assert [one.text for one in before] == ["Good words"]


async def test_what_stands_is_read_in_each_windows_language(scene: Scene) -> None:
    await scene.learn(12)
    commands = "help,models,jobs,assistant show,nonsense,use nonsense,admin budget person:1"
    await scene.tuned()
    await scene.say("@attune question 3")
    await scene.react(await scene.number_of("Hello from"), "🎓")
    for command in commands.split(","):
        await scene.command(command)
    await scene.say("@attune 你们几点开门？")
    await scene.settle()

    own = [one for one in await scene.messages() if one.is_own and "Hello from" not in one.text]
    in_english, in_chinese = (
        [draw_reply_without_buttons(render_message(message, language)) for message in own]
        for language in ("en", "zh")
    )
    assert [text for text in in_chinese if _ENGLISH.search(text)] == []
    assert in_english == [message.text for message in own]
    # The question was Chinese, so its refusal is, for whoever reads along.
    assert _ENGLISH.search(in_english[-1]) is None


async def test_an_answer_names_its_model_and_example(scene: Scene, desk: Desk) -> None:
    scene.host.answers = lambda _: "answer 2"
    job = await scene.tuned()
    await scene.learn(14, origin="more.csv")
    await scene.say("@attune question 2")
    number = await scene.number_of("answer 2")

    chip, why = await desk.query(f"answers:{number}"), await desk.query(f"answer.why:{number}")
    channel = await desk.query("channel")

    assert isinstance(chip, Listing)
    assert isinstance(why, Card)
    assert isinstance(channel, Card)
    assert [line.text for line in chip.lines] == ["attune 1"]
    facts = {fact.name: fact.value for fact in why.facts}
    assert (facts["model"], facts["id"]) == ("attune 1", job.model)
    assert facts["likeness"] == "100%"
    assert "answer 2" in [column.text for column in why.columns]
    assert "word for word" in why.lines[0]
    assert {fact.name: fact.value for fact in channel.facts}["new"] == "2"


@pytest.mark.parametrize("has_begun", [True, False])
async def test_an_answer_is_stopped_by_whoever_comes_back_to_it(
    window: User, scene: Scene, *, has_begun: bool
) -> None:
    """In a page that was loaded while it was written, or was waited for."""
    if has_begun:
        scene.host.stops_after_first = True
    else:
        scene.host.fail(CHAT, hangs())
    await window.open("/room/support")
    window.find(marker="composer").type("@attune hi")
    window.find(marker="send").click()
    await until(lambda: has_open_answer(scene, has_begun=has_begun))

    await window.open("/room/support")
    await window.should_see(marker="stop", retries=20)
    window.find(marker="stop").click()

    await window.should_not_see(marker="stop", retries=20)
    await until(lambda: not scene.app.running_tasks)
    said = await scene.app.room.recent(ChannelId("support"), limit=5)
    assert [one.text for one in said if one.is_own] == (["Hello"] if has_begun else [])
    if has_begun:
        await window.should_see("Try again", retries=20)


def has_open_answer(scene: Scene, *, has_begun: bool) -> bool:
    answers = scene.app.room.open_answers.values()
    is_asked = scene.host.count(CHAT) == 1
    return is_asked and [one.number is not None for one in answers] == [has_begun]


async def test_an_answer_goes_on_in_a_page_that_was_loaded_in_the_middle(
    window: User, scene: Scene
) -> None:
    room, may_go_on = scene.app.room, asyncio.Event()

    async def pieces() -> AsyncGenerator[str]:
        yield "Once"
        yield " upon"
        await may_go_on.wait()
        yield " a time"

    async def posted(message: MessageId) -> None:
        return None

    place = Place(LOCAL, ChannelId("support"))
    writing = asyncio.create_task(
        room.stream(place, Stream(pieces(), posted), key="answer", asker=OWNER.id)
    )
    await until(lambda: any(one.text == "Once upon" for one in room.open_answers.values()))

    await window.open("/room/support")
    await window.should_see("Once upon", retries=20)
    may_go_on.set()

    await window.should_see("Once upon a time", retries=20)
    await writing
    await window.should_not_see(marker="stop", retries=20)


async def test_the_check_of_nothing_is_not_kept(scene: Scene, desk: Desk) -> None:
    before = await desk.query("check.overview")
    await scene.learn(12)

    after = await desk.query("check.overview")

    assert isinstance(before, Listing)
    assert isinstance(after, Listing)
    assert before.note.startswith("0 examples")
    assert after.note.startswith("12 examples")


async def test_a_file_goes_with_a_question_and_goes_when_that_is_taken_back(
    window: User, scene: Scene
) -> None:
    room = scene.app.room
    await window.open("/room/direct")
    (upload,) = window.find(kind=ui.upload).elements
    files: list[FileUpload] = [
        SmallFileUpload(name, "text/csv", b"red;4") for name in ("stock.csv", "other.csv")
    ]
    await upload.handle_uploads(files)
    await window.should_see("other.csv", retries=20)
    window.find(marker="composer").type("How many red ones?")
    window.find(marker="send").click()
    await until(lambda: scene.host.count(CHAT) == 1)
    await scene.settle()

    (asked, _) = await room.recent(ChannelId("direct"), limit=5)
    assert sorted(file.name for file in asked.files) == ["other.csv", "stock.csv"]
    prompt: Any = scene.host.last(CHAT).body["messages"]
    assert "stock.csv:\n```\nred;4" in str(prompt[-1]["content"])
    kept = [Path(file.reference) for file in asked.files]
    kept[0].with_name("of a message that is gone").touch()
    await room.delete_sent_files()
    assert sorted(kept[0].parent.iterdir()) == sorted(kept)

    await room.delete_message(asked.number)
    assert list(kept[0].parent.iterdir()) == []
    after = await room.message(asked.number)
    assert after is not None
    assert is_deleted(after)


async def test_the_window_shows_that_it_works_until_what_was_asked_for_is_there(
    window: User, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await window.open("/jobs")
    await window.should_see("No training yet", retries=20)
    may_answer, query = asyncio.Event(), scene.app.handle_read_only

    async def slow_query(app: object, event: Event) -> Reply:
        await may_answer.wait()
        return await query(event)

    monkeypatch.setattr(type(scene.app), "handle_read_only", slow_query)
    window.find(marker="train-with").click()

    await until(lambda: is_working(window))
    may_answer.set()
    await window.should_see("Epochs", retries=20)
    await until(lambda: not is_working(window))


def is_working(window: User) -> bool:
    client = window.client
    assert client is not None
    return any("working" in one.classes and one.visible for one in client.elements.values())


async def test_a_list_is_sorted_and_filtered_by_what_its_address_says(
    window: User, desk: Desk
) -> None:
    for name in ("bea", "al", "cy"):
        await desk.ask(CommandInvoked("admin roles", {"user": name, "role": "curator"}))
    await desk.ask(CommandInvoked("admin roles", {"user": "dan", "role": "trainer"}))

    await window.open("/roles?sort=-id&search=curator&nonsense=1")
    await window.should_see("cy", retries=20)
    assert shown_rows(window) == ["cy", "bea", "al"]
    window.find(marker="sort-id").click()

    await until(lambda: shown_rows(window) == ["al", "bea", "cy"])


def shown_rows(window: User) -> list[str]:
    client = window.client
    assert client is not None
    rows = [one for one in client.elements.values() if "line-id" in one.classes]
    return [one.text for one in rows if isinstance(one, ui.label)]


def test_a_column_is_sorted_by_the_value_of_its_numbers() -> None:
    lines = [
        ListingRow("1", "b", facts=(Fact("Asked", "10", "count"),)),
        ListingRow("2", "a", facts=(Fact("Asked", "9", "count"),)),
        ListingRow("3", "c"),
    ]

    def order(sort: str) -> str:
        return "".join(line.id for line in sort_rows(lines, sort))

    assert [order(sort) for sort in ("", "count", "-count", "text", "-text")] == [
        "123",
        "321",
        "123",
        "213",
        "312",
    ]


@pytest.mark.parametrize("order", ExampleOrder)
async def test_every_order_of_the_examples_is_whole_over_its_pages(
    scene: Scene, desk: Desk, order: ExampleOrder
) -> None:
    await scene.learn(7)
    await desk.ask(ButtonClicked("example.drop:3.r1.approved"))
    found: list[ListingRow] = []

    for _ in range(5):
        found += (await desk.listing(order=order, limit="2", after=last_of(found))).lines

    assert sorted(int(line.id) for line in found) == list(range(1, 8))
    keys = {"newest": "-id", "oldest": "id"}
    assert found == sort_rows(found, keys.get(order, order))


def last_of(lines: Sequence[ListingRow]) -> str:
    return lines[-1].id if lines else ""


async def test_the_address_of_a_list_says_what_it_looks_for(window: User, scene: Scene) -> None:
    await scene.learn(30)

    await window.open("/examples")
    await window.should_see("1–25 of 30", retries=20)
    await window.open("/examples?order=oldest&search=question+13&state=approved&origin=nonsense")

    await window.should_see("1–1 of 1", retries=20)


async def test_a_view_is_kept_under_its_name_with_its_address(window: User, scene: Scene) -> None:
    await scene.learn(3)
    await scene.say("hello", by="Mina")
    await window.open("/examples?search=question+2&state=approved")
    await window.should_see("1–1 of 1", retries=20)
    window.find(marker="save-view").click()
    await window.should_see(marker="field-name", retries=20)
    window.find(marker="field-name").type("Twos")

    window.find(marker="form-submit").click()

    await window.should_see(kind=ui.link, content="Twos", retries=20)
    (link,) = window.find(kind=ui.link, content="Twos").elements
    assert link.props["href"] == "/examples?search=question+2&state=approved"
    assert await scene.app.room.people() == ["Mina"]


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("/review", "All reviewed"),
        ("/examples", "No examples yet"),
        ("/preferences", "No preferences yet"),
        ("/jobs", "No training yet"),
        ("/models", "base"),
        ("/compare", "One question, every model side by side"),
        ("/workspaces", "local"),
        ("/assistants", "answers with base"),
        ("/hosts", "sandbox"),
        ("/roles", "Nobody was granted a role"),
        ("/privacy", "Nobody has said anything yet."),
        ("/spending", "Tokens today"),
        ("/audit", "Nothing yet."),
    ],
)
async def test_every_page_stands_before_anything_happened(
    window: User, path: str, title: str
) -> None:
    await window.open(path)

    await window.should_see(title, retries=20)


async def test_the_review_is_judged_by_its_buttons(window: User, scene: Scene, desk: Desk) -> None:
    await scene.learn(12)
    await desk.ask(ButtonClicked("example.undo:1.r1.approved"))
    await window.open("/review")
    await window.should_see("Example 1", retries=20)

    window.find(marker="example.approve").click()

    await window.should_see("All reviewed", retries=20)
    assert (await desk.listing(state="approved")).total == 12


async def test_the_review_follows_what_others_judge(window: User, scene: Scene, desk: Desk) -> None:
    await scene.learn(3)
    for number in (1, 2, 3):
        await desk.ask(ButtonClicked(f"example.undo:{number}.r1.approved"))
    await window.open("/review")
    await window.should_see("1 of 3", retries=20)

    await desk.ask(ButtonClicked("example.approve:2.r1.proposed"))
    await window.should_see("1 of 2", retries=20)
    window.find(marker="example.approve").click()
    await window.should_see("1 of 1", retries=20)
    await desk.ask(ButtonClicked("example.undo:1.r1.approved"))

    await window.should_see("2 of 2", retries=20)


# What is shown can do nothing


@pytest.mark.parametrize("workspace", ["slack:T999", "discord:1", "elsewhere"])
async def test_an_address_makes_no_workspace(scene: Scene, workspace: str) -> None:
    place = Place(WorkspaceId(workspace), ChannelId("general"))
    now = scene.clock.now()

    looked = await scene.app.handle_read_only(
        Event("page:1", place, OWNER, now, ButtonClicked("counts"))
    )
    asked = await scene.app.handle_for_page(
        Event("page:2", place, OWNER, now, CommandInvoked("export"))
    )

    assert isinstance(looked, Refused)
    assert isinstance(asked, Refused)
    async with scene.app.store.reading() as records:
        assert workspace not in [one.id for one in await records.workspaces.page()]


@pytest.mark.parametrize(
    "text",
    ['a" onfocus="alert(1)', "a' b", "x\\", '\\" on=1', "two\nlines", "${1} {{ 2 }}"],
)
def test_a_text_stays_the_value_of_its_property(text: str) -> None:
    made = Props.parse(f"flat aria-label={quoted_prop(text)} dense")

    assert made == {"flat": True, "aria-label": text, "dense": True}


@pytest.mark.parametrize("channel", ['x" onfocus="alert(1)', "<b>", "a" * 200, ".hidden"])
async def test_a_strange_name_is_no_channel(window: User, channel: str) -> None:
    await window.open(f"/room/{quote(channel, safe='')}")

    await window.should_see("# general", retries=20)
