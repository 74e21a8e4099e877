"""The studio under load, beside an empty NiceGUI page: how soon what one does is painted.

Two browsers in one room, a thousand messages said while both look, fifty thousand examples.
"""

from __future__ import annotations

import asyncio
import csv
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from playwright.async_api import Browser, Page, async_playwright

from adapters.studio.sessions import SessionFile
from bench.figures import Figure
from bench.processes import (
    free_port,
    megabytes,
    resident_bytes,
    run_attune,
    running,
    wait_until,
)

MOST_MORE_SECONDS = 0.100
MOST_MORE_BYTES = 100_000_000
MOST_STOPPING_SECONDS = 2.0
EXAMPLES = 50_000
MESSAGES = 1_000

_ROUNDS = 15
_QUIET = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
_SETTLING_SECONDS = 3.0

# From the event itself to the paint after it, for every key that reaches a field.
_HEAR_KEYS = """(selector) => {
  window.painted = [];
  document.querySelector(selector).addEventListener("keydown", (event) => {
    requestAnimationFrame(() => setTimeout(() => {
      window.painted.push(performance.now() - event.timeStamp);
    }));
  }, { capture: true });
}"""

# A click, and the paint after what is read there differs.
_CLICK = """([button, shown]) => new Promise((done) => {
  const read = () => document.querySelector(shown)?.innerText;
  const before = read(), start = performance.now();
  const look = () => requestAnimationFrame(() => {
    if (read() === before) look();
    else setTimeout(() => done(performance.now() - start));
  });
  document.querySelector(button).click();
  look();
})"""

# What a person does to send a line, as fast as the page takes it.
_SAY = """async ([count, text]) => {
  const field = document.querySelector(".bottom textarea");
  for (let number = 0; number < count; number++) {
    field.value = `${text} ${number}`;
    field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
    await new Promise((done) => setTimeout(done, 15));
  }
}"""


def measure() -> Iterable[Figure]:
    with TemporaryDirectory() as folder:
        data = Path(folder)
        _learn(data)
        yield from _measured(data)


def _learn(data: Path) -> None:
    file = data / "many.csv"
    with file.open("w", newline="", encoding="utf-8") as opened:
        rows = csv.writer(opened)
        rows.writerow(["question", "answer"])
        for number in range(EXAMPLES):
            rows.writerow([f"Where is order {number}?", f"Order {number} left us this morning."])
    run_attune("import", str(file), data=data)


def _measured(data: Path) -> Iterable[Figure]:
    port, empty = free_port(), free_port()
    with (
        running("-m", "attune", "run", data=data, ATTUNE_STUDIO_PORT=str(port)) as service,
        running("-m", "bench.empty_page", data=data, PORT=str(empty)),
    ):
        wait_until(partial(_stands, f"http://127.0.0.1:{port}/readyz"))
        wait_until(partial(_stands, f"http://127.0.0.1:{empty}/"))
        idle = resident_bytes(service.pid)
        ours = f"http://127.0.0.1:{port}"
        token = SessionFile.read(data / "studio.json").token
        yield from asyncio.run(_used(ours, f"http://127.0.0.1:{empty}", token))
        more = resident_bytes(service.pid) - idle
        yield Figure(
            f"memory of the bot after {MESSAGES:,} messages, over idle",
            f"+{megabytes(more)}",
            f"≤ +{megabytes(MOST_MORE_BYTES)}",
            more <= MOST_MORE_BYTES,
        )
        taken = asyncio.run(_stopped(f"{ours}/room/support?token={token}", service))
        yield Figure(
            "stopping with a window open",
            f"{taken:.1f} s",
            f"≤ {MOST_STOPPING_SECONDS:.0f} s",
            taken <= MOST_STOPPING_SECONDS,
        )


async def _stopped(room: str, service: subprocess.Popen[str]) -> float:
    async with _browser() as browser:
        await _open(browser, room)
        begun = perf_counter()
        service.terminate()
        await asyncio.to_thread(service.wait)
        return perf_counter() - begun


async def _used(ours: str, empty: str, token: str) -> list[Figure]:
    async with _browser() as browser:
        room, beside, bare = await asyncio.gather(
            _open(browser, f"{ours}/room/support?token={token}"),
            _open(browser, f"{ours}/room/support?token={token}"),
            _open(browser, empty),
        )
        await beside.evaluate(_SAY, [MESSAGES, "Message number"])
        last = f"Message number {MESSAGES - 1}"
        await room.get_by_text(last, exact=True).wait_for(timeout=240_000)
        talking = asyncio.create_task(beside.evaluate(_SAY, [300, "While one types"]))
        figures = [_figure("typing into the composer", *await _typed(room, bare))]
        await talking
        await room.goto(f"{ours}/examples")
        await room.locator("tbody tr").first.wait_for()
        figures.append(
            _figure("turning a page of 50,000 examples", *await _turned(room, bare)),
        )
        figures.append(_figure("opening the review", *await _opened(room, bare, ours, empty)))
        return figures


async def _typed(room: Page, bare: Page) -> tuple[float, float]:
    """Milliseconds from a key to the paint after it."""
    for page, field in ((room, ".bottom textarea"), (bare, "textarea")):
        await page.evaluate(_HEAR_KEYS, field)
    for _ in range(_ROUNDS):
        for page, field in ((room, ".bottom textarea"), (bare, "textarea")):
            await page.locator(field).first.press("x")
            await asyncio.sleep(0.05)
    taken = [median(await page.evaluate("window.painted")) for page in (room, bare)]
    return taken[0], taken[1]


async def _turned(room: Page, bare: Page) -> tuple[float, float]:
    ours, least = [], []
    on, shown = ".pager button:last-of-type", "tbody .row-open"
    for _ in range(_ROUNDS):
        ours.append(float(await room.evaluate(_CLICK, [on, shown])))
        least.append(float(await bare.evaluate(_CLICK, ["button", ".shown"])))
    return median(ours), median(least)


async def _opened(room: Page, bare: Page, ours: str, empty: str) -> tuple[float, float]:
    """From the click on a link to the paint of what it leads to."""
    mine, least = [], []
    for _ in range(_ROUNDS // 2):
        mine.append(await _followed(room, f"{ours}/models", 'a[href="/review"]', ".detail .empty"))
        least.append(await _followed(bare, empty, 'a[href="/second"]', "text=second"))
    return median(mine), median(least)


async def _followed(page: Page, start: str, link: str, shown: str) -> float:
    await page.goto(start)
    await page.locator(link).wait_for()
    await asyncio.sleep(0.3)
    begun = perf_counter()
    await page.locator(link).click()
    await page.locator(shown).first.wait_for()
    return (perf_counter() - begun) * 1000


def _figure(name: str, ours: float, least: float) -> Figure:
    more = (ours - least) / 1000
    return Figure(
        f"{name}, over an empty page",
        f"+{more * 1000:.0f} ms ({ours:.0f} : {least:.0f})",
        f"≤ +{MOST_MORE_SECONDS * 1000:.0f} ms",
        more <= MOST_MORE_SECONDS,
    )


@asynccontextmanager
async def _browser() -> AsyncIterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=list(_QUIET))
        yield browser
        await browser.close()


async def _open(browser: Browser, address: str) -> Page:
    page = await (await browser.new_context(viewport={"width": 1440, "height": 900})).new_page()
    await page.goto(address)
    await page.locator("textarea").first.wait_for()
    await asyncio.sleep(_SETTLING_SECONDS / 3)
    return page


def _stands(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=4) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, TimeoutError):
        return False
