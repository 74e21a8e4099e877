"""What may be learned from on Discord: pointers, opt-in, exclusions, erasure."""

from __future__ import annotations

from typing import Any

import pytest

from bot.domain import Example, ExampleFilter, ExampleState, UserId
from tests.discord_scene import TEAM, Scene
from tests.fakes.discord import ADMIN, ANN, BEN, GENERAL, GUILD
from tests.fakes.discord_rest import Fault, labels, shown
from tests.waiting import until

CAP, TICK = "🎓", "✅"


async def exchange(scene: Scene, channel: str = GENERAL) -> str:
    """Ann asks, Ben answers well."""
    asked = scene.discord.put(ANN, channel, "How do we greet?")
    return scene.discord.put(BEN, channel, "With Ahoy & a wave", answers=asked)


async def examples(scene: Scene, state: ExampleState | None = None) -> list[Example]:
    assert scene.app is not None
    async with scene.app.store.reading() as records:
        return list(await records.examples.page(TEAM, ExampleFilter(state=state), limit=50))


async def learned(scene: Scene, answer: str) -> Example:
    """The exchange is kept with its words."""
    scene.discord.react(ADMIN, GENERAL, answer, CAP)
    marked = scene.discord.channels[GENERAL].messages[answer]
    await until(lambda: CAP in marked.get("reactions", []), lambda: str(scene.discord.refusals))
    await scene.settled()
    (example,) = await examples(scene)
    return example


async def said(scene: Scene, part: str) -> str:
    """The newest words of the bot that say this, wherever they stand."""

    def found() -> list[str]:
        told = [shown(one) for one in scene.discord.ephemerals]
        for channel in scene.discord.channels:
            told += scene.discord.texts(channel)
        return [text for text in told if part in text]

    await until(lambda: bool(found()), lambda: f"{scene.discord.texts(GENERAL)}")
    return found()[-1]


async def test_by_default_a_mark_keeps_only_a_pointer(in_discord: Scene) -> None:
    in_discord.discord.react(ANN, GENERAL, await exchange(in_discord), CAP)

    await said(in_discord, "Kept as a pointer")
    (example,) = await examples(in_discord)
    assert example.row is None
    assert example.source is not None
    assert example.source.permalink == (
        f"https://discord.com/channels/{GUILD}/{GENERAL}/{example.source.message}"
    )


async def test_a_pointer_cannot_be_approved(in_discord: Scene) -> None:
    answer = await exchange(in_discord)
    in_discord.discord.react(ANN, GENERAL, answer, CAP)
    await said(in_discord, "Kept as a pointer")

    in_discord.discord.react(ADMIN, GENERAL, answer, TICK)

    await said(in_discord, "only a pointer")


async def test_a_pointer_is_written_up_behind_a_link(in_discord: Scene) -> None:
    await in_discord.stop()
    await in_discord.start(ATTUNE_PUBLIC_URL="https://attune.example")
    in_discord.discord.react(ANN, GENERAL, await exchange(in_discord), CAP)
    await said(in_discord, "Kept as a pointer")

    in_discord.discord.click(ANN, in_discord.discord.own(GENERAL)[-1], "Write it up")

    (send_ephemeral,) = await in_discord.whispered()
    (button,) = (one for row in send_ephemeral["components"] for one in row["components"])
    assert button["url"].startswith("https://attune.example/write/")


async def test_the_form_names_discords_rule(in_discord: Scene) -> None:
    asked = in_discord.discord.command(ADMIN, GENERAL, "admin sources")

    form = await in_discord.form(asked)

    assert "Rule 21 of Discord's Developer Policy" in form["components"][0]["content"]


async def test_raising_the_sources_needs_a_word_about_the_permission(in_discord: Scene) -> None:
    asked = in_discord.discord.command(ADMIN, GENERAL, "admin sources")
    await in_discord.form(asked)

    in_discord.discord.submit(ADMIN, asked, sources="messages", permission="")

    assert "permi" in shown((await in_discord.whispered())[0])


