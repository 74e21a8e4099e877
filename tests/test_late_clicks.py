"""Buttons and forms of jobs, models and settings: twice, and after somebody else was faster."""

from __future__ import annotations

import random

import pytest

from bot.domain import (
    LOCAL,
    ExampleState,
    NewExample,
    Origin,
    RequestedAction,
    Role,
    Row,
    Sources,
)
from bot.events import ButtonClicked, FormSubmitted
from bot.replies import Card, Form, Refused, Reply
from bot.rows import Method
from tests.scene import Scene


async def ask(scene: Scene, action: str, key: str, *, by: str = "you") -> Reply:
    return await scene.app.handle_for_page(scene.event(ButtonClicked(action), key=key, by=by))


async def answering(scene: Scene) -> str:
    async with scene.database.reading() as records:
        assistant = await records.assistants.default(LOCAL)
        assert assistant is not None
        current = await records.deployments.current(LOCAL, assistant.id)
    return current.model if current else assistant.base


async def test_rolling_back_twice_by_one_card_goes_back_once(scene: Scene) -> None:
    first = await scene.tuned()
    await scene.confirm()
    await scene.settle()
    newest = await answering(scene)

    await ask(scene, f"model.rollback:{newest[-80:]}", "one")
    reply = await ask(scene, f"model.rollback:{newest[-80:]}", "two")

    assert isinstance(reply, Refused)
    assert await answering(scene) == first.model


async def test_a_rollback_is_of_the_model_that_the_card_names(scene: Scene) -> None:
    job = await scene.tuned()
    await scene.grant("ben", Role.TRAINER)
    await scene.command("use base", by="ben")

    reply = await ask(scene, f"model.rollback:{str(job.model)[-80:]}", "late")

    assert isinstance(reply, Refused)
    assert "ben" in reply.text
    assert isinstance(reply.card, Card)
    assert reply.card.buttons[0].action == "model.rollback:base"
    assert await answering(scene) == "base"


@pytest.mark.parametrize("requested_action", [RequestedAction.CANCEL, RequestedAction.PAUSE])
async def test_a_wish_is_written_once(scene: Scene, requested_action: RequestedAction) -> None:
    await scene.learn(12)
    await scene.confirm()
    job = await scene.job()

    await ask(scene, f"job.{requested_action}:{job.id}", "one")
    reply = await ask(scene, f"job.{requested_action}:{job.id}", "two", by="you")

    assert isinstance(reply, Refused)
    assert await scene.audited(f"job.{requested_action}") == 1


async def test_what_runs_is_not_resumed(scene: Scene) -> None:
    await scene.learn(12)
    await scene.confirm()
    job = await scene.job()

    reply = await ask(scene, f"job.resume:{job.id}", "late")

    assert isinstance(reply, Refused)
    assert (await scene.job()).requested_action is None


async def test_settings_that_another_admin_changed_are_not_overwritten(scene: Scene) -> None:
    await scene.do("/tune help")
    form = await ask(scene, "welcome.sources", "open")
    assert isinstance(form, Form)
    async with scene.store.writing() as records:
        workspace = await records.workspaces.find(LOCAL)
        assert workspace is not None
        await records.workspaces.set_sources(LOCAL, Sources.OUTSIDE, allowed=workspace.allowed)

    late = FormSubmitted(form.id, {"sources": "messages", "allowed": ""})
    reply = await scene.app.handle_for_page(scene.event(late, key="late"))

    assert isinstance(reply, Refused)
    async with scene.database.reading() as records:
        workspace = await records.workspaces.find(LOCAL)
    assert workspace is not None
    assert workspace.sources is Sources.OUTSIDE


async def test_a_form_that_is_refused_is_open_again_as_it_was_filled_in(scene: Scene) -> None:
    await scene.do("/tune help")
    await scene.learn(1)
    await scene.command("examples edit:1")
    await scene.do("/fill answer at noon")
    edit = FormSubmitted("example.edit:1:1", {"answer": "at ten"})
    await scene.handle(scene.event(edit, key="faster"))

    await scene.do("/submit")

    assert scene._talk.form is not None
    assert "at noon" in scene._talk.form.draw(scene._talk.translate)


TEXTS = [
    "",
    " ",
    "a",
    " padded\t",
    "two\nlines",
    "dos\r\nlines\r\n",
    "old\rmac",
    "…🎓\u2028",
    "x" * 20_000,
]


def rows(chance: random.Random) -> list[Row]:
    """Rows of every form that a host takes, with texts that a form could spoil."""
    said = [chance.choice(TEXTS[2:]) for _ in range(8)]
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    user = {"role": "user", "content": said[0]}
    answer = {"role": "assistant", "content": said[1], "weight": 1}
    many = [
        message
        for turn in range(12)
        for message in (
            {"role": "user", "content": f"{said[2]}{turn}"},
            {"role": "assistant", "content": f"{said[3]}{turn}", "weight": turn % 2},
        )
    ]
    return [
        {"messages": [{"role": "system", "content": said[4]}, user, answer]},
        {"messages": many},
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": said[5]}, image]},
                answer,
            ]
        },
        {
            "messages": [
                user,
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c", "content": said[6]},
                answer,
            ],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
            "parallel_tool_calls": False,
        },
        {
            "input": {"messages": [user]},
            "preferred_output": [{"role": "assistant", "content": said[6]}],
            "non_preferred_output": [{"role": "assistant", "content": said[7]}],
        },
    ]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("form", range(5))
async def test_a_form_sent_as_it_was_opened_changes_nothing(
    scene: Scene, seed: int, form: int
) -> None:
    row = rows(random.Random(seed))[form]
    await scene.do("/tune help")
    async with scene.store.writing() as records:
        assistant = await records.assistants.default(LOCAL)
        assert assistant is not None
        method = Method.DPO if "input" in row else Method.SUPERVISED
        new = NewExample(assistant.id, method, ExampleState.APPROVED, row, Origin.IMPORT)
        kept, _ = await records.examples.add(LOCAL, new, at=scene.clock.now())
    opened = await ask(scene, f"example.edit:{kept.id}", "open")
    assert isinstance(opened, Form)

    as_shown = {field.name: field.value for field in opened.fields}
    as_browsers = {n: t.replace("\r\n", "\n").replace("\r", "\n") for n, t in as_shown.items()}
    stripped = {name: text.strip() for name, text in as_browsers.items()}
    for number, values in enumerate((as_shown, as_browsers, stripped)):
        await scene.app.handle_for_page(
            scene.event(FormSubmitted(opened.id, values), key=f"s{number}")
        )

    (after,) = await scene.examples()
    assert (after.row, after.revision) == (row, 1)
