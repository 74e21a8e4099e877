"""One job's process: checks the files, or trains; `python -m tuner.worker JOBDIR`.

What it has done is in the folder, so it may be killed at any line and started again:
no `checked.json` means check, no `result.json` means train from the last saved state.
It exits 0 when the turn is done and 75 when it was told to stop and saved its state.
"""

import json
import math
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal, NoReturn

from bot.rows import Method, Problem, check_rows, count_tokens, overlapping, read_lines
from tuner.folder import KEPT_CHECKPOINTS, JobFolder, read_json, write_atomically
from tuner.spec import Spec

if TYPE_CHECKING:
    from tuner.sandbox import Metrics, Training

STOPPED = 75
CHUNK = 1 << 20
Row = dict[str, object]


class Stop:
    """Whether to save and leave: told by SIGTERM, or by the end of the server that started us."""

    def __init__(self) -> None:
        self._asked = threading.Event()

    def watch(self) -> None:
        signal.signal(signal.SIGTERM, lambda *_: self._asked.set())
        signal.signal(signal.SIGINT, lambda *_: self._asked.set())
        # The server holds the other end of this pipe; the kernel closes it however it dies.
        if stat.S_ISFIFO(os.fstat(0).st_mode):
            threading.Thread(target=self._await_parent, name="parent", daemon=True).start()

    @property
    def is_asked(self) -> bool:
        return self._asked.is_set()

    def wait_a_moment(self) -> None:
        if self._asked.wait(0.02):
            leave()

    def _await_parent(self) -> None:
        while os.read(0, 4096):
            pass
        self._asked.set()


class Rejected(Exception):
    """The files cannot train; `error` is what the job will show."""

    def __init__(self, code: str, message: str, param: str) -> None:
        super().__init__(message)
        self.error = {"code": code, "message": message, "param": param}


def leave() -> NoReturn:
    raise SystemExit(STOPPED)


def main(folder: JobFolder) -> None:
    os.nice(5)
    stop = Stop()
    stop.watch()
    # A worker of a server that was killed may still be saving; nobody else writes meanwhile.
    with folder.acquire(stop.wait_a_moment):
        spec = Spec.read(folder.spec)
        if read_json(folder.checked) is None:
            check(folder, spec, stop)
        elif read_json(folder.result) is None:
            train(folder, spec, stop)


def check(folder: JobFolder, spec: Spec, stop: Stop) -> None:
    """Read every row of both files and write down what was found."""
    try:
        found = examine(spec, stop)
    except Rejected as rejected:
        found = {"error": rejected.error}
    write_atomically(folder.checked, json.dumps(found).encode())


def train(folder: JobFolder, spec: Spec, stop: Stop) -> None:
    """Make the model; what makes it impossible is a result too, for trying again would not help."""
    try:
        result = Course(folder, spec, stop).run()
    except Rejected as rejected:
        result = {"error": rejected.error}
    write_atomically(folder.result, json.dumps(result).encode())


def examine(spec: Spec, stop: Stop) -> dict[str, object]:
    training = list(read_rows("training_file", spec, stop))
    if len(training) < spec.min_examples:
        raise Rejected(
            "too_few_examples",
            f"Training file has {len(training)} example(s), but must have at least"
            f" {spec.min_examples} examples",
            "training_file",
        )
    if spec.validation:
        validation = list(read_rows("validation_file", spec, stop))
        _compare(training, validation)
    return {"rows": len(training), "tokens": sum(count_tokens(row) for _, row in training)}


def _compare(training: list[tuple[int, Row]], validation: list[tuple[int, Row]]) -> None:
    if not validation:
        raise Rejected("too_few_examples", "The validation file is empty.", "validation_file")
    for line, other in overlapping(training, validation):
        raise Rejected(
            "overlapping_examples",
            f"Line {other}: this row is also in the training file, on line {line}. A row that"
            " was trained on proves nothing; take it out of one of the two files.",
            "validation_file",
        )


def read_rows(param: str, spec: Spec, stop: Stop) -> Iterator[tuple[int, Row]]:
    """The rows of the file that was given as this parameter, with their lines."""
    path = spec.training if param == "training_file" else spec.validation or ""
    for line, row in check_rows(read_lines(chunks(path)), Method(spec.method)):
        if stop.is_asked:
            leave()
        if isinstance(row, Problem):
            raise Rejected(f"invalid_{param}", row.sentence, param)
        yield line, row


