"""The form for a better answer, and the button that opens it."""

from __future__ import annotations

from bot import access
from bot.domain import Role, Sources, Turn
from bot.replies import Button, Field, FieldKind, Form, Text
from bot.request import Request

NEVER_AGAIN = "never_again"
_NOTE = 300
"""Characters of a question that are shown above the answer to be written."""


def offer_form(request: Request, turn: Turn) -> Text:
    is_wanted = turn.is_refusal and _may_be_kept(request)
    title = "refusal.title" if is_wanted else "feedback.tell_why"
    text = "refusal.no_lesson" if is_wanted else "feedback.sorry"
    button = Button(request.words(title), f"feedback.why:{turn.id}")
    return Text(request.words(text), private=True, buttons=(button,))


def better_answer_form(request: Request, turn: Turn) -> Form:
    """A better answer is asked for where it can be kept; of strangers it is no lesson.

    A refusal is nothing to start from.
    """
    words, is_wanted = request.words, _may_be_kept(request)
    if turn.is_refusal and is_wanted:
        return Form(
            id=f"feedback:{turn.id}",
            title=words("refusal.title"),
            fields=(
                Field("better", words("feedback.better"), FieldKind.TEXT),
                *_never_again(request),
            ),
            submit_label=words("feedback.submit"),
            note=turn.question[:_NOTE],
            reopen_action=f"feedback.why:{turn.id}",
        )
    reason = Field("reason", words("feedback.reason"), FieldKind.TEXT, required=False)
    better = Field("better", words("feedback.better"), FieldKind.TEXT, turn.reply, required=False)
    return Form(
        id=f"feedback:{turn.id}",
        title=words("feedback.title" if is_wanted else "feedback.tell_why"),
        fields=(reason, better, *_never_again(request)) if is_wanted else (reason,),
        submit_label=words("feedback.submit"),
        reopen_action=f"feedback.why:{turn.id}",
    )


def _may_be_kept(request: Request) -> bool:
    """The question came as a message, so its text needs the widest permission."""
    if request.role is Role.STRANGER:
        return False
    if request.workspace.platform == "local":
        return True
    if request.workspace.sources < Sources.MESSAGES:
        return False
    return access.exclusions(request.place, [request.user]) in request.workspace.allowed


def _never_again(request: Request) -> tuple[Field, ...]:
    """For curators: what they mark is not trained on, but asked of every new model."""
    if request.role < Role.CURATOR:
        return ()
    label = request.words("feedback.never_again")
    return (Field(NEVER_AGAIN, label, FieldKind.TOGGLE, required=False),)
