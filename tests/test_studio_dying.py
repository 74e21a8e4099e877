"""The service dies while somebody looks: the page says so, comes back, and shows what is true."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser import IN_BROWSER, Windows, connected
from tests.fakes.faulty_host import FaultyHost, faulty_host
from tests.program import Service, service_in

pytestmark = IN_BROWSER

WORDS = [f"word{number} " for number in range(60)]


@pytest_asyncio.fixture(loop_scope="session")
async def host() -> AsyncIterator[FaultyHost]:
    async with faulty_host() as host:
        host.pieces, host.piece_seconds = WORDS, 0.25
        yield host


@pytest_asyncio.fixture(loop_scope="session")
async def service(host: FaultyHost, tmp_path: Path) -> AsyncIterator[Service]:
    service = service_in(
        tmp_path, OPENAI_BASE_URL=host.url, OPENAI_API_KEY=host.key, ATTUNE_BASE_MODEL="base"
    )
    yield service
    await service.stop()


async def write(page: Page, text: str) -> None:
    await page.locator(".bottom textarea").first.fill(text)
    await page.keyboard.press("Enter")


async def told_it_is_away(page: Page) -> None:
    await expect(page.locator("#popup")).to_be_visible()
    await expect(page.locator("#popup")).to_contain_text("this page comes back by itself")


async def test_killed_in_an_answer_it_comes_back_with_all_of_it(
    windows: Windows, service: Service, host: FaultyHost
) -> None:
    page = await windows.open(await service.start())
    await write(page, "/tune assistant edit name:attune chat_host:default base:base")
    await page.locator(".message").first.wait_for()
    await write(page, "@attune tell me everything")
    await page.get_by_text("word0 word1").wait_for()

    await connected(page)
    await service.kill()
    await told_it_is_away(page)
    host.piece_seconds = 0.0
    await service.start()

    await expect(page.locator("#popup")).to_be_hidden()
    await expect(page.locator(".message").last).to_contain_text("word58 word59")
    await expect(page.get_by_text("word0 word1")).to_have_count(1)
    await expect(page.locator(".message")).to_have_count(4)


async def test_killed_in_a_training_it_comes_back_and_ends_it(
    windows: Windows, service: Service
) -> None:
    page = await windows.open(await service.start())
    await page.get_by_role("button", name="Limericks about elements").click()
    await page.get_by_role("button", name="Train now").wait_for()
    await write(page, "/tune start epochs:50 batch_size:1")
    await page.get_by_role("button", name="Confirm").click()
    await page.locator(".card.busy").first.wait_for()

    await connected(page)
    await service.kill()
    await told_it_is_away(page)
    await service.start()

    await expect(page.locator("#popup")).to_be_hidden()
    await page.get_by_text("Training 1 succeeded").wait_for()
    await page.goto(f"{page.url.rstrip('/')}/jobs")
    await expect(page.locator(".choice .pill")).to_have_text("succeeded")


async def test_after_a_restart_a_password_is_asked_again(windows: Windows, tmp_path: Path) -> None:
    service = service_in(
        tmp_path, ATTUNE_STUDIO_HOST="0.0.0.0", ATTUNE_STUDIO_PASSWORD="open sesame"
    )
    page = await windows.open(f"{await service.start()}/jobs")
    await page.get_by_label("Password").fill("open sesame")
    await page.keyboard.press("Enter")
    await page.get_by_text("No training yet").wait_for()

    await connected(page)
    await service.kill()
    await told_it_is_away(page)
    await service.start()

    await page.get_by_label("Password").fill("open sesame")
    await page.keyboard.press("Enter")
    await page.get_by_text("No training yet").wait_for()
    await service.stop()
