"""The sentences about hosts, and what they leave, in English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SENTENCES: Final[Mapping[str, str]] = {
    # What a job leaves
    "accuracy.title": "Accuracy of training {id}",
    "accuracy.chart": "Accuracy",
    "accuracy.summary": "Tokens guessed right: from {first} to {last}.",
    "button.accuracy": "Accuracy",
    "button.results": "Result file",
    "job.results": "The table of measures, as the host “{host}” made it.",
    "job.no_results": "The host has left no table of measures for training {id}.",
}
