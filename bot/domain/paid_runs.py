"""State of one paid request to a model in a run of many."""

from __future__ import annotations

from enum import StrEnum


class CallState(StrEnum):
    """State of a request. `ASKED`: it was sent; `LOST`: its outcome cannot be known."""

    WAITING = "waiting"
    ASKED = "asked"
    DONE = "done"
    FAILED = "failed"
    LOST = "lost"


UNFINISHED_CALL_STATES = (CallState.WAITING, CallState.ASKED)
