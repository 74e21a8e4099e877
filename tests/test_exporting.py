"""A tuned model is taken away from a chat, from a page or by a link, by those who may."""

from __future__ import annotations

import io
import zipfile
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI
from openai.types.fine_tuning import FineTuningJob

from adapters.studio.invitation_form import add_form_link_routes
from bot import export_command
from bot.domain import (
    LOCAL,
    Grant,
    HostName,
    Model,
    ModelKind,
    ModelName,
    Role,
    UserId,
    WorkspaceId,
)
from bot.events import ButtonClicked, CommandInvoked
from bot.replies import Card, Document, Listing, Refused, Text
from tests.scene import SLACK, Scene
from tests.studio_desk import Desk
from tests.tuner_scene import Tuner

HERE = "https://attune.example"


async def known(scene: Scene, name: str, host: str = "sandbox") -> None:
    """The embedded tuner's model, as one of both workspaces."""
    await scene.slack_event(CommandInvoked("help"), key="first", by="U1")
    async with scene.store.writing() as records:
        for workspace in (LOCAL, SLACK):
            assistant = await records.assistants.default(workspace)
            assert assistant is not None
            await records.models.add(
                workspace,
                Model(
                    workspace,
                    assistant.id,
                    ModelName(name),
                    HostName(host),
                    ModelKind.TUNED,
                    None,
                    None,
                    scene.clock.now(),
                ),
            )


@pytest.fixture
async def model(scene: Scene, sandbox: Tuner, picked: FineTuningJob) -> str:
    (scene.folder / "tuner").symlink_to(sandbox.data)
    await scene.command("help")
    await known(scene, str(picked.fine_tuned_model))
    return str(picked.fine_tuned_model)


def unpacked(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        assert file.testzip() is None
        return {name: file.read(name) for name in file.namelist()}


async def test_a_page_says_how_large_it_is_and_gives_the_file(
    scene: Scene, model: str, desk: Desk
) -> None:
    listed = await desk.ask(CommandInvoked("models"))
    assert isinstance(listed, Listing)
    (offer,) = (b for b in listed.lines[0].buttons if b.label == "Take it away")

    card = await desk.ask(ButtonClicked(offer.action))
    assert isinstance(card, Card)
    told = await desk.ask(ButtonClicked(card.buttons[0].action))

    assert [fact.value.rpartition(" ")[2] for fact in card.facts] == ["KB"]
    assert isinstance(told, Document)
    assert told.name == f"{model.replace(':', '-')}-sandbox.zip"
    files = unpacked(b"".join([block async for block in told.chunks]))
    assert sorted(files) == ["README.md", "model.npz"]
    assert model in files["README.md"].decode()
    async with scene.store.reading() as records:
        (entry,) = await records.audit.page(LOCAL, what="model.exported")
    assert entry.details["model"] == model


async def clicked(scene: Scene, *, by: str, key: str) -> None:
    await scene.slack_event(CommandInvoked("export model:latest"), key=f"{key}1", by=by)
    card = scene.slack.whispers[-1]
    if isinstance(card, Card):
        action = card.buttons[0].action
        await scene.slack_event(ButtonClicked(action), key=f"{key}2", by=by)


async def test_in_a_chat_a_small_one_comes_and_a_large_one_has_a_link(
    scene: Scene, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.grant("U2", Role.CURATOR, SLACK)

    await clicked(scene, by="U2", key="small")
    monkeypatch.setattr(export_command, "MAX_CHAT_FILE_BYTES", 1)
    await clicked(scene, by="U2", key="large")

    (sent,) = scene.slack.files
    told = scene.slack.whispers[-1]
    assert isinstance(told, Text)
    app = FastAPI()
    add_form_link_routes(app, scene.app, scene.app.links, scene.clock)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=HERE) as browser:
        address = urlsplit(told.buttons[0].link).path
        looked = await browser.get(address)
        fetched = await browser.post(address)
        async with scene.store.writing() as records:
            await records.roles.set_grant(
                SLACK, UserId("U2"), Grant(Role.MEMBER, scene.clock.now())
            )
        refused = await browser.post(address)
    assert "Download" in looked.text
    assert looked.headers["content-type"].startswith("text/html")
    assert unpacked(fetched.content) == unpacked(sent)
    assert ".zip" in fetched.headers["content-disposition"]
    assert refused.headers["content-type"].startswith("text/html")


async def test_without_an_address_it_is_said_how_the_operator_gets_it(
    scene: Scene, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.end()
    scene.public_url = ""
    await scene.open()
    monkeypatch.setattr(export_command, "MAX_CHAT_FILE_BYTES", 1)
    await scene.grant("U2", Role.CURATOR, SLACK)

    await clicked(scene, by="U2", key="large")

    told = scene.slack.whispers[-1]
    assert isinstance(told, Text)
    assert f"attune export-model --form sandbox {model} FOLDER" in told.text


@pytest.mark.parametrize(
    ("words", "by", "sentence"),
    [
        ("export model:latest", "U3", "needs the role"),
        ("export model:base", "you", "is a base"),
        ("export model:nobody", "you", "no model"),
        ("export model:ft:theirs", "you", "trained at the host “house”"),
        ("export model:ft:gone", "you", "does not exist"),
    ],
)
async def test_what_nobody_may_or_can_take_is_said(
    scene: Scene, model: str, words: str, by: str, sentence: str
) -> None:
    await known(scene, "ft:theirs", "house")
    await known(scene, "ft:gone", "local")

    await scene.command(words, by=by)

    assert sentence in await scene.last()


async def test_a_foreign_workspace_takes_nothing(scene: Scene, model: str, desk: Desk) -> None:
    card = await desk.ask(CommandInvoked("export", {"model": model}))
    assert isinstance(card, Card)
    foreign = WorkspaceId("slack:T2")
    action = ButtonClicked(card.buttons[0].action)

    told = await scene.app.handle_for_page(scene.event(action, key="f", workspace=foreign))

    assert isinstance(told, Refused)
