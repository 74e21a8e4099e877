"""Stores what the runner reports about a job: its worker's events, and changes of status.

Each method runs in one transaction and ignores jobs whose status has changed meanwhile (such as
a job cancelled while its worker wrote the last line), so that a job ends exactly once.
"""

import csv
import io
import time
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

from sqlalchemy import Connection, delete, select, update

from tuner.classification_metrics import METRIC_PREFIX, metrics_sentence
from tuner.job_folder import KEPT_CHECKPOINTS, write_atomically
from tuner.store import jobs, tables
from tuner.store.events import NewEvent, metrics_of, record_event_once, record_events
from tuner.store.files import Files, UploadedFile
from tuner.store.jobs import Job, Jobs, Status, change_status
from tuner.store.models import add_model

MAX_WORKER_DEATHS = 3

EventLine = Mapping[str, object]

_RESULT_COLUMNS = {
    "step": "step",
    "train_loss": "train_loss",
    "train_accuracy": "train_mean_token_accuracy",
    "valid_loss": "valid_loss",
    "valid_mean_token_accuracy": "valid_mean_token_accuracy",
}


class JobProgress:
    """Stores the progress of jobs."""

    def __init__(self, jobs: Jobs, files: Files, drafts: Path) -> None:
        self._database = jobs.database
        self._files = files
        self._drafts = drafts

    def apply_events(self, job_id: str, lines: Sequence[EventLine], offset: int) -> None:
        """Stores the events that a worker has written up to this byte offset of its file."""
        with self._database.writing() as connection:
            job = jobs.get_job_in(connection, job_id)
            if job.status.is_final:
                return
            for is_step, run in groupby(lines, key=lambda line: line["kind"] == "step"):
                if is_step:
                    record_events(connection, job.id, [_step_event(line) for line in run])
                else:
                    for line in run:
                        _store_line(connection, job, line)
            _store_progress(connection, job, lines, offset)

    def start(self, job_id: str) -> bool:
        """Starts a queued job; returns False if the job has left the queue."""
        with self._database.writing() as connection:
            job = jobs.get_job_in(connection, job_id)
            if job.status is not Status.QUEUED:
                return False
            started_at = job.started_at or int(time.time())
            change_status(
                connection, job, Status.RUNNING, "Fine-tuning job started", started_at=started_at
            )
        return True

    def queue_checked(self, job_id: str, rows: object) -> None:
        with self._database.writing() as connection:
            job = jobs.get_job_in(connection, job_id)
            if job.status is Status.VALIDATING:
                message = f"Files validated, {rows} training rows, moving job to queued state"
                change_status(connection, job, Status.QUEUED, message, is_checked=1, deaths=0)

    def fail(self, job_id: str, error: Mapping[str, object]) -> None:
        with self._database.writing() as connection:
            job = jobs.get_job_in(connection, job_id)
            if not job.status.is_final:
                message = f"The job failed: {error['message']}"
                change_status(connection, job, Status.FAILED, message, level="error", error=error)

    def succeed(self, job_id: str, *, trained_tokens: int) -> None:
        """Stores the model, the result file and the final status in one transaction."""
        with self._database.writing() as connection:
            job = jobs.get_job_in(connection, job_id)
            if job.status is not Status.RUNNING:
                return
            draft = self._drafts / f"{job.id}.csv"
            write_atomically(draft, _result_csv(metrics_of(connection, job.id)))
            arrival = UploadedFile(filename="step_metrics.csv", purpose="fine-tune-results")
            result = self._files.add_in(connection, draft, arrival)
            add_model(connection, job.model_name, job.id)
            change_status(
                connection,
                job,
                Status.SUCCEEDED,
                f"New fine-tuned model created: {job.model_name}",
                "The job has successfully completed",
                trained_tokens=trained_tokens,
                result_file=result.id,
            )

    def worker_died(self, job_id: str, reason: str) -> None:
        """Queues the job again, or fails it after repeated deaths without progress."""
        with self._database.writing() as connection:
            job = jobs.get_job_in(connection, job_id)
            if job.status not in (Status.VALIDATING, Status.RUNNING):
                return
            deaths = 1 if job.progress > job.progress_at_death else job.deaths + 1
            if deaths >= MAX_WORKER_DEATHS:
                sentence = (
                    f"The training process ended by itself {deaths} times without progress"
                    f" ({reason}), last at step {job.last_step}."
                )
                error = {"code": "worker_died", "message": sentence, "param": None}
                change_status(connection, job, Status.FAILED, sentence, level="error", error=error)
            else:
                message = f"The training process ended by itself ({reason}), starting it again"
                counts = {"deaths": deaths, "progress_at_death": job.progress}
                change_status(
                    connection, job, jobs.waiting_status(job), message, level="warn", **counts
                )

    def requeue(self, job_id: str) -> None:
        """Queues a running job again after a restart of the server, since its worker is gone."""
        with self._database.writing() as connection:
            job = jobs.get_job_in(connection, job_id)
            if job.status is Status.RUNNING:
                message = "The server restarted, moving job to queued state"
                change_status(connection, job, Status.QUEUED, message)


