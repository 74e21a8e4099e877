"""The form for a better answer; a refusal that is marked as a lesson leads to it too."""

from __future__ import annotations

from bot.domain import MessageId, Role, Turn
from bot.events import ReactionChanged
from bot.ports.store import Store
from bot.replies import Button, Field, FieldKind, Form, Reply, Text
from bot.request import Request

_NOTE = 300
"""Characters of a question that are shown above the answer to be written."""


async def instead_of_refusal(request: Request, message: MessageId, *, store: Store) -> Reply | None:
    """What to do where a refusal is marked as a lesson: ask for the answer; None if it is none.

    A shortcut opens the form at once; a reaction cannot, so it gets a button.
    """
    turn = await turn_at(request, message, store=store)
    if turn is None or not turn.is_refusal:
        return None
    if isinstance(request.event.what, ReactionChanged):
        return offer_form(request, turn)
    return better_answer_form(request, turn)


def offer_form(request: Request, turn: Turn) -> Text:
    title = "refusal.title" if turn.is_refusal else "feedback.tell_why"
    text = "refusal.no_lesson" if turn.is_refusal else "feedback.sorry"
    button = Button(request.words(title), f"feedback.why:{turn.id}")
    return Text(request.words(text), private=True, buttons=(button,))


def better_answer_form(request: Request, turn: Turn) -> Form:
    """Strangers say only why: what they write is no lesson. A refusal is nothing to start from."""
    words = request.words
    if turn.is_refusal and request.role is not Role.STRANGER:
        return Form(
            id=f"feedback:{turn.id}",
            title=words("refusal.title"),
            fields=(Field("better", words("feedback.better"), FieldKind.TEXT),),
            submit=words("feedback.submit"),
            note=turn.question[:_NOTE],
            again=f"feedback.why:{turn.id}",
        )
    reason = Field("reason", words("feedback.reason"), FieldKind.TEXT, required=False)
    better = Field("better", words("feedback.better"), FieldKind.TEXT, turn.reply, required=False)
    return Form(
        id=f"feedback:{turn.id}",
        title=words("feedback.title"),
        fields=(reason,) if request.role is Role.STRANGER else (reason, better),
        submit=words("feedback.submit"),
        again=f"feedback.why:{turn.id}",
    )


async def turn_at(request: Request, message: MessageId | None, *, store: Store) -> Turn | None:
    if message is None:
        return None
    async with store.reading() as records:
        return await records.turns.by_message(request.id, request.place.channel, message)
