"""A Slack that is not ours to write: it knows half of the methods and leaves out what it may."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from attune.settings import Settings
from bot.domain import ExampleFilter, WorkspaceId
from tests.fakes.faulty_host import FaultyHost, faulty_host
from tests.opening import opened
from tests.waiting import until

Json = dict[str, Any]
STREAMS = ("chat.startStream", "chat.appendStream", "chat.stopStream")
BARE = {"auth.test", "apps.connections.open", "chat.postMessage", "chat.update", "views.open"}


class Elsewhere:
    """Knows `methods` and nothing else; its answers hold no more than they must."""

    def __init__(self, methods: set[str]) -> None:
        self.methods = methods
        self.posts: dict[str, Json] = {}
        self.views: list[Json] = []
        self.homes: list[Json] = []
        self.uploads: list[bytes] = []
        self.unknown: list[str] = []
        self.acked: list[str] = []
        self.url = ""
        self._sockets: list[web.WebSocketResponse] = []
        self._count = itertools.count(1)

    async def api(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        if method not in self.methods:
            self.unknown.append(method)
            return web.json_response({"error": "unknown_method", "ok": False})
        args = await _arguments(request)
        return web.json_response(self._answer(method, args))

    def _answer(self, method: str, args: Json) -> Json:
        match method:
            case "auth.test":
                return {"user_id": "UBOT", "team_id": "T1", "ok": True}
            case "apps.connections.open":
                return {"url": self.url.replace("http", "ws", 1) + "/socket", "ok": True}
            case "chat.postMessage":
                ts = f"170000.{next(self._count):06d}"
                self.posts[ts] = args
                return {"ts": ts, "ok": True}
            case "chat.update":
                self.posts[args["ts"]] |= args
            case "views.open":
                self.views.append(args["view"])
            case "views.publish":
                self.homes.append(args["view"])
            case "files.getUploadURLExternal":
                return {"upload_url": f"{self.url}/upload", "file_id": "F1", "ok": True}
        return {"ok": True}

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"type": "hello"})
        self._sockets.append(socket)
        async for message in socket:
            self.acked.append(json.loads(message.data)["envelope_id"])
        self._sockets.remove(socket)
        return socket

    async def upload(self, request: web.Request) -> web.Response:
        self.uploads.append(await request.read())
        return web.Response(text="OK")

    async def send(self, kind: str, payload: Json) -> None:
        await until(lambda: bool(self._sockets))
        envelope = {"payload": payload, "envelope_id": str(next(self._count)), "type": kind}
        await self._sockets[-1].send_str(json.dumps(envelope, indent=1))
        await until(lambda: envelope["envelope_id"] in self.acked)

    async def event(self, **event: object) -> None:
        await self.send("events_api", {"event": event, "type": "event_callback"})

    async def mention(self, text: str, ts: str, **more: object) -> None:
        said = {"text": f"<@UBOT> {text}", "ts": ts, "channel": "C1", "user": "U1"}
        await self.event(type="app_mention", **said, **more)

    def texts(self) -> list[str]:
        return [str(post["text"]) for post in self.posts.values()]


async def _arguments(request: web.Request) -> Json:
    if request.content_type == "application/json":
        given: Json = await request.json()
        return given
    return {**request.query, **{name: str(v) for name, v in (await request.post()).items()}}


class Scene:
    def __init__(self, slack: Elsewhere, host: FaultyHost, attune_app: Any) -> None:
        self.slack = slack
        self.host = host
        self.app = attune_app

    async def hear(self, is_so: Callable[[list[str]], bool]) -> list[str]:
        await until(lambda: is_so(self.slack.texts()), lambda: str(self.slack.texts()))
        return self.slack.texts()


@asynccontextmanager
async def elsewhere(folder: Path, *methods: str) -> AsyncIterator[Scene]:
    slack = Elsewhere(BARE | set(methods))
    app = web.Application()
    app.router.add_route("*", "/api/{method}", slack.api)
    app.router.add_get("/socket", slack.socket)
    app.router.add_post("/upload", slack.upload)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    slack.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with faulty_host() as host:
        settings = {
            "ATTUNE_DATA_DIR": str(folder),
            "SLACK_BOT_TOKEN": "xoxb-1",
            "SLACK_APP_TOKEN": "xapp-1",
            "SLACK_API_URL": f"{slack.url}/api",
            "OPENAI_BASE_URL": host.url,
            "OPENAI_API_KEY": host.key,
            "ATTUNE_BASE_MODEL": "base",
            "ATTUNE_ADMINS": "slack:U1",
        }
        async with opened(Settings.model_validate(settings)) as attune_app:
            yield Scene(slack, host, attune_app)
    await runner.cleanup()


@pytest.fixture
async def bare(tmp_path: Path) -> AsyncIterator[Scene]:
    async with elsewhere(tmp_path) as scene:
        yield scene


async def test_without_streams_the_answer_is_posted_and_updated(bare: Scene) -> None:
    bare.host.pieces = ["One", " two"]

    await bare.slack.mention("count", "1.000001")

    await bare.hear(lambda texts: texts == ["One two"])


async def test_a_method_that_is_unknown_is_not_asked_again(bare: Scene) -> None:
    await bare.slack.mention("hi", "1.000001")
    await bare.hear(lambda texts: texts == ["Hello from the model"])
    asked = bare.slack.unknown.count("chat.startStream")

    await bare.slack.mention("hi", "1.000002")

    await bare.hear(lambda texts: texts == ["Hello from the model"] * 2)
    assert asked == bare.slack.unknown.count("chat.startStream") == 1


async def test_a_thread_that_cannot_be_read_is_answered_all_the_same(bare: Scene) -> None:
    await bare.slack.mention("and then?", "2.000001", thread_ts="1.000001")

    await bare.hear(lambda texts: texts == ["Hello from the model"])


async def test_a_command_without_a_trigger_is_answered(bare: Scene) -> None:
    command = {"text": "help status", "channel_id": "C1", "user_id": "U1", "command": "/tune"}

    await bare.slack.send("slash_commands", command)

    await bare.hear(lambda texts: "/tune status" in "".join(texts))


async def test_events_without_ids_are_different_events(bare: Scene) -> None:
    await bare.slack.event(type="member_joined_channel", user="UBOT", channel="C1")
    await bare.slack.event(type="member_joined_channel", user="UBOT", channel="C2")

    texts = await bare.hear(lambda texts: len(texts) == 2)
    assert all("never train" in text for text in texts)


@pytest.mark.parametrize(
    "payload",
    [
        {"type": "event_callback", "event": {"type": "brand_new_event"}},
        {"type": "event_callback", "event": {"type": "message", "subtype": "bot_add"}},
        {"type": "app_rate_limited", "minute_rate_limited": 1},
        {"type": "view_closed", "user": {"id": "U1"}},
    ],
)
async def test_what_it_does_not_know_is_acknowledged(bare: Scene, payload: Json) -> None:
    await bare.slack.send("events_api", payload)

    assert bare.slack.acked


async def test_a_refusal_reaches_the_asker_without_ephemerals(bare: Scene) -> None:
    said = {"text": "<@UBOT> tune admin budget", "ts": "1.1", "channel": "C1", "user": "U2"}

    await bare.slack.event(type="app_mention", **said)

    await bare.hear(lambda texts: "admin" in "".join(texts))
    (post,) = bare.slack.posts.values()
    assert post["channel"] == "U2"


async def allow_messages(scene: Scene) -> None:
    command = {"text": "admin sources", "channel_id": "C1", "user_id": "U1", "command": "/tune"}
    await scene.slack.send("slash_commands", {**command, "trigger_id": "t1"})
    await until(lambda: bool(scene.slack.views))
    view = scene.slack.views[0]
    chosen = {"selected_option": {"value": "messages"}, "type": "static_select"}
    typed = {"value": "Letter of 1 May", "type": "plain_text_input"}
    values = {"sources": {"input": chosen}, "permission": {"input": typed}}
    back = {"callback_id": view["callback_id"], "private_metadata": view["private_metadata"]}
    submission = {
        "view": {**back, "type": "modal", "state": {"values": values}},
        "user": {"id": "U1"},
    }
    await scene.slack.send("interactive", {**submission, "type": "view_submission"})
    await scene.hear(lambda texts: "From now on" in "".join(texts))


async def test_an_answer_is_taught_with_messages_allowed(tmp_path: Path) -> None:
    async with elsewhere(tmp_path, "conversations.history") as scene:
        await allow_messages(scene)
        await scene.slack.mention("hi", "3.000001")
        await scene.hear(lambda texts: texts[-1] == "Hello from the model")
        ts = list(scene.slack.posts)[-1]
        own = {"ts": ts, "user": "UBOT", "text": "Hello from the model"}
        message = {"type": "message_action", "callback_id": "save", "user": {"id": "U1"}}
        message |= {"channel": {"id": "C1"}, "message": own, "trigger_id": "t2"}

        await scene.slack.send("interactive", message)

        await until(lambda: len(scene.slack.views) == 2)
        assert [b["element"]["initial_value"] for b in scene.slack.views[1]["blocks"]] == [
            "hi",
            "Hello from the model",
        ]


async def test_with_everything_missing_a_mark_keeps_its_pointer(tmp_path: Path) -> None:
    async with elsewhere(tmp_path) as scene:
        message = {"type": "message_action", "callback_id": "save", "user": {"id": "U1"}}
        message |= {"channel": {"id": "C1"}, "message": {"ts": "9.1", "user": "U2", "text": "x"}}

        await scene.slack.send("interactive", message)

        await scene.hear(lambda texts: "Kept as a pointer" in "".join(texts))
        async with scene.app.store.reading() as records:
            (kept,) = await records.examples.page(WorkspaceId("slack:T1"), ExampleFilter())
        assert kept.row is None


async def test_a_home_tab_is_published(tmp_path: Path) -> None:
    async with elsewhere(tmp_path, "views.publish") as scene:
        await scene.slack.event(type="app_home_opened", user="U1", tab="home")

        await until(lambda: bool(scene.slack.homes))


async def test_an_export_is_uploaded(tmp_path: Path) -> None:
    methods = ("files.getUploadURLExternal", "files.completeUploadExternal")
    async with elsewhere(tmp_path, *methods) as scene:
        await scene.slack.mention("tune import starter:limericks", "4.000001")
        await scene.hear(lambda texts: len(texts) == 1)

        await scene.slack.mention("tune export", "4.000002")

        await until(lambda: bool(scene.slack.uploads))
        assert b"messages" in scene.slack.uploads[0]


async def test_a_socket_that_is_refused_is_tried_again(bare: Scene) -> None:
    for socket in list(bare.slack._sockets):
        await socket.send_json({"type": "disconnect", "reason": "too_many_websockets"})
        await socket.close()
    await asyncio.sleep(0.1)

    await bare.slack.mention("hi", "5.000001")

    await bare.hear(lambda texts: texts == ["Hello from the model"])
