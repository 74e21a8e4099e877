"""Maps a host's job status to a status of OpenAI's API, whatever its case and spelling.

OpenAI's statuses are `validating_files`, `queued`, `running`, `paused`, `succeeded`, `failed` and
`cancelled`; `cancelling` is added here. The other words are from the documentation and packages
of other servers: Mistral (`FAILED_VALIDATION`, `CANCELLATION_REQUESTED`), Together (`user_error`,
`cancel_requested`), Fireworks and Vertex (`JOB_STATE_…`), Azure (`notRunning`, `canceled`),
SageMaker (`InProgress`, `Stopped`) and Python enums that were printed (`JobStatus.RUNNING`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

UNKNOWN_STATUS = "unknown"
MAX_STATUS_LENGTH = 64

STATUS_SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "validating_files": (
        "validating_files",
        "validating",
        "validated",
        "validation",
        "checking_files",
        "creating_input_dataset",
    ),
    "queued": (
        "queued",
        "accepted",
        "created",
        "creating",
        "enqueued",
        "idle",
        "in_queue",
        "initializing",
        "new",
        "not_running",
        "not_started",
        "pending",
        "provisioning",
        "re_queueing",
        "received",
        "scheduled",
        "starting",
        "submitted",
        "waiting",
    ),
    "running": (
        "running",
        "active",
        "compressing",
        "executing",
        "in_progress",
        "processing",
        "resuming",
        "started",
        "training",
        "uploading",
        "writing_results",
    ),
    "paused": ("paused", "on_hold", "suspended"),
    "cancelling": (
        "cancelling",
        "aborting",
        "canceling",
        "cancel_pending",
        "cancel_requested",
        "cancellation_requested",
        "deleting",
        "deleting_cleaning_up",
        "stopping",
        "terminating",
    ),
    "succeeded": (
        "succeeded",
        "complete",
        "completed",
        "done",
        "early_stopped",
        "finished",
        "ok",
        "success",
        "successful",
    ),
    "failed": (
        "failed",
        "crashed",
        "dead",
        "error",
        "errored",
        "expired",
        "failure",
        "invalid",
        "invalid_files",
        "out_of_memory",
        "rejected",
        "timed_out",
        "timeout",
    ),
    "cancelled": (
        "cancelled",
        "aborted",
        "canceled",
        "deleted",
        "killed",
        "revoked",
        "stopped",
        "terminated",
    ),
}
"""Words of hosts by the status that they mean."""

_MEANINGS = {word: meaning for meaning, words in STATUS_SYNONYMS.items() for word in words}
_ENDS = ("failed", "cancelled", "succeeded")
_PREFIX = re.compile(r"^(?:(?:fine|tuning|training|job|state|status|phase)_)+(?=.)")
_BOUNDARY = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NOT_LETTERS = re.compile(r"[^a-z0-9]+")


def openai_status_of(word: str) -> str:
    """Returns the key of `STATUS_SYNONYMS` that a host's word means, else the word, shortened.

    A word of several parts such as `FAILED_VALIDATION` or `user_error` means its first or last
    part if that is an end of a job and no part ends in "ing", as in `retrying_after_error`.
    """
    plain = _plain(word)
    if plain in _MEANINGS:
        return _MEANINGS[plain]
    parts = plain.split("_")
    meanings = {_MEANINGS.get(part) for part in (parts[0], parts[-1])}
    for end in _ENDS:
        if end in meanings and not any(part.endswith("ing") for part in parts):
            return end
    return word.strip()[:MAX_STATUS_LENGTH] or UNKNOWN_STATUS


def _plain(word: str) -> str:
    """Returns a word in snake case without prefixes: "running" for `JobStatus.RUNNING`."""
    last = word.strip()[: 4 * MAX_STATUS_LENGTH].rpartition(".")[2]
    snake = _NOT_LETTERS.sub("_", _BOUNDARY.sub("_", last).lower()).strip("_")
    return _PREFIX.sub("", snake)
