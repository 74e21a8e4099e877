"""Judgings: each pair of answers is written down as asked before a judge sees it."""

from __future__ import annotations

from bot.domain import JudgedPair, Judging
from storage.judging_tables import judged_pairs, judgings
from storage.paid_runs import PaidRuns


class Judgings(PaidRuns[Judging, JudgedPair]):
    _runs, _calls, _noun = judgings, judged_pairs, "evaluation"
    _call, _kind = JudgedPair, Judging
