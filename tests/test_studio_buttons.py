"""Every button of every page and of every dialog that it opens is pressed, and something comes."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, ViewportSize, expect
from playwright.async_api import Error as PageGone

from tests.browser import DESK, IN_BROWSER, PHONE, Windows, connected, visit
from tests.program import served, service_in

pytestmark = IN_BROWSER

PAGES = {
    "talk": ("/",),
    "direct": ("/room/direct", "/review"),
    "examples": ("/examples", "/preferences", "/teach-next"),
    "train": ("/jobs", "/evaluations", "/models", "/compare"),
    "run": ("/workspaces", "/assistants", "/hosts", "/roles", "/privacy", "/spending", "/audit"),
}
# Pressed after all others of their page or dialog, since less is left to press afterwards.
LAST = re.compile(
    r"cancel|close|delete|withdraw|reject|erase|approve|roll back|save|confirm", re.IGNORECASE
)
# What these open, a form or a card, has to stay open.
OPENS = re.compile(
    r"^row |\bEdit$|Where it went|Show$|Show its rows|Write a lesson|Train with settings"
    r"|Import a file|New assistant|Grant a role|Set caps|Change the sources|Let it answer"
)
AROUND = re.compile(r"Light or dark|translate|Menu|Pages")
DEEPEST = 3
# Fewer would mean that buttons are not found any more.
MIN_PRESSED = 10

# What a person sees: the address, the texts and where they stand, what is typed and chosen.
SEEN = """() => JSON.stringify([
  location.href, document.documentElement.lang, document.body.className,
  [".q-page-container", ".q-header", ".q-drawer", ".q-dialog", ".q-menu", ".q-footer"]
    .flatMap((one) => [...document.querySelectorAll(one)])
    .filter((one) => one.checkVisibility())
    .map((one) => [one.innerText, one.getBoundingClientRect().x]),
  [...document.querySelectorAll("input, textarea")].map((one) => [one.value, one.checked]),
  document.querySelectorAll("[aria-pressed=true], [aria-checked=true], .disabled").length,
])"""
MARK_NOTES = """() => document.querySelectorAll(".note")
  .forEach((one) => one.dataset.old = "1")"""
ARRIVED = """() => Promise.race([
  window.socket?.emitWithAck("ack", { client_id: window.clientId, next_message_id: 0 }),
  new Promise((done) => setTimeout(done, 5000))])"""
HAS_NEW_NOTE = "() => document.querySelector('.note:not([data-old])') !== null"
FORGET_CHOICES = """() => ["assistant", "workspace", "speaker", "language", "dark"]
  .forEach((name) => document.cookie = `attune-${name}=; path=/; max-age=0`)"""
# The names of the buttons that can be pressed inside; what is chosen already is none of them.
BUTTONS = "button, [role=button], [role=menuitem], .q-item"
# An example is called by its state: one of each is enough.
NAME = """const name = (one) => (one.matches(".row-open")
  ? "row " + one.closest("tr, .example-card")?.querySelector(".pill")?.innerText
  : (one.ariaLabel || one.innerText)).replace(/\\s+/g, " ").trim();"""
BUTTONS_IN = f"""{NAME} const buttons = [...(roots.at(-1)?.querySelectorAll({BUTTONS!r}) ?? [])];
  const isReady = (one) => one.checkVisibility({{ visibilityProperty: true }})
    && one.getBoundingClientRect().width > 0 && !one.disabled && one.ariaDisabled !== "true"
    && !one.closest("nav") && one.ariaCurrent !== "true";"""
NAMES = f"(roots) => {{ {BUTTONS_IN} return buttons.filter(isReady).map(name) }}"
POSITION = f"""(roots, wanted) => {{ {BUTTONS_IN} return buttons.findIndex((one) =>
  name(one).replace(/\\d+/g, "#") === wanted && isReady(one)) }}"""
TITLE = """(roots) => roots.length === 0 ? "" : roots.at(-1)
  .querySelector("[role=heading], .form-title, .card-title")?.innerText ?? "menu" """
# Waits until nothing has changed for a moment, nothing moves, and the line below the bar says
# that nothing is worked on any more, then tells what is seen.
QUIET = f"""() => new Promise((done) => {{
  const isMoving = () => document.getAnimations().some((one) =>
    one.playState === "running" && one.effect?.getComputedTiming().endTime !== Infinity);
  const isWorking = () => document.querySelector(".working:not(.hidden)") !== null;
  const end = () => {{ watch.disconnect(); clearInterval(limit); done(({SEEN})()); }};
  const look = () => {{ if (isMoving() || isWorking()) wait(); else end(); }};
  let timer;
  const wait = () => {{ clearTimeout(timer); timer = setTimeout(look, 60); }};
  const watch = new MutationObserver(wait);
  const all = {{ subtree: true, childList: true, attributes: true, characterData: true }};
  watch.observe(document, all);
  const limit = setInterval(() => {{ if (!isWorking()) {{ clearTimeout(timer); end(); }} }}, 3000);
  wait();
}})"""

OUTSIDE = ".q-layout"


class Visitor:
    """Presses all there is on one page after the other."""

    def __init__(self, page: Page, home: str, *, presses_in_dialogs: bool = True) -> None:
        """On a phone dialogs have the same buttons: there they need to be in reach alone."""
        self.page = page
        self._presses_in_dialogs = presses_in_dialogs
        self.pressed: list[str] = []
        self.silent: list[str] = []
        self._home = home
        self._path = "/"
        self._known: set[tuple[str, str]] = set()
        self._files = 0
        page.on("download", lambda _: self._count())
        page.on("filechooser", lambda _: self._count())

    async def press_all(self, path: str) -> None:
        self._path = path
        await self._fresh()
        for name in await self._names(self.page.locator(OUTSIDE)):
            await self._fresh_if_elsewhere()
            if await self._press(self.page.locator(OUTSIDE), name):
                await self._press_opened([name])

    async def _press_opened(self, way: list[str]) -> None:
        """Every button of the dialog or menu that this way opened."""
        await self._quiet()
        opened = self._opened()
        if not await opened.count() or len(way) > DEEPEST:
            return
        title = await self._title()
        if not self._presses_in_dialogs:
            await self._reach_all(opened, title)
            return
        for name in await self._names(opened):
            if (
                self._is_new(title, name)
                and (await self._is_still_open(title, name) or await self._go(way))
                and await self._press(self._opened(), name)
            ):
                await self._press_opened([*way, name])

    async def _reach_all(self, opened: Locator, title: str) -> None:
        """Every button of what is open could be pressed: nothing covers it."""
        for name in await self._names(opened):
            found = await self._find(opened, name)
            if found is not None and self._is_new(title, name):
                self._known.add(self._key(title, name))
                await found.click(trial=True)
                self.pressed.append(f"{self._path} {title} → {name}")

    async def _is_still_open(self, title: str, name: str) -> bool:
        """Whether the last button has left the dialog as it was, so that none need be reopened."""
        await self._quiet()
        return await self._title() == title and await self._find(self._opened(), name) is not None

    async def _go(self, way: list[str]) -> bool:
        """Open what stands at the end of the way once more; False where it is not there now."""
        await self._fresh()
        for at, name in enumerate(way):
            root = self.page.locator(OUTSIDE) if at == 0 else self._opened()
            found = await self._find(root, name)
            if found is None:
                return False
            before = await self._quiet()
            await _click(found)
            await self._wait_for_change(before)
            await self._quiet()
        return bool(await self._opened().count())

    async def _press(self, root: Locator, name: str) -> bool:
        """Whether it was there and did something."""
        title = await self._title()
        found = await self._find(root, name)
        if found is None or not self._is_new(title, name):
            return False
        self._known.add(self._key(title, name))
        await self._write()
        before, files = await self._quiet(), self._files
        await self.page.evaluate(MARK_NOTES)
        await _click(found)
        is_changed = await self._wait_for_change(before, files)
        if not is_changed or (OPENS.search(name) and not await self._stays_open(title)):
            self.silent.append(f"{self._path} {title} → {name}")
            return False
        self.pressed.append(f"{self._path} {title} → {name}")
        return True

    async def _stays_open(self, before: str) -> bool:
        """Whether something else than before is open, once nothing moves any more."""
        for _ in range(60):
            await self._quiet()
            if await self._title() not in ("", before):
                return True
        return False

    async def _write(self) -> None:
        """Something to send, where one could."""
        for field in await self.page.locator(".composer textarea:visible").all():
            if not await field.input_value():
                await field.fill("Hello")

    def _is_new(self, title: str, name: str) -> bool:
        return self._key(title, name) not in self._known

    def _key(self, title: str, name: str) -> tuple[str, str]:
        """A dialog is the same wherever it opens, and so are the buttons around every page."""
        place = title or ("" if AROUND.search(name) else self._path)
        return place, re.sub(r"\d+", "#", name)

    async def _find(self, root: Locator, name: str) -> Locator | None:
        """A button of that name which can be pressed now; its digits may have changed."""
        at = int(await root.evaluate_all(POSITION, re.sub(r"\d+", "#", name)))
        return None if at < 0 else root.last.locator(BUTTONS).nth(at)

    async def _names(self, root: Locator) -> list[str]:
        await self._quiet()
        names = dict.fromkeys(str(one) for one in await root.evaluate_all(NAMES) if one)
        return sorted(names, key=lambda name: LAST.search(name) is not None)

    def _opened(self) -> Locator:
        return self.page.locator(".q-dialog .q-dialog__inner:visible, .q-menu:visible")

    async def _title(self) -> str:
        """Of what is open above the page; empty where nothing is."""
        text = str(await self._opened().evaluate_all(TITLE))
        return re.sub(r"\d+", "#", text)

    async def _fresh_if_elsewhere(self) -> None:
        is_here = self.page.url.split("?")[0].rstrip("/") == (self._home + self._path).rstrip("/")
        is_plain = await self.page.locator(".q-dialog, .q-menu, .fullscreen:visible").count() == 0
        is_english = await self.page.evaluate("document.documentElement.lang") == "en"
        if not (is_here and is_plain and is_english):
            await self._fresh()

    async def _fresh(self) -> None:
        await self.page.evaluate(FORGET_CHOICES)
        await visit(self.page, self._home + self._path)
        await expect(self.page.locator(".q-layout")).to_be_visible()

    async def _quiet(self) -> str:
        """What is seen once nothing moves any more."""
        await self.page.wait_for_load_state()
        return str(await self._evaluate(QUIET))

    async def _evaluate(self, script: str) -> object:
        """The script's value on this page; on the next one, should this one be left meanwhile."""
        try:
            return await self.page.evaluate(script)
        except PageGone:
            await self.page.wait_for_load_state()
            return await self.page.evaluate(script)

    async def _wait_for_change(self, before: str, files: int = -1) -> bool:
        for _ in range(100):
            if 0 <= files < self._files or await self._is_changed(before):
                return True
            await self.page.wait_for_timeout(50)
        return False

    async def _is_changed(self, before: str) -> bool:
        try:
            return bool(
                await self.page.evaluate(HAS_NEW_NOTE) or await self.page.evaluate(SEEN) != before
            )
        except PageGone:
            # It led to another page.
            return True

    def _count(self) -> None:
        self._files += 1


