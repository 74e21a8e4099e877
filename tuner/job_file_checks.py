"""Validates a job's files: number of rows, form of each row, and no row in both files."""

from collections.abc import Iterator
from pathlib import Path

from bot.rows import Method, Problem, check_rows, count_tokens, find_overlaps, read_lines
from tuner.classification_metrics import classification_of
from tuner.errors import ApiError
from tuner.job_spec import JobSpec
from tuner.training_interface import JobRejected, Row, StopSignal, exit_stopped

CHUNK_BYTES = 1 << 20

NumberedRow = tuple[int, Row]


def require_min_rows(rows: int, *, least: int) -> None:
    """Raises ApiError for a training file with fewer rows than `least`.

    Called when a job is created: the rows of an uploaded file are counted, and the file never
    changes.
    """
    if rows < least:
        raise ApiError(
            f"Training file has {rows} example(s), but must have at least {least} examples",
            param="training_file",
            code="too_few_examples",
        )


def check_files(spec: JobSpec, stop: StopSignal) -> dict[str, int]:
    """Validates both files; returns counts of the training file, `longest` in tokens.

    Raises JobRejected.
    """
    training = list(read_rows("training_file", spec, stop))
    if spec.validation:
        validation = list(read_rows("validation_file", spec, stop))
        _refuse_overlap(training, validation)
        rows = [row for _, row in training], [row for _, row in validation]
        classification_of(spec.hyperparameters, *rows)
    tokens = [count_tokens(row) for _, row in training]
    return {"rows": len(training), "tokens": sum(tokens), "longest": max(tokens, default=0)}


def _refuse_overlap(training: list[NumberedRow], validation: list[NumberedRow]) -> None:
    if not validation:
        raise JobRejected("too_few_examples", "The validation file is empty.", "validation_file")
    for line, other in find_overlaps(training, validation):
        raise JobRejected(
            "overlapping_examples",
            f"Line {other}: this row is also in the training file, on line {line}. A row that"
            " was trained on proves nothing; take it out of one of the two files.",
            "validation_file",
        )


def read_rows(param: str, spec: JobSpec, stop: StopSignal) -> Iterator[NumberedRow]:
    """Yields the rows of the file of this parameter, with line numbers. Raises JobRejected."""
    path = spec.training if param == "training_file" else spec.validation or ""
    for line, row in check_rows(read_lines(_chunks(path)), Method(spec.method)):
        if stop.is_asked:
            exit_stopped()
        if isinstance(row, Problem):
            raise JobRejected(f"invalid_{param}", row.sentence, param)
        yield line, row


def _chunks(path: str) -> Iterator[bytes]:
    with Path(path).open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
