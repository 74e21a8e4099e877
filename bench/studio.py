"""The studio under load, compared with an empty NiceGUI page: time from an input to its paint.

Two browsers are in one room, in which a thousand messages are posted; there are 50,000 examples.
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

from adapters.studio.login_sessions import SessionFile
from bench.figures import Figure
from bench.processes import (
    free_port,
    megabytes,
    resident_bytes,
    run_attune,
    running,
    wait_until,
)

MAX_MORE_SECONDS = 0.100
MAX_MORE_BYTES = 100_000_000
MAX_STOPPING_SECONDS = 2.0
EXAMPLES = 50_000
MESSAGES = 1_000

_ROUNDS = 15
_QUIET = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
_SETTLING_SECONDS = 3.0

# Milliseconds from each key event in a field to the next paint.
_RECORD_KEY_PAINTS = """(selector) => {
  window.painted = [];
  document.querySelector(selector).addEventListener("keydown", (event) => {
    requestAnimationFrame(() => setTimeout(() => {
      window.painted.push(performance.now() - event.timeStamp);
    }));
  }, { capture: true });
}"""

# Milliseconds from a click to the paint after the text of an element changes.
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

# Sends lines as a person does, one every 15 ms.
_SEND_LINES = """async ([count, text]) => {
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
        _import_examples(data)
        yield from _measured(data)


def _import_examples(data: Path) -> None:
    file = data / "many.csv"
    with file.open("w", newline="", encoding="utf-8") as opened:
        rows = csv.writer(opened)
        rows.writerow(["question", "answer"])
        for number in range(EXAMPLES):
            rows.writerow([f"Where is order {number}?", f"Order {number} left us this morning."])
    run_attune("import", str(file), data=data)


def _measured(data: Path) -> Iterable[Figure]:
    port, empty_port = free_port(), free_port()
    with (
        running("-m", "attune", "run", data=data, ATTUNE_STUDIO_PORT=str(port)) as service,
        running("-m", "bench.empty_page", data=data, PORT=str(empty_port)),
    ):
        wait_until(partial(_is_up, f"http://127.0.0.1:{port}/readyz"))
        wait_until(partial(_is_up, f"http://127.0.0.1:{empty_port}/"))
        idle = resident_bytes(service.pid)
        ours = f"http://127.0.0.1:{port}"
        token = SessionFile.read(data / "studio.json").token
        yield from asyncio.run(_measure_pages(ours, f"http://127.0.0.1:{empty_port}", token))
        added_bytes = resident_bytes(service.pid) - idle
        yield Figure(
            f"memory of the bot after {MESSAGES:,} messages, over idle",
            f"+{megabytes(added_bytes)}",
            f"≤ +{megabytes(MAX_MORE_BYTES)}",
            added_bytes <= MAX_MORE_BYTES,
        )
        stop_seconds = asyncio.run(_measure_stop(f"{ours}/room/support?token={token}", service))
        yield Figure(
            "stopping with a window open",
            f"{stop_seconds:.1f} s",
            f"≤ {MAX_STOPPING_SECONDS:.0f} s",
            stop_seconds <= MAX_STOPPING_SECONDS,
        )


async def _measure_stop(room: str, service: subprocess.Popen[str]) -> float:
    async with _browser() as browser:
        await _open(browser, room)
        started_at = perf_counter()
        service.terminate()
        await asyncio.to_thread(service.wait)
        return perf_counter() - started_at


async def _measure_pages(ours: str, empty: str, token: str) -> list[Figure]:
    async with _browser() as browser:
        room, second, empty_page = await asyncio.gather(
            _open(browser, f"{ours}/room/support?token={token}"),
            _open(browser, f"{ours}/room/support?token={token}"),
            _open(browser, empty),
        )
        await second.evaluate(_SEND_LINES, [MESSAGES, "Message number"])
        last = f"Message number {MESSAGES - 1}"
        await room.get_by_text(last, exact=True).wait_for(timeout=240_000)
        typing_task = asyncio.create_task(second.evaluate(_SEND_LINES, [300, "While one types"]))
        figures = [_figure("typing into the composer", *await _measure_typing(room, empty_page))]
        await typing_task
        await room.goto(f"{ours}/examples")
        await room.locator("tbody tr").first.wait_for()
        figures.append(
            _figure("turning a page of 50,000 examples", *await _measure_paging(room, empty_page)),
        )
        figures.append(
            _figure("opening the review", *await _measure_links(room, empty_page, ours, empty))
        )
        return figures


async def _measure_typing(room: Page, bare: Page) -> tuple[float, float]:
    """Returns the median milliseconds from a key to the next paint: studio and empty page."""
    for page, field in ((room, ".bottom textarea"), (bare, "textarea")):
        await page.evaluate(_RECORD_KEY_PAINTS, field)
    for _ in range(_ROUNDS):
        for page, field in ((room, ".bottom textarea"), (bare, "textarea")):
            await page.locator(field).first.press("x")
            await asyncio.sleep(0.05)
    medians = [median(await page.evaluate("window.painted")) for page in (room, bare)]
    return medians[0], medians[1]


async def _measure_paging(room: Page, bare: Page) -> tuple[float, float]:
    studio_times, bare_times = [], []
    button, shown = ".pager button:last-of-type", "tbody .row-open"
    for _ in range(_ROUNDS):
        studio_times.append(float(await room.evaluate(_CLICK, [button, shown])))
        bare_times.append(float(await bare.evaluate(_CLICK, ["button", ".shown"])))
    return median(studio_times), median(bare_times)


async def _measure_links(room: Page, bare: Page, ours: str, empty: str) -> tuple[float, float]:
    """Returns the median milliseconds from a click on a link to the paint of its target."""
    studio_times, bare_times = [], []
    for _ in range(_ROUNDS // 2):
        studio_times.append(
            await _follow_link(room, f"{ours}/models", 'a[href="/review"]', ".detail .empty")
        )
        bare_times.append(await _follow_link(bare, empty, 'a[href="/second"]', "text=second"))
    return median(studio_times), median(bare_times)


async def _follow_link(page: Page, start: str, link: str, target: str) -> float:
    await page.goto(start)
    await page.locator(link).wait_for()
    await asyncio.sleep(0.3)
    started_at = perf_counter()
    await page.locator(link).click()
    await page.locator(target).first.wait_for()
    return (perf_counter() - started_at) * 1000


def _figure(name: str, ours: float, bare: float) -> Figure:
    added_seconds = (ours - bare) / 1000
    return Figure(
        f"{name}, over an empty page",
        f"+{added_seconds * 1000:.0f} ms ({ours:.0f} : {bare:.0f})",
        f"≤ +{MAX_MORE_SECONDS * 1000:.0f} ms",
        added_seconds <= MAX_MORE_SECONDS,
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


def _is_up(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=4) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, TimeoutError):
        return False
