"""SQL conditions for which examples may be trained on."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import ColumnElement, and_, exists, not_, or_

from bot.domain import CHANNEL_EXCLUSIONS, LOCAL, ChannelId, ExampleState, Origin, Sources
from bot.private_text import PrivateText
from storage.tables import consents, example_authors, examples, workspaces

_OPERATOR_ORIGINS = (Origin.STUDIO, Origin.CONSOLE, Origin.IMPORT)


def is_trainable(*, shown_in: ChannelId | None = None) -> ColumnElement[bool]:
    """Whether the example of the query may be trained on now; true or false, never NULL.

    With `shown_in`, whether the example may be shown to a model that answers in this channel:
    also examples from that very channel, whatever kind of channel it is.

    A key or password in an example must have been decided on, and if the workspace requires
    masks, no private text may be left. The origin must be within the workspace's sources. For
    forms and messages, every author must have consented and every exclusion must be allowed; a
    message without a known author has nobody who could consent. In the local workspace the
    operator is the author, so no consent is required. An example of an author who took consent
    back is never trainable.
    """
    return and_(
        examples.c.state == ExampleState.APPROVED,
        examples.c.row.is_not(None),
        _has_no_private_text(),
        not_(_has_author(_consent(given=False))),
        or_(
            examples.c.origin.in_(_OPERATOR_ORIGINS),
            and_(
                examples.c.origin == Origin.FORM,
                _is_allowed_source(Sources.FORMS, shown_in),
                _has_consent(),
            ),
            and_(
                examples.c.origin == Origin.MESSAGE,
                _is_allowed_source(Sources.MESSAGES, shown_in),
                _has_consent(),
                _has_author(),
            ),
        ),
    )


def awaits_consent() -> ColumnElement[bool]:
    """Whether the example of the query is from a channel and an author has not consented."""
    is_said = and_(examples.c.origin == Origin.MESSAGE, examples.c.workspace != LOCAL)
    return and_(is_said, not_(_has_consent()))


def _is_allowed_source(step: Sources, shown_in: ChannelId | None) -> ColumnElement[bool]:
    """Whether the workspace allows these sources, and the example's exclusions."""
    allowed = exists().where(
        workspaces.c.id == examples.c.workspace,
        workspaces.c.sources >= int(step),
        or_(*_allowed_exclusions(shown_in)),
    )
    return or_(examples.c.workspace == LOCAL, allowed)


def _allowed_exclusions(shown_in: ChannelId | None) -> Iterator[ColumnElement[bool]]:
    exclusions = examples.c.exclusions
    yield exclusions.bitwise_and(workspaces.c.allowed) == exclusions
    if shown_in is not None:
        people_exclusions = exclusions.bitwise_and(~int(CHANNEL_EXCLUSIONS))
        are_allowed = people_exclusions.bitwise_and(workspaces.c.allowed) == people_exclusions
        yield and_(examples.c.channel == shown_in, are_allowed)


def _has_no_private_text() -> ColumnElement[bool]:
    """Whether the example has no private text, or only such as may stay."""
    has_secret = examples.c.private_text.bitwise_and(int(PrivateText.SECRET)) != 0
    may_stay = or_(examples.c.keeps_private_text.is_(True), not_(has_secret))
    return or_(examples.c.private_text == 0, and_(may_stay, not_(must_mask())))


def must_mask() -> ColumnElement[bool]:
    """Whether the workspace of the example of the query requires masks."""
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
