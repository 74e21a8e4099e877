"""Parses the result file of a job, a CSV table of metrics with column names that vary by host."""

from __future__ import annotations

import binascii
import csv
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence

from adapters.openai.response_parsing import to_count, to_number
from bot.domain import StepMetrics

_STEP = "step"
# The tables of OpenAI and Azure use other names than the events of jobs, whose names are used here.
_SYNONYMS: Mapping[str, str] = {
    "training_loss": "train_loss",
    "train_accuracy": "train_mean_token_accuracy",
    "training_accuracy": "train_mean_token_accuracy",
    "train_token_accuracy": "train_mean_token_accuracy",
    "training_token_accuracy": "train_mean_token_accuracy",
    "validation_loss": "valid_loss",
    "valid_accuracy": "valid_mean_token_accuracy",
    "validation_accuracy": "valid_mean_token_accuracy",
    "validation_token_accuracy": "valid_mean_token_accuracy",
    "validation_mean_token_accuracy": "valid_mean_token_accuracy",
    "full_validation_loss": "full_valid_loss",
    "full_valid_accuracy": "full_valid_mean_token_accuracy",
    "full_validation_mean_token_accuracy": "full_valid_mean_token_accuracy",
}


def unwrap_base64(content: bytes) -> bytes:
    """Returns the content of a result file, decoded if the host sends it in base64."""
    if _is_table(content):
        return content
    try:
        unwrapped = b64decode(b"".join(content.split()), validate=True)
    except binascii.Error:
        return content
    return unwrapped if _is_table(unwrapped) else content


def read_step_metrics(content: bytes) -> Sequence[StepMetrics]:
    """Returns the metrics of each step, without empty cells; empty if there is no table."""
    if not _is_table(content):
        return ()
    by_step: dict[int, dict[str, float]] = {}
    for row in csv.DictReader(_text(content).splitlines()):
        cells = dict(_cells(row))
        step = to_count(cells.pop(_STEP, None))
        if step is not None and step >= 0:
            values = {name: to_number(value) for name, value in cells.items()}
            metrics = {name: value for name, value in values.items() if value is not None}
            by_step.setdefault(step, {}).update(metrics)
    return [StepMetrics(step, metrics) for step, metrics in sorted(by_step.items()) if metrics]


def _cells(row: Mapping[str | None, object]) -> Iterator[tuple[str, object]]:
    """Yields the cells by column name; cells beyond the header have no name and are skipped."""
    for name, value in row.items():
        if name is not None:
            plain_name = _plain_name(name)
            yield _SYNONYMS.get(plain_name, plain_name), value


def _is_table(content: bytes) -> bool:
    header, _, _ = content.partition(b"\n")
    return _STEP in [_plain_name(name) for name in _text(header).split(",")]


def _plain_name(column: str) -> str:
    return column.strip().strip('"').lower().replace(" ", "_")


def _text(content: bytes) -> str:
    return content.decode("utf-8-sig", errors="replace")
