"""Memory is estimated before a training starts, said, waited for, and shared with the answers."""

from __future__ import annotations

import asyncio
import json
import os
import struct
from pathlib import Path
from types import SimpleNamespace

import pytest

from attune.engine.background_installation import EngineManager
from attune.engine.engine_folder import EngineFolder
from attune.settings import Settings
from bench.local_training import Never
from bot.domain import HostName, Hyperparameters, ModelName
from tests.tuner_scene import THINGS, lines, row
from tuner.base_models import find_bases
from tuner.errors import CannotStart
from tuner.job_folder import JobFolder, read_json
from tuner.job_spec import JobSpec
from tuner.local import training_memory
from tuner.local.hyperparameters import resolve_hyperparameters
from tuner.training_interface import JobRejected, StopSignal

GB = 1 << 30


def base_of(folder: Path, *, layers: int = 30, hidden: int = 576, inner: int = 1536) -> Path:
    """The numbers of a base, and a safetensors file that has a head alone."""
    config = {"num_hidden_layers": layers, "hidden_size": hidden, "intermediate_size": inner}
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(
        json.dumps({**config, "vocab_size": 49_152, "dtype": "bfloat16"})
    )
    weights = layers * (4 * hidden * hidden + 3 * hidden * inner) + 49_152 * hidden
    head = json.dumps({"all": {"shape": [weights, 1], "dtype": "BF16"}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(head)) + head)
    return folder


def needed(base: Path, *, tokens: int = 64, is_dpo: bool = False, **asked: object) -> float:
    numbers = resolve_hyperparameters({"batch_size": 8, **asked}, rows=72, is_full=None)
    return (
        training_memory.estimate_training_memory(base, numbers, tokens=tokens, is_dpo=is_dpo) / GB
    )


