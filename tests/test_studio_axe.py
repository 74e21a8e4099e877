"""Axe over every page and dialog, at a desk and on a phone, in the light and in the dark.

Every other one has the light at the desk and the dark on the phone, the rest the other way round.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Literal

import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser import DESK, IN_BROWSER, PHONE, Windows

pytestmark = IN_BROWSER

Light = Literal["light", "dark"]
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
FOUND = """
async () => (await axe.run({ resultTypes: ["violations"] })).violations.flatMap((rule) =>
  rule.nodes.map((node) => [rule.impact, rule.id, node.target.join(" "), node.html].join(" | ")))
"""
PAGES = {
    "/": "It blushes a red-orange hue.",
    "/room/direct": "Nothing waits.",
    "/review": "All reviewed",
    "/examples": "Write a limerick about neon.",
    "/preferences": "No preferences yet",
    "/check": "examples checked",
    "/jobs": "What the host told",
    "/evaluations": "No evaluation yet",
    "/teach-next": "What to teach next",
    "/models": "answers now",
    "/compare": "One question, every model side by side",
    "/workspaces": "local",
    "/assistants": "answers with",
    "/hosts": "sandbox",
    "/roles": "Nobody was granted a role",
    "/privacy": "Nobody has said anything yet.",
    "/spending": "Tokens today",
    "/audit": "confirmed a training",
}
DIALOGS = {
    "/": ("Teach", "When somebody asks"),
    "/examples": ("Write a limerick about neon.", "imported"),
    "/examples?import=1": ("", "Drop a file here"),
    "/jobs": ("Train with settings", "Epochs"),
    "/teach-next": ("Go to … (Ctrl K)", "# general"),
    "/models": ("Delete", "nobody can bring it back"),
    "/assistants": ("New assistant", "Instructions"),
    "/roles": ("Grant a role", "Role"),
    "/privacy": ("Change the sources", "I may learn from"),
    "/spending": ("Set caps", "Person"),
}

LIGHTS: tuple[tuple[Light, Light], ...] = (("light", "dark"), ("dark", "light"))
"""At the desk and on the phone."""


@pytest_asyncio.fixture(loop_scope="session")
async def page(windows: Windows, trained_studio: str) -> Page:
    """A window on a studio in which something happened."""
    return await windows.open(trained_studio)


async def findings(page: Page, number: int) -> list[str]:
    """What axe finds in two ways to see what is open now; `number` counts what was looked at."""
    found: list[str] = []
    await page.evaluate(AXE)
    for size, light in zip((DESK, PHONE), LIGHTS[number % 2], strict=True):
        await page.set_viewport_size(size)
        # What still fades has no colour of its own yet.
        await page.emulate_media(color_scheme=light, reduced_motion="reduce")
        await expect(page.locator(f"body.body--{light}")).to_be_attached()
        await expect(page.locator(".q-drawer--left")).to_have_attribute("aria-label", "Pages")
        told = await page.evaluate(FOUND)
        found += [f"{page.url} {size['width']} {light}: {one}" for one in told]
    await page.set_viewport_size(DESK)
    await page.emulate_media(color_scheme="light", reduced_motion="reduce")
    return found


async def test_axe_finds_nothing_on_any_page(page: Page) -> None:
    home = page.url.rstrip("/")
    found: list[str] = []

    for number, (path, shown) in enumerate(PAGES.items()):
        await page.goto(home + path)
        await page.get_by_text(shown).first.wait_for()
        found += await findings(page, number)

    assert not found, "\n".join(found)


async def test_axe_finds_nothing_in_any_dialog(page: Page) -> None:
    home = page.url.rstrip("/")
    await page.get_by_role("button", name="Roll back").click()
    found: list[str] = []

    for number, (path, (button, shown)) in enumerate(DIALOGS.items()):
        await page.goto(home + path)
        if button:
            await page.get_by_role("button", name=button, exact=True).first.click()
        await page.get_by_role("dialog").get_by_text(shown).first.wait_for()
        found += await findings(page, number)

    assert not found, "\n".join(found)
