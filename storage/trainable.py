"""The rule of which examples may be trained on, as SQL."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import ColumnElement, and_, exists, not_, or_

from bot.domain import CHANNEL_EXCLUSIONS, LOCAL, ChannelId, ExampleState, Origin, Sources
from bot.private_text import PrivateText
from storage.tables import consents, example_authors, examples, workspaces

_OWN_WORDS = (Origin.STUDIO, Origin.CONSOLE, Origin.IMPORT)


def is_trainable(*, shown_in: ChannelId | None = None) -> ColumnElement[bool]:
    """Whether the example at hand may be trained on now; true or false, never NULL.

    With `shown_in`, whether it may be shown to a model in an answer there: also what was said in
    that very channel, whatever kind it is.

    A key or password in it must be decided upon, and where the workspace demands masks no private
    text may be left. Its origin must be within the workspace's sources, and for forms and
    messages every author must have consented and every exclusion be allowed.
    A message without a known author has nobody who could consent. In the local
    workspace the words are the operator's own, so silence is consent there. An
    author who took consent back is excluded everywhere, whatever the origin.
    """
    return and_(
        examples.c.state == ExampleState.APPROVED,
        examples.c.row.is_not(None),
        _has_no_private_text(),
        not_(_has_author(_consent(given=False))),
        or_(
            examples.c.origin.in_(_OWN_WORDS),
            and_(
                examples.c.origin == Origin.FORM,
                _reaches(Sources.FORMS, shown_in),
                _has_consent(),
            ),
            and_(
                examples.c.origin == Origin.MESSAGE,
                _reaches(Sources.MESSAGES, shown_in),
                _has_consent(),
                _has_author(),
            ),
        ),
    )


def awaits_consent() -> ColumnElement[bool]:
    """Whether the example at hand holds what people said in a channel, and one has not agreed."""
    is_said = and_(examples.c.origin == Origin.MESSAGE, examples.c.workspace != LOCAL)
    return and_(is_said, not_(_has_consent()))


def _reaches(step: Sources, shown_in: ChannelId | None) -> ColumnElement[bool]:
    """The workspace lets us learn from such words, and from those people and places."""
    allowed = exists().where(
        workspaces.c.id == examples.c.workspace,
        workspaces.c.sources >= int(step),
        or_(*_within_allowed(shown_in)),
    )
    return or_(examples.c.workspace == LOCAL, allowed)


def _within_allowed(shown_in: ChannelId | None) -> Iterator[ColumnElement[bool]]:
    given = examples.c.exclusions
    yield given.bitwise_and(workspaces.c.allowed) == given
    if shown_in is not None:
        of_people = given.bitwise_and(~int(CHANNEL_EXCLUSIONS))
        are_allowed = of_people.bitwise_and(workspaces.c.allowed) == of_people
        yield and_(examples.c.channel == shown_in, are_allowed)


def _has_no_private_text() -> ColumnElement[bool]:
    """Or only what may stay."""
    has_secret = examples.c.private_text.bitwise_and(int(PrivateText.SECRET)) != 0
    may_stay = or_(examples.c.keeps_private_text.is_(True), not_(has_secret))
    return or_(examples.c.private_text == 0, and_(may_stay, not_(must_mask())))


def must_mask() -> ColumnElement[bool]:
    """Whether the workspace of the example at hand demands masks."""
    return exists().where(workspaces.c.id == examples.c.workspace, workspaces.c.must_mask.is_(True))


def _has_consent() -> ColumnElement[bool]:
    return or_(examples.c.workspace == LOCAL, not_(_has_author(not_(_consent(given=True)))))


def _has_author(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(
        example_authors.c.workspace == examples.c.workspace,
        example_authors.c.example == examples.c.id,
        *conditions,
    )


def _consent(*, given: bool) -> ColumnElement[bool]:
    return exists().where(
        consents.c.workspace == example_authors.c.workspace,
        consents.c.user == example_authors.c.item,
        consents.c.given.is_(given),
    )
