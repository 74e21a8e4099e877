"""What may come in by HTTP, and for whom: signatures, ages, lengths, teams; no text in any log."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
from aiohttp import web

from adapters.slack.api_port import Access, is_response_url
from adapters.slack.http_api import HttpApi
from adapters.slack.manifest import EVENTS_PATH
from adapters.slack.request_signature import MAX_BODY_BYTES
from adapters.slack.workspace_of_payload import is_for_workspace
from adapters.studio.access_guard import AccessGuard, AccessPolicy
from adapters.studio.login_sessions import Sessions
from attune.bootstrap import slack_access
from attune.http_server import _access_policy, health_routes
from attune.settings import Settings
from bot.errors import SettingsError, SurfaceError
from tests.fakes.app import StillClock
from tests.fakes.faulty_host import faulty_host
from tests.fakes.slack import FakeSlack, Fault, fake_slack
from tests.fakes.slack_rules import Json
from tests.program import served
from tests.slack_scene import Scene
from tests.waiting import until

SECRET = "a secret of Slack's"
HTTP = {"SLACK_MODE": "http", "SLACK_SIGNING_SECRET": SECRET}


def headers(body: bytes, *, secret: str = SECRET, at: object = None) -> dict[str, str]:
    when = str(int(time.time())) if at is None else str(at)
    signed = hmac.new(secret.encode(), b"v0:" + when.encode() + b":" + body, hashlib.sha256)
    return {
        "Content-Type": "application/json",
        "X-Slack-Request-Timestamp": when,
        "X-Slack-Signature": f"v0={signed.hexdigest()}",
    }


def mention(slack: FakeSlack, **more: object) -> Json:
    ts = slack.put("U2", "C1", "hello")
    event = {"type": "app_mention", "user": "U2", "channel": "C1", "ts": ts, "text": "<@UBOT> hi"}
    outer = {"type": "event_callback", "team_id": "T1", "event_id": f"Ev{ts}", "event": event}
    return {**outer, **more}


class Entry:
    """The program's own pages before a house in HTTP mode, spoken to without a browser."""

    def __init__(self, scene: Scene, client: httpx.AsyncClient) -> None:
        self.scene = scene
        self.slack = scene.slack
        self.client = client

    async def send(self, payload: Json) -> int:
        body = json.dumps(payload).encode()
        answer = await self.client.post(EVENTS_PATH, content=body, headers=headers(body))
        return answer.status_code

    async def send_form(self, fields: Json) -> int:
        body = urlencode(fields).encode()
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await self.client.post(
            EVENTS_PATH, content=body, headers={**headers(body), **kind}
        )
        return answer.status_code

    async def interact(self, payload: Json) -> int:
        return await self.send_form({"payload": json.dumps(payload)})

    def heard_nothing(self) -> bool:
        """Whether nobody was looked up, answered or shown anything."""
        told = [call.method for call in self.slack.calls if call.method != "auth.test"]
        return told == [] and self.slack.ephemerals == []


@asynccontextmanager
async def entry(folder: Path, **settings: str) -> AsyncIterator[Entry]:
    async with fake_slack() as slack, faulty_host() as host:
        scene = Scene(slack, host, folder)
        await scene.start(**{**HTTP, **settings})
        await until(lambda: bool(slack.called("auth.test")))
        assert scene.app is not None
        app = health_routes(scene.app)
        app.add_middleware(AccessGuard, policy=_access_policy(scene.app, scene.settings(**HTTP)))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            yield Entry(scene, client)
        await scene.stop()


@pytest.fixture
async def by_http(tmp_path: Path) -> AsyncIterator[Entry]:
    async with entry(tmp_path) as there:
        yield there


# Which door there is


async def test_in_socket_mode_slacks_address_is_nowhere(tmp_path: Path) -> None:
    async with fake_slack() as slack, served(tmp_path, **slack.settings) as url:
        body = json.dumps(mention(slack)).encode()
        async with httpx.AsyncClient(base_url=url) as client:
            signed = [
                await client.post(path, content=body, headers=headers(body))
                for path in ("/slack/events", "/slack/", "/slack/anything/else", "/slack/..%2fx")
            ]
            bare = await client.post("/slack/events", content=body)
            read = await client.get("/slack/events")

        assert {one.status_code for one in (*signed, bare, read)} == {404}
        assert slack.own("C1") == []


