"""Builds parts of requests to a host: training rows, sampling options and hyperparameters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import IO

from adapters.openai.host_kinds import Dialect, HyperparameterPlacement
from bot.domain import Sampling
from bot.ports.model_hosts import JobRequest

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def sampling_options(sampling: Sampling) -> dict[str, object]:
    """Returns the sampling options that are set; the host decides about the others."""
    return {name: value for name, value in asdict(sampling).items() if value not in (None, ())}


def base_of_model_name(model: str) -> str:
    """Returns the base of a tuned model named `ft:BASE:…`, or any other name unchanged."""
    return model.split(":")[1] if model.startswith("ft:") else model


def method_fields(request: JobRequest, dialect: Dialect) -> dict[str, object]:
    """Returns the fields with the method and its hyperparameters in the host's dialect.

    A hyperparameter that is left out means "auto".
    """
    given = {n: v for n, v in asdict(request.hyperparameters).items() if v is not None}
    hyperparameters = {**dialect.default_hyperparameters, **given}
    if dialect.hyperparameters is HyperparameterPlacement.TOP:
        return {"hyperparameters": hyperparameters} if hyperparameters else {}
    kind = request.method.value
    return {"method": {"type": kind, kind: {"hyperparameters": hyperparameters}}}


def write_training_rows(spool: IO[bytes], lines: Iterable[bytes], *, byte_order_mark: bool) -> int:
    """Writes the rows to a file, one a line; returns their number."""
    if byte_order_mark:
        spool.write(BYTE_ORDER_MARK)
    count = 0
    for line in lines:
        spool.write(line.rstrip(b"\r\n") + b"\n")
        count += 1
    # The length of the request is taken from the file on disk, which lacks buffered bytes.
    spool.flush()
    return count
