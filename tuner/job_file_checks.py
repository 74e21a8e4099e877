"""The checks of a job's files: how many rows at least, every row's form, and none in both files."""

from collections.abc import Iterator
from pathlib import Path

from bot.rows import Method, Problem, check_rows, count_tokens, find_overlaps, read_lines
from tuner.classification import classification_of
from tuner.errors import ApiError
from tuner.spec import Spec
from tuner.training_run import Rejected, Row, StopSignal, exit_stopped

CHUNK = 1 << 20

NumberedRow = tuple[int, Row]


def refuse_few(rows: int, *, least: int) -> None:
    """Raises ApiError for a training file of fewer rows than `least`.

    Asked when a job is made: an uploaded file has been counted, and never changes.
    """
    if rows < least:
        raise ApiError(
            f"Training file has {rows} example(s), but must have at least {least} examples",
            param="training_file",
            code="too_few_examples",
        )


def check_files(spec: Spec, stop: StopSignal) -> dict[str, int]:
    """How many rows, how many tokens, and those of the longest row; of both files, read whole.

    Raises Rejected.
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
        raise Rejected("too_few_examples", "The validation file is empty.", "validation_file")
    for line, other in find_overlaps(training, validation):
        raise Rejected(
            "overlapping_examples",
            f"Line {other}: this row is also in the training file, on line {line}. A row that"
            " was trained on proves nothing; take it out of one of the two files.",
            "validation_file",
        )


def read_rows(param: str, spec: Spec, stop: StopSignal) -> Iterator[NumberedRow]:
    """The rows of the file that was given as this parameter, with their lines."""
    path = spec.training if param == "training_file" else spec.validation or ""
    for line, row in check_rows(read_lines(_chunks(path)), Method(spec.method)):
        if stop.is_asked:
            exit_stopped()
        if isinstance(row, Problem):
            raise Rejected(f"invalid_{param}", row.sentence, param)
        yield line, row


def _chunks(path: str) -> Iterator[bytes]:
    with Path(path).open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