async def test_only_an_admin_sees_that_form(in_discord: Scene) -> None:
    asked = in_discord.discord.command(ANN, GENERAL, "admin sources")

    await in_discord.whispered()
    assert asked.response is not None
    assert asked.response["type"] == 4


async def test_with_permission_every_author_is_asked_in_the_channel(in_discord: Scene) -> None:
    await in_discord.allow_messages()

    await learned(in_discord, await exchange(in_discord))

    await until(lambda: len(asking(in_discord)) == 2)
    texts = [shown(one) for one in asking(in_discord)]
    assert any(f"name-{ANN}" in text for text in texts)
    assert any(f"name-{BEN}" in text for text in texts)
    assert sorted(in_discord.discord.pings) == [ANN, BEN]


def asking(scene: Scene) -> list[dict[str, object]]:
    return [one for one in scene.discord.own(GENERAL) if "Yes, learn from me" in labels(one)]


async def test_an_example_waits_until_all_its_authors_agree(in_discord: Scene) -> None:
    await in_discord.allow_messages()
    answer = await exchange(in_discord)
    await learned(in_discord, answer)
    await until(lambda: len(asking(in_discord)) == 2)

    in_discord.discord.react(ADMIN, GENERAL, answer, TICK)
    await said(in_discord, "waits")
    for user in (ANN, BEN):
        in_discord.discord.click(user, asking(in_discord)[0], "Yes, learn from me")
    await in_discord.whispered(2)
    in_discord.discord.react(ADMIN, GENERAL, answer, TICK, off=True)
    in_discord.discord.react(ADMIN, GENERAL, answer, TICK)

    await said(in_discord, "approved")
    assert len(await examples(in_discord, ExampleState.APPROVED)) == 1


@pytest.mark.parametrize(
    ("facts", "word"), [({"nsfw": True}, "age-restricted"), ({"denied": 0}, "private")]
)
async def test_closed_channels_are_not_learned_from(
    in_discord: Scene, facts: dict[str, Any], word: str
) -> None:
    await in_discord.allow_messages()
    channel = in_discord.discord.add_channel("44", **facts)
    if word == "private":
        # Everybody's role may not view it; the bot's own role is let in by the fake.
        described = channel.described()
        described["permission_overwrites"][0]["deny"] = str(1 << 10)
        in_discord.discord.gateway.dispatch("CHANNEL_UPDATE", described)
    answer = await exchange(in_discord, "44")

    in_discord.discord.react(ADMIN, "44", answer, CAP)

    await said(in_discord, word)
    assert await examples(in_discord) == []


async def test_direct_messages_are_not_learned_from(in_discord: Scene) -> None:
    await in_discord.allow_messages()
    channel = in_discord.discord.direct(ADMIN)
    answer = await exchange(in_discord, channel)

    in_discord.discord.react(ADMIN, channel, answer, CAP)

    await said(in_discord, "Direct messages")
    assert await examples(in_discord) == []


async def test_a_thread_in_a_closed_channel_is_closed(in_discord: Scene) -> None:
    await in_discord.allow_messages()
    in_discord.discord.add_channel("44", nsfw=True)
    root = in_discord.discord.put(ANN, "44", "a topic")
    thread = in_discord.discord.open_thread("44", root)
    answer = await exchange(in_discord, thread)

    in_discord.discord.react(ADMIN, thread, answer, CAP)

    await said(in_discord, "age-restricted")


async def test_an_admin_may_allow_what_is_age_restricted(in_discord: Scene) -> None:
    await in_discord.allow_messages("restricted")
    in_discord.discord.add_channel("44", nsfw=True)
    answer = await exchange(in_discord, "44")

    in_discord.discord.react(ADMIN, "44", answer, CAP)

    await in_discord.settled()
    assert len(await examples(in_discord)) == 1


async def test_other_bots_are_not_learned_from(in_discord: Scene) -> None:
    await in_discord.allow_messages()
    in_discord.discord.add_user("800", bot=True)
    asked = in_discord.discord.put(ANN, GENERAL, "How?")
    answer = in_discord.discord.put("800", GENERAL, "So.", answers=asked)

    in_discord.discord.react(ADMIN, GENERAL, answer, CAP)

    await said(in_discord, "Another bot")
    assert await examples(in_discord) == []