async def test_in_socket_mode_the_guard_lets_nothing_by(tmp_path: Path) -> None:
    reached: list[str] = []

    async def inside(scope: Json, receive: object, send: object) -> None:
        reached.append(str(scope["path"]))

    door = AccessPolicy("127.0.0.1", "", Sessions("open sesame", StillClock()))
    guard = AccessGuard(inside, policy=door)  # type: ignore[arg-type]
    transport = httpx.ASGITransport(guard)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        answer = await client.post("/slack/events")

    assert (answer.status_code, reached) == (404, [])


@pytest.mark.parametrize("path", ["/slack/", "/slack/other", "/slack/events/", "/slack/events/x"])
async def test_in_http_mode_one_path_is_open_and_no_other(by_http: Entry, path: str) -> None:
    body = json.dumps(mention(by_http.slack)).encode()

    answer = await by_http.client.post(path, content=body, headers=headers(body))

    assert answer.status_code == 404
    assert by_http.heard_nothing()


@pytest.mark.parametrize("secret", ["", " ", "\t\n"])
def test_without_a_secret_http_mode_does_not_start(secret: str) -> None:
    known = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_MODE": "http", "SLACK_SIGNING_SECRET": secret}

    with pytest.raises(SettingsError) as caught:
        slack_access(Settings.model_validate(known))

    assert "SLACK_SIGNING_SECRET" in caught.value.sentence


# Whose requests are taken


async def test_what_slack_has_signed_is_answered(by_http: Entry) -> None:
    assert await by_http.send(mention(by_http.slack)) == 200

    assert await by_http.scene.hear("C1") == ["Hello from the model"]


@pytest.mark.parametrize(
    "change",
    [
        {"X-Slack-Signature": ""},
        {"X-Slack-Signature": "v0="},
        {"X-Slack-Signature": "v0=\xff" + "0" * 63},
        {"X-Slack-Request-Timestamp": ""},
        {"X-Slack-Request-Timestamp": "now"},
        {"X-Slack-Request-Timestamp": "-1"},
        {"X-Slack-Request-Timestamp": "1e9"},
        {"X-Slack-Request-Timestamp": "٣" * 10},
        {"X-Slack-Request-Timestamp": "9" * 5000},
    ],
)
async def test_what_is_not_signed_is_refused(by_http: Entry, change: dict[str, str]) -> None:
    body = json.dumps(mention(by_http.slack)).encode()
    sent = {**headers(body), **change}
    raw = [(name.encode(), value.encode("utf-8")) for name, value in sent.items()]

    answer = await by_http.client.post(EVENTS_PATH, content=body, headers=raw)

    assert answer.status_code == 401
    assert by_http.heard_nothing()


@pytest.mark.parametrize("seconds", [-400, 400])
async def test_an_old_or_a_future_signature_is_refused(by_http: Entry, seconds: int) -> None:
    body = json.dumps(mention(by_http.slack)).encode()
    at = int(time.time()) + seconds

    answer = await by_http.client.post(EVENTS_PATH, content=body, headers=headers(body, at=at))

    assert answer.status_code == 401
    assert by_http.heard_nothing()


@pytest.mark.parametrize("secret", ["other", "", SECRET + " "])
async def test_a_signature_with_another_secret_is_refused(by_http: Entry, secret: str) -> None:
    body = json.dumps(mention(by_http.slack)).encode()

    answer = await by_http.client.post(
        EVENTS_PATH, content=body, headers=headers(body, secret=secret)
    )

    assert answer.status_code == 401
    assert by_http.heard_nothing()


async def test_a_signed_body_that_was_changed_is_refused(by_http: Entry) -> None:
    body = json.dumps(mention(by_http.slack)).encode()

    sent = await by_http.client.post(EVENTS_PATH, content=body + b" ", headers=headers(body))

    assert sent.status_code == 401


@pytest.mark.parametrize("body", [b"ssl_check=1&token=x", b'{"type":"url_verification"}'])
async def test_a_question_whether_we_are_there_is_verified_too(by_http: Entry, body: bytes) -> None:
    kind = {} if body.startswith(b"{") else {"Content-Type": "application/x-www-form-urlencoded"}
    signed = await by_http.client.post(EVENTS_PATH, content=body, headers={**headers(body), **kind})
    bare = await by_http.client.post(EVENTS_PATH, content=body, headers=kind)

    assert (signed.status_code, bare.status_code) == (200, 401)


@pytest.mark.parametrize("body", [b"{", b"[1]", b"\xff\xfe", b'{"event":', b"", b"payload={"])
async def test_a_signed_body_that_cannot_be_read_is_no_crash(by_http: Entry, body: bytes) -> None:
    answer = await by_http.client.post(EVENTS_PATH, content=body, headers=headers(body))

    assert answer.status_code in (200, 400)


