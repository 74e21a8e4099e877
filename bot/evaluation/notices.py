"""The notices of an evaluation: its status message, and one at its end."""

from __future__ import annotations

from bot.paid_run_actions import RunKind

STATUS = "evaluation.status"
ENDED = "evaluation.ended"
KIND = RunKind("evaluation", audited="evaluation", words="evaluation", status=STATUS)
