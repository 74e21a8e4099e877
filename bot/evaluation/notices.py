"""The notices of an evaluation: its status message, and one at its end."""

from __future__ import annotations

from bot.paid_run_actions import PaidRunKind

STATUS_NOTICE = "evaluation.status"
ENDED_NOTICE = "evaluation.ended"
EVALUATION_RUN = PaidRunKind(
    "evaluation",
    audit_prefix="evaluation",
    text_key_prefix="evaluation",
    status_notice=STATUS_NOTICE,
)
