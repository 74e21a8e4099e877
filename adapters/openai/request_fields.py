"""What is written into requests: rows, options and hyperparameters, as a host wants them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import IO

from adapters.openai.dialects import Dialect, Placement
from bot.domain import Sampling
from bot.ports.provider import JobRequest

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def chosen_options(sampling: Sampling) -> dict[str, object]:
    """The options that were chosen; the others are the host's to decide."""
    return {name: value for name, value in asdict(sampling).items() if value not in (None, ())}


def base_of(model: str) -> str:
    """`ft:BASE:…` was made from BASE."""
    return model.split(":")[1] if model.startswith("ft:") else model


def method_fields(request: JobRequest, dialect: Dialect) -> dict[str, object]:
    """Hyperparameters where this host wants them; one left out means "auto"."""
    wanted = {n: v for n, v in asdict(request.hyperparameters).items() if v is not None}
    chosen = {**dialect.settings, **wanted}
    if dialect.hyperparameters is Placement.TOP:
        return {"hyperparameters": chosen} if chosen else {}
    kind = request.method.value
    return {"method": {"type": kind, kind: {"hyperparameters": chosen}}}


def write_rows(spool: IO[bytes], lines: Iterable[bytes], *, byte_order_mark: bool) -> int:
    """How many rows were written, each as a line."""
    if byte_order_mark:
        spool.write(BYTE_ORDER_MARK)
    count = 0
    for line in lines:
        spool.write(line.rstrip(b"\r\n") + b"\n")
        count += 1
    # The length of the request is that of the file on disk, which misses what is still buffered.
    spool.flush()
    return count
