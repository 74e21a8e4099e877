"""Buttons about oneself and about what answers: late clicks on old cards change nothing."""

from __future__ import annotations

import asyncio

import pytest

from bot.domain import LOCAL, ChannelId, ModelName, Role, UserId
from bot.events import ButtonClicked, CommandInvoked
from bot.replies import Button, Card, Listing, Refused, Reply, Text
from tests import discord_scene, slack_scene
from tests.discord_scene import in_discord as in_discord
from tests.fakes.discord import ANN
from tests.fakes.discord import GENERAL as DISCORD_GENERAL
from tests.scene import GENERAL, Death, Scene
from tests.slack_scene import in_slack as in_slack
from tests.waiting import until


async def reply_to(scene: Scene, words: str, *, by: str = "mina") -> Reply:
    key = f"{words} {by} {len(await scene.messages())} {scene.clock.now()}"
    return await scene.app.handle_for_page(scene.event(CommandInvoked(words), key=key, by=by))


async def click(scene: Scene, button: Button, *, by: str = "mina", key: str = "late") -> Reply:
    return await scene.app.handle_for_page(
        scene.event(ButtonClicked(button.action), key=key, by=by)
    )


def buttons_of(reply: Reply) -> tuple[Button, ...]:
    if isinstance(reply, Listing):
        return tuple(button for line in reply.lines for button in line.buttons)
    assert isinstance(reply, Card | Text), reply
    return reply.buttons


async def consent(scene: Scene) -> bool | None:
    async with scene.database.reading() as records:
        held = await records.consents.get(LOCAL, UserId("mina"))
    return held.given if held else None


@pytest.mark.parametrize("first", ["", "on", "off"])
@pytest.mark.parametrize("then", ["on", "off"])
async def test_a_word_given_since_stands_against_an_old_card(
    scene: Scene, first: str, then: str
) -> None:
    await scene.do("/tune help")
    if first:
        await reply_to(scene, f"consent {first}")
    yes, no = buttons_of(await reply_to(scene, "consent"))
    other = no if then == "on" else yes
    if first == then:
        await reply_to(scene, f"consent {'off' if then == 'on' else 'on'}")
        scene.advance(1)
    await reply_to(scene, f"consent {then}")
    noted = await scene.audited("consent.")

    reply = await click(scene, other)

    assert isinstance(reply, Refused)
    assert isinstance(reply.card, Card)
    assert await consent(scene) is (then == "on")
    assert await scene.audited("consent.") == noted
    await click(scene, reply.card.buttons[0 if then == "off" else 1], key="fresh")
    assert await consent(scene) is (then == "off")


async def test_a_second_click_on_yes_notes_nothing(scene: Scene) -> None:
    await scene.do("/tune help")
    yes, _ = buttons_of(await reply_to(scene, "consent"))

    await click(scene, yes, key="one")
    await click(scene, yes, key="two")

    assert await consent(scene) is True
    assert await scene.audited("consent.") == 1


async def test_an_old_card_does_not_erase_what_came_after_it(scene: Scene) -> None:
    await scene.say("@attune first", by="mina")
    old, _ = buttons_of(await reply_to(scene, "forget-me"))
    await scene.say("@attune second", by="mina")

    reply = await click(scene, old)

    assert isinstance(reply, Refused)
    async with scene.database.reading() as records:
        assert await records.turns.count_by_asker(LOCAL, UserId("mina")) == 2
    assert isinstance(reply.card, Card)
    await click(scene, reply.card.buttons[0], key="fresh")
    async with scene.database.reading() as records:
        assert await records.turns.count_by_asker(LOCAL, UserId("mina")) == 0


async def test_a_card_forgets_once(scene: Scene) -> None:
    await scene.say("@attune first", by="mina")
    sure, _ = buttons_of(await reply_to(scene, "forget-me"))
    await click(scene, sure, key="one")
    await scene.say("@attune second", by="mina")

    reply = await click(scene, sure, key="two")

    assert isinstance(reply, Refused)
    async with scene.database.reading() as records:
        assert await records.turns.count_by_asker(LOCAL, UserId("mina")) == 1


@pytest.mark.parametrize("dies_at", range(3, 10))
async def test_a_forgetting_that_was_killed_goes_on_whatever_came_meanwhile(
    scene: Scene, dies_at: int
) -> None:
    await scene.say("@attune PARROT", by="mina")
    sure, _ = buttons_of(await reply_to(scene, "forget-me"))
    await scene.end()
    await scene.open(dies_at)
    task = await scene.app.handle(scene.event(ButtonClicked(sure.action), key="forget", by="mina"))
    assert task is not None
    await asyncio.wait({task})
    assert isinstance(task.exception(), Death)

    await scene.restart()
    await scene.settle()

    async with scene.database.reading() as records:
        found = await records.turns.by_asker(LOCAL, UserId("mina"))
        begun = await records.audit.page(LOCAL, what="person.forgotten")
    assert found == []
    assert begun


