"""Calls the judge model of every open judging until all pairs have an outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from bot.domain import Evaluation, JudgedPair, Judging, Sampling
from bot.errors import AttuneError
from bot.judging import command, verdicts
from bot.judging.prompt import judge_prompt
from bot.paid_run_actions import queue_run_notice
from bot.paid_runs import PaidRunner
from bot.ports.metered_calls import Answer
from bot.ports.paid_runs import PaidRuns
from bot.ports.store import Records
from bot.prompts import PromptMessage
from bot.votes.tally import tally_questions

_SAMPLING = Sampling(temperature=0.0, max_tokens=16)


class JudgeRunner(PaidRunner[Judging, JudgedPair]):
    """Sends each pair of answers to the judge model in both orders."""

    _needs_whole_answers = False

    def _runs(self, records: Records) -> PaidRuns[Judging, JudgedPair]:
        return records.judgings

    async def _messages(self, run: Judging, call: JudgedPair) -> list[PromptMessage] | None:
        evaluation_key, number = (run.workspace, run.evaluation), call.number
        async with self._store.reading() as records:
            questions = await records.evaluations.questions(
                *evaluation_key, after=number - 1, limit=1
            )
            answers = await records.evaluations.answers(
                *evaluation_key, after=number - 1, until=number
            )
        both = command.judged_answers(answers, run.against)
        if both is None or not questions or questions[0].number != number:
            return None
        return judge_prompt(questions[0], both, run.criteria, is_swapped=call.is_swapped)

    def _sampling(self, run: Judging) -> Sampling:
        return _SAMPLING

    async def _outcome(
        self, records: Records, run: Judging, call: JudgedPair, answer: Answer
    ) -> JudgedPair:
        is_cut = answer.incomplete_reason is not None
        return replace(call, preferred=verdicts.parse_preference(answer.text, is_cut=is_cut))

    async def _tell(
        self, records: Records, run: Judging, *, at: datetime, trouble: AttuneError | None
    ) -> None:
        await queue_run_notice(records, run, command.STATUS_NOTICE, at=at, trouble=trouble)

    async def _report(self, run: Judging, records: Records) -> Mapping[str, object]:
        pairs = await records.judgings.calls(run.workspace, run.id)
        evaluation = await records.evaluations.get(run.workspace, run.evaluation)
        return verdicts.dump_report(verdicts.make_report(pairs, await _votes(evaluation, records)))


async def _votes(evaluation: Evaluation, records: Records) -> Mapping[int, str]:
    """Returns FIRST, SECOND or EVEN by question, as people chose in the blind vote, if any."""
    if not evaluation.is_vote:
        return {}
    ballots = await records.blind_votes.ballots(evaluation.workspace, evaluation.id)
    sides = {0: verdicts.FIRST, 1: verdicts.SECOND, None: verdicts.EVEN}
    return {number: sides[tally.winner] for number, tally in tally_questions(ballots).items()}