async def _click(button: Locator) -> None:
    """As a person does: the buttons of a message show where the mouse is."""
    around = button.locator("xpath=ancestor::article")
    if await around.count():
        await around.last.hover(position={"x": 4, "y": 4})
    await button.click()
    # Told in its order: once this is answered, the click has arrived.
    with suppress(PageGone):
        await button.page.evaluate(ARRIVED)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "service.log"


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def filled(browser: Browser, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a studio in which something happened."""
    folder = tmp_path_factory.mktemp("filled")
    shutil.copytree(trained, folder, dirs_exist_ok=True)
    windows = Windows(browser)
    async with served(folder) as home:
        await fill(await windows.open(home), home)
        await windows.close()
    assert windows.troubles == []
    return folder


@pytest_asyncio.fixture(loop_scope="session")
async def studio_home(filled: Path, tmp_path: Path, log: Path) -> AsyncIterator[str]:
    shutil.copytree(filled, tmp_path / "data")
    service = service_in(tmp_path / "data").into(log)
    yield await service.start()
    await service.stop()


async def fill(page: Page, home: str) -> None:
    """A room in which something was said, proposed, taught, preferred and trained."""
    await connected(page)
    await say(page, "@attune what is new?")
    answer = page.locator(".message").last
    await answer.get_by_role("button", name="Teach this").wait_for(state="attached")
    await say(page, "/tune admin roles user:mina role:curator")
    for name in ("Ann", "Ben"):
        await page.evaluate(f"attune.remember('speaker', '{name}')")
        await page.goto(home)
        await page.get_by_role("button", name="Teach", exact=True).click()
        await page.get_by_label("When somebody asks").fill(f"Do you ship to {name}?")
        await page.get_by_label("I should answer").fill("We do.")
        await page.keyboard.press("Control+Enter")
        await expect(page.get_by_role("dialog")).to_have_count(0)


async def say(page: Page, text: str) -> None:
    field = page.locator(".bottom textarea").first
    await expect(field).to_have_value("")
    await field.fill(text)
    await field.press("Enter")
    await expect(field).to_have_value("")


@pytest.mark.parametrize("group", PAGES)
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
async def test_every_button_does_something(
    windows: Windows, studio_home: str, log: Path, size: ViewportSize, group: str
) -> None:
    page = await windows.open(studio_home, size=size)
    visitor = Visitor(page, studio_home, presses_in_dialogs=size is DESK)

    for path in PAGES[group]:
        await visitor.press_all(path)

    assert visitor.silent == []
    assert len(visitor.pressed) >= MIN_PRESSED
    assert [line for line in log.read_text().splitlines() if '"level": "error"' in line] == []
