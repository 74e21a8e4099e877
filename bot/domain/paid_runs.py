"""The state of a call that costs money, one of many in a run."""

from __future__ import annotations

from enum import StrEnum


class CallState(StrEnum):
    """A call waits, is asked, and then has an outcome; lost is one never to be known."""

    WAITING = "waiting"
    ASKED = "asked"
    DONE = "done"
    FAILED = "failed"
    LOST = "lost"


UNFINISHED_CALLS = (CallState.WAITING, CallState.ASKED)
