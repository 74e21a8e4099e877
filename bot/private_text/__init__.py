"""Finds and masks private text: secrets, cards, accounts, id numbers, phones, addresses."""

from bot.private_text.detection import find_private, load_detectors, may_be_private
from bot.private_text.kinds import ANY_PRIVATE_TEXT, NO_PRIVATE_TEXT, Finding, PrivateText
from bot.private_text.row_masking import mask_row, private_texts, row_kinds, row_texts

__all__ = [
    "ANY_PRIVATE_TEXT",
    "NO_PRIVATE_TEXT",
    "Finding",
    "PrivateText",
    "find_private",
    "load_detectors",
    "mask_row",
    "may_be_private",
    "private_texts",
    "row_kinds",
    "row_texts",
]
