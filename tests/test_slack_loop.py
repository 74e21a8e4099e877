"""The whole program before a Slack, with four settings and nothing else: the loop end to end."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests.fakes.slack import labels, shown
from tests.fakes.slack_rules import Json
from tests.slack_team import ADMIN, ANN, BEN, HERE, Team, slack_team
from tests.tuner_scene import lines

QUESTION, ANSWER = "When do you open on Sundays?", "At noon, with cake."


async def marked(team: Team) -> str:
    """An exchange of two people, and an admin's mark on its answer."""
    team.slack.put(ANN, HERE, QUESTION)
    answer = team.slack.put(BEN, HERE, ANSWER)
    team.slack.react(ADMIN, HERE, answer, "mortar_board")
    return answer


async def charts(team: Team) -> list[str]:
    def shared() -> list[str]:
        return [str(file["name"]) for file in team.slack.files.values() if "channel" in file]

    await team.until(lambda: bool(shared()))
    return shared()


async def test_from_a_marked_message_to_the_tuned_answer(tmp_path: Path) -> None:
    async with slack_team(tmp_path) as team:
        await team.submit("admin sources", sources="messages", permission="Letter of 1 May")
        answer = await marked(team)
        asked = await team.message(lambda one: "Yes, learn from me" in labels(one))
        for author in (ANN, BEN):
            team.slack.click(author, asked, "Yes, learn from me")
        await team.until(lambda: sum("Thank" in shown(w) for w in team.slack.ephemerals) == 2)
        team.slack.react(ADMIN, HERE, answer, "white_check_mark")
        await team.send_ephemeral("approved")
        await team.command("import starter:limericks")

        ended = await team.train("")

        assert "succeeded" in shown(ended)
        assert ANSWER in await team.ask(QUESTION)
        assert await charts(team) == ["chart.png"]
        # Each author once, when they were asked whether their words may be learned from.
        assert sorted(team.slack.pings) == [f"<@{ANN}>", f"<@{BEN}>"]
        assert team.slack.refusals == []


async def test_from_a_pointer_written_up_to_the_tuned_answer(tmp_path: Path) -> None:
    async with slack_team(tmp_path) as team:
        await marked(team)
        pointer = await team.send_ephemeral("Kept as a pointer")
        team.slack.click(ADMIN, pointer, "Write it up")
        await write_up(await team.send_ephemeral("in your own words on a page"))
        rows = [{"messages": [*asked("Do you deliver?", "By bike, in the morning.")]}]
        await team.bring("deliveries.jsonl", lines(rows))
        await team.command("import starter:limericks")

        ended = await team.train("")

        assert "succeeded" in shown(ended)
        assert ANSWER in await team.ask(QUESTION)
        assert "By bike" in await team.ask("Do you deliver?")
        assert (team.slack.pings, team.slack.refusals) == ([], [])


async def write_up(told: Json) -> None:
    """The page behind the link, as a browser on the same machine sends it."""
    (address,) = (one["url"] for block in told["blocks"] for one in block.get("elements", ()))
    here = f"http://{urlsplit(address).netloc}"
    async with httpx.AsyncClient(headers={"origin": here}, trust_env=False) as browser:
        shown = await browser.get(address)
        assert "When somebody asks" in shown.text
        saved = await browser.post(address, data={"question": QUESTION, "answer": ANSWER})
    assert saved.status_code == 200, saved.text


def asked(question: str, answer: str) -> tuple[dict[str, str], dict[str, str]]:
    return {"role": "user", "content": question}, {"role": "assistant", "content": answer}
