"""Talking with the bot in Slack: mentions, direct messages, threads, commands."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest

from adapters.slack import adapter
from bot.domain import ChannelId, MessageId, Place, TurnId, WorkspaceId
from bot.events import Event
from bot.replies import Text
from tests.fakes.slack import BOT, Fault
from tests.slack_scene import Scene
from tests.waiting import until

ANSWER = "Hello from the model"
TEAM = WorkspaceId("slack:T1")


async def test_a_mention_is_answered_once_in_its_thread(in_slack: Scene) -> None:
    asked = in_slack.slack.mention("U2", "C1", "hello")

    await in_slack.hear("C1")
    await in_slack.settled()

    (answer,) = in_slack.slack.own("C1")
    assert (answer["text"], answer["thread_ts"]) == (ANSWER, asked)


async def test_a_short_answer_takes_two_writes(in_slack: Scene) -> None:
    in_slack.slack.mention("U2", "C1", "hello")

    await in_slack.hear("C1")

    writes = [call.method for call in in_slack.slack.calls if call.method.startswith("chat.")]
    assert writes == ["chat.startStream", "chat.stopStream"]


async def test_a_direct_message_needs_no_mention(in_slack: Scene) -> None:
    in_slack.slack.add_channel("D2", "im")

    in_slack.slack.say("U2", "D2", "hello")

    assert await in_slack.hear("D2") == [ANSWER]


async def test_a_group_message_is_answered_where_the_bot_is_mentioned(in_slack: Scene) -> None:
    in_slack.slack.add_channel("G7", "mpim")
    in_slack.slack.say("U2", "G7", "hello everybody")
    root = in_slack.slack.mention("U2", "G7", "hello")
    await in_slack.hear("G7")

    in_slack.slack.say("U3", "G7", "and then?", thread=root)

    assert await in_slack.hear("G7", 2) == [ANSWER, ANSWER]


async def test_words_for_others_are_left_alone(in_slack: Scene) -> None:
    in_slack.slack.say("U2", "C1", "hello everybody")

    await in_slack.settled()

    assert in_slack.slack.texts("C1") == []


async def test_a_thread_that_began_with_a_question_goes_on(in_slack: Scene) -> None:
    root = in_slack.slack.mention("U2", "C1", "hello")
    await in_slack.hear("C1")

    in_slack.slack.say("U2", "C1", "and then?", thread=root)

    assert await in_slack.hear("C1", 2) == [ANSWER, ANSWER]
    asked = in_slack.host.last("POST /chat/completions").body["messages"]
    assert isinstance(asked, list)
    said = [one["content"] for one in asked if one["role"] != "system"]
    assert said == ["hello", ANSWER, "and then?"]


async def test_a_channel_that_is_always_answered_needs_no_mention(in_slack: Scene) -> None:
    in_slack.slack.command("U1", "C1", "assistant bind always:yes")
    await in_slack.hear("C1")

    in_slack.slack.say("U2", "C1", "hello")

    assert (await in_slack.hear("C1", 2))[1] == ANSWER


async def test_other_bots_are_not_answered(in_slack: Scene) -> None:
    event = {"type": "message", "channel": "C1", "user": "U2", "bot_id": "B9", "ts": "9.1"}

    in_slack.slack.event({**event, "text": f"<@{BOT}> hello"})

    await in_slack.settled()
    assert in_slack.slack.texts("C1") == []


@pytest.mark.parametrize(
    "event", [{"type": "team_rename", "name": "x"}, {"type": "message", "subtype": "channel_topic"}]
)
async def test_events_that_mean_nothing_are_acknowledged(
    in_slack: Scene, event: dict[str, object]
) -> None:
    delivery = in_slack.slack.event(event)

    await in_slack.settled()

    assert delivery.sent == 1


async def test_a_command_answers_in_its_channel(in_slack: Scene) -> None:
    in_slack.slack.command("U2", "C1", "status")

    assert "No training" in (await in_slack.read("C1"))[0]


async def test_a_command_where_the_bot_is_no_member_answers_the_asker(in_slack: Scene) -> None:
    in_slack.slack.add_channel("C9", has_bot=False)

    in_slack.slack.command("U2", "C9", "status")

    (told,) = await in_slack.whispered()
    assert (told["user"], told["channel"]) == ("U2", "C9")
    assert "No training" in told["text"]


async def test_the_same_words_work_in_a_thread(in_slack: Scene) -> None:
    root = in_slack.slack.put("U2", "C1", "we should train")

    in_slack.slack.mention("U2", "C1", "tune status", thread=root)

    await in_slack.read("C1")
    assert in_slack.slack.read("C1")[0]["thread_ts"] == root


async def test_a_person_in_a_command_is_their_id(in_slack: Scene) -> None:
    in_slack.slack.command("U1", "C1", "admin roles user:<@U2|ann> role:curator")

    assert "U2" in (await in_slack.read("C1"))[0]


async def test_workspace_admins_are_admins(in_slack: Scene) -> None:
    in_slack.slack.add_user("U3", is_admin=True)

    in_slack.slack.command("U3", "C1", "admin budget")

    assert "Tokens today" in str(await in_slack.whispered())
    assert in_slack.slack.texts("C1") == []


async def test_a_refusal_is_for_the_asker_alone(in_slack: Scene) -> None:
    in_slack.slack.command("U2", "C1", "admin budget")

    (send_ephemeral,) = await in_slack.whispered()
    assert "Only a admin" in send_ephemeral["text"] or "admin" in send_ephemeral["text"]
    assert in_slack.slack.texts("C1") == []


async def test_people_are_answered_in_their_language(in_slack: Scene) -> None:
    in_slack.slack.add_user("U3", locale="zh-CN")

    in_slack.slack.command("U3", "C1", "help status")

    assert "训练" in str(await in_slack.whispered())


async def test_an_event_is_acknowledged_only_once_it_is_kept(in_slack: Scene) -> None:
    assert in_slack.app is not None
    handle = in_slack.app.dispatch.handle
    kept_at: list[float] = []

    async def slow(event: object) -> object:
        await asyncio.sleep(0.3)
        done = await handle(event)  # type: ignore[arg-type]
        kept_at.append(asyncio.get_running_loop().time())
        return done

    in_slack.app.dispatch.handle = slow  # type: ignore[method-assign,assignment]
    delivery = in_slack.slack.command("U2", "C1", "help status")
    await delivery.acked.wait()

    assert kept_at
    assert delivery.acks[0] >= 0.3


async def test_an_event_that_cannot_be_kept_comes_again(in_slack: Scene) -> None:
    assert in_slack.app is not None
    handle, failures = in_slack.app.dispatch.handle, [RuntimeError("full"), RuntimeError("full")]
    in_slack.slack.ack_seconds = 0.2

    async def failing(event: object) -> object:
        if failures:
            raise failures.pop()
        return await handle(event)  # type: ignore[arg-type]

    in_slack.app.dispatch.handle = failing  # type: ignore[method-assign,assignment]
    in_slack.slack.mention("U2", "C1", "hello")

    assert await in_slack.hear("C1") == [ANSWER]


async def test_a_socket_that_is_renewed_or_cut_loses_nothing(in_slack: Scene) -> None:
    in_slack.slack.tiers.is_on = False
    in_slack.slack.ack_seconds = 0.3
    for number in range(4):
        in_slack.slack.mention("U2", "C1", f"question {number}")
        await in_slack.slack.refresh()
        await asyncio.sleep(0.05)
    await in_slack.slack.cut()
    in_slack.slack.mention("U2", "C1", "the last")

    await in_slack.hear("C1", 5)
    await in_slack.settled()

    assert len(in_slack.slack.own("C1")) == 5


async def test_an_answer_that_was_broken_off_is_finished_in_its_message(in_slack: Scene) -> None:
    in_slack.host.pieces, in_slack.host.piece_seconds = ["Once", " upon", " a", " time"], 0.3
    in_slack.slack.mention("U2", "C1", "tell me")
    await until(lambda: bool(in_slack.slack.own("C1")))
    assert in_slack.app is not None
    for task in set(in_slack.app.running_tasks):
        task.cancel()
    await in_slack.stop()
    in_slack.host.piece_seconds = 0.0

    await in_slack.start()

    assert await in_slack.hear("C1") == ["Once upon a time"]


async def test_a_post_that_was_not_kept_is_edited_and_not_repeated(in_slack: Scene) -> None:
    assert in_slack.app is not None
    surface = in_slack.app.surfaces.surface_of(TEAM)
    place = Place(TEAM, ChannelId("C1"))
    await surface.post(place, Text("one"), key="job-1")

    await in_slack.restart()
    surface = in_slack.app.surfaces.surface_of(TEAM)
    await surface.post(place, Text("two"), key="job-1")

    assert in_slack.slack.texts("C1") == ["two"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500),
        Fault(status=503, is_done=True),
        Fault(is_cut=True, is_done=True),
        Fault(status=429, retry_after=1),
    ],
)
async def test_a_post_whose_outcome_is_unknown_stands_once(in_slack: Scene, fault: Fault) -> None:
    in_slack.slack.fail("chat.postMessage", fault)

    in_slack.slack.command("U1", "C1", "use base")

    await in_slack.hear("C1")
    await in_slack.settled()
    assert len(in_slack.slack.own("C1")) == 1


async def test_a_revoked_token_closes_the_place(in_slack: Scene) -> None:
    in_slack.slack.is_revoked = True

    in_slack.slack.mention("U2", "C1", "hello")

    await until(lambda: not in_slack.slack.sockets and in_slack.is_idle())
    assert in_slack.slack.texts("C1") == []


async def test_a_message_without_text_is_fetched_as_nothing(in_slack: Scene) -> None:
    assert in_slack.app is not None
    surface = in_slack.app.surfaces.surface_of(TEAM)

    assert await surface.fetch_message(Place(TEAM, ChannelId("C1")), MessageId("1.1")) is None


async def test_an_event_that_is_kept_too_late_is_refused_and_answered_once(
    in_slack: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "_ACK_SECONDS", 0.1)
    in_slack.slack.ack_seconds = 0.5
    assert in_slack.app is not None
    promises = in_slack.app.dispatch._inbox
    keep, waits = promises.store_event, [0.4]

    async def slow(event: Event, at: datetime) -> bool:
        await asyncio.sleep(waits.pop() if waits else 0)
        return await keep(event, at)

    monkeypatch.setattr(promises, "store_event", slow)
    ts = in_slack.slack.put("U2", "C1", "hi")
    event = {"type": "app_mention", "user": "U2", "channel": "C1", "ts": ts}
    delivery = in_slack.slack.event({**event, "text": f"<@{BOT}> hi"})

    await in_slack.hear("C1")
    await in_slack.settled()
    assert delivery.sent > 1
    assert len(in_slack.slack.own("C1")) == 1


async def test_an_answer_to_an_answer_that_still_waits_is_ours(in_slack: Scene) -> None:
    in_slack.host.pieces, in_slack.host.piece_seconds = ["One", " two"], 0.4
    root = in_slack.slack.mention("U2", "C1", "count")
    await until(lambda: bool(in_slack.host.asked))

    in_slack.slack.say("U2", "C1", "and more", thread=root)

    assert len(await in_slack.hear("C1", 2)) == 2


OUT_OF_ORDER = {
    "put on and taken off": (
        1,
        [("-1", "removed", 4), ("-1", "added", 3), ("+1", "added", 5), ("+1", "removed", 2)],
    ),
    "the other one later": (-1, [("-1", "added", 3), ("+1", "added", 2)]),
    "changed, and changed back": (
        1,
        [("thumbsup", "added", 6), ("-1", "removed", 5), ("-1", "added", 4), ("+1", "added", 1)],
    ),
}


@pytest.mark.parametrize(("left", "told"), OUT_OF_ORDER.values(), ids=OUT_OF_ORDER)
async def test_a_vote_is_as_it_was_left_though_its_events_come_out_of_order(
    in_slack: Scene, left: int, told: list[tuple[str, str, int]]
) -> None:
    slack = in_slack.slack
    slack.mention("U2", "C1", "hello")
    await in_slack.hear("C1")
    item = {"type": "message", "channel": "C1", "ts": slack.own("C1")[0]["ts"]}
    about = {"user": "U2", "item": item}

    for emoji, kind, at in told:
        reaction = {**about, "type": f"reaction_{kind}", "reaction": emoji}
        slack.event({**reaction, "event_ts": f"1700000000.000{at}00"})
        await in_slack.settled()

    assert in_slack.app is not None
    async with in_slack.app.store.reading() as records:
        (vote,) = await records.turns.votes(WorkspaceId("slack:T1"), TurnId(1))
    assert vote.value == left
    assert bool(slack.ephemerals) == (left == -1)
