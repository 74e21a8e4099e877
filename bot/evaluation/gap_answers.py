"""Lists what the new model of an evaluation answered to the questions of gaps."""

from __future__ import annotations

from bot.commands import Handlers
from bot.domain import GapOutcome, GapQuestion, Role, Turn
from bot.evaluation.cards import visible_evaluation
from bot.ports.dependencies import Dependencies
from bot.replies import Button, Listing, ListingRow, Reply, one_line
from bot.request import Request
from bot.teach_next.command import may_see_question, sees_all_channels

handlers = Handlers()

_MAX_TEXT_LENGTH = 300


@handlers.button("evaluation.gaps", Role.CURATOR)
async def list_gap_answers(request: Request, deps: Dependencies) -> Reply:
    """What the new model of an evaluation answered to questions that were in this list."""
    words = request.words
    async with deps.store.reading() as records:
        evaluation = await visible_evaluation(request, request.argument, records)
        calls = await records.evaluation_gaps.calls(request.workspace_id, evaluation.id)
        asked = [one.turn for one in calls]
        turns = await records.turns.get_many(request.workspace_id, asked)
    shown = [
        _evaluated_row(request, one, turn)
        for one in calls
        if (turn := turns.get(one.turn)) and turn.question
        if may_see_question(request, turn.place.channel, turn.place.thread)
    ]
    return Listing(
        words("unanswered.evaluated", id=evaluation.id),
        tuple(shown),
        empty=words("unanswered.empty"),
        note="" if sees_all_channels(request) else words("unanswered.here"),
        private=True,
    )


def _evaluated_row(request: Request, gap: GapQuestion, turn: Turn) -> ListingRow:
    words = request.words
    note = words(
        f"unanswered.{gap.outcome or 'missing'}", answer=one_line(gap.answer, _MAX_TEXT_LENGTH)
    )
    answer = Button(words("button.write_answer"), f"feedback.why:{turn.id}", is_primary=True)
    is_closed = gap.outcome is GapOutcome.ANSWERED
    text = one_line(turn.question, _MAX_TEXT_LENGTH)
    return ListingRow(str(turn.id), text, note, () if is_closed else (answer,))