# How much is read


class Sender:
    """An endless body that counts what is read of it."""

    def __init__(self) -> None:
        self.sent = 0

    async def blocks(self) -> AsyncIterator[bytes]:
        while True:
            self.sent += 64 * 1024
            yield b"x" * 64 * 1024


async def test_a_body_without_a_length_is_read_up_to_the_limit(by_http: Entry) -> None:
    endless = Sender()

    answer = await by_http.client.post(EVENTS_PATH, content=endless.blocks(), headers=headers(b""))

    assert answer.status_code == 413
    assert endless.sent <= MAX_BODY_BYTES + 3 * 64 * 1024


async def test_a_body_that_names_too_great_a_length_is_not_read(by_http: Entry) -> None:
    endless = Sender()
    sent = {**headers(b""), "Content-Length": str(200 * 1024 * 1024)}

    answer = await by_http.client.post(EVENTS_PATH, content=endless.blocks(), headers=sent)

    assert answer.status_code == 413
    assert endless.sent <= 2 * 64 * 1024


async def test_a_body_without_a_signature_is_not_read(by_http: Entry) -> None:
    endless = Sender()

    answer = await by_http.client.post(EVENTS_PATH, content=endless.blocks())

    assert answer.status_code == 401
    assert endless.sent <= 2 * 64 * 1024


# Other teams


def payloads(team: str, user_team: str, org: str | None) -> Iterator[Json]:
    """One of each kind; the person's own team apart from the one that it is for."""
    user = {"id": "U2", "team_id": user_team}
    where = {"team": {"id": team}, "enterprise": {"id": org} if org else None, "user": user}
    message = {"ts": "1.1", "user": "U2", "text": "save me"}
    click = {"action_id": "a", "value": "privacy.my_data", "action_ts": "1.2"}
    channel = {"channel": {"id": "C1"}, "trigger_id": "t"}
    yield {"type": "block_actions", "actions": [click], **where, **channel}
    view = {"id": "V1", "type": "modal", "callback_id": "teach", "state": {"values": {}}}
    yield {"type": "view_submission", "view": view, **where}
    yield {"type": "message_action", "callback_id": "save", "message": message, **where, **channel}
    yield {"type": "shortcut", "callback_id": "teach", "trigger_id": "t", **where}
    yield {"type": "block_suggestion", "action_id": "a", "value": "x", **where}
    command = {"command": "/tune", "text": "help", "user_id": "U2", "channel_id": "C1"}
    yield {**command, "team_id": team, "enterprise_id": org or "", "trigger_id": "t"}
    said = {"type": "app_mention", "user": "U2", "channel": "C1", "ts": "1.3", "text": "<@UBOT> hi"}
    for event in (
        said,
        {"type": "app_uninstalled"},
        {"type": "tokens_revoked", "tokens": {"bot": ["UBOT"]}},
        {"type": "app_home_opened", "user": "U2", "tab": "home"},
        {
            "type": "reaction_added",
            "user": "U2",
            "reaction": "+1",
            "item": {"ts": "1", "channel": "C1"},
        },
        {"type": "member_joined_channel", "user": "UBOT", "channel": "C1"},
    ):
        outer = {"type": "event_callback", "event_id": f"Ev{event['type']}", "event": event}
        yield {**outer, "team_id": team, "enterprise_id": org}


FOREIGN = [*payloads("T2", "T2", None), *payloads("T1", "T1", "E2"), *payloads("T2", "T1", "E1")]


async def test_what_is_for_another_team_does_nothing_by_http(
    by_http: Entry, caplog: pytest.LogCaptureFixture
) -> None:
    for payload in FOREIGN:
        caplog.clear()
        send = by_http.send_form if "command" in payload else by_http.interact
        sent = by_http.send(payload) if payload.get("type") == "event_callback" else send(payload)

        assert await sent == 200

        await by_http.scene.calm()
        assert by_http.heard_nothing(), payload
        assert "another workspace" in caplog.text, payload


async def test_nor_in_socket_mode(in_slack: Scene) -> None:
    in_slack.slack.calls.clear()
    for payload in FOREIGN:
        kind = "events_api" if payload.get("type") == "event_callback" else "interactive"

        in_slack.slack.send("slash_commands" if "command" in payload else kind, payload)

        await in_slack.calm()
        assert in_slack.slack.calls == [], payload