def _store_line(connection: Connection, job: Job, line: EventLine) -> None:
    match line["kind"]:
        case "checkpoint":
            _store_checkpoint(connection, job, line)
        case "note":
            message, level = str(line["message"]), str(line.get("level", "info"))
            record_event_once(connection, job.id, NewEvent(message, _integer(line["at"]), level))
        case "classification":
            measures = line["measures"]
            if isinstance(measures, Mapping):
                data = {"step": line["step"], "total_steps": line["step"], **measures}
                event = NewEvent(metrics_sentence(measures), _integer(line["at"]), data=data)
                record_event_once(connection, job.id, event)
        case "started":
            values = {"hyperparameters": line["hyperparameters"]}
            connection.execute(update(tables.jobs).where(tables.jobs.c.id == job.id).values(values))


def _step_event(line: EventLine) -> NewEvent:
    data = {key: line[key] for key in line if key not in ("kind", "at", "epoch")}
    return NewEvent(
        _step_message(data),
        _integer(line["at"]),
        data={key: value for key, value in data.items() if value is not None},
        step=_integer(line["step"]),
    )


def _store_checkpoint(connection: Connection, job: Job, line: EventLine) -> None:
    step, metrics = _integer(line["step"]), line["metrics"]
    model = tables.models.c
    existing = select(model.step).where(model.job == job.id, model.step >= step).limit(1)
    if connection.execute(existing).first() or not isinstance(metrics, Mapping):
        return
    name = f"{job.model_name}:ckpt-step-{step}"
    add_model(connection, name, job.id, step=step, metrics=metrics, at=_integer(line["at"]))
    message = f"Checkpoint created at step {step} with Snapshot ID: {name}"
    record_events(connection, job.id, [NewEvent(message, _integer(line["at"]))])
    newest = select(model.step).where(model.job == job.id).order_by(model.step.desc())
    newest_steps = connection.execute(newest.limit(KEPT_CHECKPOINTS)).scalars().all()
    connection.execute(
        delete(tables.models).where(model.job == job.id, model.step.not_in(newest_steps))
    )


def _store_progress(
    connection: Connection, job: Job, lines: Sequence[EventLine], offset: int
) -> None:
    values: dict[str, object] = {"events_offset": offset}
    saved = [_integer(line["step"]) for line in lines if line["kind"] == "saved"]
    values["last_saved"] = max([*saved, job.last_saved])
    steps = [line for line in lines if line["kind"] == "step"]
    if steps:
        step, total = _integer(steps[-1]["step"]), _integer(steps[-1]["total_steps"])
        values["last_step"] = max(step, job.last_step)
        if job.status is Status.RUNNING and job.started_at is not None:
            now = time.time()
            remaining_seconds = (now - job.started_at) / step * (total - step)
            values["estimated_finish"] = int(now + remaining_seconds)
    connection.execute(update(tables.jobs).where(tables.jobs.c.id == job.id).values(values))


def _step_message(data: EventLine) -> str:
    parts = [f"training loss={data['train_loss']:.2f}"]
    for key, name in (("valid_loss", "validation"), ("full_valid_loss", "full validation")):
        if data.get(key) is not None:
            parts.append(f"{name} loss={data[key]:.2f}")
    return f"Step {data['step']}/{data['total_steps']}: {', '.join(parts)}"


def _result_csv(steps: Sequence[EventLine]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    by_step: dict[object, dict[str, object]] = {}
    for step in steps:
        by_step.setdefault(step["step"], {}).update(step)
    names = dict.fromkeys(key for step in steps for key in step if key.startswith(METRIC_PREFIX))
    columns = {**_RESULT_COLUMNS, **{name: name for name in names}}
    writer.writerow(columns)
    for step in by_step.values():
        writer.writerow([step.get(key, "") for key in columns.values()])
    return text.getvalue().encode()


def _integer(value: object) -> int:
    """Returns an integer of a worker's line, which is untyped JSON. Raises TypeError."""
    if not isinstance(value, int):
        raise TypeError(f"a worker wrote {value!r} where a whole number belongs")
    return value
