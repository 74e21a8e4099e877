"""Makes texts of others safe for Discord and measures them as Discord does; pure functions."""

from __future__ import annotations

import re

from adapters.message_splitting import fitting_length, utf16_length
from bot.mentions_and_times import ReferenceKind, render_references, with_names_for_references

MAX_TEXT_LENGTH = 2000
"""Characters of a message: https://docs.discord.com/developers/resources/message"""

_ID = re.compile(r"&?\d{1,20}", re.ASCII)
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]")
# Starts of markup: https://support.discord.com/hc/en-us/articles/210298617. An underscore inside a
# word is not markup, a bracket only in a text with a link, a hash only in front.
_MARKUP_START = r"\\|\*|`|~~|\|\||(?<!\w)_|_(?!\w)|<(?=[@#:/ta])|^(?=#{1,3}\s|-#\s|>\s|>>>)"
_MARKUP = re.compile(_MARKUP_START, re.MULTILINE)
_MARKUP_AND_LINKS = re.compile(rf"{_MARKUP_START}|\[", re.MULTILINE)


def sanitize(text: str) -> str:
    """Returns a text for titles and buttons, without control and direction characters.

    References to people, channels and times are replaced by names. Pings are limited by each
    message.
    """
    return _CONTROL.sub("", with_names_for_references(text))


def escape(text: str) -> str:
    """Returns a text of the bot with all markup escaped, except references."""
    markup = _MARKUP_AND_LINKS if "](" in text else _MARKUP
    escaped = markup.sub(lambda start: f"\\{start[0]}", _CONTROL.sub("", text))
    return render_references(escaped, _reference)


def _reference(kind: ReferenceKind, number: str, name: str) -> str:
    """Returns a reference as Discord's markup.

    https://docs.discord.com/developers/reference#message-formatting
    """
    match kind:
        case ReferenceKind.MOMENT:
            # Format f is date and time,
            # https://docs.discord.com/developers/reference#message-formatting
            return f"<t:{number}:f>"
        case _ if _ID.fullmatch(number):
            return f"<{kind}{number}>"
        case _:
            return name or number


def shorten(text: str, most: int) -> str:
    """Returns a text of at most `most` characters, with an ellipsis if it was cut."""
    if utf16_length(text) <= most:
        return text
    return text[: fitting_length(text, most - 1)] + "…"


def split_for_inputs(text: str, most: int) -> list[str] | None:
    """Splits a text for inputs of `most` characters; Discord trims white space of each input.

    No split is beside white space. Returns None if there is no such place.
    """
    parts: list[str] = []
    start = 0
    while len(text) - start > most or utf16_length(text[start:]) > most:
        end = start + fitting_length(text[start : start + most], most)
        while end > start and (text[end - 1].isspace() or text[end].isspace()):
            end -= 1
        if end == start:
            return None
        parts.append(text[start:end])
        start = end
    return [*parts, text[start:]]
