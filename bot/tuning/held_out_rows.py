"""Chooses the rows that are held out of a training for the comparison of models."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bot.domain import Example, ExampleId
from bot.errors import BadInput
from bot.ports.model_hosts import Host
from bot.request import Request
from bot.rows import prompt_fingerprint

_HOLD_OUT_FROM = 50
_AUTO_SHARE = 0.2
_MAX_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class CandidateRow:
    """A trainable row; rows of one `group` stay on one side of the split.

    A synthetic row is in the group of its source, and is either trained on or left out.
    """

    example: ExampleId
    revision: int
    sha256: str
    group: str
    tokens: int
    was_held_out: bool = False
    is_always_trained: bool = False
    bytes: int = 0
    is_synthetic: bool = False
    is_left_out: bool = False
    """Whether the row is synthetic and its source is a must-answer example."""


def split_group(example: Example) -> str:
    """Returns the group of an example: its thread, else the fingerprint of its prompt."""
    source = example.source
    if source is not None and source.thread is not None:
        return f"{source.channel}/{source.thread}"
    return prompt_fingerprint(example.row or {})


def split_rows(
    rows: Sequence[CandidateRow], *, share: float
) -> tuple[Sequence[CandidateRow], Sequence[CandidateRow]]:
    """Returns training and validation rows; whole groups are on one side.

    `share` is the part to hold out, 0 to 1. Groups with a row that was held out before come first,
    then the others in the order of their hash, so that held-out rows stay so as the dataset grows.
    A group with an always-trained row is never held out. A synthetic row whose source is held out
    is on neither side.
    """
    rows = [row for row in rows if not row.is_left_out]
    sizes = Counter(row.group for row in rows if not row.is_synthetic)
    trained = {row.group for row in rows if row.is_always_trained}
    held_out_before = {row.group for row in rows if row.was_held_out}
    room = round(sizes.total() * share)
    held_out: set[str] = set()
    for group in sorted(
        sizes.keys() - trained, key=lambda group: (group not in held_out_before, _hash_of(group))
    ):
        if sizes[group] <= room:
            held_out.add(group)
            room -= sizes[group]
    training = [row for row in rows if row.group not in held_out]
    return training, [row for row in rows if row.group in held_out and not row.is_synthetic]


def _hash_of(group: str) -> str:
    return hashlib.sha256(group.encode()).hexdigest()


def held_out_share(request: Request, rows: int, host: Host) -> float:
    """Returns the share to hold out; by default none under fifty rows, else a fifth."""
    requested = request.number_option("validation", may_be_percent=True)
    if not host.profile.takes_validation:
        if requested:
            raise BadInput(problem=request.words("start.no_validation", host=host.name))
        return 0.0
    if requested is None:
        return _AUTO_SHARE if rows >= _HOLD_OUT_FROM else 0.0
    is_percent = (request.text_option("validation") or "").endswith(("%", "％"))
    share = requested / 100 if requested > 1 or is_percent else requested
    if not 0 <= share <= _MAX_SHARE:
        raise BadInput(problem=request.words("start.share"))
    return share
