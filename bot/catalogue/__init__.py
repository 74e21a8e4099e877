"""Every command, button, form, reaction and shortcut, once, as a table."""

from __future__ import annotations

from collections.abc import Mapping

from bot import chat, examples, privacy, removal
from bot.catalogue.actions import BUTTONS, FORMS, HAPPENINGS, REACTIONS, SHORTCUTS, UNREACTIONS
from bot.catalogue.commands import COMMANDS
from bot.commands import Catalogue
from bot.examples.keeping import CARD_STANDS
from bot.outbox import Wording
from bot.tuning import cards, deleting, expiry, notices

FORM_OPENERS = frozenset(
    [
        "teach",
        "import",
        "save",
        "improve",
        "feedback.why",
        "feedback.bad",
        "example.edit",
        "example.write",
        "welcome.sources",
    ]
) | {"admin sources"}

CATALOGUE = Catalogue(
    commands=COMMANDS,
    buttons=BUTTONS,
    forms=FORMS,
    reactions=REACTIONS,
    unreactions=UNREACTIONS,
    shortcuts=SHORTCUTS,
    event_handlers=HAPPENINGS,
    form_openers=FORM_OPENERS,
)

WORDINGS: Mapping[str, Wording] = {
    deleting.KEPT: deleting.word_kept,
    notices.STATUS: cards.word_status,
    notices.ENDED: cards.word_ended,
    notices.LATE: cards.word_late,
    notices.REFUSED: cards.word_refused,
    expiry.ENDING: expiry.word_ending,
    chat.FELL_BACK: chat.word_fell_back,
    removal.CLOSED: removal.word_closed,
    CARD_STANDS: examples.word_standing,
    privacy.CONSENT_WANTED: privacy.word_consent_wanted,
}
