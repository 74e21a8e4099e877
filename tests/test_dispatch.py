"""The one way in: every event once, by those who may, and never silently lost."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from bot.chat import AnswerWriter
from bot.command_catalogue import CATALOGUE
from bot.domain import (
    LOCAL,
    ChannelId,
    Message,
    MessageId,
    Place,
    Role,
    Turn,
    TurnState,
    User,
    UserId,
)
from bot.events import (
    ButtonClicked,
    CommandInvoked,
    EventContent,
    FormSubmitted,
    MessageEdited,
    ReactionChanged,
    ShortcutUsed,
    to_json,
)
from bot.keyed_order import KeyedOrder
from bot.replies import Listing, Stream
from bot.words import Words
from tests.fakes.connected import CHAT
from tests.fakes.faults import answers, hangs
from tests.scene import GENERAL, Scene
from tests.waiting import until

WORDS = Words("en")
NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
WHO = {
    role: WORDS(f"role.ask.{role.name.lower()}")
    for role in (Role.CURATOR, Role.TRAINER, Role.ADMIN, Role.OPERATOR)
}
GUARDED = [command for command in CATALOGUE.commands if command.role > Role.MEMBER]


async def inbox(scene: Scene) -> list[str]:
    async with scene.database.reading() as records:
        return [row.payload for row in await records.inbox.list_unfinished()]


async def answered(scene: Scene) -> Turn:
    """The turn whose answer is the second message of the room."""
    async with scene.database.reading() as records:
        turn = await records.turns.by_reply_message(LOCAL, GENERAL, MessageId("2"))
    assert turn is not None
    return turn


async def promise(scene: Scene, what: EventContent, *, key: str, age: float = 0.0) -> None:
    """An event that was acknowledged before the process died."""
    event = scene.event(what, key=key)
    async with scene.database.writing() as records:
        await records.inbox.add(
            LOCAL,
            key,
            message_key=event.message_key,
            payload=to_json(event),
            at=scene.clock.now() - timedelta(seconds=age),
        )


async def test_an_event_that_is_known_is_dropped(scene: Scene) -> None:
    event = scene.event(CommandInvoked("help"), key="e1")

    assert await scene.handle(event)
    assert not await scene.handle(event)

    assert len(await scene.texts()) == 1


async def test_a_message_that_arrives_as_two_events_is_answered_once(scene: Scene) -> None:
    mention = scene.spoken("hi", number="171.1")

    await scene.handle(scene.event(mention, key="app_mention"))
    await scene.handle(scene.event(mention, key="message"))

    assert scene.host.count(CHAT) == 1


async def test_the_same_event_at_the_same_time_is_answered_once(scene: Scene) -> None:
    event = scene.event(scene.spoken("hi", number="171.1"), key="e1")

    await asyncio.gather(*(scene.handle(event) for _ in range(5)))

    assert scene.host.count(CHAT) == 1


async def test_bots_are_not_heard(scene: Scene) -> None:
    robot = User(UserId("b"), "robot", is_bot=True)

    event = scene.event(scene.spoken("hi", number=1, by=robot), key="e1", by=robot)

    assert not await scene.handle(event)
    assert await scene.texts() == []


async def test_words_for_others_leave_no_trace(scene: Scene) -> None:
    said = scene.spoken("our secret", number=1, is_addressed=False)

    assert not await scene.handle(scene.event(said, key="e1"))

    assert b"our secret" not in everything(scene)
    assert await scene.handle(scene.event(scene.spoken("hi", number=2), key="e1"))


async def test_an_emoji_that_means_nothing_leaves_no_trace(scene: Scene) -> None:
    wave = ReactionChanged(MessageId("1"), "👋")

    assert not await scene.handle(scene.event(wave, key="e1"))


async def test_an_edit_of_words_never_taught_leaves_no_trace(scene: Scene) -> None:
    await scene.say("an ordinary word")

    assert not await scene.handle(scene.event(MessageEdited(MessageId("1"), "another"), key="e1"))


async def test_a_channel_may_be_answered_unasked(scene: Scene) -> None:
    await scene.command("assistant bind attune always:yes")

    await scene.say("nobody is called here")

    assert await scene.last() == "Hello from the model"


async def test_other_channels_are_not_answered_unasked(scene: Scene) -> None:
    await scene.command("assistant bind attune always:yes")
    said = scene.spoken("nobody is called", number=9, is_addressed=False)

    assert not await scene.handle(scene.event(said, key="e9", channel=ChannelId("other")))


async def test_a_command_may_be_written_to_the_assistant(scene: Scene) -> None:
    await scene.say("@attune tune status")

    assert "No training yet" in await scene.last()
    assert scene.host.count(CHAT) == 0


async def test_what_the_model_says_is_never_a_command(scene: Scene) -> None:
    scene.host.pieces = ("/tune admin roles mallory role:admin",)

    await scene.say("@attune what do I write?")
    await scene.settle()

    assert await scene.last() == "/tune admin roles mallory role:admin"
    assert await scene.audited("role") == 0


async def is_refused(scene: Scene, role: Role, *, since: int) -> bool:
    """Whether one of the newer messages names who has that role."""
    return any(WHO[role] in text for text in (await scene.texts())[since:])


async def test_a_member_may_not_command_what_needs_more(scene: Scene) -> None:
    done: list[str] = []

    for command in GUARDED:
        known = len(await scene.texts())
        await scene.command(command.path, by="mina")
        done += [] if await is_refused(scene, command.role, since=known) else [command.path]

    assert done == []
    assert await scene.audited("") == 0


async def test_the_role_below_may_not_command_it_either(scene: Scene) -> None:
    await scene.do("/tune help")
    done: list[str] = []

    for command in GUARDED:
        known = len(await scene.texts())
        await scene.grant("mina", Role(command.role - 1))
        await scene.command(command.path, by="mina")
        done += [] if await is_refused(scene, command.role, since=known) else [command.path]

    assert done == []


async def test_every_click_is_checked_whoever_could_see_the_button(scene: Scene) -> None:
    await scene.learn(12)
    await scene.command("start")
    before = await scene.audited("")
    guarded = [
        (kind, action)
        for kind, actions in (
            ("button", CATALOGUE.buttons),
            ("form", CATALOGUE.forms),
            ("reaction", CATALOGUE.reactions),
            ("shortcut", CATALOGUE.shortcuts),
        )
        for action in actions
        if action.role > Role.MEMBER
    ]
    done: list[str] = []

    for number, (kind, action) in enumerate(guarded):
        known = len(await scene.texts())
        event = scene.event(doing(kind, action.name), key=f"e{number}", by="mina")
        await scene.handle(event)
        is_done = not await is_refused(scene, action.role, since=known)
        done += [f"{kind} {action.name}"] if is_done else []

    assert done == []
    assert await scene.audited("") == before


def doing(kind: str, name: str) -> EventContent:
    said = Message(Place(LOCAL, GENERAL), MessageId("1"), User(UserId("mina"), "mina"), "x", NOON)
    ways: dict[str, EventContent] = {
        "button": ButtonClicked(f"{name}:1", MessageId("1")),
        "form": FormSubmitted(f"{name}:1", {}),
        "reaction": ReactionChanged(MessageId("1"), name),
        "shortcut": ShortcutUsed(name, said),
    }
    return ways[kind]


async def test_a_member_may_not_confirm_what_a_trainer_priced(scene: Scene) -> None:
    await scene.learn(12)
    await scene.command("start")

    await scene.click("Confirm", by="mina")
    await scene.settle()

    assert WHO[Role.TRAINER] in await scene.last()
    assert scene.host.files == {}


async def test_examples_are_edited_by_curators_only_in_whatever_way(scene: Scene) -> None:
    await scene.learn(1)

    await scene.command("examples withdraw:1", by="mina")

    assert WHO[Role.CURATOR] in await scene.last()
    assert len(await scene.examples()) == 1


async def test_a_role_that_was_granted_counts_and_one_taken_away_does_not(scene: Scene) -> None:
    await scene.command("admin roles mina role:curator")
    await scene.command("review", by="mina")
    assert "Nothing waits" in await scene.last()

    await scene.command("admin roles mina role:member")
    await scene.command("review", by="mina")

    assert WHO[Role.CURATOR] in await scene.last()


async def test_admins_of_one_workspace_are_nobody_in_another(scene: Scene) -> None:
    await scene.command("admin roles mina role:admin")

    await scene.slack_event(CommandInvoked("admin audit"), key="e1", by="mina")

    assert WHO[Role.ADMIN] in str(scene.slack.whispers[-1])


async def test_the_operators_list_of_admins_names_platforms(scene: Scene) -> None:
    scene.admins = "slack:mina"
    await scene.restart()

    await scene.slack_event(CommandInvoked("admin audit"), key="e1", by="mina")
    await scene.command("admin audit", by="mina")

    (send_ephemeral,) = scene.slack.whispers
    assert isinstance(send_ephemeral, Listing)
    assert WHO[Role.ADMIN] in await scene.last()


async def test_a_person_past_the_cap_is_not_answered(scene: Scene) -> None:
    await scene.command("admin budget person:5")
    await scene.say("@attune first", by="mina")

    await scene.say("@attune second", by="mina")

    assert "5 tokens" in await scene.last()
    assert scene.host.count(CHAT) == 1


async def test_the_cap_of_the_workspace_counts_everybody(scene: Scene) -> None:
    await scene.command("admin budget workspace:5")
    await scene.say("@attune first", by="mina")

    await scene.say("@attune second", by="omar")

    assert scene.host.count(CHAT) == 1


async def test_a_comparison_costs_tokens_too(scene: Scene) -> None:
    await scene.command("admin budget person:5")
    await scene.command("compare hello", by="mina")

    await scene.command("compare hello", by="mina")

    assert "5 tokens" in await scene.last()
    assert scene.host.count(CHAT) == 1


async def test_a_command_costs_no_tokens_however_it_is_said(scene: Scene) -> None:
    await scene.command("admin budget person:5")
    await scene.say("@attune first", by="mina")

    await scene.say("@attune tune status", by="mina")

    assert "No training yet" in await scene.last()


async def test_the_cap_is_new_the_next_day(scene: Scene) -> None:
    await scene.command("admin budget person:5")
    await scene.say("@attune first", by="mina")
    scene.advance(24 * 3600)

    await scene.say("@attune second", by="mina")

    assert scene.host.count(CHAT) == 2


async def test_a_promised_event_runs_again_after_a_restart(scene: Scene) -> None:
    await promise(scene, CommandInvoked("status"), key="e1")

    await scene.restart()
    await scene.settle()

    assert "No training yet" in await scene.last()
    assert await inbox(scene) == []


async def test_a_young_question_is_answered_after_a_restart(scene: Scene) -> None:
    await promise(scene, scene.spoken("hi", number=1), key="e1", age=9 * 60)

    await scene.restart()
    await scene.settle()

    assert await scene.last() == "Hello from the model"


async def test_a_question_older_than_ten_minutes_is_let_go(scene: Scene) -> None:
    await promise(scene, scene.spoken("hi", number=1), key="e1", age=11 * 60)

    await scene.restart()
    await scene.settle()

    assert await scene.texts() == []
    assert await inbox(scene) == []


async def test_an_old_command_is_still_done(scene: Scene) -> None:
    await promise(scene, CommandInvoked("assistant create Ada"), key="e1", age=3600)

    await scene.restart()
    await scene.settle()

    assert "Ada" in await scene.last()


async def test_an_event_that_kills_the_process_each_time_is_given_up(scene: Scene) -> None:
    scene.host.fail_always(CHAT, hangs())
    await promise(scene, scene.spoken("hi", number=1), key="e1")

    for _ in range(9):
        await scene.restart()

    assert await inbox(scene) == []


async def test_an_event_that_cannot_be_read_does_not_stop_the_start(scene: Scene) -> None:
    async with scene.database.writing() as records:
        await records.inbox.add(
            LOCAL, "old", message_key=None, payload='{"what": "of old"}', at=scene.clock.now()
        )
    await promise(scene, CommandInvoked("status"), key="e1")

    await scene.restart()
    await scene.settle()

    assert "No training yet" in await scene.last()
    assert await inbox(scene) == []


async def test_a_half_streamed_answer_is_finished_in_the_same_message(scene: Scene) -> None:
    scene.host.piece_seconds = 0.3
    await scene.ask_only("@attune hi")
    await scene.shows("Hello")

    await scene.restart()
    await scene.settle()

    assert await scene.texts() == ["Hello from the model"]
    turn = await answered(scene)
    assert (turn.state, turn.reply) == (TurnState.DONE, "Hello from the model")


async def test_an_answer_that_was_whole_is_not_written_anew(scene: Scene) -> None:
    await scene.say("@attune hi")
    turn = await answered(scene)
    question = scene.event(scene.spoken("hi", number=1), key=turn.event_key)

    scene.host.pieces = ("Something else",)
    await scene.app.dispatch._run(question, KeyedOrder().enqueue(()))

    assert await scene.texts() == ["Hello from the model"]


async def test_an_answer_that_never_stood_is_said_in_the_words_that_were_paid_for(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash after the model's last word and before the first one is shown."""
    is_read = asyncio.Event()

    async def read_and_hang(_: Place, stream: Stream, **__: object) -> MessageId:
        async for _piece in stream.pieces:
            pass
        is_read.set()
        return await asyncio.Future()

    monkeypatch.setattr(scene.app.room, "stream", read_and_hang)
    await scene.ask_only("@attune hi")
    await is_read.wait()
    scene.host.pieces = ("Something else",)

    await scene.restart()
    await scene.settle()

    assert await scene.texts() == ["Hello from the model"]
    turn = await answered(scene)
    assert turn.state is TurnState.DONE


