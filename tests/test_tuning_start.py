"""From rows to a confirmed wish: what is priced is what is done, once."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain import LOCAL, ExampleId, ExampleState, NewExample, Origin, Phase, Role
from bot.errors import NotNow
from bot.events import ButtonClicked, CommandInvoked
from bot.keyed_order import KeyedOrder
from bot.request import Request
from bot.rows import Method
from bot.tuning.held_out_rows import CandidateRow, split_rows
from bot.tuning.start import confirm_training
from bot.words import Words
from tests.fakes.connected import CREATE, UPLOAD
from tests.scene import Scene


async def facts(scene: Scene) -> dict[str, str]:
    return {fact.label: fact.value for fact in (await scene.last_card()).facts}


def uploaded(scene: Scene, part: str) -> list[dict[str, Any]]:
    (file,) = [file for file in scene.host.files.values() if part in file.name]
    return [json.loads(line) for line in file.content.splitlines()]


async def test_the_estimate_says_what_is_known(scene: Scene) -> None:
    await scene.learn(12)

    await scene.command("start")

    told = await facts(scene)
    assert told["Examples"] == "12 to learn from"
    assert (told["Epochs"], told["Batch size"]) == ("auto", "auto")
    assert told["Base"] == "base"
    assert "Time: unknown until the first training there." in await scene.last()


async def test_the_estimate_repeats_what_was_asked_for(scene: Scene) -> None:
    await scene.learn(12)

    await scene.command("start epochs:4 batch_size:2 learning_rate:0.5 suffix:voice seed:7")

    told = await facts(scene)
    assert (told["Epochs"], told["Batch size"]) == ("4", "2")
    assert told["Learning rate multiplier"] == "0.5"


async def test_what_was_asked_for_reaches_the_host(scene: Scene) -> None:
    await scene.learn(12)
    await scene.confirm("epochs:4 batch_size:2 learning_rate:0.5 suffix:voice seed:7")
    await scene.settle()

    body = scene.host.last(CREATE).body

    chosen = {"n_epochs": 4, "batch_size": 2, "learning_rate_multiplier": 0.5}
    assert body["method"] == {"type": "supervised", "supervised": {"hyperparameters": chosen}}
    assert (body["suffix"], body["seed"]) == ("voice", 7)


async def test_time_is_told_by_the_trainings_before(scene: Scene) -> None:
    await scene.tuned()

    await scene.command("start")

    assert "Time: about" in await scene.last()


async def test_where_tokens_cost_the_estimate_says_what_auto_was_counted_as(scene: Scene) -> None:
    scene.configs = [scene.config("sandbox", prices={"base": 1000.0})]
    await scene.restart()
    await scene.learn(12)

    await scene.command("start")

    assert (await facts(scene))["Epochs"] == "auto (about 8)"
    tokens = int((await facts(scene))["Tokens"].split()[1])
    assert f"Price: ${tokens * 8 / 1000:.2f}." in await scene.last()


async def test_under_fifty_rows_nothing_is_held_back(scene: Scene) -> None:
    await scene.learn(49)
    await scene.confirm()
    await scene.settle()

    assert len(uploaded(scene, "training")) == 49
    assert len(scene.host.files) == 1


async def test_from_fifty_rows_a_fifth_is_held_back(scene: Scene) -> None:
    await scene.learn(50)
    await scene.confirm()
    await scene.settle()

    training, held = uploaded(scene, "training"), uploaded(scene, "validation")
    assert (len(training), len(held)) == (40, 10)
    assert not [row for row in held if row in training]
    assert scene.host.last(CREATE).body["validation_file"] in scene.host.files


async def test_the_share_held_back_may_be_chosen(scene: Scene) -> None:
    await scene.learn(20)

    for wanted, held in (("25%", 5), ("0.25", 5), ("25", 5), ("0", 0)):
        await scene.command(f"start validation:{wanted}")

        told = (await facts(scene))["Examples"]
        assert (f"{held} held back" in told) is (held > 0), wanted


async def test_rows_of_the_same_question_stay_on_one_side(scene: Scene) -> None:
    rows = [f"question {n % 10},answer {n}" for n in range(60)]
    path = scene.folder / "twins.csv"
    path.write_text("\n".join(["question,answer", *rows]))
    await scene.command(f"import {path} yes")
    await scene.confirm()
    await scene.settle()

    training, held = (
        {str(row["messages"][0]) for row in uploaded(scene, part)}
        for part in ("training", "validation")
    )

    assert held
    assert not training & held


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ("epochs:0", "from 1 to 50"),
        ("epochs:many", "must be a number"),
        ("epochs:2.5", "whole number"),
        ("epochs:nan", "must be a number"),
        ("batch_size:1000", "from 1 to 256"),
        ("learning_rate:0", "from 0.0001 to 100"),
        ("learning_rate:inf", "must be a number"),
        ("beta:3", "from 0.0001 to 2"),
        ("seed:-1", "from 0 to"),
        ("validation:60%", "at most half"),
        ("validation:-1", "at most half"),
        ("validation:some", "must be a number"),
        ("method:magic", "must be one of: supervised, dpo"),
        ("use:perhaps", "must be one of: if_better, yes, no"),
        ("host:nowhere", "no host “nowhere”"),
        ("base:latest", "no tuned model yet"),
        (f"suffix:{'x' * 65}", "at most 64"),
        ("speed:fast", "not an option"),
        ("now", "not an option"),
    ],
)
async def test_a_bad_option_is_named_and_nothing_is_written(
    scene: Scene, option: str, complaint: str
) -> None:
    await scene.learn(12)

    await scene.command(f"start {option}")

    assert complaint in await scene.last()
    assert (await scene.last_card()).title == "Imported rows.csv"


async def test_fewer_than_ten_rows_are_refused_with_their_number(scene: Scene) -> None:
    await scene.learn(9)

    await scene.command("start")

    assert "There are 9 approved examples" in await scene.last()


async def test_ten_rows_are_enough(scene: Scene) -> None:
    await scene.learn(10)

    await scene.command("start")

    assert "Confirm" in [button.label for button in (await scene.last_card()).buttons]


async def test_a_row_that_the_host_would_refuse_is_named(
    scene: Scene,
) -> None:
    await scene.learn(12)
    assistant = (await scene.examples())[0].assistant
    row = {"messages": [{"role": "user", "content": "unanswered"}]}
    kept = NewExample(assistant, Method.SUPERVISED, ExampleState.APPROVED, row, Origin.IMPORT)
    async with scene.store.writing() as records:
        await records.examples.add(LOCAL, kept, at=scene.clock.now())

    await scene.command("start")

    assert "Example 13 cannot be trained on" in await scene.last()


async def test_confirming_twice_starts_one_job(scene: Scene) -> None:
    await scene.learn(12)
    await scene.command("start")
    number = await scene.number_of("Train “attune”")
    again = ButtonClicked(f"job.confirm:{await scene.estimate()}", message=None)
    await scene.click("Confirm", on=number)

    await scene.handle(scene.event(again, key="late"))
    await scene.settle()

    assert len(await scene.said("decided already")) == 1
    assert scene.host.count(CREATE) == 1


async def test_two_who_confirm_at_the_same_time_start_one_job(scene: Scene) -> None:
    await scene.learn(12)
    await scene.command("start")
    click = ButtonClicked(f"job.confirm:{await scene.estimate()}", message=None)

    tasks = [
        await scene.app.handle(scene.event(click, key=f"click {n}", by="you")) for n in range(3)
    ]
    await scene.settle()

    assert len(tasks) == 3
    assert len(await scene.said("Training confirmed")) == 1
    assert scene.host.count(CREATE) == 1


async def test_a_start_that_is_declined_sends_nothing(scene: Scene) -> None:
    await scene.learn(12)
    await scene.command("start")

    await scene.click("Cancel")
    await scene.settle()

    assert await scene.last() == "Nothing was started."
    assert scene.host.sent == []
    assert await scene.jobs() == []


async def test_a_start_that_was_declined_cannot_be_confirmed(scene: Scene) -> None:
    await scene.learn(12)
    await scene.command("start")
    late = ButtonClicked(f"job.confirm:{await scene.estimate()}")
    await scene.click("Cancel")
    await scene.command("start")

    await scene.handle(scene.event(late, key="late"))
    await scene.settle()

    assert scene.host.sent == []
    assert "decided already" in await scene.last()


async def test_a_start_that_is_declined_or_ignored_changes_nothing(scene: Scene) -> None:
    await scene.learn(60)
    before = await scene.examples()
    await scene.command("start")
    await scene.click("Cancel")
    await scene.command("start validation:40%")
    await scene.command("start")
    await scene.click("Cancel")
    assert await scene.examples() == before

    await scene.confirm("validation:25%")
    await scene.settle()

    assert (await scene.job()).id == 1
    assert sum(example.held_out for example in await scene.examples()) == 15
    assert await scene.said("Training 1 succeeded")


async def test_the_money_of_now_decides_at_confirmation(scene: Scene) -> None:
    """The limit was lowered between the click and its work."""
    scene.configs[0] = scene.config("sandbox", prices={"base": 1_000_000.0})
    await scene.restart()
    await scene.learn(12)
    await scene.command("start")
    async with scene.database.writing() as records:
        old, assistant = (
            await records.workspaces.find(LOCAL),
            await records.assistants.default(LOCAL),
        )
        await records.workspaces.set_caps(
            LOCAL, person_cap=None, workspace_cap=None, training_cap=0.5
        )
    assert old is not None
    assert assistant is not None
    event = scene.event(ButtonClicked("job.confirm"), key="yes")
    ask = Request(event, old, Role.ADMIN, Words("en"), scene.clock.now(), assistant)

    with pytest.raises(NotNow):
        await confirm_training(
            replace(ask, argument=str(await scene.estimate())), scene.app.dispatch._deps
        )


async def test_declining_what_runs_does_not_claim_that_nothing_was_started(scene: Scene) -> None:
    await scene.learn(12)
    await scene.confirm()

    await scene.handle(scene.event(ButtonClicked("job.decline:1"), key="late"))

    assert await scene.said("Nothing was started") == []
    assert "decided already" in await scene.last()


async def test_preferences_are_trained_by_dpo(scene: Scene) -> None:
    path = scene.folder / "better.jsonl"
    rows = [
        {
            "input": {"messages": [{"role": "user", "content": f"question {n}"}]},
            "preferred_output": [{"role": "assistant", "content": "kind"}],
            "non_preferred_output": [{"role": "assistant", "content": "rude"}],
        }
        for n in range(12)
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    await scene.command(f"import {path} yes")
    await scene.confirm("method:dpo beta:0.2")
    await scene.settle()

    body = scene.host.last(CREATE).body

    assert body["method"] == {"type": "dpo", "dpo": {"hyperparameters": {"beta": 0.2}}}
    assert uploaded(scene, "training")[0]["preferred_output"] == rows[0]["preferred_output"]


async def test_preferences_and_answers_are_not_mixed(scene: Scene) -> None:
    await scene.learn(12)

    await scene.command("start method:dpo")

    assert "There are 0 approved examples" in await scene.last()


async def test_training_goes_on_from_the_latest_model(scene: Scene) -> None:
    first = await scene.tuned()
    await scene.confirm("base:latest")
    scene.host.bases.append(str(first.model))
    await scene.settle()

    assert scene.host.last(CREATE).body["model"] == first.model


async def test_another_host_may_be_chosen(scene: Scene) -> None:
    scene.configs.append(scene.config("elsewhere", bases=("other",)))
    await scene.restart()
    await scene.learn(12)

    await scene.command("start host:elsewhere")

    told = await facts(scene)
    assert (told["Host"], told["Base"]) == ("elsewhere", "other")


async def test_the_instructions_lead_every_row_that_is_sent(scene: Scene) -> None:
    await scene.command('assistant edit instructions:"Be brief."')
    await scene.learn(12)
    await scene.confirm()
    await scene.settle()

    for row in uploaded(scene, "training"):
        assert row["messages"][0] == {"role": "system", "content": "Be brief."}


async def test_a_start_that_runs_again_after_a_crash_makes_no_second_estimate(
    scene: Scene,
) -> None:
    await scene.learn(12)
    event = scene.event(CommandInvoked("start"), key="e1")
    await scene.handle(event)

    await scene.app.dispatch._run(event, KeyedOrder().enqueue(()))

    async with scene.database.reading() as records:
        job = await records.jobs.get(event.place.workspace, await scene.estimate())
    assert job.phase is Phase.ESTIMATED
    assert len(await scene.said("Train “attune”")) == 1


def candidate(number: int, group: str, *, was_held_out: bool = False) -> CandidateRow:
    return CandidateRow(ExampleId(number), 1, f"{number}", group, 10, was_held_out)


GROUPS = st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=60)
SHARES = st.floats(min_value=0.0, max_value=0.5)


@given(GROUPS, SHARES)
def test_no_group_is_ever_on_both_sides(groups: list[str], share: float) -> None:
    rows = [candidate(number, group) for number, group in enumerate(groups)]

    training, held = split_rows(rows, share=share)

    assert not {row.group for row in training} & {row.group for row in held}
    assert sorted(row.example for row in [*training, *held]) == list(range(len(rows)))
    assert len(held) <= round(len(rows) * share)


@given(GROUPS, st.lists(st.text(min_size=5, max_size=8), max_size=60), SHARES)
def test_a_row_once_held_out_stays_so_as_the_dataset_grows(
    groups: list[str], more: list[str], share: float
) -> None:
    rows = [candidate(number, group) for number, group in enumerate(groups)]
    before = {row.example for row in split_rows(rows, share=share)[1]}

    grown = [
        *(candidate(r.example, r.group, was_held_out=r.example in before) for r in rows),
        *(candidate(len(rows) + number, group) for number, group in enumerate(more)),
    ]
    after = {row.example for row in split_rows(grown, share=share)[1]}

    assert before <= after


@given(st.permutations([f"group {number}" for number in range(40)]))
def test_the_split_does_not_depend_on_the_order_of_rows(groups: list[str]) -> None:
    rows = [candidate(int(group.split()[1]), group) for group in groups]

    held = {row.example for row in split_rows(rows, share=0.2)[1]}

    standing = [candidate(number, f"group {number}") for number in range(40)]
    assert held == {row.example for row in split_rows(standing, share=0.2)[1]}
    assert len(held) == 8


async def test_what_was_held_back_once_is_held_back_again(scene: Scene) -> None:
    await scene.learn(50)
    await scene.confirm()
    await scene.settle()
    first = [row["messages"] for row in uploaded(scene, "validation")]
    scene.host.files.clear()
    await scene.learn(80, origin="more.csv")

    await scene.confirm()
    await scene.settle()

    second = [row["messages"] for row in uploaded(scene, "validation")]
    assert all(row in second for row in first)
    assert scene.host.count(UPLOAD) == 4
