"""The ways into Slack: manifest, doctor, HTTP mode, settings, budgets, and a storm."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import random
import time
from pathlib import Path
from urllib.parse import urlencode

import httpx2
import pytest

from adapters.chart_image import draw_chart
from adapters.slack import rate_limits
from adapters.slack.api_port import Access, is_slack_url, proxy_for
from adapters.slack.doctor_checks import run_checks
from adapters.slack.manifest import manifest
from adapters.slack.rate_limits import Pacing
from attune.bootstrap import slack_access
from attune.http_server import health_routes
from attune.settings import Settings
from bot.command_catalogue import CATALOGUE
from bot.errors import SettingsError
from bot.replies import Chart, Series
from bot.words import Words
from tests.fakes.faulty_host import faulty_host
from tests.fakes.slack import FakeSlack, fake_slack
from tests.slack_scene import Scene
from tests.waiting import until

SECRET = "shh"


def test_the_manifest_keeps_to_slacks_limits() -> None:
    drawn = manifest(CATALOGUE)

    assert all(len(one["name"]) <= 24 for one in drawn["features"]["shortcuts"])
    assert all(len(one["description"]) <= 150 for one in drawn["features"]["shortcuts"])
    assert set(drawn["oauth_config"]["scopes"]["bot_optional"]) <= set(
        drawn["oauth_config"]["scopes"]["bot"]
    )
    assert drawn["settings"]["socket_mode_enabled"]


def test_the_manifest_asks_for_nothing_dangerous() -> None:
    scopes = set(manifest(CATALOGUE)["oauth_config"]["scopes"]["bot"])

    assert not scopes & {"chat:write.public", "chat:write.customize", "incoming-webhook"}
    assert not any(scope.startswith("search:") for scope in scopes)


def test_in_http_mode_the_manifest_names_the_address() -> None:
    drawn = manifest(CATALOGUE, public_url="https://a.example/", is_http=True)

    address = "https://a.example/slack/events"
    assert drawn["settings"]["event_subscriptions"]["request_url"] == address
    assert drawn["settings"]["interactivity"]["request_url"] == address
    assert drawn["features"]["slash_commands"][0]["url"] == address


@pytest.mark.parametrize(
    ("settings", "variable"),
    [
        ({"SLACK_BOT_TOKEN": "xoxb-1"}, "SLACK_APP_TOKEN"),
        ({"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_MODE": "http"}, "SLACK_SIGNING_SECRET"),
    ],
)
def test_a_token_without_its_partner_is_named(settings: dict[str, str], variable: str) -> None:
    with pytest.raises(SettingsError) as caught:
        slack_access(Settings.model_validate(settings))

    assert caught.value.details["variable"] == variable


def test_without_a_token_slack_is_off() -> None:
    assert slack_access(Settings.model_validate({})) is None


async def findings(slack: FakeSlack, **more: object) -> list[tuple[bool, str]]:
    known = {"bot_token": "xoxb-fake", "app_token": "xapp-fake", "api_url": f"{slack.url}/api/"}
    access = Access(**(known | more))  # type: ignore[arg-type]
    words = Words("en")
    return [(one.is_well, words(one.key, **one.details)) async for one in run_checks(access)]


async def test_the_doctor_finds_a_healthy_app_healthy() -> None:
    async with fake_slack() as slack:
        found = await findings(slack)

    assert all(is_well for is_well, _ in found)
    assert len(found) >= 4


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"bot_token": "xoxb-other"}, "SLACK_BOT_TOKEN"),
        ({"app_token": "xapp-other"}, "SLACK_APP_TOKEN"),
        ({"is_http": True}, "SLACK_SIGNING_SECRET"),
        ({"api_url": "http://127.0.0.1:9/api/"}, "HTTPS_PROXY"),
    ],
)
async def test_the_doctor_says_what_to_change(more: dict[str, object], word: str) -> None:
    async with fake_slack() as slack:
        found = await findings(slack, **more)

    assert word in next(text for is_well, text in found if not is_well)


async def test_the_doctor_names_missing_scopes() -> None:
    async with fake_slack() as slack:
        slack.scopes -= {"reactions:read", "files:read"}
        found = await findings(slack)

    assert any("reactions:read" in text for is_well, text in found if not is_well)
    assert any("files:read" in text for is_well, text in found if is_well)


async def test_a_refused_token_ends_the_start(tmp_path: Path) -> None:
    async with fake_slack() as slack, faulty_host() as host:
        scene = Scene(slack, host, tmp_path)
        with pytest.raises(BaseExceptionGroup) as caught:
            await started_and_stopped(scene)

    assert caught.group_contains(SettingsError)


async def started_and_stopped(scene: Scene) -> None:
    try:
        await scene.start(SLACK_BOT_TOKEN="xoxb-other", SLACK_MODE="http", **http())
        async with asyncio.timeout(30):
            await asyncio.Event().wait()
    finally:
        await scene.stop()


def http() -> dict[str, str]:
    return {"SLACK_SIGNING_SECRET": SECRET}


async def posted(
    scene: Scene, body: str, kind: str, *, secret: str = SECRET, age: float = 0.0
) -> int:
    assert scene.app is not None
    at = str(int(time.time() - age))
    signed = hmac.new(secret.encode(), f"v0:{at}:{body}".encode(), hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": kind,
        "X-Slack-Request-Timestamp": at,
        "X-Slack-Signature": f"v0={signed}",
    }
    transport = httpx2.ASGITransport(app=health_routes(scene.app))
    async with httpx2.AsyncClient(transport=transport, base_url="http://here") as client:
        answer = await client.post("/slack/events", content=body, headers=headers)
    return int(answer.status_code)


def a_mention(slack: FakeSlack) -> str:
    ts = slack.put("U2", "C1", "hello")
    event = {"type": "app_mention", "user": "U2", "channel": "C1", "ts": ts, "text": "<@UBOT> hi"}
    return json.dumps(
        {"type": "event_callback", "team_id": "T1", "event_id": "Ev1", "event": event}
    )


async def test_http_mode_answers_what_slack_has_signed(tmp_path: Path) -> None:
    async with fake_slack() as slack, faulty_host() as host:
        scene = Scene(slack, host, tmp_path)
        await scene.start(SLACK_MODE="http", **http())
        await until(lambda: bool(slack.called("auth.test")))

        assert await posted(scene, a_mention(slack), "application/json") == 200
        assert await scene.hear("C1") == ["Hello from the model"]
        command = urlencode(
            {"command": "/tune", "text": "help status", "user_id": "U2", "channel_id": "C1"}
            | {"trigger_id": "t1", "response_url": f"{slack.url}/respond/1", "team_id": "T1"}
        )
        slack.responses["1"].append({"user": "U2", "channel": "C1", "message": None})
        assert await posted(scene, command, "application/x-www-form-urlencoded") == 200
        assert "/tune status" in (await scene.whispered())[0]["text"]
        await scene.stop()


@pytest.mark.parametrize("more", [{"secret": "other"}, {"age": 400.0}])
async def test_http_mode_refuses_strangers_and_replays(
    tmp_path: Path, more: dict[str, object]
) -> None:
    async with fake_slack() as slack, faulty_host() as host:
        scene = Scene(slack, host, tmp_path)
        await scene.start(SLACK_MODE="http", **http())
        await until(lambda: bool(slack.called("auth.test")))

        status = await posted(scene, a_mention(slack), "application/json", **more)  # type: ignore[arg-type]
        await scene.stop()

    assert status == 401


@pytest.mark.parametrize(
    ("variables", "proxy"),
    [
        ({"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ({"HTTP_PROXY": "http://p:2"}, "http://p:2"),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": ".slack.com,slack.com"}, None),
        ({}, None),
    ],
)
def test_proxies_are_taken_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], proxy: str | None
) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert proxy_for("https://slack.com/api/") == proxy


@pytest.mark.parametrize(
    ("url", "is_ours"),
    [
        ("https://files.slack.com/a", True),
        ("https://slack.com/a", True),
        ("http://files.slack.com/a", False),
        ("https://evilslack.com/a", False),
        ("https://slack.com.evil.example/a", False),
    ],
)
def test_the_token_goes_to_slack_alone(url: str, is_ours: bool) -> None:
    assert is_slack_url(url, "https://slack.com/api/") is is_ours


class Time:
    """Moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