async def test_going_back_twice_takes_two_wishes(scene: Scene) -> None:
    """A crash after the deed and before its event was done runs the event again."""
    await scene.tuned()
    event = scene.event(CommandInvoked("rollback"), key="e1")
    await scene.handle(event)

    await scene.app.dispatch._run(event, KeyedOrder().enqueue(()))

    await scene.say("@attune hi")
    assert scene.host.last(CHAT).body["model"] == "base"


async def test_the_payload_is_erased_at_done(scene: Scene) -> None:
    await scene.slack_event(CommandInvoked("help a-very-rare-word"), key="e1")

    assert await inbox(scene) == []
    assert b"a-very-rare-word" not in inbox_file(scene)


async def test_what_nobody_foresaw_is_told_in_a_plain_sentence(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("bot.tuning.cards._shown_job", broken)

    await scene.say("@attune tune status canary-in-the-text")

    assert "nobody had foreseen" in await scene.last()
    assert "An event could not be handled" in caplog.messages
    assert "canary" not in "".join(caplog.messages)


async def test_an_event_never_takes_the_house_down(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.tuning.cards._shown_job", broken)
    monkeypatch.setattr(scene.app.room, "post", broken)

    await scene.command("status")

    assert await inbox(scene) == []


async def broken(*_: object, **__: object) -> None:
    raise ZeroDivisionError("canary")


async def test_a_host_that_fails_is_told_in_a_sentence(scene: Scene) -> None:
    scene.host.fail(CHAT, answers(500, "The engine is on fire."))

    await scene.say("@attune hi")

    assert "The engine is on fire." in await scene.last()


async def test_an_unknown_button_is_told_in_a_sentence(scene: Scene) -> None:
    await scene.handle(scene.event(ButtonClicked("of.old:1"), key="e1"))

    assert "There is no button" in await scene.last()


async def test_the_asker_stops_an_answer(scene: Scene) -> None:
    scene.host.stops_after_first = True
    await scene.ask_only("@attune hi", by="mina")
    await scene.shows("Hello")

    await scene.react(2, "❌", by="mina")
    await scene.settle()

    assert await scene.texts() == ["Hello"]
    assert scene.host.stopped_streams == 1
    turn = await answered(scene)
    assert (turn.state, turn.reply) == (TurnState.STOPPED, "Hello")
    assert await inbox(scene) == []


@pytest.mark.parametrize("way", ["mark on the question", "button", "of somebody else"])
async def test_an_answer_is_stopped_before_its_first_word(scene: Scene, way: str) -> None:
    scene.host.fail(CHAT, hangs())
    await scene.ask_only("@attune hi", by="mina")
    await until(lambda: scene.host.count(CHAT) == 1)

    if way == "mark on the question":
        await scene.react(1, "❌", by="mina")
    else:
        by = "mina" if way == "button" else "omar"
        await scene.handle(scene.event(ButtonClicked("stop:room:1"), key="e1", by=by))

    if way == "of somebody else":
        assert WHO[Role.CURATOR] in await scene.last()
        assert await inbox(scene) != []
        return
    await scene.settle()
    assert await scene.texts() == []
    assert await inbox(scene) == []


async def react_before_it_is_stored(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, emoji: str
) -> None:
    scene.host.stops_after_first = True
    keep, is_reacted = AnswerWriter._store_turn, asyncio.Event()

    async def keep_late(writer: AnswerWriter) -> None:
        await is_reacted.wait()
        await keep(writer)

    monkeypatch.setattr(AnswerWriter, "_store_turn", keep_late)
    await scene.ask_only("@attune hi", by="mina")
    await scene.shows("Hello")

    reacting = asyncio.create_task(scene.react(2, emoji, by="mina"))
    await asyncio.wait({reacting}, timeout=0.3)  # ends early only where the reaction was lost
    is_reacted.set()
    await reacting


async def test_a_stop_that_comes_before_the_answer_is_stored_is_not_lost(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await react_before_it_is_stored(scene, monkeypatch, "❌")
    await scene.settle()

    assert (await answered(scene)).state is TurnState.STOPPED


async def test_a_vote_that_comes_before_the_answer_is_stored_is_not_lost(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await react_before_it_is_stored(scene, monkeypatch, "👍")
    await scene.react(2, "❌", by="mina")
    await scene.settle()

    turn = await answered(scene)
    async with scene.database.reading() as records:
        (vote,) = await records.turns.votes(LOCAL, turn.id)
    assert vote.value == 1


async def test_a_stranger_does_not_stop_an_answer(scene: Scene) -> None:
    scene.host.stops_after_first = True
    await scene.ask_only("@attune hi", by="mina")
    await scene.shows("Hello")

    await scene.react(2, "❌", by="omar")

    assert WHO[Role.CURATOR] in await scene.last()
    assert (await answered(scene)).state is TurnState.STREAMING
    assert scene.host.stopped_streams == 0


async def test_a_cancelled_event_leaves_no_open_transaction(scene: Scene) -> None:
    scene.host.fail(CHAT, hangs())
    await scene.ask_only("@attune hi")
    await until(lambda: scene.host.count(CHAT) == 1)

    for task in set(scene.app.running_tasks):
        task.cancel()
    await asyncio.wait(set(scene.app.running_tasks))

    async with asyncio.timeout(1):
        await scene.command("status")
    assert "No training yet" in await scene.last()


async def test_every_reply_goes_to_where_the_question_came_from(scene: Scene) -> None:
    elsewhere = Place(LOCAL, ChannelId("elsewhere"), MessageId("7"))
    said = scene.spoken("hi", number=70)

    await scene.handle(
        scene.event(said, key="e1", channel=elsewhere.channel, thread=elsewhere.thread)
    )

    assert await scene.texts() == []
    (message,) = await scene.app.room.recent(elsewhere.channel, limit=10)
    assert (message.text, message.thread) == ("Hello from the model", 7)


async def test_a_refusal_is_for_the_asker_alone_where_that_is_possible(scene: Scene) -> None:
    await scene.slack_event(CommandInvoked("review"), key="e1", by="mina")

    assert scene.slack.posts == {}
    assert WHO[Role.CURATOR] in str(scene.slack.whispers[-1])


async def test_numbers_beyond_all_numbers_are_refused_in_words(scene: Scene) -> None:
    for words in ("examples after:inf", "admin budget person:inf", "start validation:nan"):
        await scene.command(words)

        assert "nobody had foreseen" not in await scene.last(), words


@pytest.mark.parametrize(
    "words", ["status 99999999999999999999", "cancel x", "examples edit:99999999999999999999"]
)
async def test_a_thing_that_is_not_there_is_told_by_name(scene: Scene, words: str) -> None:
    await scene.command(words)

    assert "There is no" in await scene.last()


def everything(scene: Scene) -> bytes:
    return b"".join(path.read_bytes() for path in scene.folder.glob("attune.db*"))


def inbox_file(scene: Scene) -> bytes:
    return (scene.folder / "attune.db").read_bytes()


async def test_a_rehearsal_leaves_no_trace(scene: Scene) -> None:
    async with scene.database.reading() as records:
        before = await records.workspaces.page()

    await scene.app.dispatch.warm_up()

    async with scene.database.reading() as records:
        assert await records.workspaces.page() == before
        assert await records.inbox.list_unfinished() == []
