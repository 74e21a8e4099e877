"""Training on a local base, compared with a plain script with Transformers, PEFT and TRL.

Needs the extra `local`. Both do the same work in this process, from rows to a saved adapter,
five times in turn. CPU time is compared, since other load affects wall-clock time.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.figures import Figure, interleaved, told
from bench.sandbox_quality import products, rows
from tuner.job_folder import JobFolder
from tuner.job_spec import JobSpec
from tuner.training_interface import StopSignal

PAIRS = 5
ROWS = 48
EPOCHS = 3
BATCH = 4
MIN_SPEED_RATIO = 0.95

_HYPERPARAMETERS = {"n_epochs": EPOCHS, "batch_size": BATCH, "learning_rate_multiplier": 1.0}


def measure() -> Iterable[Figure]:
    from tuner.local.tiny_base import make_base

    with TemporaryDirectory() as name:
        folder = Path(name)
        if base_path := os.environ.get("BENCH_BASE"):
            base = Path(base_path)
        else:
            base = folder / "tiny"
            make_base(base, tell=lambda *_: None)
        lessons = rows(products().lessons[:ROWS])
        file = folder / "rows.jsonl"
        file.write_text("\n".join(json.dumps(row) for row in lessons), "utf-8")
        trainings = [
            partial(_train_with_trl, base, lessons, folder),
            partial(_train_with_tuner, base, file, folder),
        ]
        for training in trainings:
            training()  # warm-up: loading and compiling are not measured
        plain, ours = interleaved(*trainings, rounds=PAIRS)
    steps = EPOCHS * -(-ROWS // BATCH)
    yield told(f"{steps} steps by a plain script", f"{plain:.2f} s of processor")
    yield Figure(
        "training throughput beside it",
        f"{plain / ours:.2f}x",
        f"≥ {MIN_SPEED_RATIO:.2f}x",
        plain / ours >= MIN_SPEED_RATIO,
    )


def _train_with_tuner(base: Path, file: Path, folder: Path) -> None:
    from tuner.local.training_run import run_training

    with TemporaryDirectory(dir=folder) as name:
        spec = JobSpec("local", str(base), "supervised", str(file), None, None, _HYPERPARAMETERS, 1)
        run_training(JobFolder(Path(name)), spec, Never(Path(name) / "stop"))


class Never(StopSignal):
    """A stop signal that is never set; signals are left to the benchmark."""

    def watch(self) -> None:
        threading.Event()


def _train_with_trl(base: Path, lessons: Sequence[dict[str, object]], folder: Path) -> None:
    """Trains as a plain script would."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback
    from trl import SFTConfig, SFTTrainer

    pairs = [_prompt_and_completion(row) for row in lessons]
    with TemporaryDirectory(dir=folder) as name:
        trainer = SFTTrainer(
            model=AutoModelForCausalLM.from_pretrained(base),
            processing_class=AutoTokenizer.from_pretrained(base),
            train_dataset=Dataset.from_list(pairs),
            peft_config=LoraConfig(
                r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"
            ),
            args=SFTConfig(
                output_dir=name,
                num_train_epochs=EPOCHS,
                per_device_train_batch_size=BATCH,
                learning_rate=2e-4,
                logging_steps=1,
                save_strategy="epoch",
                report_to="none",
                disable_tqdm=True,
                bf16=False,
                use_cpu=True,
                gradient_checkpointing=False,
                seed=1,
            ),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        trainer.save_model()


def _prompt_and_completion(row: dict[str, object]) -> dict[str, object]:
    messages = row["messages"]
    assert isinstance(messages, list)
    return {"prompt": messages[:-1], "completion": messages[-1:]}
