"""The whole way in a real browser, by mouse and keyboard, at a desk and on a phone."""

from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import FilePayload, Page, ViewportSize, expect

from bot.domain import Sources, Workspace, WorkspaceId
from storage.database import Database
from tests.browser import (
    DESK,
    IN_BROWSER,
    PATIENCE,
    PHONE,
    Windows,
    connected,
    go_the_newcomers_way,
    visit,
)
from tests.program import served
from tests.stores import an_assistant, an_example

pytestmark = IN_BROWSER

NAMELESS = """
() => [...document.querySelectorAll("button, a, input, textarea")]
  .filter((one) => one.checkVisibility({ visibilityProperty: true }))
  .filter((one) => !(one.innerText.trim() || one.ariaLabel || one.labels?.length))
  .map((one) => one.outerHTML)
"""


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
async def test_a_newcomer_reaches_a_tuned_answer(
    windows: Windows, studio: str, size: ViewportSize
) -> None:
    page = await windows.open(studio, size=size)
    beside = await windows.open(studio)

    steps = await go_the_newcomers_way(page)

    assert steps <= 12
    await expect(page.locator(".step.done")).to_have_count(4, timeout=PATIENCE)
    await beside.get_by_text("It blushes a red-orange hue.").first.wait_for()


async def test_the_room_is_used_by_mouse_and_keyboard(windows: Windows, studio: str) -> None:
    page = await windows.open(f"{studio}/room/support")
    field = page.locator(".bottom textarea").first
    await field.fill("How do I return a gift?")
    await page.keyboard.press("Enter")
    await page.get_by_text("How do I return a gift?").wait_for()

    await page.locator(".message").first.hover()
    await page.get_by_role("button", name="Reply in a thread").click()
    await page.locator(".panel textarea").fill("Send it back within a month.")
    await page.keyboard.press("Enter")

    await page.get_by_role("button", name="1 reply").wait_for()
    await field.fill("/tune te")
    await page.get_by_role("option", name="/tune teach").wait_for()
    await page.keyboard.press("Tab")
    await expect(field).to_have_value("/tune teach ")
    await page.keyboard.press("Enter")
    await page.get_by_label("When somebody asks").fill("Do you ship to Iceland?")
    await page.get_by_label("I should answer").fill("We do, twice a week.")
    await page.keyboard.press("Control+Enter")
    await page.get_by_text("Saved as example 1").wait_for()


async def test_the_queue_is_reviewed_by_keyboard_alone(windows: Windows, studio: str) -> None:
    page = await windows.open(f"{studio}/room/support")
    await page.evaluate("attune.remember('speaker', 'Ann')")
    await page.reload()
    for number in range(3):
        await _propose(page, number)
    await visit(page, f"{studio}/review")
    await page.get_by_text("1 of 3").wait_for()

    await page.keyboard.press("a")
    await page.get_by_text("1 of 2").wait_for()
    await page.keyboard.press("r")
    await page.get_by_text("1 of 1").wait_for()
    await page.keyboard.press("u")
    await page.get_by_text("1 of 2").wait_for()
    await page.keyboard.press("a")
    await page.keyboard.press("a")

    await page.get_by_text("All reviewed").wait_for()


async def _propose(page: Page, number: int) -> None:
    """As a member, whose lessons wait for a trainer."""
    await page.get_by_role("button", name="Teach", exact=True).click()
    await page.get_by_label("When somebody asks").fill(f"Question {number}?")
    await page.get_by_label("I should answer").fill("Yes.")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator(".waiting")).to_have_count(number + 1)
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_a_dropped_file_is_imported_reported_and_deleted(
    windows: Windows, studio: str, tmp_path: Path
) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("question,answer\nWhere?,Here.\nWhen?,\n", encoding="utf-8")
    page = await windows.open(f"{studio}/room/support")
    await page.locator(".bottom textarea").first.fill("/tune import")
    await page.keyboard.press("Enter")

    await page.get_by_role("dialog").locator("input[type=file]").set_input_files(file)

    await page.locator(".report").get_by_text("Where? → Here.").wait_for()
    await page.get_by_role("button", name="Import", exact=True).click()
    await page.get_by_text("Imported rows.csv").wait_for()
    await page.locator(".report").get_by_text("Line 3").wait_for()
    await page.get_by_role("button", name="Close").click()
    await page.get_by_role("cell", name="Where?").wait_for()
    assert list((tmp_path / "temporary").iterdir()) == []


