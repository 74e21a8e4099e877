"""Forms, shortcuts, files, the home tab and the welcome in Slack."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from adapters.slack import adapter, surface
from adapters.slack.surface import InteractionContext, SlackSurface
from bot.domain import ChannelId, Place, User, UserId, WorkspaceId
from bot.events import Event, FormSubmitted
from tests.fakes.slack import Delivery, labels, shown
from tests.slack_scene import Scene
from tests.waiting import until

ROWS = b'{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Ahoy"}]}\n'


async def allow_forms(scene: Scene) -> None:
    scene.slack.command("U1", "C1", "admin sources")
    scene.slack.submit("U1", await scene.form(), sources="forms", permission="Letter of 1 May")
    await scene.hear("C1")


async def refusal(scene: Scene, sent: Delivery) -> dict[str, str]:
    """What stands beside the inputs of a form that was refused, by their blocks."""
    await until(sent.acked.is_set)
    assert sent.response is not None
    assert sent.response["response_action"] == "errors"
    assert scene.slack.ephemerals == []
    return dict(sent.response["errors"])


async def test_a_lesson_is_typed_into_a_form(in_slack: Scene) -> None:
    await allow_forms(in_slack)
    in_slack.slack.command("U2", "C1", "teach")
    form = await in_slack.form(2)

    in_slack.slack.submit("U2", form, question="Hi", answer="Ahoy")

    assert "Saved as example 1" in shown((await in_slack.whispered())[0])


async def test_whoever_teaches_is_asked_and_counted_once_they_agree(in_slack: Scene) -> None:
    await allow_forms(in_slack)
    in_slack.slack.command("U1", "C1", "teach")
    in_slack.slack.submit("U1", await in_slack.form(2), question="Hi", answer="Ahoy")
    (taught,) = await in_slack.whispered()

    in_slack.slack.command("U1", "C1", "start")
    assert "1 more are approved, but not permitted" in (await in_slack.whispered(2))[-1]["text"]
    in_slack.slack.click("U1", taught, "Yes, learn from me")
    await until(lambda: "Thank you" in shown(in_slack.slack.ephemerals[0]))
    in_slack.slack.command("U1", "C1", "start")

    assert "There are 1 approved examples" in (await in_slack.whispered(3))[-1]["text"]


async def test_a_lesson_is_refused_in_words_once_forms_are_not_allowed(in_slack: Scene) -> None:
    await allow_forms(in_slack)
    in_slack.slack.command("U2", "C1", "teach")
    form = await in_slack.form(2)
    in_slack.slack.command("U1", "C1", "admin sources")
    in_slack.slack.submit("U1", await in_slack.form(3), sources="outside")
    await in_slack.hear("C1", 2)

    sent = in_slack.slack.submit("U2", form, question="Hi", answer="Ahoy")

    assert "may not be learned from here" in (await refusal(in_slack, sent))["question"]


async def test_a_global_shortcut_opens_the_same_form(in_slack: Scene) -> None:
    await allow_forms(in_slack)
    in_slack.slack.global_shortcut("U2", "teach")

    in_slack.slack.submit("U2", await in_slack.form(2), question="Hi", answer="Ahoy")

    await until(lambda: "DU2" in in_slack.slack.channels)
    assert "Saved as example 1" in (await in_slack.hear("DU2"))[0]


async def test_in_a_thread_a_button_opens_the_form(in_slack: Scene) -> None:
    await allow_forms(in_slack)
    root = in_slack.slack.put("U2", "C1", "a thread")
    in_slack.slack.mention("U2", "C1", "tune teach", thread=root)
    (send_ephemeral,) = await in_slack.whispered()

    in_slack.slack.click("U2", send_ephemeral, "Teach me")

    assert (await in_slack.view(2))["callback_id"] == "teach"


async def test_a_slow_answer_still_opens_its_form(
    in_slack: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await allow_forms(in_slack)
    monkeypatch.setattr(adapter, "_FORM_PATIENCE_SECONDS", 0.1)
    assert in_slack.app is not None
    handle = in_slack.app.dispatch.handle

    async def slow(event: object) -> object:
        await asyncio.sleep(0.5)
        return await handle(event)  # type: ignore[arg-type]

    in_slack.app.dispatch.handle = slow  # type: ignore[method-assign,assignment]
    in_slack.slack.command("U2", "C1", "teach")

    first = await in_slack.view(2)
    assert not any(block["type"] == "input" for block in first["blocks"])
    await until(lambda: in_slack.slack.views[first["id"]].get("callback_id") == "teach")


async def test_a_refusal_is_told_in_the_form_that_waits(
    in_slack: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "_FORM_PATIENCE_SECONDS", 0.0)
    assert in_slack.app is not None
    handle = in_slack.app.dispatch.handle

    async def slow(event: object) -> object:
        await asyncio.sleep(0.3)
        return await handle(event)  # type: ignore[arg-type]

    in_slack.app.dispatch.handle = slow  # type: ignore[method-assign,assignment]
    in_slack.slack.command("U2", "C1", "admin sources")

    await in_slack.view()
    await until(lambda: "admin" in shown(list(in_slack.slack.views.values())[-1]))


async def test_no_form_opens_over_an_answer_that_stands(
    in_slack: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "_FORM_PATIENCE_SECONDS", 0.0)
    open_waiting, is_answered = adapter.Slack._open_waiting, asyncio.Event()

    async def open_late(slack: adapter.Slack, context: InteractionContext) -> None:
        await is_answered.wait()
        await open_waiting(slack, context)

    monkeypatch.setattr(adapter.Slack, "_open_waiting", open_late)
    in_slack.slack.command("U2", "C1", "admin sources")

    assert "admin" in (await in_slack.whispered())[0]["text"]
    is_answered.set()
    await in_slack.calm()
    assert in_slack.slack.views == {}


async def test_a_form_that_waited_for_nothing_says_so(
    in_slack: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "_FORM_PATIENCE_SECONDS", 0.0)
    assert in_slack.app is not None

    async def silent(event: object) -> None:
        await in_slack.view()

    in_slack.app.dispatch.handle = silent  # type: ignore[method-assign]
    in_slack.slack.command("U2", "C1", "teach")

    form = await in_slack.view()
    await until(lambda: "in the conversation" in shown(in_slack.slack.views[form["id"]]))


async def test_a_trigger_that_is_too_old_leaves_a_button(
    in_slack: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await allow_forms(in_slack)
    monkeypatch.setattr(surface, "_TRIGGER_SECONDS", 0.0)

    in_slack.slack.command("U2", "C1", "teach")

    assert labels((await in_slack.whispered())[0]) == ["Teach me"]


async def test_a_text_longer_than_an_input_comes_back_whole(in_slack: Scene) -> None:
    await in_slack.allow_messages()
    in_slack.slack.mention("U1", "C1", "tune import starter:limericks")
    in_slack.host.pieces = ["word " * 1500]
    in_slack.slack.mention("U2", "C1", "hello")
    await in_slack.hear("C1", 2)
    answer = next(one for one in in_slack.slack.own("C1") if "word word" in one["text"])

    in_slack.slack.click("U2", answer, "👎")

    inputs = [b for b in (await in_slack.form(2))["blocks"] if b["type"] == "input"]
    better = [b for b in inputs if b["block_id"].startswith("better")]
    whole = "".join(block["element"]["initial_value"] for block in better)
    assert whole.strip() == ("word " * 1500).strip()


async def test_improving_a_reply_opens_the_form(in_slack: Scene) -> None:
    in_slack.slack.mention("U2", "C1", "hello")
    await in_slack.hear("C1")

    in_slack.slack.shortcut("U2", "improve", "C1", in_slack.slack.own("C1")[0]["ts"])

    assert (await in_slack.view())["callback_id"].startswith("feedback:")


async def test_a_file_is_imported_by_a_form(in_slack: Scene) -> None:
    in_slack.slack.command("U1", "C1", "import")
    form = await in_slack.form()

    in_slack.slack.submit("U1", form, file=in_slack.slack.give_file("rows.jsonl", ROWS))
    await in_slack.read("C1")
    in_slack.slack.click("U1", in_slack.slack.read("C1")[0], "Import")

    await until(lambda: "Imported rows.jsonl" in shown(in_slack.slack.read("C1")[0]))


async def test_a_file_in_a_message_is_imported(in_slack: Scene) -> None:
    file = in_slack.slack.give_file("rows.jsonl", ROWS)
    ts = in_slack.slack.put("U1", "C1", "import")
    event = {"type": "message", "subtype": "file_share", "channel": "C1", "user": "U1", "ts": ts}

    in_slack.slack.event({**event, "text": "<@UBOT> tune import yes", "files": [file]})

    assert "Imported rows.jsonl" in (await in_slack.read("C1"))[0]


async def test_an_export_goes_to_the_asker_alone(in_slack: Scene) -> None:
    in_slack.slack.mention("U1", "C1", "tune import starter:limericks")
    await in_slack.read("C1")

    in_slack.slack.command("U1", "C1", "export")

    await until(lambda: any("channel" in file for file in in_slack.slack.files.values()))
    (file,) = in_slack.slack.files.values()
    assert file["channel"] == "DU1"
    assert b"messages" in file["bytes"]
    assert "direct message" in (await in_slack.whispered(2))[1]["text"]


async def test_without_the_scope_for_files_the_refusal_says_so(in_slack: Scene) -> None:
    in_slack.slack.scopes.discard("files:read")
    in_slack.slack.command("U1", "C1", "import")
    form = await in_slack.form()

    sent = in_slack.slack.submit("U1", form, file=in_slack.slack.give_file("rows.jsonl", ROWS))

    assert "files:read" in str(await refusal(in_slack, sent))


async def test_the_home_tab_shows_how_things_stand(in_slack: Scene) -> None:
    in_slack.slack.visit("U2")

    await until(lambda: "U2" in in_slack.slack.homes)
    assert "Answers with" in shown(in_slack.slack.homes["U2"])
    assert labels(in_slack.slack.homes["U2"]) == [
        "Yes, learn from me",
        "My data",
        "Delete my data",
    ]


async def test_the_switch_in_the_home_tab_turns(in_slack: Scene) -> None:
    in_slack.slack.visit("U2")
    await until(lambda: "U2" in in_slack.slack.homes)

    in_slack.slack.click("U2", in_slack.slack.homes["U2"], "Yes, learn from me")

    await until(lambda: labels(in_slack.slack.homes["U2"])[0] == "No, leave me out")
    assert "Thank you" in shown(await in_slack.view())


async def test_my_data_can_be_erased_from_the_home_tab(in_slack: Scene) -> None:
    in_slack.slack.visit("U2")
    await until(lambda: "U2" in in_slack.slack.homes)

    in_slack.slack.click("U2", in_slack.slack.homes["U2"], "Delete my data")
    await until(lambda: "DU2" in in_slack.slack.channels)
    await in_slack.hear("DU2")
    in_slack.slack.click("U2", in_slack.slack.own("DU2")[0], "Erase it all")

    await until(lambda: "Erased" in in_slack.slack.texts("DU2")[0])


async def test_joining_a_channel_says_hello_once(in_slack: Scene) -> None:
    in_slack.slack.add_channel("C5", has_bot=False)

    in_slack.slack.join("C5")

    (welcome,) = await in_slack.hear("C5")
    assert "never train" in welcome
    assert labels(in_slack.slack.own("C5")[0]) == [
        "Try me",
        "Who may approve",
        "What may I learn from",
    ]


async def test_the_buttons_of_the_welcome_work(in_slack: Scene) -> None:
    in_slack.slack.join("C1")
    await in_slack.hear("C1")
    welcome = in_slack.slack.own("C1")[0]

    in_slack.slack.click("U2", welcome, "Try me")
    await in_slack.whispered()
    in_slack.slack.click("U2", welcome, "Who may approve")
    whispers = await in_slack.whispered(2)
    in_slack.slack.click("U1", welcome, "What may I learn from")

    assert "Mention me" in whispers[0]["text"]
    assert "Slack's App Developer Policy" in str(await in_slack.view())


# What was typed is kept


async def test_a_refused_form_stays_open_and_can_be_sent_again(in_slack: Scene) -> None:
    in_slack.slack.command("U1", "C1", "admin sources")
    form = await in_slack.form()
    sent = in_slack.slack.submit("U1", form, sources="forms", permission=" ")
    assert "Say who permits that" in (await refusal(in_slack, sent))["permission"]

    again = in_slack.slack.submit("U1", form, sources="forms", permission="Letter of 1 May")

    assert "From now on" in (await in_slack.hear("C1"))[0]
    await until(again.acked.is_set)
    assert again.response is None


async def test_a_form_that_came_late_is_refused_beside_its_input_too(
    in_slack: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "_FORM_PATIENCE_SECONDS", 0.0)
    assert in_slack.app is not None
    handle = in_slack.app.dispatch.handle

    async def slow(event: object) -> object:
        await until(lambda: bool(in_slack.slack.views))
        return await handle(event)  # type: ignore[arg-type]

    in_slack.app.dispatch.handle = slow  # type: ignore[method-assign,assignment]
    in_slack.slack.command("U1", "C1", "admin sources")
    first = await in_slack.view()
    views = in_slack.slack.views
    await until(lambda: str(views[first["id"]].get("callback_id")).startswith("sources:"))

    sent = in_slack.slack.submit("U1", views[first["id"]], sources="messages", permission="")

    assert list(await refusal(in_slack, sent)) == ["permission"]


@pytest.fixture
def impatient(in_slack: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slack is answered before anything is decided."""
    monkeypatch.setattr(adapter, "_FORM_SECONDS", 0.0)


