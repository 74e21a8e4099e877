"""Cut, resumed, refused, killed: nothing is lost, and nothing is said twice."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from adapters.discord.api_port import api_base_url, is_discord_url
from adapters.discord.rate_limits import Pacing, Priority
from adapters.discord.shard_connections import CONTENT
from bot.errors import SettingsError
from storage.database import Database
from storage.migrations.migrate import migrate
from tests.discord_scene import Scene
from tests.fakes.discord import ANN, GENERAL, GUILD, FakeDiscord, fake_discord
from tests.fakes.faulty_host import FaultyHost, faulty_host
from tests.opening import opened
from tests.waiting import until

ROOT = Path(__file__).parent.parent
ANSWER = "Hello from the model"
EVENTS = int(os.environ.get("ATTUNE_STORM", "60"))
KILLS = max(1, EVENTS // 200)


async def test_a_lost_connection_is_resumed(in_discord: Scene) -> None:
    in_discord.discord.limits.is_on = False
    for number in range(4):
        in_discord.discord.mention(ANN, GENERAL, f"question {number}")
        await in_discord.discord.gateway.cut()
        in_discord.discord.mention(ANN, GENERAL, f"unheard {number}")
        await asyncio.sleep(0.02)

    await in_discord.hear(GENERAL, 8)
    await in_discord.settled()

    assert len(in_discord.discord.own(GENERAL)) == 8
    assert in_discord.discord.gateway.resumes
    assert len(in_discord.discord.gateway.identifies) == 1


async def test_a_wish_to_reconnect_is_followed(in_discord: Scene) -> None:
    await in_discord.discord.gateway.ask_to_reconnect()
    in_discord.discord.mention(ANN, GENERAL, "hello")

    assert await in_discord.hear() == [ANSWER]
    assert len(in_discord.discord.gateway.identifies) == 1


@pytest.mark.parametrize("is_resumable", [True, False])
async def test_an_invalid_session_is_begun_anew(in_discord: Scene, is_resumable: bool) -> None:
    await in_discord.discord.gateway.invalidate(is_resumable=is_resumable)
    starts = 1 if is_resumable else 2
    gateway = in_discord.discord.gateway
    await until(lambda: len(gateway.identifies) + bool(gateway.resumes) >= 2 and bool(gateway.live))

    in_discord.discord.mention(ANN, GENERAL, "hello")

    assert await in_discord.hear() == [ANSWER]
    assert len(gateway.identifies) == starts


async def test_another_process_goes_on_where_this_one_stopped(in_discord: Scene) -> None:
    await in_discord.stop()
    in_discord.discord.mention(ANN, GENERAL, "while you were away")

    await in_discord.start()

    assert await in_discord.hear() == [ANSWER]
    assert len(in_discord.discord.gateway.identifies) == 1


async def test_a_resumed_process_knows_roles_and_channels(in_discord: Scene) -> None:
    await in_discord.restart()
    in_discord.discord.guilds["10"].members[ANN] = ["991"]

    in_discord.discord.mention(ANN, GENERAL, "tune admin budget")

    assert "Tokens today" in (await in_discord.hear(in_discord.discord.direct(ANN)))[0]


async def test_what_is_not_kept_is_not_acknowledged(in_discord: Scene) -> None:
    assert in_discord.app is not None
    handle, gate = in_discord.app.dispatch.handle, asyncio.Event()

    async def waiting(event: object) -> object:
        await gate.wait()
        return await handle(event)  # type: ignore[arg-type]

    in_discord.app.dispatch.handle = waiting  # type: ignore[method-assign,assignment]
    (session,) = in_discord.discord.gateway.live
    before = session.sequence
    in_discord.discord.mention(ANN, GENERAL, "hello")
    in_discord.discord.gateway.dispatch("TYPING_START", {"user_id": ANN})
    await until(lambda: in_discord.app is not None and len(asyncio.all_tasks()) > 0)
    await asyncio.sleep(0.1)
    await in_discord.discord.gateway.cut()
    await until(lambda: bool(in_discord.discord.gateway.resumes))
    gate.set()

    assert await in_discord.hear() == [ANSWER]
    assert in_discord.discord.gateway.resumes[0]["seq"] == before


async def test_an_event_that_cannot_be_kept_is_tried_again(in_discord: Scene) -> None:
    assert in_discord.app is not None
    handle, failures = in_discord.app.dispatch.handle, [OSError("full"), OSError("full")]

    async def failing(event: object) -> object:
        if failures:
            raise failures.pop()
        return await handle(event)  # type: ignore[arg-type]

    in_discord.app.dispatch.handle = failing  # type: ignore[method-assign,assignment]
    in_discord.discord.mention(ANN, GENERAL, "hello")

    assert await in_discord.hear() == [ANSWER]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("MESSAGE_CREATE", {}),
        ("MESSAGE_CREATE", {"id": "1", "channel_id": GENERAL, "author": None}),
        ("INTERACTION_CREATE", {"id": "1", "token": "t", "type": 9}),
        ("MESSAGE_REACTION_ADD", {"emoji": {"name": "🎓"}}),
        ("GUILD_ROLE_UPDATE", {}),
        ("SOMETHING_NEW", {"x": 1}),
    ],
)
async def test_a_payload_that_makes_no_sense_is_let_go(
    in_discord: Scene, name: str, data: dict[str, object]
) -> None:
    in_discord.discord.gateway.dispatch(name, {**data, "guild_id": "10"})
    in_discord.discord.mention(ANN, GENERAL, "hello")

    assert ANSWER in await in_discord.hear()


async def test_a_refused_intent_ends_in_a_sentence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with fake_discord() as fake, faulty_host() as host:
        fake.gateway.may_read_content = False
        scene = Scene(fake, host, tmp_path)
        with caplog.at_level(logging.WARNING):
            await scene.start()
        await scene.greeted()
        fake.mention(ANN, GENERAL, "hello")

        assert await scene.hear() == [ANSWER]
        await scene.stop()

    assert fake.gateway.closes == [4014]
    assert "Message Content intent" in caplog.text


async def test_intents_that_are_all_refused_end_the_start(tmp_path: Path) -> None:
    async with fake_discord() as fake, faulty_host() as host:
        fake.gateway.refused_intents = 1
        with pytest.raises(BaseExceptionGroup) as caught:
            async with opened(Scene(fake, host, tmp_path).settings()):
                await asyncio.sleep(30)

    assert caught.group_contains(SettingsError)
    assert len(fake.gateway.identifies) == 2


async def test_a_lacking_resume_address_and_plain_flags_are_fine(tmp_path: Path) -> None:
    async with fake_discord() as fake, faulty_host() as host:
        fake.gateway.lacks_resume_url = True
        fake.flags = None
        scene = Scene(fake, host, tmp_path)
        await scene.start(DISCORD_API_URL=f"{fake.url}/api/v10/", DISCORD_GATEWAY_URL="")
        await scene.greeted()
        await fake.gateway.cut()
        fake.mention(ANN, GENERAL, "hello")

        assert await scene.hear() == [ANSWER]
        await scene.stop()

    assert fake.gateway.identifies[0]["intents"] & CONTENT


@pytest.mark.parametrize(
    "given",
    ["http://a:1", "http://a:1/", "http://a:1/api", "http://a:1/api/v10", "http://a:1/api/v10/"],
)
def test_an_address_may_be_given_in_part(given: str) -> None:
    assert api_base_url(given) == "http://a:1/api/v10"


def test_without_an_address_it_is_discords_own() -> None:
    assert api_base_url("") == "https://discord.com/api/v10"


@pytest.mark.parametrize(
    ("url", "is_ours"),
    [
        ("https://cdn.discordapp.com/a", True),
        ("https://media.discordapp.net/a", True),
        ("http://cdn.discordapp.com/a", False),
        ("https://evildiscord.com/a", False),
        ("https://discord.com.evil.example/a", False),
        ("http://127.0.0.1:7/a", True),
    ],
)
def test_files_come_from_discord_alone(url: str, is_ours: bool) -> None:
    assert is_discord_url(url, "http://127.0.0.1:9/api/v10") is is_ours


async def test_no_second_sees_more_calls_than_discord_takes() -> None:
    pacing, let_go = Pacing(), []

    async def call() -> None:
        await pacing.turn(Priority.PLAIN)
        let_go.append(asyncio.get_running_loop().time())

    await asyncio.gather(*(call() for _ in range(120)))

    assert all(later - first >= 1 for first, later in zip(let_go, let_go[50:], strict=False))


async def test_the_most_urgent_call_goes_first() -> None:
    pacing, order = Pacing(), []

    async def call(haste: Priority) -> None:
        await pacing.turn(haste)
        order.append(haste)

    await asyncio.gather(*(call(Priority.PLAIN) for _ in range(50)))
    waiting = [asyncio.create_task(call(haste)) for haste in reversed(Priority) for _ in range(2)]
    await asyncio.gather(*waiting)

    assert order[50:] == sorted(order[50:])


async def test_in_a_storm_every_question_is_answered_once(tmp_path: Path) -> None:
    """Duplicates, disorder, cut and resumed connections, and a process that is killed."""
    await migrated(tmp_path)
    async with fake_discord() as fake, faulty_host() as host:
        fake.limits.is_on = False
        storm = told(fake)
        process = await asyncio.to_thread(started, fake, host, tmp_path)
        try:
            kill_at = {len(storm) * (one + 1) // (KILLS + 1) for one in range(KILLS)}
            await listening(fake)
            for number, data in enumerate(storm):
                fake.gateway.dispatch("MESSAGE_CREATE", data)
                if number % 50 == 49:
                    await asyncio.sleep(0.05)
                    await fake.gateway.cut()
                if number in kill_at:
                    await asyncio.sleep(0.1)
                    process.kill()
                    await asyncio.to_thread(process.wait)
                    process = await asyncio.to_thread(started, fake, host, tmp_path)
            await answered(fake, EVENTS)
        finally:
            process.kill()
            await asyncio.to_thread(process.wait)

    answers = [one["message_reference"]["message_id"] for one in fake.own(GENERAL)[1:]]
    assert len(answers) == len(set(answers)) == EVENTS
    assert fake.pings == []
    assert all(text == ANSWER for text in fake.texts(GENERAL)[1:])


async def migrated(folder: Path) -> None:
    url = f"sqlite+aiosqlite:///{folder}/attune.db"
    await migrate(url)
    await (await Database.open(url)).close()


def told(fake: FakeDiscord) -> list[dict[str, object]]:
    """Questions as the gateway tells them: a fifth twice, a tenth out of order."""
    chance = random.Random(7)
    storm = []
    for number in range(EVENTS):
        message = fake.put(ANN, GENERAL, f"<@900> question {number}")
        storm.append(fake.told(GENERAL, message))
    for repeated in chance.sample(storm, EVENTS // 5):
        storm.insert(chance.randrange(len(storm)), repeated)
    for _ in range(len(storm) // 10):
        at = chance.randrange(len(storm) - 5)
        storm.insert(at + chance.randrange(1, 5), storm.pop(at))
    return storm


def started(fake: FakeDiscord, host: FaultyHost, folder: Path) -> subprocess.Popen[bytes]:
    settings = Scene(fake, host, folder).settings()
    known = {
        "ATTUNE_DATA_DIR": str(folder),
        "DISCORD_TOKEN": fake.token,
        "ATTUNE_DISCORD_SERVERS": GUILD,
        "DISCORD_API_URL": fake.url,
        "DISCORD_GATEWAY_URL": fake.gateway.url,
        "OPENAI_BASE_URL": settings.openai_base_url,
        "OPENAI_API_KEY": host.key,
        "ATTUNE_BASE_MODEL": "base",
        "ATTUNE_STUDIO_PORT": "0",
        "PYTHONPATH": str(ROOT),
        "PATH": os.environ["PATH"],
    }
    return subprocess.Popen(
        [sys.executable, "-m", "attune", "run"],
        env=known,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


async def listening(fake: FakeDiscord) -> None:
    await until(lambda: fake.gateway.live and fake.own(GENERAL))


async def answered(fake: FakeDiscord, count: int) -> None:
    """All have an answer that is whole; and a moment later there is not one more."""
    await until(
        lambda: fake.texts(GENERAL).count(ANSWER) >= count,
        lambda: f"{count} were asked, and shown is {Counter(fake.texts(GENERAL))}",
        seconds=100 + count,
    )
    await asyncio.sleep(1.0)
