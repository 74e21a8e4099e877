"""Every command, button, form, reaction and shortcut, once, as a table."""

from __future__ import annotations

from collections.abc import Mapping

from bot import chat, examples, privacy, removal
from bot.catalogue.commands import COMMANDS
from bot.catalogue.deeds import BUTTONS, FORMS, HAPPENINGS, REACTIONS, SHORTCUTS, UNREACTIONS
from bot.commands import Catalogue
from bot.examples.keeping import CARD_STANDS
from bot.outbox import Wording
from bot.tuning import calendar, cards, deleting, facts

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
    happenings=HAPPENINGS,
    form_openers=FORM_OPENERS,
)

WORDINGS: Mapping[str, Wording] = {
    deleting.KEPT: deleting.word_kept,
    facts.STATUS: cards.word_status,
    facts.ENDED: cards.word_ended,
    facts.LATE: cards.word_late,
    facts.REFUSED: cards.word_refused,
    calendar.ENDING: calendar.word_ending,
    chat.FELL_BACK: chat.word_fell_back,
    removal.CLOSED: removal.word_closed,
    CARD_STANDS: examples.word_standing,
    privacy.CONSENT_WANTED: privacy.word_consent_wanted,
}
