"""The local workspace's platform, through the doors that the core uses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from pathlib import Path

import pytest

from adapters.console.button_labels import labelled_actions
from adapters.local_room import ASSISTANT_USER, is_deleted, render_message
from adapters.plain_text import draw_reply
from adapters.room_changes import (
    AnswerAwaited,
    AnswerBegun,
    FormOffered,
    PartialAnswer,
    Posted,
    ReactionsUpdated,
    Updated,
)
from bot.domain import LOCAL, ChannelId, MessageId, Place
from bot.errors import EmptyAnswer, HostServerError, MessageGone
from bot.ports.surface import CanOpenForm, CanReadFile, CanSendFile, CanStream, Surface
from bot.replies import (
    Button,
    Card,
    Chart,
    Drawn,
    Form,
    Listing,
    ListingRow,
    Series,
    Stream,
    Text,
    Tone,
)
from tests.fakes.app import StillClock
from tests.fakes.room_scene import GENERAL, MINA, PLACE, RoomScene, command


@pytest.fixture
def scene(tmp_path: Path) -> RoomScene:
    return RoomScene(tmp_path)


async def _pieces(texts: Iterable[str], error: BaseException | None = None) -> AsyncGenerator[str]:
    for text in texts:
        yield text
    if error:
        raise error


async def _nobody(message: MessageId) -> None:
    return None


def _stream(*texts: str, error: BaseException | None = None) -> Stream:
    return Stream(_pieces(texts, error), _nobody, lambda: (Button("👍", "feedback.good"),))


async def _say_it(scene: RoomScene, stream: Stream, key: str = "answer") -> MessageId:
    return await scene.room.stream(PLACE, stream, key=key, asker=MINA.id)


def test_the_room_has_every_gift_that_the_core_may_use(scene: RoomScene) -> None:
    surface: Surface = scene.room

    for gift in (CanStream, CanOpenForm, CanSendFile, CanReadFile):
        assert isinstance(surface, gift)


@pytest.mark.parametrize(
    "reply",
    [
        Text("Hello", buttons=(Button("Yes", "yes", is_primary=True),)),
        Card("Hello", lines=("a",), tone=Tone.BUSY, buttons=(Button("No", "no"),)),
        Card("Hello", chart=Chart("c", "x", [Series("s", [(1, 2)])], "sum")),
        Listing("Hello", (ListingRow("1", "a", buttons=(Button("Open", "o:1"),)),), total=1),
    ],
)
async def test_a_reply_keeps_its_buttons_over_a_restart(tmp_path: Path, reply: Drawn) -> None:
    scene = RoomScene(tmp_path)

    await scene.room.post(PLACE, reply, key="a")

    message = await RoomScene(tmp_path, scene.store).room.message(1)
    assert message
    assert draw_reply(render_message(message)) == draw_reply(reply)
    assert labelled_actions(render_message(message)) == labelled_actions(reply)


async def test_posting_twice_with_one_key_edits(scene: RoomScene) -> None:
    first = await scene.room.post(PLACE, Text("one"), key="a")
    second = await scene.room.post(PLACE, Text("two"), key="a")

    assert first == second == "1"
    assert scene.texts() == ["two"]
    assert [type(change) for change in scene.heard] == [Posted, Updated]


async def test_a_body_that_cannot_be_read_is_shown_as_its_text(scene: RoomScene) -> None:
    await scene.store.room.post(
        GENERAL, author=ASSISTANT_USER, text="plain", body='{"card": 1}', is_own=True,
        at=StillClock().now(),
    )  # fmt: skip

    message = await scene.room.message(1)

    assert message
    assert render_message(message) == Text("plain")


@pytest.mark.parametrize("message", ["9", "not a number"])
async def test_what_is_not_there_is_said_to_be_gone(scene: RoomScene, message: str) -> None:
    with pytest.raises(MessageGone):
        await scene.room.edit(PLACE, MessageId(message), Text("new"))
    with pytest.raises(MessageGone):
        await scene.room.react(PLACE, MessageId(message), "🎓")


async def test_a_stream_is_written_at_its_first_text_and_at_its_end(scene: RoomScene) -> None:
    message = await _say_it(scene, _stream("", "So ", "sorry ", "about ", "that!"))

    kept = await scene.room.message(int(message))
    assert kept
    assert render_message(kept) == Text("So sorry about that!")
    assert kept.text == "So sorry about that!"
    assert scene.store.room.writes == 2


async def test_watchers_see_a_stream_grow(scene: RoomScene) -> None:
    with scene.room.watch() as watch:
        await _say_it(scene, _stream("a", "b"))

        awaited, posted, begun, *live, updated = watch.drain()
        assert isinstance(awaited, AnswerAwaited)
        assert begun == AnswerBegun(awaited.key)
        assert isinstance(posted, Posted)
        assert posted.is_partial
        assert live == [PartialAnswer(1, "ab", is_final=True)]
        assert isinstance(updated, Updated)
        assert not updated.is_partial


async def test_a_stream_tells_where_it_stands_before_it_goes_on(scene: RoomScene) -> None:
    told: list[tuple[MessageId, list[str]]] = []

    async def posted(message: MessageId) -> None:
        told.append((message, scene.texts()))

    await _say_it(scene, Stream(_pieces(["one", " two"]), posted))

    assert told == [("1", ["one"])]


async def test_an_error_in_a_stream_leaves_what_was_shown(scene: RoomScene) -> None:
    with pytest.raises(HostServerError):
        await _say_it(scene, _stream("So ", "sorry", error=HostServerError()))

    kept = await scene.room.message(1)
    assert kept
    assert render_message(kept) == Text("So sorry")


async def test_a_cancelled_stream_leaves_what_was_shown(scene: RoomScene) -> None:
    async def endless() -> AsyncGenerator[str]:
        yield "So "
        yield "far"
        await asyncio.Event().wait()

    task = asyncio.create_task(_say_it(scene, Stream(endless(), _nobody)))
    with scene.room.watch() as watch:
        async for change in watch:
            if change == PartialAnswer(1, "So far"):
                break
    task.cancel()
    await asyncio.wait({task})

    assert task.cancelled()
    assert scene.texts() == ["So far"]
    assert isinstance(scene.heard[-1], Updated)


async def test_two_attempts_at_one_answer_are_both_closed(scene: RoomScene) -> None:
    may_end = asyncio.Event()

    async def waiting() -> AsyncGenerator[str]:
        yield "So "
        await may_end.wait()
        yield "far"

    first = asyncio.create_task(_say_it(scene, Stream(waiting(), _nobody)))
    with scene.room.watch() as watch:
        async for change in watch:
            if isinstance(change, Posted):
                break
    await _say_it(scene, _stream("So ", "far"))
    may_end.set()

    await first

    kept = await scene.room.message(1)
    assert kept
    assert render_message(kept) == Text("So far")
    assert not scene.room.open_answers


async def test_a_stream_that_died_halfway_is_edited_not_posted_twice(
    scene: RoomScene, tmp_path: Path
) -> None:
    await scene.room.post(PLACE, Text("So sor"), key="answer")
    later = RoomScene(tmp_path, scene.store)

    await _say_it(later, _stream("So sorry", "!"))

    assert later.texts() == ["So sorry!"]
    assert [type(change) for change in later.heard] == [
        AnswerAwaited,
        Updated,
        AnswerBegun,
        PartialAnswer,
        PartialAnswer,
        Updated,
    ]


async def test_the_error_of_an_empty_stream_passes_through(scene: RoomScene) -> None:
    with pytest.raises(EmptyAnswer, match="sandbox"):
        await _say_it(scene, _stream(error=EmptyAnswer(host="sandbox")))

    assert scene.texts() == []


async def test_a_stream_of_blanks_is_an_empty_answer(scene: RoomScene) -> None:
    with pytest.raises(EmptyAnswer):
        await _say_it(scene, _stream(" ", "\n"))

    assert scene.texts() == []


async def test_a_character_that_came_in_two_halves_is_whole_again(scene: RoomScene) -> None:
    await _say_it(scene, _stream("a", "\ud83d", "\ude00", "\ud83d"))

    assert scene.texts() == ["a😀\ufffd"]


async def test_a_long_text_is_kept_whole(scene: RoomScene) -> None:
    await scene.room.post(PLACE, Text("long " * 20_000), key="a")

    assert len(scene.texts()[0]) == 100_000


async def test_history_follows_the_replies(scene: RoomScene) -> None:
    await scene.room.post_as_person(GENERAL, MINA, "@attune one")
    await scene.room.post(PLACE, Text("two"), key="answer/room:1")
    await scene.room.post_as_person(GENERAL, MINA, "by the way")
    await scene.room.post_as_person(GENERAL, MINA, "three", reply_to=2)

    history = await scene.room.thread_before(PLACE, MessageId("4"), 10)

    assert [said.text for said in history] == ["one", "two"]
    assert [said.is_own for said in history] == [False, True]
    assert await scene.room.thread_before(PLACE, MessageId("4"), 1) == [history[1]]


async def test_the_plain_channel_has_no_history(scene: RoomScene) -> None:
    await scene.room.post_as_person(GENERAL, MINA, "one")
    await scene.room.post_as_person(GENERAL, MINA, "two")

    assert await scene.room.thread_before(PLACE, MessageId("2"), 10) == []


async def test_what_stands_just_above_is_nearby(scene: RoomScene) -> None:
    for text in ("one", "oops", "three", "four"):
        await scene.room.post_as_person(GENERAL, MINA, text)
    await scene.room.delete_message(2)

    messages_before = await scene.room.messages_before(PLACE, MessageId("4"), 3)

    assert [said.text for said in messages_before] == ["one", "three"]


async def test_the_history_of_a_thread_is_the_thread_without_what_was_deleted(
    scene: RoomScene,
) -> None:
    await scene.room.post_as_person(GENERAL, MINA, "root")
    await scene.room.post_as_person(GENERAL, MINA, "elsewhere")
    for text in ("oops", "more", "now"):
        await scene.room.post_as_person(GENERAL, MINA, text, thread=1)
    await scene.room.delete_message(3)

    place = Place(LOCAL, GENERAL, MessageId("1"))
    history = await scene.room.thread_before(place, MessageId("5"), 10)

    assert [said.text for said in history] == ["root", "more"]


async def test_a_message_is_found_in_its_own_channel_only(scene: RoomScene) -> None:
    await scene.room.post_as_person(GENERAL, MINA, "@Attune, hello @attune")

    said = await scene.room.fetch_message(PLACE, MessageId("1"))

    assert said
    assert said.text == "hello @attune"
    assert await scene.room.fetch_message(Place(LOCAL, ChannelId("other")), MessageId("1")) is None


async def test_a_deleted_message_is_gone_with_its_text(scene: RoomScene) -> None:
    await scene.room.post_as_person(GENERAL, MINA, "secret")

    await scene.room.delete_message(1)

    message = await scene.room.message(1)
    assert message
    assert is_deleted(message)
    assert await scene.room.fetch_message(PLACE, MessageId("1")) is None


async def test_a_reaction_is_kept_and_told(scene: RoomScene) -> None:
    await scene.room.post_as_person(GENERAL, MINA, "hello")

    await scene.room.react(PLACE, MessageId("1"), "🎓")

    message = await scene.room.message(1)
    assert message
    assert message.reactions == (("🎓", ASSISTANT_USER.id),)
    assert scene.heard[-1] == ReactionsUpdated(1, "🎓", ASSISTANT_USER.id)


async def test_an_opened_form_reaches_the_views(scene: RoomScene) -> None:
    form, event = Form("teach", "Teach", (), "Save"), command()

    await scene.room.open_form(event, form)

    assert scene.heard == [FormOffered(form, event)]


async def test_every_watcher_hears_everything(scene: RoomScene) -> None:
    with scene.room.watch() as one, scene.room.watch() as other:
        for number in range(50):
            await scene.room.post_as_person(GENERAL, MINA, str(number))

        assert len(one.drain()) == len(other.drain()) == 50


async def test_a_closed_watch_ends(scene: RoomScene) -> None:
    watch = scene.room.watch()
    await scene.room.post_as_person(GENERAL, MINA, "hello")

    watch.close()

    assert len([change async for change in watch]) == 1


def test_keys_of_events_never_repeat_within_a_run(scene: RoomScene) -> None:
    assert [scene.room.new_key("console") for _ in range(2)] == ["console:one:1", "console:one:2"]
