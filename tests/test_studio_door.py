"""The studio's door: names, origins, sessions and headers, over plain HTTP."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from adapters.studio.access_guard import AccessGuard, AccessPolicy
from adapters.studio.login import add_login
from adapters.studio.login_sessions import (
    IDLE_LIFETIME,
    MAX_LIFETIME,
    SESSION_COOKIE,
    SessionFile,
    Sessions,
)
from adapters.studio.login_throttle import MAX_CONCURRENT_CHECKS, MAX_DELAY, LoginThrottle
from tests.fakes.app import FakeApp, StillClock
from tests.waiting import until

PASSWORD = "open sesame"
HERE = "http://127.0.0.1:8080"


def guarded(door: AccessPolicy, clock: StillClock) -> FastAPI:
    app = FastAPI()
    app.add_middleware(AccessGuard, policy=door)
    add_login(app, door, FakeApp(), clock)

    @app.api_route("/{path:path}", methods=["GET", "POST"])
    async def anything(path: str) -> PlainTextResponse:
        return PlainTextResponse("inside")

    return app


def visitor(door: AccessPolicy, clock: StillClock, base: str = HERE) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(guarded(door, clock))
    return httpx.AsyncClient(transport=transport, base_url=base)


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def sessions(clock: StillClock) -> Sessions:
    return Sessions(PASSWORD, clock)


@pytest.fixture
async def stranger(sessions: Sessions, clock: StillClock) -> AsyncIterator[httpx.AsyncClient]:
    door = AccessPolicy("0.0.0.0", "https://attune.example", sessions)
    async with visitor(door, clock, "https://attune.example") as client:
        yield client


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "studio.json"


@pytest.fixture
def local(clock: StillClock, file: Path) -> AccessPolicy:
    """A studio without a password, on this machine."""
    token = SessionFile.read(file).token
    return AccessPolicy("127.0.0.1", "", Sessions(token, clock, file=file))


@pytest.fixture
async def outside(local: AccessPolicy, clock: StillClock) -> AsyncIterator[httpx.AsyncClient]:
    """A browser of this machine that does not know the token."""
    async with visitor(local, clock) as client:
        yield client


@pytest.fixture
async def inside(outside: httpx.AsyncClient, file: Path) -> httpx.AsyncClient:
    """A browser that opened the printed address."""
    await outside.get("/", params={"token": SessionFile.read(file).token})
    return outside


OURS = {"origin": "https://attune.example"}


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:8080", "[::1]:8080", "LOCALHOST"])
async def test_this_machine_knows_its_own_names(inside: httpx.AsyncClient, host: str) -> None:
    cookie = f"{SESSION_COOKIE}={inside.cookies[SESSION_COOKIE]}"

    answer = await inside.get("/", headers={"host": host, "cookie": cookie})

    assert answer.text == "inside"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", ""])
async def test_a_rebound_name_does_not_come_in(inside: httpx.AsyncClient, host: str) -> None:
    cookie = f"{SESSION_COOKIE}={inside.cookies[SESSION_COOKIE]}"

    answer = await inside.get("/", headers={"host": host, "cookie": cookie})

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
async def test_another_site_cannot_post(inside: httpx.AsyncClient, headers: dict[str, str]) -> None:
    answer = await inside.post("/", headers=headers)

    assert answer.status_code == 403


@pytest.mark.parametrize("headers", [{"origin": HERE}, {"sec-fetch-site": "same-origin"}])
async def test_our_own_page_can_post(inside: httpx.AsyncClient, headers: dict[str, str]) -> None:
    answer = await inside.post("/", headers=headers)

    assert answer.text == "inside"


# The token of the printed address


@pytest.mark.parametrize("path", ["/", "/jobs", "/_nicegui/client/1/upload/2", "/download/1"])
async def test_another_account_of_the_machine_stays_outside(
    outside: httpx.AsyncClient, path: str
) -> None:
    looked = await outside.get(path)
    sent = await outside.post(path, headers={"origin": HERE})

    assert looked.status_code == 303
    assert looked.headers["location"].startswith("/login?")
    assert sent.status_code == 401


async def test_the_printed_address_lets_in_and_its_token_goes_out_of_sight(
    outside: httpx.AsyncClient, file: Path
) -> None:
    token = SessionFile.read(file).token

    answer = await outside.get("/jobs", params={"x": "1", "token": token})

    assert answer.headers["location"] == "/jobs?x=1"
    assert "httponly" in answer.headers["set-cookie"].lower()
    assert (await outside.get("/jobs?x=1")).text == "inside"


@pytest.mark.parametrize("token", ["", "wrong", "é", "x" * 5000])
async def test_a_wrong_token_leads_to_the_login(outside: httpx.AsyncClient, token: str) -> None:
    answer = await outside.get("/jobs", params={"token": token})

    assert answer.headers["location"] == "/login?next=%2Fjobs"
    assert "set-cookie" not in answer.headers


async def test_the_token_can_be_typed(outside: httpx.AsyncClient, file: Path) -> None:
    page = await outside.get("/login")
    token = SessionFile.read(file).token

    answer = await outside.post("/login", data={"password": token}, headers={"origin": HERE})

    assert "attune studio" in page.text
    assert answer.status_code == 303


async def test_a_password_is_never_taken_from_an_address(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.get("/", params={"token": PASSWORD})

    assert "set-cookie" not in answer.headers


async def test_a_restart_logs_nobody_out_who_came_by_token(
    inside: httpx.AsyncClient, clock: StillClock, file: Path
) -> None:
    cookie = inside.cookies[SESSION_COOKIE]

    again = Sessions(SessionFile.read(file).token, clock, file=file)

    assert again.is_valid(cookie)
    assert file.stat().st_mode & 0o077 == 0
    assert cookie not in file.read_text()


async def test_a_restart_brings_no_closed_session_back(
    inside: httpx.AsyncClient, clock: StillClock, file: Path
) -> None:
    cookie = inside.cookies[SESSION_COOKIE]
    await inside.post("/logout", headers={"origin": HERE})

    again = Sessions(SessionFile.read(file).token, clock, file=file)

    assert not again.is_valid(cookie)


# Websockets


@pytest.mark.parametrize(
    ("headers", "is_let_in"),
    [
        ({"host": "127.0.0.1:8080", "origin": HERE}, True),
        ({"host": "127.0.0.1:8080", "origin": "https://evil.example"}, False),
        ({"host": "evil.example", "origin": "http://evil.example"}, False),
        ({"host": "127.0.0.1:8080"}, False),
    ],
)
async def test_a_websocket_is_held_to_the_same(
    inside: httpx.AsyncClient, local: AccessPolicy, headers: dict[str, str], is_let_in: bool
) -> None:
    cookie = inside.cookies[SESSION_COOKIE]

    assert await opens_websocket(local, headers, cookie) is is_let_in


async def test_a_websocket_of_a_stranger_is_closed(sessions: Sessions) -> None:
    headers = {"host": "attune.example", **OURS}
    door = AccessPolicy("0.0.0.0", "https://attune.example", sessions)

    assert not await opens_websocket(door, headers, "")


async def opens_websocket(door: AccessPolicy, headers: dict[str, str], cookie: str) -> bool:
    sent: list[Message] = []

    async def app(scope: Scope, receive: object, send: object) -> None:
        sent.append({"type": "websocket.accept"})

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = socket_scope({**headers, "cookie": f"{SESSION_COOKIE}={cookie}"})
    await AccessGuard(app, policy=door)(scope, receive, send)
    return str(sent[0]["type"]) == "websocket.accept"


def socket_scope(headers: dict[str, str]) -> Scope:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return {"type": "websocket", "path": "/_nicegui_ws/", "headers": raw, "query_string": b""}


class Window:
    """An open window's websocket, from the browser's side."""

    def __init__(self, door: AccessPolicy, cookie: str) -> None:
        self.sent: list[Message] = []
        self.coming: asyncio.Queue[Message] = asyncio.Queue()
        self._door = door
        self._cookie = cookie
        self._heard: list[Message] = []

    async def stay(self) -> list[Message]:
        """Until the server side ends; what the application heard."""
        headers = {
            "host": "127.0.0.1:8080",
            "origin": HERE,
            "cookie": f"{SESSION_COOKIE}={self._cookie}",
        }
        guard = AccessGuard(self._serve, policy=self._door)
        async with asyncio.timeout(20):
            await guard(socket_scope(headers), self.coming.get, self._receive)
        return self._heard

    async def _receive(self, message: Message) -> None:
        self.sent.append(message)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        while True:
            self._heard.append(await receive())
            if self._heard[-1]["type"] == "websocket.disconnect":
                await send({"type": "websocket.send", "text": "too late"})
                return


class LateClock(StillClock):
    """A clock on which nothing that sleeps wakes up before the test moves it."""

    def __init__(self) -> None:
        super().__init__()
        self._moved = asyncio.Event()

    async def sleep(self, wait: timedelta) -> None:
        end = self.now() + wait
        while self.now() < end:
            await self._moved.wait()

    async def move(self, wait: timedelta) -> None:
        await super().sleep(wait)
        self._moved.set()
        self._moved = asyncio.Event()
        for _ in range(5):
            await asyncio.sleep(0)


async def window_of(clock: StillClock) -> tuple[Sessions, str, Window]:
    sessions = Sessions(PASSWORD, clock)
    cookie = sessions.open(PASSWORD) or ""
    return sessions, cookie, Window(AccessPolicy("127.0.0.1", "", sessions), cookie)


async def test_an_open_window_ends_with_a_logout() -> None:
    sessions, cookie, window = await window_of(LateClock())
    staying = asyncio.create_task(window.stay())
    await window.coming.put({"type": "websocket.receive", "text": '42["event",{}]'})
    await until(lambda: window.coming.empty())

    sessions.close(cookie)

    heard = await staying
    assert [one["type"] for one in heard] == ["websocket.receive", "websocket.disconnect"]
    assert [one["type"] for one in window.sent] == ["websocket.accept", "websocket.close"]


@pytest.mark.parametrize("packet", ["3", '42["ack",{}]', '42["event",{}]'])
async def test_an_open_window_ends_with_its_session_unless_somebody_uses_it(packet: str) -> None:
    clock = LateClock()
    sessions, cookie, window = await window_of(clock)
    staying = asyncio.create_task(window.stay())
    for _ in range(3):
        await clock.move(IDLE_LIFETIME / 2)
        await window.coming.put({"type": "websocket.receive", "text": packet})
        await clock.move(timedelta())

    assert sessions.is_valid(cookie) is ("event" in packet)
    sessions.close(cookie)
    assert (await staying)[-1]["type"] == "websocket.disconnect"


async def test_no_session_outlives_its_longest_time() -> None:
    clock = LateClock()
    sessions, cookie, window = await window_of(clock)
    staying = asyncio.create_task(window.stay())
    for _ in range(int(MAX_LIFETIME / IDLE_LIFETIME) * 2):
        assert sessions.is_valid(cookie)
        await clock.move(IDLE_LIFETIME / 2)

    assert not sessions.is_valid(cookie)
    assert (await staying)[-1]["type"] == "websocket.disconnect"


# Passwords


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


async def test_wrong_passwords_are_slowed_and_the_right_one_always_lets_in(
    stranger: httpx.AsyncClient, clock: StillClock
) -> None:
    taken = []
    for _ in range(40):
        begun = clock.now()
        answer = await stranger.post("/login", data={"password": "x"}, headers=OURS)
        taken.append(clock.now() - begun)
        assert answer.status_code == 401

    right = await stranger.post("/login", data={"password": PASSWORD}, headers=OURS)

    assert taken[0] == timedelta()
    assert taken == sorted(taken)
    assert taken[-1] == MAX_DELAY
    assert right.status_code == 303


async def test_guessing_from_one_address_slows_no_other() -> None:
    clock = StillClock()
    guesses = LoginThrottle(clock)
    for _ in range(40):
        guesses.note_wrong("2001:db8::1")
    begun = clock.now()

    await guesses.wait_before_check("2001:db8:0:1::1")

    assert clock.now() == begun
    await guesses.wait_before_check("2001:db8::2")
    assert clock.now() == begun + MAX_DELAY


async def test_guessing_at_once_is_no_faster() -> None:
    clock = LateClock()
    guesses = LoginThrottle(clock)
    for _ in range(40):
        guesses.note_wrong("10.0.0.7")
    waiting = [
        asyncio.create_task(guesses.wait_before_check("10.0.0.7"))
        for _ in range(MAX_CONCURRENT_CHECKS)
    ]
    await asyncio.sleep(0)

    assert not await guesses.wait_before_check("10.0.0.7")
    await clock.move(MAX_DELAY)
    assert await asyncio.gather(*waiting) == [True] * MAX_CONCURRENT_CHECKS


async def test_guessing_keeps_no_browser_out_that_was_in_before(sessions: Sessions) -> None:
    clock = LateClock()
    door = AccessPolicy("0.0.0.0", "https://attune.example", sessions)
    async with visitor(door, clock, "https://attune.example") as guesser:
        owner = httpx.AsyncClient(transport=guesser._transport, base_url=guesser.base_url)
        right, wrong = {"password": PASSWORD}, {"password": "x"}
        await owner.post("/login", data=right, headers=OURS)
        await owner.post("/logout", headers=OURS)
        for _ in range(3):
            await guesser.post("/login", data=wrong, headers=OURS)
        guesses = [
            asyncio.create_task(guesser.post("/login", data=wrong, headers=OURS))
            for _ in range(MAX_CONCURRENT_CHECKS + 1)
        ]
        refused, waiting = await asyncio.wait(guesses, return_when=asyncio.FIRST_COMPLETED)

        async with asyncio.timeout(20):
            answer = await owner.post("/login", data=right, headers=OURS)
        await clock.move(MAX_DELAY)
        await asyncio.gather(*waiting)

    assert [one.result().status_code for one in refused] == [429]
    assert answer.status_code == 303


async def test_guesses_of_many_addresses_take_bounded_memory() -> None:
    guesses = LoginThrottle(StillClock())

    for number in range(20_000):
        guesses.note_wrong(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")

    assert len(pickle.dumps((guesses._wrong, guesses._recent_wrong))) < 200_000


async def test_who_logs_out_is_a_stranger_again(stranger: httpx.AsyncClient) -> None:
    await stranger.post("/login", data={"password": PASSWORD}, headers=OURS)
    token = stranger.cookies[SESSION_COOKIE]

    await stranger.post("/logout", headers=OURS)

    stranger.cookies.clear()
    stranger.cookies.set(SESSION_COOKIE, token, domain="attune.example")
    assert (await stranger.get("/")).status_code == 303


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_machines_ask_without_a_password(stranger: httpx.AsyncClient, path: str) -> None:
    assert (await stranger.get(path, headers={"host": "10.0.0.7"})).text == "inside"


async def test_every_answer_is_framed_by_nobody_and_loads_nothing_from_elsewhere(
    inside: httpx.AsyncClient,
) -> None:
    answer = await inside.get("/")

    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