@pytest.mark.usefixtures("impatient")
async def test_a_refusal_that_comes_late_gives_the_form_back_filled(in_slack: Scene) -> None:
    in_slack.slack.command("U1", "C1", "admin sources")
    form = await in_slack.form()

    sent = in_slack.slack.submit(
        "U1", form, sources="messages", allowed=("private", "guest"), permission=" "
    )

    await until(sent.acked.is_set)
    assert (sent.response or {})["response_action"] == "update"
    views = in_slack.slack.views
    await until(lambda: "Say who permits that" in str(views[form["id"]]["blocks"][0]))
    back = views[form["id"]]
    assert back["callback_id"].startswith("sources:")
    elements = {one["block_id"]: one["element"] for one in back["blocks"] if "element" in one}
    assert elements["sources"]["initial_option"]["value"] == "messages"
    ticked = [one["value"] for one in elements["allowed"]["initial_options"]]
    assert ticked == ["private", "guest"]


@pytest.mark.usefixtures("impatient")
async def test_what_takes_long_and_is_done_says_so_in_the_form(in_slack: Scene) -> None:
    in_slack.slack.command("U1", "C1", "admin sources")
    form = await in_slack.form()

    in_slack.slack.submit("U1", form, sources="forms", permission="Letter of 1 May")

    await in_slack.hear("C1")
    await until(lambda: "From now on" in shown(in_slack.slack.views[form["id"]]))


