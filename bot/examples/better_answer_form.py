"""The form for a better answer, and the button that opens it."""

from __future__ import annotations

from bot import access
from bot.domain import Role, Sources, Turn
from bot.replies import Button, Field, FieldKind, Form, Text
from bot.request import Request

MUST_ANSWER_FIELD = "never_again"
_NOTE = 300
"""Limit of characters of the question that the form shows."""


def offer_better_answer_form(request: Request, turn: Turn) -> Text:
    """Returns a message with the button that opens the form."""
    may_improve = turn.is_refusal and _may_store_answer(request)
    title = "refusal.title" if may_improve else "feedback.tell_why"
    text = "refusal.no_lesson" if may_improve else "feedback.sorry"
    button = Button(request.words(title), f"feedback.why:{turn.id}")
    return Text(request.words(text), private=True, buttons=(button,))


def better_answer_form(request: Request, turn: Turn) -> Form:
    """Returns a form for the reason and, where it may be stored, a better answer.

    The field has the reply as its initial text, but is empty for a refusal.
    """
    words, may_improve = request.words, _may_store_answer(request)
    if turn.is_refusal and may_improve:
        return Form(
            id=f"feedback:{turn.id}",
            title=words("refusal.title"),
            fields=(
                Field("better", words("feedback.better"), FieldKind.TEXT),
                *_must_answer_field(request),
            ),
            submit_label=words("feedback.submit"),
            note=turn.question[:_NOTE],
            reopen_action=f"feedback.why:{turn.id}",
        )
    reason = Field("reason", words("feedback.reason"), FieldKind.TEXT, required=False)
    better = Field("better", words("feedback.better"), FieldKind.TEXT, turn.reply, required=False)
    return Form(
        id=f"feedback:{turn.id}",
        title=words("feedback.title" if may_improve else "feedback.tell_why"),
        fields=(reason, better, *_must_answer_field(request)) if may_improve else (reason,),
        submit_label=words("feedback.submit"),
        reopen_action=f"feedback.why:{turn.id}",
    )


def _may_store_answer(request: Request) -> bool:
    """Whether a better answer may be stored: the question is a message, which must be allowed.

    Never for strangers, always in the local workspace.
    """
    if request.role is Role.STRANGER:
        return False
    if request.workspace.platform == "local":
        return True
    if request.workspace.sources < Sources.MESSAGES:
        return False
    return access.learning_exclusions(request.place, [request.user]) in request.workspace.allowed


def _must_answer_field(request: Request) -> tuple[Field, ...]:
    """Returns the curators' toggle that makes the example a must-answer question."""
    if request.role < Role.CURATOR:
        return ()
    label = request.words("feedback.never_again")
    return (Field(MUST_ANSWER_FIELD, label, FieldKind.TOGGLE, required=False),)
