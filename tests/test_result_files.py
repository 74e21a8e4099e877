"""The table that a job leaves behind: read by its header, drawn, and handed on as it is."""

from __future__ import annotations

from base64 import b64encode, encodebytes
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.openai.result_file import read_step_metrics, unwrap_base64
from bot.domain import StepMetrics
from tests.fakes.faults import Fault, answers
from tests.scene import Scene

CONTENT = "GET /files/{id}/content"
OPENAI = b"step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy\n"
AZURE = (
    b"step,train_loss,train_mean_token_accuracy,valid_loss,validation_mean_token_accuracy,"
    b"full_valid_loss,full_valid_mean_token_accuracy\n"
)
TABLE = OPENAI + b"1,1.5,0.25,,\n2,0.5,0.75,0.9,0.5\n"
READ = [
    StepMetrics(1, {"train_loss": 1.5, "train_mean_token_accuracy": 0.25}),
    StepMetrics(
        2,
        {
            "train_loss": 0.5,
            "train_mean_token_accuracy": 0.75,
            "valid_loss": 0.9,
            "valid_mean_token_accuracy": 0.5,
        },
    ),
]


def test_empty_cells_are_left_out() -> None:
    assert read_step_metrics(TABLE) == READ


@pytest.mark.parametrize("wrap", [b64encode, encodebytes])
def test_base64_is_unwrapped(wrap: Callable[[bytes], bytes]) -> None:
    assert unwrap_base64(wrap(TABLE)) == TABLE


def test_a_table_is_not_taken_for_base64() -> None:
    assert unwrap_base64(TABLE) == TABLE


@pytest.mark.parametrize("odd", [b"", b"hello", b"\xff\xfe\x00", b"c3RlcA=", b"<html></html>"])
def test_what_is_no_table_stays_as_it_is_and_measures_nothing(odd: bytes) -> None:
    assert unwrap_base64(odd) == odd
    assert read_step_metrics(odd) == ()


def test_the_columns_of_other_hosts_get_the_names_of_events() -> None:
    (one,) = read_step_metrics(AZURE + b"7,0.1,0.2,0.3,0.4,0.5,0.6\n")

    assert one.step == 7
    assert list(one.values) == [
        "train_loss",
        "train_mean_token_accuracy",
        "valid_loss",
        "valid_mean_token_accuracy",
        "full_valid_loss",
        "full_valid_mean_token_accuracy",
    ]


def test_columns_may_stand_in_any_order_with_a_byte_order_mark_and_other_line_ends() -> None:
    table = "\ufeffTrain_Loss,Step\r\n0.5,3\r\nnan,4\r\n,5\r\nx,6\r\n0.25,2\r\n".encode()

    assert read_step_metrics(table) == [
        StepMetrics(2, {"train_loss": 0.25}),
        StepMetrics(3, {"train_loss": 0.5}),
    ]


def test_lines_of_wrong_length_lose_only_what_they_lack() -> None:
    table = OPENAI + b"1,0.5\n2,0.4,0.1,0.2,0.3,9,9\nnot a step,1\n"

    assert [(one.step, one.values["train_loss"]) for one in read_step_metrics(table)] == [
        (1, 0.5),
        (2, 0.4),
    ]


async def test_the_charts_are_drawn_from_the_hosts_table(scene: Scene) -> None:
    scene.host.results = b64encode(TABLE)
    await scene.tuned()

    ended = await scene.last_card()
    assert ended.chart is not None
    assert [series.name for series in ended.chart.series] == ["training", "checking"]
    assert ended.chart.series[0].points == [(1.0, 1.5), (2.0, 0.5)]
    await scene.click("Accuracy")

    drawn = (await scene.last_card()).chart
    assert drawn is not None
    assert drawn.series[0].points == [(1.0, 0.25), (2.0, 0.75)]
    assert drawn.summary == "Tokens guessed right: from 25% to 75%."


async def test_the_hosts_own_table_can_be_had_in_chat(scene: Scene) -> None:
    scene.host.results = TABLE
    await scene.tuned()
    await scene.command("status")

    await scene.click("Result file")

    (sent,) = Path(scene.folder / "exports").glob("*results.csv")
    assert sent.read_bytes() == TABLE
    assert "as the host “sandbox” made it" in await scene.last()


async def test_a_table_that_is_gone_is_told_in_words(scene: Scene) -> None:
    scene.host.results = TABLE
    await scene.tuned()
    scene.host.files.clear()

    await scene.click("Result file")

    assert "does not know this, or not any more" in await scene.last()


@pytest.mark.parametrize("fault", [answers(404), answers(403), answers(500)])
async def test_a_table_that_cannot_be_read_is_no_reason_to_lose_the_model(
    scene: Scene, fault: Fault
) -> None:
    scene.host.results = TABLE
    scene.host.fail_always(CONTENT, fault)
    await scene.tuned()

    assert len(await scene.said("Training 1 succeeded")) == 1


async def test_without_a_table_there_is_nothing_to_fetch(scene: Scene) -> None:
    await scene.tuned()

    assert [button.label for button in (await scene.last_card()).buttons] == ["Roll back"]
