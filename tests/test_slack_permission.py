"""What may be learned from in Slack: pointers, opt-in, exclusions, erasure."""

from __future__ import annotations

import pytest

from adapters.slack import adapter
from bot.domain import ExampleFilter, UserId, Workspace, WorkspaceId
from tests.fakes.slack import labels
from tests.slack_scene import Scene
from tests.waiting import until

TEAM = WorkspaceId("slack:T1")


async def exchange(scene: Scene, channel: str = "C1") -> str:
    """U2 asks, U3 answers well."""
    scene.slack.put("U2", channel, "How do we greet?")
    return scene.slack.put("U3", channel, "With <https://example.org|Ahoy> &amp; a wave")


async def counted(scene: Scene) -> int:
    assert scene.app is not None
    async with scene.app.store.reading() as records:
        return await records.examples.count(TEAM, ExampleFilter())


async def test_by_default_a_mark_keeps_only_a_pointer(in_slack: Scene) -> None:
    answer = await exchange(in_slack)

    in_slack.slack.react("U2", "C1", answer, "mortar_board")

    assert "Kept as a pointer" in (await in_slack.whispered())[0]["text"]


async def test_a_pointer_cannot_be_approved(in_slack: Scene) -> None:
    answer = await exchange(in_slack)
    in_slack.slack.react("U2", "C1", answer, "mortar_board")
    await in_slack.whispered()

    in_slack.slack.react("U1", "C1", answer, "white_check_mark")

    assert "only a pointer" in (await in_slack.whispered(2))[1]["text"]


async def test_with_permission_every_author_is_asked_in_the_channel(in_slack: Scene) -> None:
    await in_slack.allow_messages()
    answer = await exchange(in_slack)

    in_slack.slack.react("U1", "C1", answer, "mortar_board")

    asked = (await in_slack.hear("C1", 3))[1:]
    assert sorted(text.split(",")[0].split("\n")[-1] for text in asked) == ["name-U2", "name-U3"]
    assert "mortar_board" in (in_slack.slack.channels["C1"].find(answer) or {})["reactions"]


async def test_an_example_waits_until_all_its_authors_agree(in_slack: Scene) -> None:
    in_slack.slack.tiers.is_on = False
    await in_slack.allow_messages()
    answer = await exchange(in_slack)
    in_slack.slack.react("U1", "C1", answer, "mortar_board")
    await in_slack.hear("C1", 3)

    in_slack.slack.react("U1", "C1", answer, "white_check_mark")
    refused = (await in_slack.whispered(2))[1]["text"]
    question = in_slack.slack.own("C1")[1]
    for user in ("U2", "U3"):
        in_slack.slack.click(user, question, "Yes, learn from me")
    await in_slack.whispered(4)
    in_slack.slack.react("U1", "C1", answer, "heavy_check_mark")

    assert "waits" in refused
    assert "approved" in (await in_slack.whispered(5))[4]["text"]


async def test_the_queue_names_people_and_not_their_ids(in_slack: Scene) -> None:
    await in_slack.allow_messages()
    in_slack.slack.put("U3", "C1", "When do you open?")
    answer = in_slack.slack.put("U2", "C1", "At noon.")
    in_slack.slack.react("U1", "C1", answer, "mortar_board")
    await in_slack.settled()

    in_slack.slack.command("U1", "C1", "review")

    await until(lambda: "name-U3, name-U2" in str(in_slack.slack.ephemerals))
    assert "name-U3, name-U2" not in str(in_slack.slack.own("C1"))


async def test_each_author_is_asked_once(in_slack: Scene) -> None:
    in_slack.slack.tiers.is_on = False
    await in_slack.allow_messages()
    for _ in range(2):
        in_slack.slack.react("U1", "C1", await exchange(in_slack), "mortar_board")
        await in_slack.settled()

    await in_slack.hear("C1", 3)

    assert len(in_slack.slack.own("C1")) == 3


