"""The table of a training's states: what it must have, and that nothing is written beside it."""

from __future__ import annotations

from itertools import product

import pytest

from bot.domain import LOCAL, OPEN_PHASES, Job, Phase, RequestedAction
from bot.events import ButtonClicked
from bot.tuning.retries import RetryLimits
from bot.tuning.state_machine import ACTION_RULES, TRANSITIONS, JobWriter
from tests.scene import Scene
from tests.written_training_states import diagram


async def in_phase(scene: Scene, phase: Phase) -> Job:
    """The job, put into a phase without a move."""
    async with scene.database.writing() as records:
        await records.jobs.update_if(
            LOCAL, (await scene.job()).id, phase=phase, requested_action=None
        )
    return await scene.job()


def test_every_state_is_reached_and_every_state_that_is_not_over_is_left() -> None:
    left = {source for move in TRANSITIONS for source in move.sources}

    assert {move.target for move in TRANSITIONS} == set(Phase) - {Phase.ESTIMATED}
    assert left == {phase for phase in Phase if not phase.is_over}


def test_every_open_state_leads_to_an_end_without_a_person() -> None:
    by_itself = {
        source for move in TRANSITIONS if move.actor != "trainer" for source in move.sources
    }

    assert by_itself == set(OPEN_PHASES)


def test_the_drawing_has_every_move() -> None:
    drawn = "\n".join(diagram())

    for move in TRANSITIONS:
        assert f"--> {move.target}: {move.reason} ({move.actor})" in drawn


def test_every_action_has_a_rule_whose_states_exist() -> None:
    assert set(ACTION_RULES) == set(RequestedAction)
    assert all(rule.phases for rule in ACTION_RULES.values())


async def test_no_move_is_written_that_the_table_does_not_have(scene: Scene) -> None:
    await scene.learn(12)
    await scene.confirm()
    record = JobWriter(store=scene.database, clock=scene.clock, limits=RetryLimits())
    moved = set()

    for source, target in product(Phase, Phase):
        job = await in_phase(scene, source)
        if target.is_over:
            await record.end_job(job, target)
        else:
            await record.update_job(job, {"phase": target})
        if (await scene.job()).phase is target and source is not target:
            moved.add((source, target))

    assert moved == {(source, move.target) for move in TRANSITIONS for source in move.sources}


@pytest.mark.parametrize("action", [RequestedAction.CANCEL, RequestedAction.PAUSE])
async def test_an_action_is_requested_only_in_the_states_of_its_rule(
    scene: Scene, action: RequestedAction
) -> None:
    await scene.learn(12)
    await scene.confirm()
    requested = set()

    for phase in Phase:
        job = await in_phase(scene, phase)
        await scene.app.handle_for_page(
            scene.event(ButtonClicked(f"job.{action}:{job.id}"), key=f"{phase}")
        )
        if (await scene.job()).requested_action is action:
            requested.add(phase)

    assert requested == set(ACTION_RULES[action].phases)