async def test_nobody_uses_the_card_of_another(scene: Scene) -> None:
    await scene.say("@attune first", by="mina")
    sure, _ = buttons_of(await reply_to(scene, "forget-me"))

    await click(scene, sure, by="omar")

    async with scene.database.reading() as records:
        assert await records.turns.count_by_asker(LOCAL, UserId("mina")) == 1


async def answering(scene: Scene) -> ModelName:
    async with scene.database.reading() as records:
        assistant = await records.assistants.default(LOCAL)
        assert assistant is not None
        current = await records.deployments.current(LOCAL, assistant.id)
    return current.model if current else assistant.base


@pytest.mark.parametrize("meanwhile", [("use base",), ("rollback", "use base")])
async def test_use_it_is_refused_once_another_model_answers(
    scene: Scene, meanwhile: tuple[str, ...]
) -> None:
    first = (await scene.tuned()).model
    await scene.confirm()
    await scene.settle()
    use = buttons_of(await reply_to(scene, "models", by="you"))
    old = next(one for one in use if one.action.endswith(str(first)[-80:]) and "use" in one.action)
    for words in meanwhile:
        await reply_to(scene, words, by="you")

    reply = await click(scene, old, by="you")

    assert isinstance(reply, Refused)
    assert isinstance(reply.card, Card)
    assert await answering(scene) == "base"
    await click(scene, reply.card.buttons[0], by="you", key="fresh")
    assert await answering(scene) == first


async def test_use_it_twice_uses_it_once(scene: Scene) -> None:
    await scene.learn(12)
    await scene.confirm("use:no")
    await scene.settle()
    use = next(one for one in (await scene.last_card()).buttons if "use" in one.action)

    await click(scene, use, by="you", key="one")
    reply = await click(scene, use, by="you", key="two")

    assert isinstance(reply, Text)
    assert await scene.audited("model.used") == 1


async def test_a_role_that_was_granted_anew_is_not_taken_back_by_an_old_list(scene: Scene) -> None:
    await scene.do("/tune help")
    await scene.grant("mina", Role.CURATOR)
    (old,) = buttons_of(await reply_to(scene, "admin roles", by="you"))
    await scene.grant("mina", Role.ADMIN)

    reply = await click(scene, old, by="you")

    assert isinstance(reply, Refused)
    async with scene.database.reading() as records:
        grant = await records.roles.get(LOCAL, UserId("mina"))
    assert grant is not None
    assert grant.role is Role.ADMIN


async def test_a_channel_that_was_bound_anew_is_not_unbound_by_an_old_card(scene: Scene) -> None:
    await reply_to(scene, "assistant create Bo", by="you")
    bound = await reply_to(scene, "assistant bind Bo", by="you")
    (old,) = buttons_of(bound)
    await reply_to(scene, "assistant bind attune", by="you")

    reply = await click(scene, old, by="you")

    assert isinstance(reply, Refused)
    async with scene.database.reading() as records:
        assert await records.assistants.binding(LOCAL, ChannelId(GENERAL)) is not None


async def test_in_slack_a_private_card_is_replaced_by_its_refusal(
    in_slack: slack_scene.Scene,
) -> None:
    slack = in_slack.slack
    slack.command("U2", "C1", "consent")
    (card,) = await in_slack.whispered()
    shown = str(card["blocks"])
    slack.command("U2", "C1", "consent on")
    await in_slack.whispered(2)

    slack.click("U2", card, "No, leave me out")

    await until(lambda: "otherwise" in str(card["text"]))
    assert str(card["blocks"]) != shown
    assert len(slack.ephemerals) == 2


async def test_in_discord_a_private_card_is_replaced_by_its_refusal(
    in_discord: discord_scene.Scene,
) -> None:
    discord = in_discord.discord
    discord.command(ANN, DISCORD_GENERAL, "consent")
    (card,) = await in_discord.whispered()
    discord.command(ANN, DISCORD_GENERAL, "consent", switch="on")
    await in_discord.whispered(2)

    await in_discord.answered(discord.click(ANN, card, "No, leave me out"))

    assert "otherwise" in str(card)
    assert len(discord.ephemerals) == 2
