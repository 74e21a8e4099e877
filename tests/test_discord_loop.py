"""The whole program before a Discord, with four settings and nothing else: the loop end to end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.fakes.discord import ADMIN, ANN, BEN, GENERAL, GUILD, FakeDiscord, fake_discord
from tests.fakes.discord_rest import labels, shown
from tests.fakes.discord_rules import Json
from tests.program import program
from tests.waiting import until


def settings_of(fake: FakeDiscord) -> dict[str, str]:
    return {
        "DISCORD_TOKEN": fake.token,
        "ATTUNE_DISCORD_SERVERS": GUILD,
        "DISCORD_API_URL": fake.url,
        "DISCORD_GATEWAY_URL": fake.gateway.url,
        "ATTUNE_ADMINS": f"discord:{ADMIN}",
    }


async def message(fake: FakeDiscord, is_it: Callable[[Json], bool], *, alone: bool = False) -> Json:
    """The newest message of the bot of which this is so."""

    def found() -> list[Json]:
        told = fake.ephemerals if alone else fake.read(GENERAL)
        return [one for one in told if is_it(one)]

    def told() -> str:
        return f"{[*map(shown, fake.ephemerals), *fake.texts(GENERAL)]} {fake.refusals}"

    await until(lambda: bool(found()), told, seconds=60)
    return found()[-1]


def says(part: str) -> Callable[[Json], bool]:
    return lambda one: part in shown(one)


def offers(label: str) -> Callable[[Json], bool]:
    return lambda one: label in labels(one)


async def test_from_a_mark_to_the_tuned_answer(tmp_path: Path) -> None:
    async with fake_discord() as fake, program(settings_of(fake), tmp_path):
        fake.limits.is_on = False
        await message(fake, offers("Try me"))

        asked = fake.command(ADMIN, GENERAL, "admin sources")
        await until(lambda: asked.response is not None)
        fake.submit(ADMIN, asked, sources="messages", permission="Discord's letter")
        await message(fake, says("messages that people mark"))
        question = fake.put(ANN, GENERAL, "When do you open on Sundays?")
        answer = fake.put(BEN, GENERAL, "At noon, with cake.", answers=question)
        fake.react(ADMIN, GENERAL, answer, "🎓")
        wanted = await message(fake, offers("Yes, learn from me"))
        for user in (ANN, BEN):
            fake.click(user, wanted, "Yes, learn from me")
        await message(fake, says("Thank"), alone=True)
        await until(lambda: len(fake.ephemerals) >= 2)
        fake.react(ADMIN, GENERAL, answer, "✅")
        await message(fake, says("approved"))
        fake.command(ADMIN, GENERAL, "import", starter="limericks")
        await message(fake, says("New: 18"))
        fake.command(ADMIN, GENERAL, "start")
        fake.click(ADMIN, await message(fake, offers("Confirm")), "Confirm")
        await message(fake, says("succeeded"))
        fake.mention(ANN, GENERAL, "When do you open on Sundays?")

        await message(fake, says("At noon, with cake."))
        await message(fake, lambda one: bool(one["attachments"]))

    assert [file["filename"] for file in fake.files] == ["chart.png"]
    # Each author once, when they were asked whether their words may be learned from.
    assert sorted(fake.pings) == [ANN, BEN]
    assert fake.refusals == []
