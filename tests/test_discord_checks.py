"""`attune doctor` and `attune discord invite` before a Discord that is well, or is not."""

from __future__ import annotations

import base64

import pytest

from adapters.discord.api_port import Access
from adapters.discord.doctor_checks import application_id, run_checks
from bot.errors import SettingsError
from bot.words import Words
from tests.fakes.discord import GUILD, FakeDiscord, fake_discord
from tests.fakes.discord_rest import Fault


async def findings(fake: FakeDiscord, token: str | None = None) -> list[tuple[bool, str]]:
    access = Access(token=token or fake.token, api_url=fake.url)
    words = Words("en")
    return [(one.is_well, words(one.key, **one.details)) async for one in run_checks(access)]


async def test_a_healthy_bot_is_found_healthy() -> None:
    async with fake_discord() as fake:
        found = await findings(fake)

    assert all(is_well for is_well, _ in found)
    assert len(found) == 5
    assert any("Public Bot" in text for _, text in found)


async def test_a_bot_that_only_its_owner_invites_is_found_private() -> None:
    async with fake_discord() as fake:
        fake.is_public = False
        found = await findings(fake)

    assert any("only you can invite it" in text for _, text in found)


async def test_a_refused_token_is_named() -> None:
    async with fake_discord() as fake:
        ((is_well, text),) = await findings(fake, "other")

    assert not is_well
    assert "DISCORD_TOKEN" in text


async def test_an_intent_that_is_off_is_no_fault() -> None:
    async with fake_discord() as fake:
        fake.flags = 0
        found = await findings(fake)

    assert any("Message Content intent is off" in text for is_well, text in found if is_well)


async def test_missing_permissions_are_named() -> None:
    async with fake_discord() as fake:
        fake.guilds[GUILD].bot_permissions &= ~(1 << 15)
        found = await findings(fake)

    assert any("Attach Files" in text for is_well, text in found if not is_well)


async def test_a_bot_in_no_server_is_led_to_the_link() -> None:
    async with fake_discord() as fake:
        fake.guilds.clear()
        found = await findings(fake)

    assert any("attune discord invite" in text for is_well, text in found if not is_well)


async def test_a_gateway_that_is_not_named_is_told() -> None:
    async with fake_discord() as fake:
        fake.fail("GET /gateway/bot", Fault(status=404))
        found = await findings(fake)

    assert any("gateway" in text for is_well, text in found if not is_well)


async def test_the_applications_number_comes_from_discord() -> None:
    async with fake_discord() as fake:
        assert await application_id(Access(token=fake.token, api_url=fake.url)) == "900"


async def test_where_discord_is_away_the_token_tells_it() -> None:
    token = base64.urlsafe_b64encode(b"123456").decode().rstrip("=") + ".x.y"

    found = await application_id(Access(token=token, api_url="http://127.0.0.1:9"))

    assert found == "123456"


async def test_a_token_that_tells_nothing_is_refused_in_a_sentence() -> None:
    with pytest.raises(SettingsError, match="DISCORD_TOKEN"):
        await application_id(Access(token="nonsense", api_url="http://127.0.0.1:9"))
