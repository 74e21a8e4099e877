"""What hosts call the states of a job, and what they mean by it."""

from __future__ import annotations

import pytest

from adapters.openai.job_statuses import MAX_STATUS_LENGTH, STATUS_SYNONYMS, openai_status_of

SAID = {
    "SUCCEEDED": "succeeded",
    "Completed": "succeeded",
    "JOB_STATE_SUCCEEDED": "succeeded",
    "JobState.EARLY_STOPPED": "succeeded",
    "SUCCESS": "succeeded",
    "FAILED_VALIDATION": "failed",
    "user_error": "failed",
    "SYSTEM-ERROR": "failed",
    "error": "failed",
    "TrainingFailed": "failed",
    "failed: out of memory": "failed",
    "TIMED_OUT": "failed",
    "canceled": "cancelled",
    "Cancelled": "cancelled",
    "stopped": "cancelled",
    "cancelled_by_user": "cancelled",
    "cancel_requested": "cancelling",
    "CANCELLATION_REQUESTED": "cancelling",
    "Stopping": "cancelling",
    "JobStatus.RUNNING": "running",
    "FineTuningJobStatus.in_progress": "running",
    "InProgress": "running",
    " Running ": "running",
    "STARTED": "running",
    "notRunning": "queued",
    "TUNING_JOB_STATUS_PENDING": "queued",
    "ValidatingFiles": "validating_files",
    "VALIDATED": "validating_files",
    "Paused": "paused",
}
NO_END = (
    "polishing",
    "retrying_after_error",
    "failing_over",
    "reticulating",
    "Überprüft",
)


@pytest.mark.parametrize(("word", "meaning"), SAID.items())
def test_a_word_is_read_by_its_meaning(word: str, meaning: str) -> None:
    assert openai_status_of(word) == meaning


@pytest.mark.parametrize("meaning", STATUS_SYNONYMS)
def test_every_word_of_the_table_is_read_in_every_spelling(meaning: str) -> None:
    for word in STATUS_SYNONYMS[meaning]:
        camel = "".join(part.capitalize() for part in word.split("_"))
        for spelled in (word, word.upper(), word.replace("_", "-"), camel, f"State.{word.upper()}"):
            assert openai_status_of(spelled) == meaning, spelled


@pytest.mark.parametrize("word", NO_END)
def test_a_word_nobody_knows_stays_as_it_is(word: str) -> None:
    assert openai_status_of(word) == word


def test_a_word_without_end_is_cut() -> None:
    assert openai_status_of("x" * 100_000) == "x" * MAX_STATUS_LENGTH
    assert openai_status_of("...") == "..."
    assert openai_status_of("  ") == "unknown"