async def test_a_method_is_called_no_more_than_its_tier_allows() -> None:
    time_ = Time()
    paced = Pacing(lambda: time_.now, time_.sleep)

    for _ in range(51):
        await paced.turn("chat.update")

    assert time_.now == pytest.approx(60)


async def test_a_channel_is_posted_to_once_a_second() -> None:
    time_ = Time()
    paced = Pacing(lambda: time_.now, time_.sleep)

    for _ in range(3):
        await paced.turn("chat.postMessage", "C1")
    await paced.turn("chat.postMessage", "C2")

    assert time_.now == pytest.approx(2)


async def test_a_refused_method_rests_and_the_others_do_not() -> None:
    time_ = Time()
    paced = Pacing(lambda: time_.now, time_.sleep)
    paced.on_rate_limited("chat.update", 30)

    await paced.turn("chat.postMessage", "C1")
    assert time_.now == 0
    await paced.turn("chat.update")
    assert time_.now == pytest.approx(30)


async def test_refusals_do_not_use_a_method_up() -> None:
    """Eighty thanks at once, each a second too early in its channel, once waited a minute."""
    time_ = Time()
    paced = Pacing(lambda: time_.now, time_.sleep)

    for number in range(100):
        await paced.turn("chat.postEphemeral", f"C{number}")
        paced.on_rate_limited("chat.postEphemeral", 1, f"C{number}")
    for number in range(100):
        await paced.turn("chat.postEphemeral", f"C{number}")

    assert time_.now <= 2