HAND_OVER = """
(field, [how, name, type, content]) => {
  const bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt(0));
  const files = new DataTransfer();
  files.items.add(new File([bytes], name, { type }));
  const common = { bubbles: true, cancelable: true };
  field.dispatchEvent(how === "drop"
    ? new DragEvent("drop", { ...common, dataTransfer: files })
    : new ClipboardEvent("paste", { ...common, clipboardData: files }));
}
"""
DOT = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQ"
    "DwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
LONG = "Donaudampfschiff" * 12
IS_DRAWN = "all => all.filter((one) => one.complete && one.naturalWidth > 0).length"


async def test_files_are_chosen_dropped_and_pasted_and_pictures_are_shown(
    windows: Windows, studio: str
) -> None:
    page = await windows.open(f"{studio}/room/support", size=PHONE)
    await connected(page)
    field = page.locator(".bottom textarea").first
    files = page.locator(".bottom .file")

    await field.evaluate(HAND_OVER, ["drop", "dropped.png", "image/png", DOT])
    await expect(files).to_have_count(1)
    await field.evaluate(HAND_OVER, ["paste", f"{LONG}.txt", "text/plain", "aGVsbG8="])
    await expect(files).to_have_count(2)
    async with page.expect_file_chooser() as chooser:
        await page.get_by_role("button", name="Attach files").click()
    picture = FilePayload(name="chosen.png", mimeType="image/png", buffer=b64decode(DOT))
    await (await chooser.value).set_files([picture])
    await expect(files).to_have_count(3)
    await page.keyboard.press("Escape")
    await field.fill("What is in these?")
    await field.press("Enter")

    await expect(files).to_have_count(0)
    shown = page.locator(".message .picture img")
    await expect(shown).to_have_count(2)
    await page.reload()
    await connected(page)
    await expect(shown).to_have_count(2)
    assert [await one.get_attribute("alt") for one in await shown.all()] == [
        *("dropped.png", "chosen.png")
    ]
    await shown.last.scroll_into_view_if_needed()
    await page.wait_for_function(f"() => ({IS_DRAWN})([...document.querySelectorAll('img')]) >= 2")
    await page.locator(".message .file").get_by_text(LONG).wait_for()
    assert await page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


HINT_WIDTH = """(field) => {
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = getComputedStyle(field).font;
  return pen.measureText(field.placeholder).width - field.clientWidth;
}"""


@pytest.mark.parametrize("locale", ["en", "zh"])
async def test_the_hint_of_the_composer_fits_on_a_phone(
    windows: Windows, studio: str, locale: str
) -> None:
    for path in ("room/general", "room/direct"):
        page = await windows.open(f"{studio}/{path}", size=PHONE, locale=locale)
        field = page.locator(".bottom textarea").first

        assert await field.get_attribute("placeholder")
        assert await field.evaluate(HINT_WIDTH) <= 0


async def test_an_open_thread_is_open_after_a_reload_until_it_is_closed(
    windows: Windows, studio: str
) -> None:
    page = await windows.open(f"{studio}/room/general")
    await connected(page)
    await page.locator(".bottom textarea").first.fill("hello")
    await page.keyboard.press("Enter")
    await page.locator(".message").last.hover()
    await page.get_by_role("button", name="Reply in a thread").last.click()
    panel = page.locator(".aside .composer")
    await panel.wait_for()

    await page.reload()
    await connected(page)
    await panel.wait_for()
    await page.locator(".aside").get_by_role("button", name="Close").click()
    await expect(panel).to_have_count(0)
    await page.reload()
    await connected(page)

    await expect(panel).to_have_count(0)


