"""The studio's door: names, origins, sessions and headers, over plain HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from starlette.types import Message, Scope

from adapters.studio.guard import Door, Guard
from adapters.studio.login import add_login
from adapters.studio.sessions import COOKIE, LASTS, Sessions
from tests.fakes.house import FakeHouse, StillClock

PASSWORD = "open sesame"
HERE = "http://127.0.0.1:8080"


def guarded(door: Door) -> FastAPI:
    app = FastAPI()
    app.add_middleware(Guard, door=door)
    if door.sessions is not None:
        add_login(app, door, door.sessions, FakeHouse())

    @app.api_route("/{path:path}", methods=["GET", "POST"])
    async def anything(path: str) -> PlainTextResponse:
        return PlainTextResponse("inside")

    return app


def visitor(door: Door, base: str = HERE) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(guarded(door)), base_url=base)


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def sessions(clock: StillClock) -> Sessions:
    return Sessions(PASSWORD, clock)


@pytest.fixture
async def stranger(sessions: Sessions) -> AsyncIterator[httpx.AsyncClient]:
    door = Door("0.0.0.0", "https://attune.example", sessions)
    async with visitor(door, "https://attune.example") as client:
        yield client


OURS = {"origin": "https://attune.example"}


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:8080", "[::1]:8080", "LOCALHOST"])
async def test_this_machine_comes_in_without_a_password(host: str) -> None:
    async with visitor(Door("127.0.0.1")) as client:
        answer = await client.get("/", headers={"host": host})

    assert answer.text == "inside"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", ""])
async def test_a_rebound_name_does_not_come_in(host: str) -> None:
    async with visitor(Door("127.0.0.1")) as client:
        answer = await client.get("/", headers={"host": host})

    assert answer.status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {},
    ],
)
async def test_another_site_cannot_post(headers: dict[str, str]) -> None:
    async with visitor(Door("127.0.0.1")) as client:
        answer = await client.post("/", headers=headers)

    assert answer.status_code == 403


@pytest.mark.parametrize("headers", [{"origin": HERE}, {"sec-fetch-site": "same-origin"}])
async def test_our_own_page_can_post(headers: dict[str, str]) -> None:
    async with visitor(Door("127.0.0.1")) as client:
        answer = await client.post("/", headers=headers)

    assert answer.text == "inside"


@pytest.mark.parametrize(
    ("headers", "is_let_in"),
    [
        ({"host": "127.0.0.1:8080", "origin": HERE}, True),
        ({"host": "127.0.0.1:8080", "origin": "https://evil.example"}, False),
        ({"host": "evil.example", "origin": "http://evil.example"}, False),
        ({"host": "127.0.0.1:8080"}, False),
    ],
)
async def test_a_websocket_is_held_to_the_same(headers: dict[str, str], is_let_in: bool) -> None:
    assert await opens_websocket(Door("127.0.0.1"), headers) is is_let_in


async def test_a_websocket_of_a_stranger_is_closed(sessions: Sessions) -> None:
    headers = {"host": "attune.example", **OURS}
    door = Door("0.0.0.0", "https://attune.example", sessions)

    assert not await opens_websocket(door, headers)


async def opens_websocket(door: Door, headers: dict[str, str]) -> bool:
    sent: list[Message] = []

    async def inside(scope: Scope, receive: object, send: object) -> None:
        sent.append({"type": "websocket.accept"})

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "websocket", "path": "/_nicegui_ws/", "headers": raw, "query_string": b""}
    await Guard(inside, door=door)(scope, receive, send)
    return str(sent[0]["type"]) == "websocket.accept"


async def test_a_stranger_is_led_to_the_login_and_back(stranger: httpx.AsyncClient) -> None:
    sent_away = await stranger.get("/jobs?x=1")
    let_in = await stranger.post(
        "/login", data={"password": PASSWORD, "next": "/jobs?x=1"}, headers=OURS
    )
    inside = await stranger.get("/jobs")

    assert sent_away.headers["location"] == "/login?next=%2Fjobs%3Fx%3D1"
    assert let_in.headers["location"] == "/jobs?x=1"
    assert inside.text == "inside"


async def test_the_cookie_is_kept_from_scripts_and_from_plain_http(
    stranger: httpx.AsyncClient,
) -> None:
    answer = await stranger.post("/login", data={"password": PASSWORD}, headers=OURS)

    cookie = answer.headers["set-cookie"].lower()
    assert all(mark in cookie for mark in ("httponly", "secure", "samesite=lax"))


@pytest.mark.parametrize("target", ["https://evil.example", "//evil.example", "/\\evil.example"])
async def test_the_login_leads_to_no_other_site(stranger: httpx.AsyncClient, target: str) -> None:
    answer = await stranger.post(
        "/login", data={"password": PASSWORD, "next": target}, headers=OURS
    )

    assert answer.headers["location"] == "/"


async def test_a_login_from_another_site_is_refused(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.post(
        "/login", data={"password": PASSWORD}, headers={"origin": "https://evil.example"}
    )

    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


async def test_guessing_is_slowed_and_forgiven_later(
    stranger: httpx.AsyncClient, clock: StillClock
) -> None:
    tried = [
        (await stranger.post("/login", data={"password": "x"}, headers=OURS)).status_code
        for _ in range(6)
    ]
    right = await stranger.post("/login", data={"password": PASSWORD}, headers=OURS)
    await clock.sleep(timedelta(minutes=6))
    later = await stranger.post("/login", data={"password": PASSWORD}, headers=OURS)

    assert tried == [401] * 5 + [429]
    assert right.status_code == 429
    assert later.status_code == 303


async def test_a_session_ends_after_its_time(sessions: Sessions, clock: StillClock) -> None:
    token = sessions.open(PASSWORD, address="here") or ""

    await clock.sleep(LASTS)

    assert not sessions.knows(token)


async def test_who_logs_out_is_a_stranger_again(stranger: httpx.AsyncClient) -> None:
    await stranger.post("/login", data={"password": PASSWORD}, headers=OURS)
    token = stranger.cookies[COOKIE]

    await stranger.post("/logout", headers=OURS)

    stranger.cookies.clear()
    stranger.cookies.set(COOKIE, token, domain="attune.example")
    assert (await stranger.get("/")).status_code == 303


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_machines_ask_without_a_password(stranger: httpx.AsyncClient, path: str) -> None:
    assert (await stranger.get(path, headers={"host": "10.0.0.7"})).text == "inside"


async def test_every_answer_is_framed_by_nobody_and_loads_nothing_from_elsewhere() -> None:
    async with visitor(Door("127.0.0.1")) as client:
        answer = await client.get("/")

    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