def chunks(path: str) -> Iterator[bytes]:
    with Path(path).open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


class Course:
    """The way from the rows to a model, a step at a time, saved now and then."""

    def __init__(self, folder: JobFolder, spec: Spec, stop: Stop) -> None:
        self._folder = folder
        self._spec = spec
        self._stop = stop
        self._began = time.monotonic()
        self._spent_on_checkpoints = 0.0
        self._save_after = 0.0

    def run(self) -> dict[str, object]:
        with self._folder.open_events() as events:
            training, epochs = self._prepare(events)
            while training.step < training.total_steps:
                if self._stop.is_asked:
                    self._save(training, events)
                    leave()
                self._advance(training, events, epochs)
            training.model().save(self._folder.model)
            os.fsync(events.fileno())
        return {"n_epochs": epochs}

    def _prepare(self, events: IO[bytes]) -> tuple["Training", int]:
        # Here and not at the top: a worker that only checks files needs no numbers.
        from tuner.sandbox import Model, Training, resolve

        spec = self._spec
        method: Literal["supervised", "dpo"] = "dpo" if spec.method == "dpo" else "supervised"
        rows = [row for _, row in read_rows("training_file", spec, self._stop)]
        held = read_rows("validation_file", spec, self._stop) if spec.validation else ()
        validation = [row for _, row in held]
        numbers = resolve(spec.hyperparameters, rows=len(rows), method=method)
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
            raise Rejected("nothing_to_learn", str(error), "training_file") from error
        if self._folder.state.exists():
            training.restore(self._folder.state.read_bytes())
        known = {
            key: value for key, value in asdict(numbers).items() if key in spec.hyperparameters
        }
        tell(events, "started", {"hyperparameters": known})
        return training, numbers.n_epochs

    def _advance(self, training: "Training", events: IO[bytes], epochs: int) -> None:
        metrics = training.advance()
        _refuse_divergence(metrics)
        tell(events, "step", asdict(metrics))
        per_epoch = metrics.total_steps // epochs
        if metrics.step % per_epoch == 0 and self._is_worth_keeping(metrics, per_epoch):
            self._keep_checkpoint(training, events, metrics)
        if time.monotonic() > self._save_after:
            self._save(training, events)

    def _is_worth_keeping(self, metrics: "Metrics", per_epoch: int) -> bool:
        """The last epochs always; earlier ones, which will be dropped, while they cost little."""
        epochs_left = (metrics.total_steps - metrics.step) // per_epoch
        elapsed = time.monotonic() - self._began
        return epochs_left < KEPT_CHECKPOINTS or self._spent_on_checkpoints < elapsed / 5

    def _keep_checkpoint(self, training: "Training", events: IO[bytes], metrics: "Metrics") -> None:
        began = time.monotonic()
        training.model().save(self._folder.checkpoint(metrics.step))
        self._spent_on_checkpoints += time.monotonic() - began
        numbers = asdict(metrics)
        del numbers["total_steps"], numbers["epoch"]
        known = {key: value for key, value in numbers.items() if value is not None}
        tell(events, "checkpoint", {"step": metrics.step, "metrics": known})

    def _save(self, training: "Training", events: IO[bytes]) -> None:
        """Events first: a state that is ahead of them would lose the ones between."""
        began = time.monotonic()
        os.fsync(events.fileno())
        write_atomically(self._folder.state, training.state())
        tell(events, "saved", {"step": training.step})
        now = time.monotonic()
        self._save_after = now + max(0.1, 20 * (now - began))


def _refuse_divergence(metrics: "Metrics") -> None:
    losses = (metrics.train_loss, metrics.valid_loss, metrics.full_valid_loss)
    if not all(loss is None or math.isfinite(loss) for loss in losses):
        raise Rejected(
            "training_diverged",
            f"The loss stopped being a number at step {metrics.step}. Use a smaller"
            " learning_rate_multiplier.",
            "learning_rate_multiplier",
        )


def tell(events: IO[bytes], kind: str, content: dict[str, object]) -> None:
    line = {"kind": kind, "at": int(time.time()), **content}
    events.write(json.dumps(line).encode() + b"\n")
    events.flush()


if __name__ == "__main__":
    main(JobFolder(Path(sys.argv[1])))
