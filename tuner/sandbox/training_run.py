"""A training job of the sandbox, from its rows to a model, with periodic saves."""

import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import IO, Literal

from tuner.classification_metrics import CLASSIFICATION_FIELDS, Classification, classification_of
from tuner.job_file_checks import read_rows
from tuner.job_folder import KEPT_CHECKPOINTS, JobFolder, write_atomically
from tuner.job_spec import JobSpec
from tuner.sandbox.model import Model
from tuner.sandbox.scorer_training import Metrics, Training, resolve_hyperparameters
from tuner.training_interface import (
    JobRejected,
    Row,
    StopSignal,
    exit_stopped,
    refuse_divergence,
    write_event,
)


def run_training(folder: JobFolder, spec: JobSpec, stop: StopSignal) -> dict[str, object]:
    """Trains a sandbox model; see `TrainingRun`."""
    return _SandboxRun(folder, spec, stop).run()


class _SandboxRun:
    """A run of a job."""

    def __init__(self, folder: JobFolder, spec: JobSpec, stop: StopSignal) -> None:
        self._folder = folder
        self._spec = spec
        self._stop = stop
        self._started_at = time.monotonic()
        self._checkpoint_seconds = 0.0
        self._next_save_at = 0.0
        self._validation: list[Row] = []
        self._classification: Classification | None = None

    def run(self) -> dict[str, object]:
        with self._folder.open_events() as events:
            training, epochs = self._prepare(events)
            while training.step < training.total_steps:
                if self._stop.is_asked:
                    self._save(training, events)
                    exit_stopped()
                self._advance(training, events, epochs)
            model = training.model()
            model.save(self._folder.model)
            self._write_classification(model, training.step, events)
            os.fsync(events.fileno())
        return {"n_epochs": epochs}

    def _prepare(self, events: IO[bytes]) -> tuple[Training, int]:
        """Reads the rows and returns the training, resumed from a saved state, and its epochs."""
        spec = self._spec
        method: Literal["supervised", "dpo"] = "dpo" if spec.method == "dpo" else "supervised"
        rows = [row for _, row in read_rows("training_file", spec, self._stop)]
        validation_rows = read_rows("validation_file", spec, self._stop) if spec.validation else ()
        validation = [row for _, row in validation_rows]
        self._validation = validation
        self._classification = classification_of(spec.hyperparameters, rows, validation)
        numbers = resolve_hyperparameters(spec.hyperparameters, rows=len(rows))
        start_from = Model.load(Path(spec.start_from)) if spec.start_from else None
        try:
            training = Training(
                rows,
                validation,
                method=method,
                hyperparameters=numbers,
                seed=spec.seed,
                start_from=start_from,
            )
        except ValueError as error:
            raise JobRejected("nothing_to_learn", str(error), "training_file") from error
        if self._folder.state.exists():
            training.restore(self._folder.state.read_bytes())
        resolved = {
            key: value for key, value in asdict(numbers).items() if key in spec.hyperparameters
        }
        resolved |= {
            name: value
            for name, value in spec.hyperparameters.items()
            if name in CLASSIFICATION_FIELDS
        }
        write_event(events, "started", {"hyperparameters": resolved})
        return training, numbers.n_epochs

    def _write_classification(self, model: Model, step: int, events: IO[bytes]) -> None:
        """Writes the classification metrics of the model if the job requests them."""
        if self._classification is None:
            return
        measures = self._classification.measures(
            self._validation, lambda messages: model.reply(messages, temperature=0.0).text
        )
        write_event(events, "classification", {"step": step, "measures": measures})

    def _advance(self, training: Training, events: IO[bytes], epochs: int) -> None:
        """Does a step, writes its event, and saves a checkpoint or the state when due."""
        metrics = training.advance()
        refuse_divergence(
            metrics.step, (metrics.train_loss, metrics.valid_loss, metrics.full_valid_loss)
        )
        write_event(events, "step", asdict(metrics))
        per_epoch = metrics.total_steps // epochs
        if metrics.step % per_epoch == 0 and self._is_worth_keeping(metrics, per_epoch):
            self._save_checkpoint(training, events, metrics)
        if time.monotonic() > self._next_save_at:
            self._save(training, events)

    def _is_worth_keeping(self, metrics: Metrics, per_epoch: int) -> bool:
        """Whether to keep a checkpoint: in the last epochs always, earlier only if it is cheap."""
        epochs_left = (metrics.total_steps - metrics.step) // per_epoch
        elapsed = time.monotonic() - self._started_at
        return epochs_left < KEPT_CHECKPOINTS or self._checkpoint_seconds < elapsed / 5

    def _save_checkpoint(self, training: Training, events: IO[bytes], metrics: Metrics) -> None:
        started_at = time.monotonic()
        training.model().save(self._folder.checkpoint(metrics.step))
        self._checkpoint_seconds += time.monotonic() - started_at
        numbers = asdict(metrics)
        del numbers["total_steps"], numbers["epoch"]
        values = {key: value for key, value in numbers.items() if value is not None}
        write_event(events, "checkpoint", {"step": metrics.step, "metrics": values})

    def _save(self, training: Training, events: IO[bytes]) -> None:
        """Saves the state after syncing the events, so that no event before it can be lost."""
        started_at = time.monotonic()
        os.fsync(events.fileno())
        write_atomically(self._folder.state, training.state())
        write_event(events, "saved", {"step": training.step})
        now = time.monotonic()
        self._next_save_at = now + max(0.1, 20 * (now - started_at))