async def test_the_menu_shows_the_exchange_to_be_edited_and_saves_it(in_discord: Scene) -> None:
    await in_discord.allow_messages()
    answer = await exchange(in_discord)

    asked = in_discord.discord.menu(ADMIN, GENERAL, "Save as example", answer)
    await in_discord.form(asked)
    in_discord.discord.submit(ADMIN, asked, answer="With a bow")

    await said(in_discord, "Saved as example")
    (example,) = await examples(in_discord)
    assert "How do we greet?" in str(example.row)
    assert "With a bow" in str(example.row)
    assert set(example.authors) == {ADMIN, ANN, BEN}


async def test_without_the_content_intent_the_menu_still_reads(in_discord: Scene) -> None:
    in_discord.discord.flags = 0
    await in_discord.allow_messages()
    in_discord.discord.mention(ANN, GENERAL, "How do we greet?")
    await in_discord.hear(GENERAL, 2)
    answer = in_discord.discord.own(GENERAL)[1]["id"]

    asked = in_discord.discord.menu(ADMIN, GENERAL, "Save as example", answer)
    await in_discord.form(asked)
    in_discord.discord.submit(ADMIN, asked, answer="With a bow")

    await said(in_discord, "Saved as example")


async def test_an_edited_message_changes_its_example(in_discord: Scene) -> None:
    await in_discord.allow_messages()
    answer = await exchange(in_discord)
    await learned(in_discord, answer)

    in_discord.discord.edit(GENERAL, answer, "With a bow")

    await in_discord.settled()
    (example,) = await examples(in_discord)
    assert "With a bow" in str(example.row)


@pytest.mark.parametrize("is_bulk", [False, True])
async def test_a_deleted_message_takes_its_example_along(in_discord: Scene, is_bulk: bool) -> None:
    await in_discord.allow_messages()
    answer = await exchange(in_discord)
    await learned(in_discord, answer)
    other = in_discord.discord.put(ANN, GENERAL, "something else")

    in_discord.discord.delete(GENERAL, *([answer, other] if is_bulk else [answer]))

    await in_discord.settled()
    assert in_discord.app is not None
    async with in_discord.app.store.reading() as records:
        assert await records.examples.list_ids_by_author(TEAM, UserId(BEN)) == []


async def test_a_deleted_channel_takes_its_examples_along(in_discord: Scene) -> None:
    await in_discord.allow_messages()
    await learned(in_discord, await exchange(in_discord))

    gone = {"id": GENERAL, "guild_id": GUILD, "type": 0}
    in_discord.discord.gateway.dispatch("CHANNEL_DELETE", gone)

    await in_discord.settled()
    assert [example.row for example in await examples(in_discord)] == [None]


async def test_a_deleted_thread_leaves_what_was_said_beside_it(in_discord: Scene) -> None:
    await in_discord.allow_messages()
    await learned(in_discord, await exchange(in_discord))

    gone = {"id": "777", "guild_id": GUILD, "parent_id": GENERAL, "type": 11}
    in_discord.discord.gateway.dispatch("THREAD_DELETE", gone)

    await in_discord.settled()
    assert [example.row is None for example in await examples(in_discord)] == [False]


async def is_closed(scene: Scene) -> bool:
    assert scene.app is not None
    async with scene.app.store.reading() as records:
        found = await records.workspaces.find(TEAM)
    return found is not None and found.closed_at is not None


async def looked(scene: Scene) -> bool:
    """Whether it is closed after one more look at the guilds in question."""
    assert scene.app is not None
    await scene.app.runners.removals.poll()
    return await is_closed(scene)