async def test_a_form_that_is_sent_twice_counts_once(in_slack: Scene) -> None:
    await allow_forms(in_slack)
    in_slack.slack.command("U2", "C1", "teach")
    form = await in_slack.form(2)

    in_slack.slack.submit("U2", form, question="Hi", answer="Ahoy")
    in_slack.slack.submit("U2", form, question="Hi", answer="Ahoy, twice")

    await in_slack.calm()
    told = [shown(one) for one in in_slack.slack.read("C1")]
    assert len([one for one in told if "Saved as" in one]) == 1


async def test_after_a_restart_what_was_typed_is_told_to_its_sender(in_slack: Scene) -> None:
    event = Event(
        "slack:T1/view/V1/x",
        Place(WorkspaceId("slack:T1"), ChannelId("C1")),
        User(UserId("U2"), "U2"),
        datetime.now(UTC),
        FormSubmitted("teach", {"question": "How do we greet?", "answer": "Ahoy"}),
    )
    assert in_slack.app is not None
    surface = in_slack.app.surfaces.surface_of(event.place.workspace)
    assert isinstance(surface, SlackSurface)
    surface.prepare_retry(event, has_begun=False)

    await in_slack.app.handle(event)

    text = shown((await in_slack.whispered())[0])
    assert "may not be learned from" in text
    assert "How do we greet?\n\nAhoy" in text