@pytest.mark.parametrize("payload", list(payloads("T1", "T1", None)), ids=str)
def test_what_is_for_us_is_taken(payload: Json) -> None:
    assert is_for_workspace(payload, "T1", "", must_say=True)
    assert is_for_workspace(payload, "T1", "E1", must_say=True)


async def test_by_http_a_payload_that_names_no_team_does_nothing(by_http: Entry) -> None:
    payload = mention(by_http.slack)
    del payload["team_id"]

    assert await by_http.send(payload) == 200

    await by_http.scene.calm()
    assert by_http.heard_nothing()


SHARED = {"is_ext_shared_channel": True, "team_id": "T2", "enterprise_id": "E2"}


@pytest.mark.parametrize(
    ("more", "is_ours"),
    [
        ({"authorizations": [{"team_id": "T1", "enterprise_id": None}]}, True),
        ({"authorizations": [{"team_id": "T1", "enterprise_id": "E1"}]}, True),
        ({"authorizations": [{"team_id": "T1", "enterprise_id": "E9"}]}, False),
        ({"authorizations": [{"team_id": "T3"}, {"team_id": "T1"}]}, True),
        ({"authorizations": [{"team_id": "T3"}]}, False),
        ({"context_team_id": "T1", "context_enterprise_id": "E1"}, True),
        ({"context_team_id": "T3"}, False),
        ({"authorizations": [{"team_id": "T1"}], "is_ext_shared_channel": False}, False),
        ({}, False),
    ],
)
def test_a_shared_channels_event_is_ours_if_it_is_shown_to_us(more: Json, is_ours: bool) -> None:
    payload = {"type": "event_callback", "event": {}, **SHARED, **more}

    assert is_for_workspace(payload, "T1", "E1", must_say=True) is is_ours


def test_a_form_opened_elsewhere_is_ours_if_it_was_made_by_us() -> None:
    where = {"type": "view_submission", "team": {"id": "T2"}, "enterprise": {"id": "E2"}}

    assert is_for_workspace(
        {**where, "view": {"app_installed_team_id": "T1"}}, "T1", "E1", must_say=True
    )
    assert not is_for_workspace(
        {**where, "view": {"app_installed_team_id": "T3"}}, "T1", "", must_say=True
    )
    assert not is_for_workspace({**where, "view": {}}, "T1", "E1", must_say=True)


# Where answers go


@pytest.mark.parametrize(
    ("url", "is_slacks"),
    [
        ("https://hooks.slack.com/actions/T1/2/x", True),
        ("https://hooks.slack.com/commands/T1/2/x?a=b", True),
        ("https://hooks.slack-gov.com/actions/T1/2/x", True),
        ("https://HOOKS.slack.com/actions/T1", True),
        ("http://hooks.slack.com/actions/T1", False),
        ("https://hooks.slack.com.evil.example/x", False),
        ("https://evilhooks.slack.com/x", False),
        ("https://evil.example/hooks.slack.com", False),
        ("https://hooks.slack.com@evil.example/x", False),
        ("https://evil.example\\@hooks.slack.com/x", False),
        ("https://evil.example#@hooks.slack.com/x", False),
        ("https://hooks.slack.com:8443/x", False),
        ("https://hooks.slack.com\n.evil.example/x", False),
        ("https://[hooks.slack.com/x", False),
        ("ftp://hooks.slack.com/x", False),
        ("//hooks.slack.com/x", False),
        ("http://127.0.0.1:8080/login", False),
        ("http://169.254.169.254/latest/meta-data", False),
        ("", False),
    ],
)
def test_answers_go_to_slacks_own_hosts(url: str, is_slacks: bool) -> None:
    assert is_response_url(url, "https://slack.com/api/") is is_slacks


def test_answers_may_go_where_the_api_is() -> None:
    assert is_response_url("http://127.0.0.1:81/respond", "http://127.0.0.1:80/api/")
    assert not is_response_url("https://127.0.0.2/respond", "http://127.0.0.1:80/api/")


@asynccontextmanager
async def listener(*, leads_to: str = "") -> AsyncIterator[tuple[str, list[str]]]:
    """Somebody else's server on loopback, and the bodies that reach it."""
    heard: list[str] = []

    async def hear(request: web.Request) -> web.Response:
        heard.append(await request.text())
        if leads_to:
            raise web.HTTPTemporaryRedirect(leads_to)
        return web.Response()

    app = web.Application()
    app.router.add_post("/{path:.*}", hear)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://localhost:{runner.addresses[0][1]}", heard
    finally:
        await runner.cleanup()


