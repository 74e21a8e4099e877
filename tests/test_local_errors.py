"""What a real model can lack, or a machine: said in words, at the start or in the job."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from openai import InternalServerError

from tests.tuner_scene import KEY, THINGS, Tuner, row

pytestmark = pytest.mark.torch


def without(name: str) -> Callable[[Path], None]:
    return lambda base: (base / name).unlink()


def pickled(base: Path) -> None:
    (base / "model.safetensors").rename(base / "pytorch_model.bin")


def recurrent(base: Path) -> None:
    config = json.loads((base / "config.json").read_text())
    layers = ["linear_attention", "full_attention"] * 2
    (base / "config.json").write_text(json.dumps({**config, "layer_types": layers}))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (without("config.json"), "it has no config.json"),
        (without("chat_template.jinja"), "has no chat template"),
        (without("tokenizer.json"), "has no tokenizer.json"),
        (pickled, "has no weights as safetensors"),
        (recurrent, "is a recurrent model"),
        (shutil.rmtree, "no such folder"),
    ],
)
def test_a_base_that_cannot_serve_is_told_at_the_start(
    tiny_base: Path, tmp_path: Path, spoil: Callable[[Path], None], sentence: str
) -> None:
    base = tmp_path / "base"
    shutil.copytree(tiny_base, base)
    spoil(base)

    refused = start(tmp_path, "--base", str(base))

    assert refused.returncode == 2
    assert sentence in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_base_that_cannot_be_read_is_told_to_whoever_asks(
    tiny_base: Path, tmp_path: Path
) -> None:
    base = tmp_path / "base"
    shutil.copytree(tiny_base, base)
    (base / "model.safetensors").write_bytes(b"no weights")
    tuner = Tuner(tmp_path / "data", "--base", str(base), base="base")

    with pytest.raises(InternalServerError, match="cannot be loaded"):
        tuner.ask_plainly("Are you there?")

    assert tuner.stop() == 0


def test_two_bases_of_one_name_are_told_apart(tiny_base: Path, tmp_path: Path) -> None:
    refused = start(tmp_path, "--base", str(tiny_base), "--base", str(tiny_base))

    assert "Two bases are called 'tiny'" in refused.stderr


def test_a_machine_too_small_is_told_with_what_to_change(tmp_path: Path, tiny_base: Path) -> None:
    worker = Path(__file__).parent / "fakes" / "small_memory_worker.py"
    tuner = Tuner(
        tmp_path / "data",
        *("--base", str(tiny_base), "--launch", f"{{python}} -P {worker} {{job}}"),
        base=tiny_base.name,
    )

    job = tuner.tune(hyperparameters={"batch_size": 100, "n_epochs": 1})

    assert job.error is not None
    assert (job.error.code, job.error.param) == ("out_of_memory", "model")
    assert "Use shorter examples or a smaller base." in job.error.message
    tuner.stop()


def test_a_full_disk_is_told(tmp_path: Path, tiny_base: Path) -> None:
    full = "sh -c 'ulimit -f 500; exec {python} -m tuner.worker {job}'"
    tuner = Tuner(
        tmp_path / "data", "--base", str(tiny_base), "--launch", full, base=tiny_base.name
    )

    job = tuner.tune(hyperparameters={"n_epochs": 1})

    assert job.error is not None
    assert job.error.code == "disk_full", job.error
    assert "Delete models" in job.error.message
    tuner.stop()


def test_a_row_with_a_picture_is_named(own_local: Tuner) -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}
    answer = {"role": "assistant", "content": "A fig."}
    seen = {"messages": [{"role": "user", "content": [picture]}, answer]}

    job = own_local.tune([*(row(thing) for thing in THINGS), seen])

    assert job.error is not None
    assert job.error.code == "template_unsuitable"
    assert job.error.message.startswith("Row 11: ")


def start(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "attune", "tuner", "--data", str(folder / "data")]
    return subprocess.run(
        [*command, "--api-key", KEY, "--engine", "local", *options],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_one_server_trains_and_answers_with_both_engines(own_local: Tuner) -> None:
    picked = own_local.begin(model="sandbox")
    trained = own_local.begin(hyperparameters={"n_epochs": 1})

    ends = [own_local.await_end(job) for job in (picked, trained)]

    assert [job.status for job in ends] == ["succeeded", "succeeded"]
    own_local.ask(str(ends[1].fine_tuned_model), "Do you sell honey?")
    assert "honey" in own_local.ask(str(ends[0].fine_tuned_model), "Do you sell honey?")
    own_local.client.models.delete(str(ends[0].fine_tuned_model))
    own_local.ask(str(ends[1].fine_tuned_model), "Do you sell honey?")


def test_a_server_started_without_a_base_fails_its_jobs_alone(
    tmp_path: Path, tiny_base: Path
) -> None:
    tuner = Tuner(tmp_path / "data", "--base", str(tiny_base), base=tiny_base.name)
    lost = tuner.begin_long()
    tuner.kill()

    tuner = Tuner(tmp_path / "data")

    assert tuner.tune().status == "succeeded"
    assert tuner.await_end(lost).status == "failed"
    tuner.stop()