@pytest.mark.parametrize(
    ("channel", "kind", "word"),
    [("C7", "private", "private"), ("C8", "shared", "shared"), ("D9", "im", "Direct")],
)
async def test_closed_places_are_not_learned_from(
    in_slack: Scene, channel: str, kind: str, word: str
) -> None:
    await in_slack.allow_messages()
    in_slack.slack.add_channel(channel, kind)
    answer = await exchange(in_slack, channel)

    in_slack.slack.react("U1", channel, answer, "mortar_board")

    await in_slack.settled()
    told = [one["text"] for one in in_slack.slack.ephemerals] + in_slack.slack.texts(channel)
    assert any(word in text for text in told)
    assert await counted(in_slack) == 0


@pytest.mark.parametrize("facts", [{"is_restricted": True}, {"team_id": "T9"}])
async def test_guests_are_not_learned_from(in_slack: Scene, facts: dict[str, object]) -> None:
    await in_slack.allow_messages()
    in_slack.slack.add_user("U3", **facts)

    in_slack.slack.react("U1", "C1", await exchange(in_slack), "mortar_board")

    assert "guest" in (await in_slack.whispered())[0]["text"]
    assert await counted(in_slack) == 0


@pytest.mark.parametrize(("channel", "kind"), [("C7", "private"), ("C8", "shared"), ("D9", "im")])
async def test_an_admin_may_allow_closed_places(in_slack: Scene, channel: str, kind: str) -> None:
    await in_slack.allow_messages("private", "shared", "direct")
    in_slack.slack.add_channel(channel, kind)
    answer = await exchange(in_slack, channel)

    in_slack.slack.react("U1", channel, answer, "mortar_board")

    await in_slack.settled()
    assert await counted(in_slack) == 1


async def test_a_shortcut_shows_the_exchange_to_be_edited_and_saves_it(in_slack: Scene) -> None:
    await in_slack.allow_messages()
    answer = await exchange(in_slack)

    in_slack.slack.shortcut("U1", "save", "C1", answer)
    form = await in_slack.form(2)
    in_slack.slack.submit("U1", form, answer="With a bow")

    send_ephemeral = (await in_slack.whispered())[0]
    assert "Saved as example" in send_ephemeral["text"]
    assert labels(send_ephemeral)[0] == "Approve"
    assert in_slack.app is not None
    async with in_slack.app.store.reading() as records:
        (example,) = await records.examples.page(TEAM, ExampleFilter())
    assert "How do we greet?" in str(example.row)
    assert "With a bow" in str(example.row)
    assert set(example.authors) == {"U1", "U2", "U3"}
    assert example.source is not None
    number = answer.replace(".", "")
    assert example.source.permalink == f"https://team.example/archives/C1/p{number}"


async def test_without_permission_a_shortcut_keeps_a_pointer(in_slack: Scene) -> None:
    in_slack.slack.shortcut("U1", "save", "C1", await exchange(in_slack))

    assert "Kept as a pointer" in (await in_slack.whispered())[0]["text"]


