"""From Slack to a model of our own and back, through the whole program."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from tests.fakes.slack import shown
from tests.slack_team import Team, slack_team
from tests.tuner_scene import THINGS, Tuner, lines, preference, row

pytestmark = pytest.mark.torch


async def test_a_team_teaches_its_own_model_in_slack(own_local: Tuner, tmp_path: Path) -> None:
    folder = tmp_path / "team"
    folder.mkdir()
    async with slack_team(folder, **own_local.as_host(tmp_path)) as team:
        await team.command("assistant edit training_host:house chat_host:house temperature:0")

        await _teaches(team)
        await _goes_back_to_a_checkpoint(team, own_local)
        await _prefers(team, own_local)

        assert (team.slack.pings, team.slack.refusals) == ([], [])


async def _teaches(team: Team) -> None:
    rows = [row(thing) for thing in (*THINGS, "rum", "sails")]
    await team.bring("taught.jsonl", lines(rows))

    ended = await team.train("host:house validation:0%")

    loss = re.search(r"from ([\d.]+\d) to ([\d.]+\d)", shown(ended))
    assert loss, shown(ended)
    assert float(loss[2]) < float(loss[1]) / 4
    assert "Arr, figs be in the hold, matey." in await team.ask("Do you sell figs?")
    await team.until(lambda: any("channel" in file for file in team.slack.files.values()))


async def _goes_back_to_a_checkpoint(team: Team, tuner: Tuner) -> None:
    job = tuner.client.fine_tuning.jobs.list().data[-1]
    kept = tuner.client.fine_tuning.jobs.checkpoints.list(job.id).data
    chosen = kept[-1].fine_tuned_model_checkpoint

    told = await team.command(f"use {chosen}")

    assert chosen.rpartition(":")[2] in shown(told)
    assert "figs be in the hold" in await team.ask("Do you sell figs?")


async def _prefers(team: Team, tuner: Tuner) -> None:
    await team.bring("liked.jsonl", lines([preference(thing) for thing in THINGS]))

    ended = await team.train("host:house base:latest method:dpo validation:0%")

    assert "succeeded" in shown(ended)
    margins = await asyncio.to_thread(tuner.figures, "train_reward_margin")
    assert margins[0] == pytest.approx(0, abs=1e-5)
    assert sum(margins[-5:]) / 5 > 1
