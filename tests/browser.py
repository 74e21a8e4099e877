"""A real browser on a real service: windows that note whatever goes wrong in them."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import pytest
import pytest_asyncio
from playwright.async_api import (
    Browser,
    BrowserContext,
    Page,
    ViewportSize,
    async_playwright,
    expect,
)

from tests.program import entrance, served

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DESK: ViewportSize = {"width": 1440, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
PATIENCE = 60_000
IN_BROWSER = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]
"""What a test that opens windows is marked with: a browser belongs to one event loop."""


@pytest_asyncio.fixture(loop_scope="session")
async def studio(tmp_path: Path) -> AsyncIterator[str]:
    """A studio in which nothing happened yet."""
    async with served(tmp_path) as address:
        yield address


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def trained(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a studio where a newcomer has reached a tuned answer."""
    folder = tmp_path_factory.mktemp("trained")
    windows = Windows(browser)
    async with served(folder) as address:
        await go_the_newcomers_way(await windows.open(address))
        await windows.close()
    assert windows.troubles == []
    return folder


@pytest_asyncio.fixture(loop_scope="session")
async def trained_studio(trained: Path, tmp_path: Path) -> AsyncIterator[str]:
    """A studio that goes on where `trained` ended."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    async with served(tmp_path) as address:
        yield address


class Windows:
    """Opens windows and notes whatever goes wrong in one, or leaves this machine."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self.troubles: list[str] = []

    async def open(
        self,
        address: str,
        *,
        size: ViewportSize = DESK,
        locale: str = "en",
        light: Literal["light", "dark"] = "light",
    ) -> Page:
        context = await self._browser.new_context(viewport=size, locale=locale, color_scheme=light)
        self._contexts.append(context)
        page = await context.new_page()
        page.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        home = "/".join(address.split("/")[:3])
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("request", lambda request: self._note(request.url, home))
        await page.goto(entrance(address))
        return page

    async def close(self) -> None:
        for context in self._contexts:
            await context.close()

    def _note(self, url: str, home: str) -> None:
        if not url.startswith((home, home.replace("http", "ws", 1), "data:", "blob:")):
            self.troubles.append(f"asked {url}")


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One for all tests of a process; cookies and storage belong to the windows of each."""
    if CHROMIUM is None:
        pytest.fail("Chromium is missing; make test-all installs it")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def windows(browser: Browser) -> AsyncIterator[Windows]:
    windows = Windows(browser)
    yield windows
    await windows.close()
    assert windows.troubles == []


async def go_the_newcomers_way(page: Page) -> int:
    """From the address to the first tuned answer; how many clicks and keys it took."""
    await page.get_by_role("button", name="Limericks about elements").click()
    await page.get_by_role("button", name="Train now").click()
    await page.get_by_role("button", name="Confirm").click()
    await page.get_by_role("button", name="Ask it now").click()
    composer = page.locator(".bottom textarea").first
    await expect(composer).to_have_value(re.compile("@attune"))
    await expect(composer).to_be_focused()
    await page.keyboard.press("Enter")
    await page.get_by_text("It blushes a red-orange hue.").first.wait_for()
    return 5


async def visit(page: Page, address: str) -> None:
    """Opens a page and waits until its clicks are heard."""
    await page.goto(address)
    await connected(page)


async def connected(page: Page) -> None:
    """Once its clicks are heard; from then on it notices when the service goes away."""
    await page.wait_for_function("() => window.socket?.connected && window.did_handshake")
