"""`/tune vote` and its buttons: estimates and starts a blind vote, stores ballots, closes it."""

from __future__ import annotations

from dataclasses import replace

from bot.access import require_role
from bot.commands import Handlers, Option, OptionKind
from bot.domain import (
    Ballot,
    BlindVote,
    Evaluation,
    Role,
    VoteState,
)
from bot.errors import NotFound, NotNow
from bot.evaluation import command
from bot.evaluation.cards import parse_evaluation_id
from bot.number_formats import parse_number_argument
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.ports.surface import CanDirectMessage, CanSendEphemeral
from bot.replies import Button, Card, Reply, Text
from bot.request import Request
from bot.rows import Method
from bot.votes import notices
from bot.votes.cards import BALLOT_BUTTON, END_VOTE_BUTTON, choice_of_button

handlers = Handlers()

DEFAULT_QUESTIONS = 10
MAX_QUESTIONS = 60
DEFAULT_HOURS = 24
MAX_HOURS = 168


@handlers.command(
    "vote",
    Role.TRAINER,
    Option.integer("questions", 1, MAX_QUESTIONS),
    Option("model", OptionKind.MODEL),
    Option("against", OptionKind.MODEL),
    Option.integer("hours", 1, MAX_HOURS),
)
async def estimate_vote(request: Request, deps: Dependencies) -> Reply:
    """Returns a card with the number of questions and the price; nothing is sent to a model."""
    async with deps.store.reading() as records:
        new = await command.requested_evaluation(request, records)
    questions = request.integer_option("questions") or DEFAULT_QUESTIONS
    new = replace(new, is_vote=True, most_questions=questions, method=Method.SUPERVISED)
    evaluation, estimate = await command.plan_and_store_estimate(request, new, deps)
    hours = request.integer_option("hours") or DEFAULT_HOURS
    words = request.words
    label, action = words("button.vote"), f"vote.confirm:{evaluation.id}.{hours}"
    card = command.estimate_card(
        request,
        evaluation,
        estimate,
        title=words("vote.title", model=evaluation.contenders[0].model),
        confirm=Button(label, action, is_primary=True),
    )
    return replace(card, lines=(*card.lines, words("vote.how", count=hours)))


@handlers.button("vote.confirm", Role.TRAINER)
async def confirm_vote(request: Request, deps: Dependencies) -> Reply:
    """Starts the evaluation of both models; the vote opens once their answers are stored."""
    name, _, hours = request.argument.partition(".")
    async with deps.store.writing() as records:
        evaluation = await command.confirm_estimate(
            request, records, deps.hosts, is_vote=True, name=name
        )
        most = min(parse_number_argument(hours, "button"), MAX_HOURS)
        waiting = BlindVote(request.workspace_id, evaluation.id, VoteState.WAITING, most)
        await records.blind_votes.add(request.workspace_id, waiting)
    deps.wake_runners()
    return Card(request.words("vote.confirmed", name=request.user.name), replaces=True)


@handlers.button(BALLOT_BUTTON, Role.MEMBER)
async def cast_ballot(request: Request, deps: Dependencies) -> Reply:
    """Stores a ballot, which replaces an earlier one of the person on the same question.

    The reply is private, so that others do not see the choice.
    """
    name, number, letter = [*request.argument.split("."), "", ""][:3]
    async with deps.store.writing() as records:
        evaluation = await _vote_here(request, name, records)
        question = parse_number_argument(number, "question")
        choice = choice_of_button(evaluation, question, letter)
        if choice is None or not 1 <= question <= evaluation.questions:
            raise NotFound(noun="question", name=number)
        is_curator = request.role >= Role.CURATOR
        ballot = Ballot(question, request.user_id, choice, is_curator, request.now)
        if not await records.blind_votes.put_ballot(request.workspace_id, evaluation.id, ballot):
            raise NotNow(problem=request.words("vote.over", id=evaluation.id))
        await notices.queue_status_notice(records, evaluation, at=request.now)
    return Text(_receipt(request, letter, deps), private=True)


@handlers.button(END_VOTE_BUTTON, Role.MEMBER)
async def end_vote(request: Request, deps: Dependencies) -> Reply:
    """Closes a vote early; only for the person who started it and for curators."""
    words = request.words
    async with deps.store.writing() as records:
        evaluation = await _vote_here(request, request.argument, records)
        if evaluation.asked_by != request.user_id:
            require_role(request.role, Role.CURATOR, words)
        if not await records.blind_votes.update_if(
            request.workspace_id, evaluation.id, when=(VoteState.OPEN,), state=VoteState.CLOSING
        ):
            raise NotNow(problem=words("vote.over", id=evaluation.id))
        await request.audit(records, "vote.ended", evaluation=evaluation.id)
    deps.wake_runners()
    return Text(words("vote.ending", id=evaluation.id), private=True)


async def _vote_here(request: Request, name: str, records: Records) -> Evaluation:
    """Returns the evaluation of a vote in this channel, in any channel for operators.

    Raises NotFound.
    """
    evaluation = await records.evaluations.get(request.workspace_id, parse_evaluation_id(name))
    is_here = evaluation.place.channel == request.place.channel or request.role is Role.OPERATOR
    if not evaluation.is_vote or not is_here:
        raise NotFound(noun="vote", name=name)
    return evaluation


def _receipt(request: Request, letter: str, deps: Dependencies) -> str:
    """Returns the receipt of a ballot; names the choice only if nobody else can see the reply."""
    surface = deps.surfaces.surface_of(request.workspace_id)
    is_alone = request.is_page or isinstance(surface, CanSendEphemeral | CanDirectMessage)
    choice = request.words(f"button.vote.{letter}")
    return request.words("vote.counted", choice=choice) if is_alone else request.words("vote.kept")