def test_the_estimate_grows_with_what_takes_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The smallest is a training that was measured at 1.8 to 1.9 GB (docs/look-up/measured.md)."""
    monkeypatch.setattr(training_memory, "has_fast_bf16_on_cpu", lambda: True)
    monkeypatch.setattr(training_memory, "visible_gpu", lambda: None)
    small = base_of(tmp_path / "small")
    large = base_of(tmp_path / "large", layers=28, hidden=3584, inner=18_944)

    least = needed(small)

    assert 1.4 < least < 2.2
    assert needed(small, batch_size=32) == least
    assert needed(small, is_dpo=True) > least + 0.2
    assert needed(small, lora_r=256) > least + 0.5
    assert needed(small, lora=False) > least + 1.5
    assert needed(small, tokens=1_000) < needed(small, tokens=250) + 1.5
    assert 14 < needed(large) < 24
    assert needed(large, lora=False) > 100
    monkeypatch.setattr(training_memory, "visible_gpu", lambda: "0")
    assert needed(small, tokens=256) > needed(small) + 1
    assert needed(small, batch_size=32) > needed(small) + 1


@pytest.mark.parametrize(
    ("size", "free", "sentence", "notes"),
    [
        (16, [8.0], "", 0),
        (4, [4.0], "about 5.0 GB are needed, and 4.0 GB can be had. Use shorter examples or a", 0),
        (16, [2.0, 3.0, 5.5], "", 1),
        (16, [2.0] * 9, "about 5.0 GB are needed, and 2.0 GB can be had", 1),
        (None, [None], "", 0),
    ],
)
def test_a_training_waits_for_memory_and_gives_up_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
    size: float | None,
    free: list[float | None],
    sentence: str,
    notes: int,
) -> None:
    readings = iter([None if one is None else int(one * GB) for one in free])
    clock = iter(range(0, 900, 20))
    monkeypatch.setattr(training_memory, "memory_size", lambda: size and int(size * GB))
    monkeypatch.setattr(training_memory, "free_memory", lambda: next(readings))
    monkeypatch.setattr(training_memory, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    numbers, told = resolve_hyperparameters({"batch_size": 8}, rows=72, is_full=None), list[str]()

    try:
        training_memory.wait_for_memory(5 * GB, numbers, lambda: None, told.append)
        said = ""
    except JobRejected as rejected:
        said = str(rejected)

    assert (sentence in said) if sentence else not said
    assert len(told) == notes


@pytest.mark.parametrize(
    ("gpu", "asked", "advice"),
    [
        (
            None,
            {"batch_size": 8},
            "The memory is too small. Use shorter examples or a smaller base.",
        ),
        ("0", {"batch_size": 8}, "The memory is too small for batch_size 8. Try batch_size 4."),
        (
            "0",
            {"batch_size": 1},
            "batch_size is 1 already: use shorter examples or a smaller base.",
        ),
        (None, {"lora": False}, "Train an adapter: leave out 'lora'."),
    ],
)
def test_a_training_too_large_is_told_what_really_saves_memory(
    monkeypatch: pytest.MonkeyPatch, gpu: str | None, asked: dict[str, object], advice: str
) -> None:
    monkeypatch.setattr(training_memory, "visible_gpu", lambda: gpu)

    error = training_memory.too_large_error(resolve_hyperparameters(asked, rows=72, is_full=None))

    assert advice in str(error)


async def test_the_estimate_card_knows_the_memory_of_installed_models_alone(tmp_path: Path) -> None:
    base_of(EngineFolder(tmp_path).model("small"))
    async with asyncio.TaskGroup() as group:
        manager = EngineManager(
            Settings.model_validate({"ATTUNE_DATA_DIR": str(tmp_path)}), group, lambda: None
        )

        async def estimated(host: str, model: str) -> int | None:
            settings = Hyperparameters(batch_size=8)
            found = await manager.training_memory(
                *(HostName(host), ModelName(model), settings),
                rows=72,
                longest=64,
                is_preference=False,
            )
            return None if found is None else found.needed

        own = await estimated("local", "ft:small:attune:shop:1a2b3c4d")
        assert own
        assert own == await estimated("local", "small")
        assert await estimated("local", "gpt-4.1-mini") is None
        assert await estimated("elsewhere", "small") is None


@pytest.mark.torch
def test_what_was_estimated_while_checking_is_asked_for_before_a_model_is_loaded(
    tmp_path: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tuner.local.training_run import run_training
    from tuner.worker import check_job_files

    (tmp_path / "job").mkdir()
    folder, rows = JobFolder(tmp_path / "job"), tmp_path / "rows.jsonl"
    rows.write_bytes(lines([row(thing) for thing in THINGS]))
    spec = JobSpec("local", str(tiny_base), "supervised", str(rows), None, None, {}, 1)
    stop = StopSignal(folder.stop)
    monkeypatch.setattr(training_memory, "memory_size", lambda: 10)

    check_job_files(folder, spec, stop)

    assert int(str((read_json(folder.checked) or {})["memory"])) > 100 << 20
    with pytest.raises(JobRejected, match="memory is too small"):
        run_training(folder, spec, stop)


@pytest.mark.torch
@pytest.mark.parametrize(("free", "kept"), [(4, {"busy"}), (6, {"busy", "idle"})])
def test_idle_models_make_room_for_a_training_and_busy_ones_stay(
    monkeypatch: pytest.MonkeyPatch, free: int, kept: set[str]
) -> None:
    from tuner.local.engine import LocalEngine

    monkeypatch.setattr(training_memory, "free_memory", lambda: free)
    engine = LocalEngine({}, max_queued_answers=1)
    for name in ("busy", "idle"):
        batch = SimpleNamespace(is_idle=name == "idle")
        engine._models[Path(name)] = SimpleNamespace(batch=batch)  # type: ignore[assignment]

    engine.make_room(5)
    engine._run_queued_work(is_idle=True)

    assert {path.name for path in engine._models} == kept


@pytest.mark.torch
@pytest.mark.parametrize(
    ("has_library", "sentence"), [(False, "pip install bitsandbytes"), (True, "needs a CUDA card")]
)
def test_a_base_in_4_bits_is_refused_where_it_cannot_be_computed(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch, has_library: bool, sentence: str
) -> None:
    import torch

    from tuner.local import model_loading

    monkeypatch.setattr(model_loading, "find_spec", lambda _: has_library or None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    bases = find_bases([f"quarter={tiny_base},quantization=4bit"])

    assert bases["quarter"].quantization == "4bit"
    with pytest.raises(CannotStart, match=sentence):
        model_loading.require_4bit_support(bases.values())
    for wrong in (
        [f"{tiny_base},quantization=3bit"],
        [f"a={tiny_base},quantization=4bit", str(tiny_base)],
    ):
        with pytest.raises(CannotStart, match=r"in 4 bits; give it|is not known here"):
            find_bases(wrong)


@pytest.mark.torch
def test_a_training_keeps_few_kernels_and_gives_free_memory_back_now_and_then(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tuner.local import training_callback
    from tuner.worker import training_function

    returned, rows = [], tmp_path / "rows.jsonl"
    rows.write_bytes(lines([row(thing) for thing in THINGS]))
    monkeypatch.setattr(training_callback, "return_free_heap", lambda: returned.append(1))
    monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", raising=False)
    (tmp_path / "job").mkdir()
    folder, numbers = JobFolder(tmp_path / "job"), {"n_epochs": 2, "batch_size": 1}
    spec = JobSpec("local", str(tiny_base), "supervised", str(rows), None, None, numbers, 1)

    training_function("local")(folder, spec, Never(folder.stop))

    assert len(returned) == 2 * len(THINGS) // 8
    assert os.environ.pop("ONEDNN_PRIMITIVE_CACHE_CAPACITY") == "64"
    training_memory.return_free_heap()  # whatever the C library is