async def test_a_saved_view_shows_the_same_examples_after_a_reload_until_it_is_forgotten(
    windows: Windows, studio: str, tmp_path: Path
) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("question,answer\nWhich oil?,Wet.\nAnd the price?,Nine.\n", encoding="utf-8")
    page = await windows.open(f"{studio}/examples")
    await connected(page)
    await page.get_by_role("button", name="Import a file").click()
    await page.get_by_role("dialog").locator("input[type=file]").set_input_files(file)
    await page.get_by_role("button", name="Import", exact=True).click()
    await page.get_by_role("button", name="Close").click()
    await page.get_by_label("Search", exact=True).first.fill("oil")
    await expect(page.get_by_role("cell", name="And the price?")).to_have_count(0)

    await _open_views(page)
    await page.get_by_role("button", name="Save what is shown as a view").click()
    await page.get_by_label("Name", exact=True).fill("About oil")
    await page.keyboard.press("Control+Enter")
    await expect(page.get_by_label("Name", exact=True)).to_have_count(0)

    await visit(page, f"{studio}/examples")
    await page.get_by_role("cell", name="And the price?").wait_for()
    await _open_views(page)
    await page.get_by_role("link", name="About oil").click()
    await connected(page)
    await page.get_by_role("cell", name="Which oil?").wait_for()
    await expect(page.get_by_role("cell", name="And the price?")).to_have_count(0)

    await _open_views(page)
    await page.get_by_role("button", name="Forget the view About oil").click()
    await expect(page.get_by_role("link", name="About oil")).to_have_count(0)
    await visit(page, f"{studio}/examples")
    await _open_views(page)
    await page.get_by_role("button", name="Save what is shown as a view").wait_for()
    await expect(page.get_by_role("link", name="About oil")).to_have_count(0)


async def _open_views(page: Page) -> None:
    await page.get_by_role("button", name="Saved views").click()


async def test_models_are_compared_put_in_use_and_deleted_by_mouse(
    windows: Windows, trained_studio: str
) -> None:
    studio = trained_studio
    page = await windows.open(studio)

    await visit(page, f"{studio}/compare")
    await page.get_by_label("One question to every model").fill("Write a limerick about neon")
    await page.get_by_role("button", name="Ask").click()
    tuned = page.locator(".contender").last
    await tuned.get_by_text("It blushes a red-orange hue.").wait_for()
    await tuned.get_by_role("button", name="This is better").click()
    await tuned.get_by_text("picked").wait_for()
    await visit(page, f"{studio}/preferences")
    await page.get_by_text("Write a limerick about neon").first.wait_for()

    await visit(page, f"{studio}/models")
    await page.get_by_role("button", name="Roll back").click()
    base, tuned = page.locator(".branch-line").first, page.locator(".branch-line").nth(1)
    await base.get_by_text("answers now", exact=True).wait_for()
    await tuned.get_by_role("button", name="Use it").click()
    await tuned.get_by_text("answers now", exact=True).wait_for()
    await page.get_by_role("button", name="Roll back").click()
    await base.get_by_text("answers now", exact=True).wait_for()
    name = await tuned.locator(".branch-name").inner_text()
    await page.get_by_text(f"by you, after {name}").first.wait_for()

    await tuned.get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()

    await page.get_by_text(
        f"{name} is taken out, and its host deletes it in ten seconds."
    ).wait_for()
    # Its checkpoints, whose names begin like its own, go with it at the host.
    await expect(page.locator(".branch-name", has_text=name)).to_have_count(0)


async def test_what_was_deleted_comes_back_by_undo(windows: Windows, trained_studio: str) -> None:
    studio = trained_studio
    page = await windows.open(studio)

    await visit(page, f"{studio}/examples")
    states = page.locator("tbody .pill")
    search = page.get_by_label("Search")
    await search.fill("neon")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await page.reload()
    await expect(search).to_have_value("neon")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await visit(page, f"{studio}/examples")
    await page.locator(".row-open").first.click()
    await page.get_by_role("dialog").get_by_role("button", name="Withdraw").click()
    await expect(states.first).to_have_text("withdrawn")
    await _undo(page)
    await expect(states.first).to_have_text("approved")

    await page.locator("tbody").get_by_role("checkbox").nth(1).click()
    await page.get_by_role("button", name="Reject", exact=True).click()
    await expect(states.nth(1)).to_have_text("rejected")
    await _undo(page)
    await expect(states.nth(1)).to_have_text("approved")

    await visit(page, f"{studio}/models")
    await page.get_by_role("button", name="Roll back").click()
    tuned = page.locator(".branch-line").nth(1)
    name = await tuned.locator(".branch-name").inner_text()
    await tuned.get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    listed = page.locator(".branch-name").filter(has_text=re.compile(f"^{re.escape(name)}$"))
    await expect(listed).to_have_count(0)
    await _undo(page)
    await expect(listed).to_be_visible()


