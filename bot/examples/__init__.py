"""Examples: proposed from a message or a form, approved, edited, withdrawn."""

from bot.examples.bulk import bulk
from bot.examples.capture import (
    APPROVED,
    PROPOSED,
    approve_marked,
    propose,
    unpropose,
)
from bot.examples.cards import word_standing
from bot.examples.deciding import judge, undo, withdraw
from bot.examples.editing import edit_form, edited, listing
from bot.examples.exchange import described, messages_of
from bot.examples.following import source_edited
from bot.examples.looking import context, revisions, show, similar
from bot.examples.review import review, skip
from bot.examples.saving import named_message, save_form, saved
from bot.examples.texts import is_same
from bot.examples.writing import teach, teach_form, write, write_page, written

__all__ = [
    "APPROVED",
    "PROPOSED",
    "approve_marked",
    "bulk",
    "context",
    "described",
    "edit_form",
    "edited",
    "is_same",
    "judge",
    "listing",
    "messages_of",
    "named_message",
    "propose",
    "review",
    "revisions",
    "save_form",
    "saved",
    "show",
    "similar",
    "skip",
    "source_edited",
    "teach",
    "teach_form",
    "undo",
    "unpropose",
    "withdraw",
    "word_standing",
    "write",
    "write_page",
    "written",
]
