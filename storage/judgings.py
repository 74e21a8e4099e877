"""Judgings: each pair of answers is marked as asked before it is sent to the judge."""

from __future__ import annotations

from bot.domain import JudgedPair, Judging
from storage.evaluation_tables import judged_pairs, judgings
from storage.paid_runs import PaidRuns


class Judgings(PaidRuns[Judging, JudgedPair]):
    """Repository of judgings and their pairs."""

    _runs, _calls, _noun = judgings, judged_pairs, "evaluation"
    _call, _kind = JudgedPair, Judging