async def test_a_shortcut_on_a_slow_day_fills_its_form_later(
    in_slack: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await in_slack.allow_messages()
    monkeypatch.setattr(adapter, "_FORM_PATIENCE_SECONDS", 0.0)
    answer = await exchange(in_slack)

    in_slack.slack.shortcut("U1", "save", "C1", answer)

    form = await in_slack.view(2)
    await until(lambda: in_slack.slack.views[form["id"]].get("callback_id", "").startswith("save:"))
    opened = in_slack.slack.called("views.open")[1]["view"]
    assert not any(block["type"] == "input" for block in opened["blocks"])


async def test_what_is_kept_reads_as_people_read_it(in_slack: Scene) -> None:
    await in_slack.allow_messages()
    in_slack.slack.react("U1", "C1", await exchange(in_slack), "mortar_board")
    await in_slack.whispered()

    assert in_slack.app is not None
    async with in_slack.app.store.reading() as records:
        (example,) = await records.examples.page(TEAM, ExampleFilter())

    assert "With Ahoy (https://example.org) & a wave" in str(example.row)


async def test_a_deleted_message_takes_its_example_along(in_slack: Scene) -> None:
    await in_slack.allow_messages()
    answer = await exchange(in_slack)
    in_slack.slack.react("U1", "C1", answer, "mortar_board")
    await in_slack.whispered()

    in_slack.slack.delete("C1", answer)
    await in_slack.settled()

    assert in_slack.app is not None
    async with in_slack.app.store.reading() as records:
        assert await records.examples.list_ids_by_author(TEAM, UserId("U3")) == []


@pytest.mark.parametrize("kind", ["channel_deleted", "group_deleted"])
async def test_a_deleted_channel_takes_its_examples_along(in_slack: Scene, kind: str) -> None:
    await in_slack.allow_messages()
    answer = await exchange(in_slack)
    in_slack.slack.react("U1", "C1", answer, "mortar_board")
    await in_slack.whispered()

    in_slack.slack.event({"type": kind, "channel": "C1"})
    await in_slack.settled()

    assert in_slack.app is not None
    async with in_slack.app.store.reading() as records:
        assert await records.examples.list_ids_by_author(TEAM, UserId("U3")) == []


async def test_an_edited_message_changes_its_example(in_slack: Scene) -> None:
    await in_slack.allow_messages()
    answer = await exchange(in_slack)
    in_slack.slack.react("U1", "C1", answer, "mortar_board")
    await in_slack.whispered()

    in_slack.slack.edit("U3", "C1", answer, "With a bow")
    await in_slack.settled()
    late = {"type": "message", "subtype": "message_changed", "channel": "C1", "event_ts": "1.5"}
    message = {"ts": answer, "user": "U3", "text": "With a kick"}
    in_slack.slack.event({**late, "message": message, "previous_message": {"text": ""}})
    await in_slack.settled()

    assert in_slack.app is not None
    async with in_slack.app.store.reading() as records:
        (example,) = await records.examples.page(TEAM, ExampleFilter())
    assert "With a bow" in str(example.row)


async def workspace(scene: Scene) -> Workspace | None:
    assert scene.app is not None
    async with scene.app.store.reading() as records:
        return await records.workspaces.find(TEAM)


async def is_closed(scene: Scene) -> bool:
    found = await workspace(scene)
    return found is not None and found.closed_at is not None


@pytest.mark.parametrize("days", ["7", "0"])
async def test_uninstalling_closes_and_after_the_grace_period_erases(
    in_slack: Scene, days: str
) -> None:
    await in_slack.stop()
    await in_slack.start(ATTUNE_ERASE_AFTER_DAYS=days)
    in_slack.slack.mention("U2", "C1", "hello")
    await in_slack.hear("C1")

    in_slack.slack.uninstall()

    await in_slack.settled()
    await until(lambda: not in_slack.slack.sockets)
    found = await workspace(in_slack)
    assert found is None if days == "0" else found is not None and found.closed_at is not None


@pytest.mark.parametrize(
    "event",
    [{"type": "app_uninstalled"}, {"type": "tokens_revoked", "tokens": {"bot": ["U0"]}}],
    ids=["uninstalled", "revoked"],
)
async def test_a_removal_that_slack_does_not_confirm_changes_nothing(
    in_slack: Scene, event: dict[str, object]
) -> None:
    in_slack.slack.mention("U2", "C1", "hello")
    await in_slack.hear("C1")

    in_slack.slack.event(event)
    await in_slack.calm()

    assert not await is_closed(in_slack)
    assert len(in_slack.slack.sockets) == 2
    in_slack.slack.mention("U2", "C1", "still there?")
    await in_slack.hear("C1", 2)


async def test_a_new_token_after_a_revoked_one_costs_nothing(in_slack: Scene) -> None:
    in_slack.slack.mention("U2", "C1", "hello")
    await in_slack.hear("C1")
    in_slack.slack.is_revoked = True
    in_slack.slack.event({"type": "tokens_revoked", "tokens": {"bot": ["U0"]}})
    await until(lambda: not in_slack.slack.sockets)
    assert await is_closed(in_slack)

    in_slack.slack.is_revoked = False
    await in_slack.restart()
    assert in_slack.app is not None

    async def is_open() -> bool:
        return not await is_closed(in_slack)

    await until(is_open, meanwhile=in_slack.app.runners.removals.poll)

    in_slack.slack.mention("U2", "C1", "and now?")
    await in_slack.hear("C1", 2)


async def test_a_start_with_the_token_of_a_removed_app_keeps_the_rest_running(
    in_slack: Scene,
) -> None:
    in_slack.slack.mention("U2", "C1", "hello")
    await in_slack.hear("C1")
    in_slack.slack.uninstall()
    await until(lambda: not in_slack.slack.sockets)
    await in_slack.stop()

    await in_slack.start(SLACK_MODE="http", SLACK_SIGNING_SECRET="secret")

    assert in_slack.app is not None
    await in_slack.app.runners.removals.poll()
    assert await is_closed(in_slack)


async def test_a_persons_revoked_token_is_none_of_ours(in_slack: Scene) -> None:
    in_slack.slack.mention("U2", "C1", "hello")
    await in_slack.hear("C1")

    in_slack.slack.event({"type": "tokens_revoked", "tokens": {"oauth": ["U2"], "bot": []}})

    await in_slack.settled()
    assert in_slack.app is not None
    async with in_slack.app.store.reading() as records:
        assert await records.workspaces.find(TEAM) is not None


async def test_a_pointer_is_written_up_behind_a_link(in_slack: Scene) -> None:
    await in_slack.stop()
    await until(lambda: not in_slack.slack.sockets)
    await in_slack.start(ATTUNE_PUBLIC_URL="https://attune.example")
    in_slack.slack.react("U2", "C1", await exchange(in_slack), "mortar_board")
    kept = (await in_slack.whispered())[0]

    in_slack.slack.click("U2", kept, "Write it up")

    told = (await in_slack.whispered(2))[1]
    (button,) = (one for block in told["blocks"] for one in block.get("elements", ()))
    assert button["url"].startswith("https://attune.example/write/")


async def test_a_pointer_is_written_up_on_a_page_of_ours(in_slack: Scene) -> None:
    await in_slack.stop()
    await until(lambda: not in_slack.slack.sockets)
    await in_slack.start(ATTUNE_PUBLIC_URL="https://attune.example", ATTUNE_SECRET_KEY="s" * 32)
    in_slack.slack.react("U2", "C1", await exchange(in_slack), "mortar_board")
    (pointer,) = await in_slack.whispered()

    in_slack.slack.click("U2", pointer, "Write it up")

    invitation = (await in_slack.whispered(2))[1]
    (link,) = [e for b in invitation["blocks"] for e in b.get("elements", ()) if e.get("url")]
    assert invitation["user"] == "U2"
    assert link["url"].startswith("https://attune.example/")


async def test_without_an_address_of_ours_an_admin_gets_one_of_this_machine(
    in_slack: Scene,
) -> None:
    in_slack.slack.react("U1", "C1", await exchange(in_slack), "mortar_board")
    (pointer,) = await in_slack.whispered()

    in_slack.slack.click("U1", pointer, "Write it up")

    told = (await in_slack.whispered(2))[1]
    (button,) = (one for block in told["blocks"] for one in block.get("elements", ()))
    assert button["url"].startswith("http://127.0.0.1:8080/write/")
    assert "only on the computer that runs Attune" in told["text"]


async def test_without_an_address_of_ours_nobody_is_sent_to_one(in_slack: Scene) -> None:
    in_slack.slack.react("U2", "C1", await exchange(in_slack), "mortar_board")
    (pointer,) = await in_slack.whispered()

    assert labels(pointer) == []


async def test_a_token_revoked_without_a_word_closes_the_workspace(in_slack: Scene) -> None:
    in_slack.slack.mention("U2", "C1", "hello")
    await in_slack.hear("C1")
    in_slack.slack.is_revoked = True

    in_slack.slack.mention("U2", "C1", "and now?")

    await until(lambda: not in_slack.slack.sockets)
    await in_slack.settled()
    assert await is_closed(in_slack)


async def test_a_channel_that_is_shared_meanwhile_is_not_learned_from(in_slack: Scene) -> None:
    await in_slack.allow_messages()
    in_slack.slack.react("U1", "C1", await exchange(in_slack), "mortar_board")
    await in_slack.whispered()
    in_slack.slack.channels["C1"].kind = "shared"

    in_slack.slack.event({"type": "channel_shared", "channel": "C1"})
    await in_slack.settled()
    in_slack.slack.react("U1", "C1", await exchange(in_slack), "mortar_board")

    assert "shared" in (await in_slack.whispered(2))[1]["text"]