async def test_a_command_with_a_foreign_address_is_answered_in_the_channel(
    by_http: Entry,
) -> None:
    command = {"command": "/tune", "text": "admin budget", "user_id": "U2", "channel_id": "C1"}
    async with listener() as (url, heard):
        fields = {**command, "team_id": "T1", "trigger_id": "t", "response_url": f"{url}/x"}

        assert await by_http.send_form(fields) == 200

        assert await by_http.scene.whispered()
        assert heard == []


async def test_nothing_is_posted_to_a_foreign_address_or_sent_on_to_one() -> None:
    async with listener() as (url, heard), listener(leads_to=f"{url}/on") as (near, first):
        api = HttpApi(Access("xoxb-1", api_url=f"{near}/api/"))
        try:
            for address in (f"{url.replace('localhost', '127.0.0.1')}/x", f"{near}/x"):
                with pytest.raises(SurfaceError):
                    await api.respond(address, {"text": "secret"})
        finally:
            await api.close()

        assert (len(first), heard) == (1, [])


# Logs

MARKER = "the words of a client"


class Record(logging.Handler):
    """Keeps what every logger says at every level, with arguments and exceptions."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.lines: list[str] = []

    def of_slack(self) -> list[str]:
        """Without the libraries of stores and hosts, which are no concern of this surface."""
        others = ("aiosqlite", "sqlalchemy", "openai", "http")
        return [line for line in self.lines if not line.startswith(others)]

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        told = {key: value for key, value in vars(record).items() if key != "exc_info"}
        self.lines.append(f"{record.name} {record.getMessage()} {told!r} {error!r}")


@contextmanager
def everything_logged() -> Iterator[Record]:
    """Turns up every logger there is; Slack's libraries make some when they start."""
    record, root = Record(), logging.getLogger()
    kept = {one: one.level for one in [root, *known_loggers()]}
    root.addHandler(record)
    for one in kept:
        one.setLevel(logging.DEBUG)
    try:
        yield record
    finally:
        root.removeHandler(record)
        for one, level in kept.items():
            one.setLevel(level)


def known_loggers() -> list[logging.Logger]:
    made = logging.Logger.manager.loggerDict.values()
    return [one for one in made if isinstance(one, logging.Logger)]


async def said_and_failed(scene: Scene) -> None:
    """A question, commands, a form and a file, with calls and payloads that go wrong between."""
    slack = scene.slack
    slack.fail("users.info", Fault(error=MARKER), Fault(status=500))
    slack.fail("chat.startStream", Fault(error=MARKER), Fault(is_cut=True))
    slack.mention("U2", "C1", MARKER)
    await scene.hear("C1")
    slack.fail("chat.postEphemeral", Fault(error=MARKER))
    slack.command("U2", "C1", f"admin sources {MARKER}")
    slack.command("U1", "C1", "import")
    form = await scene.view()
    slack.submit("U1", form, file=slack.give_file("rows.jsonl", MARKER.encode()))
    slack.event({"type": "message", "text": MARKER, "channel": 7, "user": {"id": MARKER}})
    slack.send("interactive", {"type": "block_actions", "actions": MARKER, "user": MARKER})
    slack.event({"type": "app_mention", "text": MARKER}, team_id="T2")
    await scene.calm()


async def test_no_logger_holds_text_or_tokens(in_slack: Scene) -> None:
    with everything_logged() as record:
        await said_and_failed(in_slack)

    of_slack = record.of_slack()
    assert any("A payload was not taken" in line for line in of_slack)
    for secret in (MARKER, in_slack.slack.bot_token, in_slack.slack.app_token):
        assert [line for line in of_slack if secret in line] == []


async def test_nor_in_http_mode(by_http: Entry) -> None:
    with everything_logged() as record:
        payload = mention(by_http.slack)
        payload["event"]["text"] = f"<@UBOT> {MARKER}"
        await by_http.send(payload)
        await by_http.scene.hear("C1")
        bodies = json.dumps(payload).encode(), f"{{{MARKER}".encode(), f"payload={MARKER}".encode()
        for body in bodies:
            await by_http.client.post(EVENTS_PATH, content=body, headers=headers(body))
            await by_http.client.post(EVENTS_PATH, content=body, headers=headers(body, secret="x"))

    of_slack = record.of_slack()
    assert any("cannot be read" in line for line in of_slack)
    for secret in (MARKER, SECRET, by_http.slack.bot_token):
        assert [line for line in of_slack if secret in line] == []
