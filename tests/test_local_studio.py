"""From the studio to a model of our own and back, in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser import IN_BROWSER, Windows
from tests.program import served
from tests.tuner_scene import THINGS, Tuner, lines, preference, row

pytestmark = [*IN_BROWSER, pytest.mark.torch]

LOSS = re.compile(r"from ([\d.]+\d) to ([\d.]+\d)")


async def test_a_model_of_our_own_is_taught_in_the_studio(
    windows: Windows, own_local: Tuner, tmp_path: Path
) -> None:
    async with served(tmp_path / "studio", **own_local.as_host(tmp_path)) as address:
        page = await windows.open(f"{address}/room/support")
        jobs = await windows.open(f"{address}/jobs")
        await say(page, "/tune assistant edit training_host:house chat_host:house temperature:0")
        taught = [row(thing) for thing in (*THINGS, "rum", "sails")]
        await bring(page, address, tmp_path / "taught.jsonl", taught)

        ended = await train(page, "/tune start host:house validation:0%", number=1)

        loss = LOSS.search(ended)
        assert loss, ended
        assert float(loss[2]) < float(loss[1]) / 4
        await jobs.locator("canvas").first.wait_for()
        await ask(page, "Do you sell figs?", "Arr, figs be in the hold, matey.")

        job = own_local.client.fine_tuning.jobs.list().data[-1]
        kept = own_local.client.fine_tuning.jobs.checkpoints.list(job.id).data
        await say(page, f"/tune use {kept[0].fine_tuned_model_checkpoint}")
        await page.get_by_text("attune answers with").wait_for()
        await ask(page, "Do you sell figs?", "figs be in the hold")

        await bring(page, address, tmp_path / "liked.jsonl", [preference(t) for t in THINGS])
        again = "/tune start host:house base:latest method:dpo validation:0%"
        await train(page, again, number=2)
        margins = own_local.figures("train_reward_margin")
        assert margins[0] == pytest.approx(0, abs=1e-5)
        assert sum(margins[-5:]) / 5 > 1


async def say(page: Page, text: str) -> None:
    await page.locator(".bottom textarea").first.fill(text)
    await page.keyboard.press("Enter")


async def bring(page: Page, address: str, file: Path, rows: list[dict[str, object]]) -> None:
    """Dropped on the page of examples; then back to the room."""
    file.write_bytes(lines(rows))
    await page.goto(f"{address}/examples?import=1")
    await page.get_by_role("dialog").locator("input[type=file]").set_input_files(file)
    await page.get_by_role("button", name="Import", exact=True).click()
    await page.get_by_text(f"Imported {file.name}").wait_for()
    await page.goto(f"{address}/room/support")


async def train(page: Page, command: str, *, number: int) -> str:
    """Confirmed on its card; what the card says in the end."""
    await say(page, command)
    await page.get_by_role("button", name="Confirm").last.click()
    card = page.locator(".card", has_text=f"Training {number} succeeded").last
    await card.wait_for(timeout=240_000)
    return await card.inner_text()


async def ask(page: Page, question: str, answer: str) -> None:
    await say(page, f"@attune {question}")
    await expect(page.locator(".message").last).to_contain_text(answer)
