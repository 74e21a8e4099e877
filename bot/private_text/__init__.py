"""Finds and masks private text: secrets, cards, accounts, id numbers, phones, addresses."""

from bot.private_text.detection import find_private_text, load_detectors, may_contain_private_text
from bot.private_text.kinds import ANY_PRIVATE_TEXT, NO_PRIVATE_TEXT, Finding, PrivateText
from bot.private_text.row_masking import (
    mask_row,
    private_kinds_in_row,
    private_texts_in_row,
    row_texts,
)

__all__ = [
    "ANY_PRIVATE_TEXT",
    "NO_PRIVATE_TEXT",
    "Finding",
    "PrivateText",
    "find_private_text",
    "load_detectors",
    "mask_row",
    "may_contain_private_text",
    "private_kinds_in_row",
    "private_texts_in_row",
    "row_texts",
]
