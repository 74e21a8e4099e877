"""The fake Slack refuses what Slack refuses: one deliberately wrong client for each rule."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.fakes.slack import FakeSlack, Fault, fake_slack
from tests.fakes.slack_rules import Json
from tests.waiting import until

WHO: dict[str, Any] = {"recipient_team_id": "T1", "recipient_user_id": "U1"}


class Client:
    """Says to Slack whatever a test wants."""

    def __init__(self, slack: FakeSlack, session: aiohttp.ClientSession) -> None:
        self.slack = slack
        self.session = session
        self.token = slack.bot_token

    async def call(self, method: str, *, form: bool = False, **args: object) -> Json:
        body: dict[str, Any] = {"data": args} if form else {"json": args}
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        url = f"{self.slack.url}/api/{method}"
        async with self.session.post(url, headers=headers, **body) as answer:
            return {"status": answer.status, **await answer.json()}

    async def listen(self) -> aiohttp.ClientWebSocketResponse:
        self.token = self.slack.app_token
        url = (await self.call("apps.connections.open"))["url"]
        self.token = self.slack.bot_token
        return await self.session.ws_connect(url)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with fake_slack() as slack, aiohttp.ClientSession() as session:
        slack.tiers.is_on = False
        yield Client(slack, session)


async def refused(client: Client, method: str, *, form: bool = False, **args: object) -> str:
    answer = await client.call(method, form=form, **args)
    assert answer["ok"] is False, answer
    return str(answer["error"])


@pytest.mark.parametrize(
    ("token", "error"),
    [("", "not_authed"), ("xoxb-other", "invalid_auth"), ("xapp-fake", "not_allowed_token_type")],
)
async def test_a_call_needs_the_bots_token(client: Client, token: str, error: str) -> None:
    client.token = token

    assert await refused(client, "auth.test") == error


async def test_a_socket_needs_the_apps_token(client: Client) -> None:
    assert await refused(client, "apps.connections.open") == "not_allowed_token_type"


async def test_a_revoked_token_opens_nothing(client: Client) -> None:
    client.slack.is_revoked = True

    assert await refused(client, "auth.test") == "token_revoked"


async def test_a_call_needs_its_scope(client: Client) -> None:
    client.slack.scopes.discard("chat:write")

    answer = await client.call("chat.postMessage", channel="C1", text="x")

    assert (answer["error"], answer["needed"]) == ("missing_scope", "chat:write")


async def test_methods_that_read_take_no_json(client: Client) -> None:
    assert await refused(client, "users.info", user="U1") == "invalid_arguments"


async def test_unknown_channels_are_not_found(client: Client) -> None:
    assert await refused(client, "chat.postMessage", channel="C0", text="x") == "channel_not_found"


async def test_posting_needs_membership(client: Client) -> None:
    client.slack.add_channel("C2", has_bot=False)

    assert await refused(client, "chat.postMessage", channel="C2", text="x") == "not_in_channel"


async def test_private_channels_are_invisible_to_strangers(client: Client) -> None:
    client.slack.add_channel("C3", "private", has_bot=False)

    assert await refused(client, "chat.postMessage", channel="C3", text="x") == "channel_not_found"


async def test_archived_channels_take_nothing(client: Client) -> None:
    client.slack.channels["C1"].is_archived = True

    assert await refused(client, "chat.postMessage", channel="C1", text="x") == "is_archived"


async def test_a_message_needs_text(client: Client) -> None:
    assert await refused(client, "chat.postMessage", channel="C1") == "no_text"


SECTION = {"type": "section", "text": {"type": "plain_text", "text": "x"}}
LONG_BUTTON = {"type": "button", "text": {"type": "plain_text", "text": "x" * 76}}
BUTTON = {"type": "button", "action_id": "a", "text": {"type": "plain_text", "text": "x"}}


@pytest.mark.parametrize(
    "blocks",
    [
        [SECTION] * 51,
        [{"type": "section", "text": {"type": "plain_text", "text": "x" * 3001}}],
        [{"type": "section", "text": {"type": "plain_text", "text": ""}}],
        [{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}],
        [{"type": "section", "fields": [{"type": "mrkdwn", "text": "x"}] * 11}],
        [{"type": "section", "fields": [{"type": "mrkdwn", "text": "x" * 2001}]}],
        [{"type": "actions", "elements": [{**BUTTON, "action_id": str(n)} for n in range(26)]}],
        [{"type": "actions", "elements": [BUTTON, BUTTON]}],
        [{"type": "actions", "elements": [{**BUTTON, "value": "x" * 2001}]}],
        [
            {
                "type": "actions",
                "elements": [{**BUTTON, "text": {"type": "plain_text", "text": "x" * 76}}],
            }
        ],
        [{"type": "nonsense"}],
        [{**SECTION, "block_id": "a"}, {**SECTION, "block_id": "a"}],
        "blocks",
    ],
)
async def test_blocks_over_their_limits_are_refused(client: Client, blocks: object) -> None:
    error = await refused(client, "chat.postMessage", channel="C1", text="x", blocks=blocks)

    assert error == "invalid_blocks"


async def test_markdown_is_summed_up_over_a_message(client: Client) -> None:
    blocks = [{"type": "markdown", "text": "x" * 7000}] * 2

    error = await refused(client, "chat.postMessage", channel="C1", text="x", blocks=blocks)

    assert error == "msg_blocks_too_long"


async def test_a_reply_needs_its_thread(client: Client) -> None:
    error = await refused(client, "chat.postMessage", channel="C1", text="x", thread_ts="1.1")

    assert error == "thread_not_found"


async def test_only_ones_own_messages_can_be_updated(client: Client) -> None:
    ts = client.slack.put("U1", "C1", "mine")

    error = await refused(client, "chat.update", channel="C1", ts=ts, text="x")

    assert error == "cant_update_message"


async def test_an_update_without_blocks_removes_them(client: Client) -> None:
    ts = (await client.call("chat.postMessage", channel="C1", text="x", blocks=[SECTION]))["ts"]

    await client.call("chat.update", channel="C1", ts=ts, text="y")

    assert "blocks" not in client.slack.own("C1")[0]


async def test_a_whisper_needs_somebody_in_the_channel(client: Client) -> None:
    error = await refused(client, "chat.postEphemeral", channel="C1", user="U99", text="x")

    assert error == "user_not_in_channel"


async def test_a_whisper_can_neither_be_updated_nor_read_back(client: Client) -> None:
    ts = (await client.call("chat.postEphemeral", channel="C1", user="U1", text="x"))["message_ts"]

    read = await client.call("conversations.history", form=True, channel="C1")

    assert (
        await refused(client, "chat.update", channel="C1", ts=ts, text="y") == "message_not_found"
    )
    assert read["messages"] == []


VIEW = {
    "type": "modal",
    "title": {"type": "plain_text", "text": "x"},
    "blocks": [SECTION],
}


async def test_a_trigger_opens_one_form(client: Client) -> None:
    trigger = client.slack.trigger()
    assert (await client.call("views.open", trigger_id=trigger, view=VIEW))["ok"]

    error = await refused(client, "views.open", trigger_id=trigger, view=VIEW)

    assert error == "exchanged_trigger_id"


async def test_a_trigger_lives_three_seconds(client: Client) -> None:
    trigger = client.slack.trigger()
    client.slack._triggers[trigger] -= 3.1

    assert (
        await refused(client, "views.open", trigger_id=trigger, view=VIEW) == "expired_trigger_id"
    )


@pytest.mark.parametrize(
    "view",
    [
        {**VIEW, "title": {"type": "plain_text", "text": "x" * 25}},
        {**VIEW, "private_metadata": "x" * 3001},
        {
            **VIEW,
            "blocks": [
                {
                    "type": "input",
                    "label": {"type": "plain_text", "text": "x"},
                    "element": {"type": "plain_text_input", "action_id": "a"},
                }
            ],
        },
        {**VIEW, "type": "home"},
    ],
)
async def test_forms_over_their_limits_are_refused(client: Client, view: Json) -> None:
    trigger = client.slack.trigger()

    error = await refused(client, "views.open", trigger_id=trigger, view=view)

    assert error == "invalid_arguments"


async def stream(client: Client) -> str:
    root = client.slack.put("U1", "C1", "hello")
    answer = await client.call("chat.startStream", channel="C1", thread_ts=root, **WHO)
    return str(answer["ts"])


async def test_a_stream_is_a_reply(client: Client) -> None:
    assert await refused(client, "chat.startStream", channel="C1", **WHO) == "invalid_arguments"


async def test_a_stream_to_a_channel_names_its_reader(client: Client) -> None:
    root = client.slack.put("U1", "C1", "hello")

    error = await refused(client, "chat.startStream", channel="C1", thread_ts=root)

    assert error == "missing_recipient_user_id"


async def test_a_stream_that_is_stopped_takes_no_more(client: Client) -> None:
    ts = await stream(client)
    await client.call("chat.stopStream", channel="C1", ts=ts)

    error = await refused(client, "chat.appendStream", channel="C1", ts=ts, markdown_text="x")

    assert error == "message_not_in_streaming_state"


async def test_a_stream_dies_after_its_time_however_busy_it_is(client: Client) -> None:
    ts = await stream(client)
    client.slack.streams["C1", ts].began -= 301

    error = await refused(client, "chat.appendStream", channel="C1", ts=ts, markdown_text="x")

    assert error == "message_not_in_streaming_state"


async def test_a_stream_that_a_person_stopped_says_so(client: Client) -> None:
    ts = await stream(client)
    client.slack.press_stop("U1", "C1", ts)

    error = await refused(client, "chat.appendStream", channel="C1", ts=ts, markdown_text="x")

    assert error == "stopped_by_user"


async def test_a_stream_cannot_be_updated_while_it_runs(client: Client) -> None:
    ts = await stream(client)

    error = await refused(client, "chat.update", channel="C1", ts=ts, text="x")

    assert error == "streaming_state_conflict"


async def test_a_stream_holds_so_much_and_no_more(client: Client) -> None:
    ts = await stream(client)
    await client.call("chat.appendStream", channel="C1", ts=ts, markdown_text="x" * 11_000)

    error = await refused(
        client, "chat.appendStream", channel="C1", ts=ts, markdown_text="x" * 2000
    )

    assert error == "msg_too_long"


async def test_a_method_has_so_many_calls_a_minute(client: Client) -> None:
    client.slack.tiers.is_on = True
    for number in range(21):
        client.slack.add_channel(f"C{number + 100}")
        root = client.slack.put("U1", f"C{number + 100}", "hello")
        answer = await client.call(
            "chat.startStream", channel=f"C{number + 100}", thread_ts=root, **WHO
        )

    assert (answer["status"], answer["error"]) == (429, "ratelimited")


async def test_a_channel_takes_one_post_a_second(client: Client) -> None:
    client.slack.tiers.is_on = True
    await client.call("chat.postMessage", channel="C1", text="x")

    assert (await client.call("chat.postMessage", channel="C1", text="x"))["status"] == 429


async def test_an_event_comes_again_until_it_is_acknowledged(client: Client) -> None:
    client.slack.ack_seconds = 0.05
    socket = await client.listen()
    delivery = client.slack.event({"type": "team_rename"})
    assert (await socket.receive_json())["type"] == "hello"

    first, second = await socket.receive_json(), await socket.receive_json()
    await socket.send_json({"envelope_id": second["envelope_id"]})
    await until(delivery.acked.is_set)

    assert first["payload"]["event_id"] == second["payload"]["event_id"]
    assert second["retry_attempt"] == 1
    await socket.close()


async def test_a_click_never_comes_again(client: Client) -> None:
    client.slack.ack_seconds = 0.05
    socket = await client.listen()
    await socket.receive_json()
    delivery = client.slack.command("U1", "C1", "help")
    await socket.receive_json()

    await asyncio.sleep(0.3)

    assert delivery.sent == 1
    await socket.close()


async def test_a_ticket_opens_one_socket(client: Client) -> None:
    client.token = client.slack.app_token
    url = (await client.call("apps.connections.open"))["url"]
    first = await client.session.ws_connect(url)

    with pytest.raises(aiohttp.WSServerHandshakeError):
        await client.session.ws_connect(url)
    await first.close()


async def test_the_eleventh_socket_is_one_too_many(client: Client) -> None:
    sockets = [await client.listen() for _ in range(11)]

    answer = json.loads((await sockets[10].receive()).data)

    assert answer["reason"] == "too_many_websockets"
    for socket in sockets:
        await socket.close()


async def test_events_need_the_scope_that_carries_them(client: Client) -> None:
    client.slack.scopes.discard("reactions:read")
    ts = client.slack.put("U1", "C1", "x")

    client.slack.react("U1", "C1", ts, "x")

    assert client.slack.deliveries == []


async def test_a_response_url_takes_five_answers(client: Client) -> None:
    url = client.slack._response_url("U1", "C1")
    for _ in range(5):
        await client.session.post(url, json={"text": "x"})

    async with client.session.post(url, json={"text": "x"}) as answer:
        assert answer.status == 404


async def test_a_file_must_have_come_whole(client: Client) -> None:
    begun = await client.call("files.getUploadURLExternal", form=True, filename="a", length=5)
    await client.session.post(begun["upload_url"], data=b"abc")

    files = [{"id": begun["file_id"]}]
    error = await refused(client, "files.completeUploadExternal", files=files, channel_id="C1")

    assert error == "posting_to_channel_denied"


async def test_a_file_is_shared_once(client: Client) -> None:
    begun = await client.call("files.getUploadURLExternal", form=True, filename="a", length=3)
    await client.session.post(begun["upload_url"], data=b"abc")
    files = [{"id": begun["file_id"]}]
    await client.call("files.completeUploadExternal", files=files, channel_id="C1")

    error = await refused(client, "files.completeUploadExternal", files=files, channel_id="C1")

    assert error == "file_not_found"


async def test_metadata_is_told_to_those_who_ask(client: Client) -> None:
    held = {"event_type": "a", "event_payload": {}}
    await client.call("chat.postMessage", channel="C1", text="x", metadata=held)

    plain = await client.call("conversations.history", form=True, channel="C1")
    full = await client.call(
        "conversations.history", form=True, channel="C1", include_all_metadata="true"
    )

    assert "metadata" not in plain["messages"][0]
    assert full["messages"][0]["metadata"] == held


async def test_a_reaction_stands_once(client: Client) -> None:
    ts = client.slack.put("U1", "C1", "x")
    await client.call("reactions.add", channel="C1", timestamp=ts, name="x")

    error = await refused(client, "reactions.add", channel="C1", timestamp=ts, name="x")

    assert error == "already_reacted"


@pytest.mark.parametrize("text", ["<!here>", "<@U1>", "<!subteam^S1|x>"])
async def test_what_pings_is_noticed(client: Client, text: str) -> None:
    await client.call("chat.postMessage", channel="C1", text=text)

    assert client.slack.pings


async def test_planned_faults_come_in_turn(client: Client) -> None:
    client.slack.fail("auth.test", Fault(error="fatal_error"))

    assert await refused(client, "auth.test") == "fatal_error"
    assert (await client.call("auth.test"))["ok"]
