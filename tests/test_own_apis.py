"""Together and Fireworks, which train by APIs of their own: what no other host has."""

from __future__ import annotations

from typing import Any

import pytest

from bot.domain import Phase
from bot.events import ButtonClicked
from tests.fakes.connected import CREATE
from tests.fakes.faults import answers, cut_after
from tests.scene import Scene
from tests.test_profiles import at
from tests.test_tuning_hosted import DAY, button, days

BOTH = pytest.mark.parametrize("kind", ["together", "fireworks"])
ESTIMATE = "POST /fine-tunes/estimate-price"


async def trained(scene: Scene, kind: str, options: str = "use:no", **more: Any) -> None:
    await at(scene, kind, **more)
    scene.host.life = ("queued", "running", "running", "succeeded")
    await scene.confirm(options)
    await scene.settle()
    assert (await scene.job()).phase is Phase.SUCCEEDED, (await scene.job()).error_message


@BOTH
async def test_a_model_is_served_at_a_price_until_somebody_stops_it(
    scene: Scene, kind: str
) -> None:
    await trained(scene, kind)
    price = {"together": "$3.99", "fireworks": "$7.00"}[kind]
    (told,) = await scene.said("is served at")
    assert f"{price} for every hour" in told

    await scene.command("hosted")
    (line,) = [
        one for one in (await scene.last_listing()).lines if "deployment" in (one.note or "")
    ]
    assert f"{price} an hour" in line.note
    await days(scene, 8)
    assert len(await scene.said("Nobody is answered by it now")) == 2
    await button(scene, line.text, "Stop serving")
    assert scene.host.deployments == []

    await scene.command("use latest")
    assert "is being made ready" in await scene.last()
    await scene.command("use latest")
    await scene.say("@attune hi")
    assert await scene.last() == "Hello from the model"
    (deployed,) = scene.host.deployments
    await scene.command("rollback")
    model = (await scene.job()).model
    await scene.handle(scene.event(ButtonClicked(f"model.delete:{model}"[:90]), key="e"))
    await scene.click("Delete")
    scene.advance(DAY)
    await scene.settle()
    assert deployed not in scene.host.deployments
    assert scene.host.tuned == []


@BOTH
async def test_preferences_and_settings_are_asked_for_in_its_own_words(
    scene: Scene, kind: str
) -> None:
    await at(scene, kind)
    rows = scene.folder / "pairs.jsonl"
    pair = (
        '{"input": {"messages": [{"role": "user", "content": "q%d"}]},'
        ' "preferred_output": [{"role": "assistant", "content": "a"}],'
        ' "non_preferred_output": [{"role": "assistant", "content": "b"}]}'
    )
    rows.write_text("\n".join(pair % number for number in range(12)))
    await scene.command(f"import {rows} yes")

    await scene.confirm("method:dpo epochs:2 batch_size:8 beta:0.2 suffix:voice")
    await scene.settle()

    job = await scene.job()
    assert job.phase is Phase.SUCCEEDED, job.error_message
    body = str(scene.host.last(CREATE).body)
    own = {
        "together": ("'n_epochs': 2", "'batch_size': 8", "'dpo_beta': 0.2"),
        "fireworks": ("'epochs': 2", "'batchSizeSamples': 8", "'beta': 0.2"),
    }
    assert [field for field in own[kind] if field not in body] == []
    assert "voice" in body


async def test_losses_and_steps_are_those_of_its_table(scene: Scene) -> None:
    await trained(scene, "together", "epochs:2")

    await scene.command("status")

    card = await scene.last_card()
    assert card.chart is not None
    assert card.chart.series[0].points == [(1.0, 2.0), (2.0, 1.0)]
    assert (await scene.job()).trained_tokens == 1000


@pytest.mark.parametrize(
    ("change", "because"),
    [
        ({"dollars": 9.0}, "asks for $9.00, and $0.00 was confirmed"),
        ({"has_credit": False}, "the account has not so much"),
        ({"file_error": "Line 3 has no messages."}, "Line 3 has no messages."),
    ],
)
async def test_what_it_says_of_price_credit_and_file_is_heard_before_it_trains(
    scene: Scene, change: dict[str, Any], because: str
) -> None:
    await at(scene, "together", prices={"base": 1.0})
    for name, value in change.items():
        setattr(scene.host.together, name, value)
    await scene.confirm()
    await scene.settle()

    assert because in (await scene.said("Training 1 failed"))[0]
    assert scene.host.jobs == {}
    assert scene.host.files == {}


@BOTH
async def test_an_upload_that_broke_off_is_begun_again_and_leaves_nothing(
    scene: Scene, kind: str
) -> None:
    await at(scene, kind)
    scene.host.fail("POST /files", cut_after(), cut_after())
    scene.host.fail(CREATE, cut_after())
    await scene.confirm("use:no")
    await scene.settle()

    assert [bool(file.content) for file in scene.host.files.values()] == [True]
    assert len(scene.host.jobs) == 1


async def test_an_estimate_that_is_not_to_be_had_is_no_reason_not_to_train(scene: Scene) -> None:
    scene.host.fail_always(ESTIMATE, answers(404, "Not found"))
    await trained(scene, "together")
    assert scene.host.count(ESTIMATE)


@pytest.mark.parametrize(("names", "is_well"), [(["accounts/team"], True), (["a", "b"], False)])
async def test_a_key_of_several_accounts_must_say_which(
    scene: Scene, names: list[str], is_well: bool
) -> None:
    scene.host.fireworks.accounts = names
    await at(scene, "fireworks")
    await scene.confirm("use:no")
    await scene.settle()

    assert (await scene.job()).phase is (Phase.SUCCEEDED if is_well else Phase.FAILED)
    if not is_well:
        assert "opens 2 accounts" in await scene.last()