async def test_removal_from_a_guild_closes_it_and_an_invitation_opens_it_again(
    in_discord: Scene,
) -> None:
    in_discord.discord.mention(ANN, GENERAL, "hello")
    await in_discord.hear()

    guild = in_discord.discord.guilds[GUILD]
    in_discord.discord.remove(GUILD)
    await in_discord.settled()
    assert await is_closed(in_discord)

    in_discord.discord.guilds[GUILD] = guild
    again = {**in_discord.discord.described_guild(GUILD), "joined_at": "2026-11-27T00:00:00+00:00"}
    in_discord.discord.gateway.dispatch("GUILD_CREATE", again)
    await in_discord.settled()
    assert not await is_closed(in_discord)


@pytest.mark.parametrize(
    ("route", "status"),
    [
        # discord.py asks again for eleven seconds after a 500, 502 or 504, and not after a 503.
        *(("GET /users/@me/guilds", status) for status in (403, 404, 503)),
        *(("GET /guilds/{guild}", status) for status in (500, 503, 404)),
    ],
)
async def test_removal_while_we_were_away_closes_once_discord_says_so(
    in_discord: Scene, route: str, status: int
) -> None:
    in_discord.discord.mention(ANN, GENERAL, "hello")
    await in_discord.hear()
    await in_discord.stop()
    in_discord.discord.gateway.forget_sessions()
    del in_discord.discord.guilds[GUILD]
    in_discord.discord.fail(route, *[Fault(status)] * 200)

    await in_discord.start()
    await in_discord.settled()
    assert not await is_closed(in_discord)

    in_discord.discord.mend(route)
    await until(lambda: looked(in_discord))


async def test_a_list_of_guilds_that_lacks_one_erases_nothing(in_discord: Scene) -> None:
    in_discord.discord.mention(ANN, GENERAL, "hello")
    await in_discord.hear()
    await in_discord.stop()
    in_discord.discord.gateway.forget_sessions()
    ready = in_discord.discord.gateway.ready
    in_discord.discord.gateway.ready = lambda session: {**ready(session), "guilds": []}

    await in_discord.start()

    await in_discord.settled()
    assert in_discord.app is not None
    async with in_discord.app.store.reading() as records:
        assert await records.workspaces.find(TEAM) is not None


async def test_a_guild_that_is_only_away_keeps_everything(in_discord: Scene) -> None:
    in_discord.discord.mention(ANN, GENERAL, "hello")
    await in_discord.hear()

    in_discord.discord.gateway.dispatch("GUILD_DELETE", {"id": GUILD, "unavailable": True})

    await in_discord.settled()
    assert in_discord.app is not None
    async with in_discord.app.store.reading() as records:
        assert await records.workspaces.find(TEAM) is not None


async def test_ones_data_is_a_file_for_oneself(in_discord: Scene) -> None:
    in_discord.discord.mention(ANN, GENERAL, "hello")
    await in_discord.hear()

    in_discord.discord.command(ANN, GENERAL, "my-data")

    (send_ephemeral,) = await in_discord.whispered()
    assert send_ephemeral["user"] == ANN
    assert b"hello" in in_discord.discord.files[0]["data"]


async def test_one_can_be_forgotten(in_discord: Scene) -> None:
    in_discord.discord.mention(ANN, GENERAL, "hello")
    await in_discord.hear()
    in_discord.discord.command(ANN, GENERAL, "forget-me")
    (card,) = await in_discord.whispered()

    asked = in_discord.discord.click(ANN, card, labels(card)[0])

    await in_discord.answered(asked)
    await in_discord.settled()
    assert in_discord.app is not None
    async with in_discord.app.store.reading() as records:
        assert await records.turns.by_asker(TEAM, UserId(ANN)) == []


async def test_people_are_told_by_name_not_by_id(in_discord: Scene) -> None:
    await in_discord.allow_messages()
    await learned(in_discord, await exchange(in_discord))
    in_discord.discord.command(ADMIN, GENERAL, "review")

    assert "How do we greet?" in await said(in_discord, f"<@{ANN}>, <@{BEN}>")

    in_discord.discord.mention(ADMIN, GENERAL, f"tune admin roles <@{BEN}> role:curator")
    assert f"<@{BEN}> is curator now." in await said(in_discord, "is curator now")
