"""Trainer callback that reports steps, saves checkpoints and states, and stops on request."""

import json
import os
import time
from pathlib import Path
from statistics import fmean
from typing import IO, TYPE_CHECKING

import torch
from transformers import (
    PreTrainedTokenizerBase,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from tuner.job_folder import KEPT_CHECKPOINTS, JobFolder, write_atomically
from tuner.job_spec import JobSpec
from tuner.local.hyperparameters import Hyperparameters
from tuner.local.model_loading import hidden_size
from tuner.local.model_saving import fsync_tree, save_model
from tuner.local.training_memory import return_free_heap
from tuner.local.training_schedule import TrainingSchedule
from tuner.local.weight_average import MIN_RECALLED_SHARE, WeightAverage
from tuner.local.weighted_trainer import WeightedSFTTrainer
from tuner.training_interface import StopSignal, refuse_divergence, write_event

if TYPE_CHECKING:
    from tuner.local.preference_trainer import PreferenceTrainer

PAUSE_PER_STATE_SECOND = 50
PAUSE_PER_CHECKPOINT_SECOND = 20
MIN_SECONDS_BETWEEN_SAVES = 2.0
STEPS_BETWEEN_HEAP_TRIMS = 8


class TrainingCallback(TrainerCallback):
    """Reports a training. Several processes agree on stops and saves; only the first one writes."""

    def __init__(
        self,
        folder: JobFolder,
        events: IO[bytes] | None,
        stop: StopSignal,
        trainer: "WeightedSFTTrainer | PreferenceTrainer",
        numbers: Hyperparameters,
        spec: JobSpec,
        tokenizer: PreTrainedTokenizerBase,
        schedule: TrainingSchedule,
    ) -> None:
        self._schedule = schedule
        self._folder, self._events, self._stop = folder, events, stop
        self._trainer, self._numbers, self._spec = trainer, numbers, spec
        self._tokenizer = tokenizer
        self._average = WeightAverage(trainer.model)
        self.is_left = False
        self._began = time.monotonic()
        self._checkpoint_seconds = 0.0
        self._save_began = 0.0
        self._save_after = self._began + MIN_SECONDS_BETWEEN_SAVES

    def begin(self, cut: int) -> None:
        """Reports the hyperparameters, the learning rate and the number of shortened examples."""
        numbers = self._numbers
        rate = numbers.rate(hidden_size(self._trainer.model), is_dpo=self._spec.method == "dpo")
        trained = f"LoRA of rank {numbers.lora_r}" if numbers.lora else "all weights"
        dtype = str(self._trainer.model.dtype).removeprefix("torch.")
        hardware = f"{self._trainer.args.device.type}, {torch.get_num_threads()} threads"
        self._write_event(
            "started", {"hyperparameters": numbers.as_shown(self._spec.hyperparameters)}
        )
        self._write_event(
            "note",
            {"message": f"Training {trained} at a rate of {rate:.2g} ({dtype} on {hardware})"},
        )
        if cut:
            message = f"{cut} example(s) are longer than the base can read and were cut"
            self._write_event("note", {"message": message, "level": "warn"})

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float],
        **_: object,
    ) -> None:
        if "loss" not in logs:
            return
        step, per_epoch = state.global_step, state.max_steps // self._numbers.n_epochs
        if step % per_epoch == 0:
            self._average_weights(state, per_epoch)
        metrics = self._metrics(logs, step, is_epoch=step % per_epoch == 0)
        refuse_divergence(step, (metrics.get("train_loss"), metrics.get("valid_loss")))
        if step % per_epoch == 0:
            self._decide_end(state, step // per_epoch, per_epoch)
        total = self._schedule.steps(state.max_steps)
        self._write_event("step", {"step": step, "total_steps": total, **metrics})
        if step % per_epoch == 0 and self._is_worth_keeping((total - step) // per_epoch):
            self._checkpoint(step, metrics)

    def _average_weights(self, state: TrainerState, per_epoch: int) -> None:
        """Adds the weights to the average if `MIN_RECALLED_SHARE` of the answers are learned.

        Replaces the weights by the average at the end of the training. Only adapters are averaged.
        """
        if not isinstance(self._trainer, WeightedSFTTrainer) or not self._numbers.lora:
            return
        if fmean(_recalled(state)[-per_epoch:]) >= MIN_RECALLED_SHARE:
            self._average.add()
        if state.global_step >= self._schedule.steps(state.max_steps):
            self._average.apply()

    def _decide_end(self, state: TrainerState, epoch: int, per_epoch: int) -> None:
        """Decides after an epoch whether the examples are learned and when the training ends.

        The log history is part of the saved state, so a resumed training decides in the same way.
        """
        if not isinstance(self._trainer, WeightedSFTTrainer):
            return
        was_shortened = self._schedule.is_shortened
        recalled = _recalled(state)[-2 * per_epoch :]
        self._schedule.decide(
            epoch - 1, rows=self._trainer.rows, recalled=recalled, averaged=self._average.count
        )
        if self._schedule.is_shortened and not was_shortened:
            remaining = self._schedule.last_epoch + 1 - epoch
            message = f"Learned after {epoch} epochs; {remaining} more end the training"
            self._write_event("note", {"message": message})

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        if args.use_cpu and state.global_step % STEPS_BETWEEN_HEAP_TRIMS == 0:
            return_free_heap()
        is_asked, is_due = self._any_process(
            self._stop.is_asked, time.monotonic() > self._save_after
        )
        total = self._schedule.steps(state.max_steps)
        if state.global_step >= total:
            control.should_training_stop = True
            return
        if is_asked:
            self.is_left = control.should_training_stop = True
        if is_asked or is_due:
            self._save_began = time.monotonic()
            control.should_save = True

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Saves the state after syncing the events, so that no event before the state is lost."""
        if self._events is not None:
            os.fsync(self._events.fileno())
            self._average.save(self._folder.states / f"checkpoint-{state.global_step}")
            fsync_tree(self._folder.states / f"checkpoint-{state.global_step}")
            saved = {
                "step": state.global_step,
                "threads": torch.get_num_threads(),
                "last_epoch": self._schedule.last_epoch,
            }
            write_atomically(self._folder.state, json.dumps(saved).encode())
        self._write_event("saved", {"step": state.global_step})
        now = time.monotonic()
        pause = PAUSE_PER_STATE_SECOND * (now - self._save_began)
        self._save_after = now + max(MIN_SECONDS_BETWEEN_SAVES, pause)

    def resume(self, saved: Path) -> None:
        """Loads the weight average, which is not part of the trainer's state."""
        self._average.load(saved)

    def save_model(self, folder: Path) -> None:
        """Saves the model as it is now, ready for serving."""
        trainer = self._trainer
        if self._events is not None:
            model = trainer.accelerator.unwrap_model(trainer.model)
            name = Path(self._spec.base).name
            save_model(model, folder, base=name, tokenizer=self._tokenizer)

    def report_classification(self, measures: dict[str, float]) -> None:
        """Reports the model's measures as a classifier, after the last step."""
        step = self._trainer.state.global_step
        self._write_event("classification", {"step": step, "measures": measures})

    def _metrics(self, logs: dict[str, float], step: int, *, is_epoch: bool) -> dict[str, float]:
        trainer, size = self._trainer, self._numbers.batch_size
        accuracy = logs.get("rewards/accuracies", logs.get("accuracy", 0.0))
        metrics = {"train_loss": logs["loss"], "train_mean_token_accuracy": accuracy}
        if "rewards/margins" in logs:
            metrics["train_reward_margin"] = logs["rewards/margins"]
        # Every process measures, although one writes, as collective calls need all processes.
        if count := trainer.held_out_count:
            sample = [n % count for n in range(step * size, step * size + min(size, count))]
            metrics["valid_loss"], metrics["valid_mean_token_accuracy"] = trainer.measure_held_out(
                sample, size
            )
            if is_epoch:
                full = trainer.measure_held_out(range(count), size)
                metrics["full_valid_loss"], metrics["full_valid_mean_token_accuracy"] = full
        return metrics

    def _is_worth_keeping(self, epochs_left: int) -> bool:
        """Whether to save an epoch: the last `KEPT_CHECKPOINTS`, others if saving is cheap."""
        elapsed = time.monotonic() - self._began
        is_among_last = epochs_left < KEPT_CHECKPOINTS
        return is_among_last or self._checkpoint_seconds < elapsed / PAUSE_PER_CHECKPOINT_SECOND

    def _checkpoint(self, step: int, metrics: dict[str, float]) -> None:
        began = time.monotonic()
        self.save_model(self._folder.checkpoint(step))
        self._checkpoint_seconds += time.monotonic() - began
        self._write_event("checkpoint", {"step": step, "metrics": {"step": step, **metrics}})

    def _any_process(self, *flags: bool) -> list[bool]:
        """Returns for each flag whether any process has set it, so that all processes agree."""
        if self._trainer.accelerator.num_processes == 1:
            return list(flags)
        device = self._trainer.accelerator.device
        tensor = torch.tensor([float(flag) for flag in flags], device=device)
        return [bool(flag) for flag in self._trainer.accelerator.reduce(tensor, "sum") > 0]

    def _write_event(self, kind: str, content: dict[str, object]) -> None:
        if self._events is not None:
            write_event(self._events, kind, content)


def _recalled(state: TrainerState) -> list[float]:
    """Returns for each step so far the share of answers whose tokens were all the most likely."""
    return [entry["recalled"] for entry in state.log_history if "recalled" in entry]