async def test_a_post_too_early_holds_back_its_own_channel_alone() -> None:
    time_ = Time()
    paced = Pacing(lambda: time_.now, time_.sleep)
    await paced.turn("chat.postMessage", "C1")
    paced.on_rate_limited("chat.postMessage", 1, "C1")

    await paced.turn("chat.postMessage", "C2")
    assert time_.now == 0
    await paced.turn("chat.postMessage", "C1")
    assert time_.now == pytest.approx(1)


def test_a_chart_becomes_a_picture() -> None:
    chart = Chart("Loss", "step", (Series("training", [(1, 2.0), (2, 1.0)]),), "down")

    assert draw_chart(chart).startswith(b"\x89PNG")


async def test_in_a_storm_every_question_is_answered_once(
    in_slack: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Duplicates, disorder and cut sockets; the acknowledgements stay in time."""
    monkeypatch.setattr(rate_limits, "_PER_MINUTE", {})
    in_slack.slack.tiers.is_on = False
    in_slack.slack.ack_seconds = 1.0
    events = []
    for number in range(100):
        ts = in_slack.slack.put("U2", "C1", f"question {number}")
        event = {"type": "app_mention", "user": "U2", "channel": "C1", "ts": ts}
        events.append(({**event, "text": f"<@UBOT> question {number}"}, f"Storm{number}"))
    chance = random.Random(7)
    storm = events + chance.sample(events, 20)
    early, late = storm[:100], storm[100:]
    for repeated in late:
        early.insert(chance.randrange(len(early)), repeated)
    storm = early

    for number, (event, key) in enumerate(storm):
        in_slack.slack.event(event, event_id=key)
        if number % 50 == 49:
            await in_slack.slack.cut()
    await in_slack.hear("C1", 100)
    await asyncio.sleep(0.2)

    answered = [one["thread_ts"] for one in in_slack.slack.own("C1")]
    assert len(answered) == len(set(answered)) == 100
    assert max(took for one in in_slack.slack.deliveries for took in one.ack_processor) < 3