async def _undo(page: Page) -> None:
    await page.locator(".note").get_by_role("button", name="Undo").click()
    await page.get_by_text("Taken back: it is as it was.").last.wait_for()
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_the_studio_speaks_chinese_and_goes_dark(windows: Windows, studio: str) -> None:
    page = await windows.open(studio, locale="zh-CN", light="dark")

    await page.get_by_text("四步教会你的助手").wait_for()

    await expect(page.locator("body.body--dark")).to_be_attached()
    await expect(page.locator("html")).to_have_attribute("lang", "zh")


async def test_a_password_stands_before_everything(windows: Windows, tmp_path: Path) -> None:
    settings = {"ATTUNE_STUDIO_HOST": "0.0.0.0", "ATTUNE_STUDIO_PASSWORD": "open sesame"}
    async with served(tmp_path, **settings) as address:
        page = await windows.open(address)
        await page.get_by_label("Password").fill("wrong")
        await page.keyboard.press("Enter")
        await page.get_by_text("That is not the password.").wait_for()
        await page.get_by_label("Password").fill("open sesame")
        await page.keyboard.press("Enter")

        await page.get_by_text("Teach your assistant in four steps").wait_for()


async def test_everything_has_a_name_for_screen_readers(windows: Windows, studio: str) -> None:
    page = await windows.open(studio)
    await page.get_by_text("Teach your assistant in four steps").wait_for()

    nameless = await page.evaluate(NAMELESS)

    assert nameless == []


async def test_a_workspace_whose_app_was_removed_is_exported_kept_and_erased(
    windows: Windows, tmp_path: Path
) -> None:
    workspace = WorkspaceId("slack:T1")
    await _close(workspace, f"sqlite+aiosqlite:///{tmp_path}/attune.db")
    async with served(tmp_path) as address:
        page = await windows.open(address)
        await visit(page, f"{address}/workspaces")
        await page.get_by_role("button", name="What happens now").click()
        card = page.get_by_role("dialog")
        await card.get_by_text("is erased on").first.wait_for()

        async with page.expect_download() as started:
            await card.get_by_role("button", name="Export", exact=True).click()
        exported = await (await started.value).path()
        assert "ours alone" in exported.read_text()

        await page.get_by_role("button", name="What happens now").click()
        await card.get_by_role("button", name="It is coming back").click()
        await page.get_by_text("is kept until").first.wait_for()
        await visit(page, f"{address}/workspaces")
        await page.get_by_role("button", name="What happens now").click()
        await card.get_by_role("button", name="Erase now").click()
        await page.get_by_text("Erase everything of The team?").first.wait_for()
        await page.get_by_role("button", name="Erase now").last.click()
        await page.get_by_text("Everything of The team is erased.").first.wait_for()
        await visit(page, f"{address}/workspaces")
        await expect(page.get_by_text("The team")).to_have_count(0)


async def _close(workspace: WorkspaceId, address: str) -> None:
    """A workspace with an approved example, closed a day ago."""
    now = datetime.now(UTC)
    store = await Database.open(address)
    async with store.writing() as records:
        await records.workspaces.add(Workspace(workspace, "The team", Sources.OUTSIDE))
        assistant = await records.assistants.add(
            workspace, replace(an_assistant(), workspace=workspace)
        )
        await records.examples.add(workspace, an_example(assistant.id, "ours alone"), at=now)
        await records.workspaces.close(workspace, at=now - timedelta(days=1))
    await store.close()
