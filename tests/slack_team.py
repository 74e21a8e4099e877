"""A team in a Slack on loopback, before the whole program in a process of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path

from tests.fakes.slack import FakeSlack, fake_slack, labels, shown
from tests.fakes.slack_rules import Json
from tests.program import program
from tests.waiting import until

ADMIN, ANN, BEN = "U1", "U2", "U3"
HERE = "C1"


class Team:
    """What its people do, each time until the bot has answered it."""

    def __init__(self, slack: FakeSlack) -> None:
        self.slack = slack

    async def command(self, text: str) -> Json:
        """The admin's slash command; the answer that it brings to the channel."""
        async with self._answer() as answer:
            self.slack.command(ADMIN, HERE, text)
        return answer[0]

    async def ask(self, question: str) -> str:
        """What the bot answers in the thread of a mention, once it is whole."""
        ts = self.slack.mention(ANN, HERE, question)
        wanted = await self.message(lambda one: one.get("thread_ts") == ts and bool(labels(one)))
        return shown(wanted)

    async def submit(self, command: str, **values: object) -> Json:
        """A command that opens a form, and the form filled in."""
        known = set(self.slack.views)
        self.slack.command(ADMIN, HERE, command)
        form = await self.form(known)
        async with self._answer() as answer:
            self.slack.submit(ADMIN, form, **values)
        return answer[0]

    async def form(self, known: Collection[str] = ()) -> Json:
        """A new form with something to fill in; on a slow day it is first shown without."""

        def found() -> list[Json]:
            shown = [view for number, view in self.slack.views.items() if number not in known]
            return [one for one in shown if any(b["type"] == "input" for b in one["blocks"])]

        await self.until(lambda: bool(found()))
        return found()[-1]

    async def bring(self, name: str, content: bytes) -> Json:
        """A file through the form of `/tune import`, and the preview agreed to."""
        card = await self.submit("import", file=self.slack.give_file(name, content))
        self.slack.click(ADMIN, card, "Import")
        return await self.message(lambda one: f"Imported {name}" in shown(one))

    async def train(self, wishes: str) -> Json:
        """Priced, confirmed and waited for; the card that tells how it ended."""
        card = await self.command(f"start {wishes}".strip())
        known = len(self.slack.read(HERE))
        self.slack.click(ADMIN, card, "Confirm")
        # The live card says so too, in its second line, until that one comes.
        return await self.message(
            lambda one: shown(one).partition("\n")[0].endswith(("succeeded", "failed")), after=known
        )

    async def send_ephemeral(self, part: str) -> Json:
        """What only one person sees."""
        return await self._found(lambda: self.slack.ephemerals, lambda one: part in shown(one))

    async def message(self, is_it: Callable[[Json], bool], *, after: int = 0) -> Json:
        return await self._found(lambda: self.slack.read(HERE)[after:], is_it)

    @asynccontextmanager
    async def _answer(self) -> AsyncIterator[list[Json]]:
        known, answer = len(self.slack.read(HERE)), list[Json]()
        yield answer
        answer.append(await self.message(lambda one: True, after=known))

    async def _found(self, told: Callable[[], list[Json]], is_it: Callable[[Json], bool]) -> Json:
        await self.until(lambda: any(map(is_it, told())))
        return [one for one in told() if is_it(one)][-1]

    async def until(self, is_so: Callable[[], bool]) -> None:
        await until(is_so, self._told, seconds=120)

    def _told(self) -> str:
        told = [*map(shown, self.slack.ephemerals), *self.slack.texts(HERE)]
        return f"{told} {self.slack.refusals}"


@asynccontextmanager
async def slack_team(folder: Path, **settings: str) -> AsyncIterator[Team]:
    """With the four settings of the guide, and what more is given."""
    async with fake_slack() as slack:
        known = {**slack.settings, "ATTUNE_ADMINS": f"slack:{ADMIN}"}
        slack.tiers.is_on = False
        async with program({**known, **settings}, folder):
            team = Team(slack)
            await team.until(lambda: len(slack.sockets) == 2)
            yield team
