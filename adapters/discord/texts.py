"""Text that others wrote, made safe for Discord, and measured as Discord does; pure."""

from __future__ import annotations

import re

from adapters.message_splitting import fitting_length, length
from bot.references import ReferenceKind, plain_text, render

LONGEST = 2000
"""https://docs.discord.com/developers/resources/message: characters of a message."""

_ID = re.compile(r"&?\d{1,20}", re.ASCII)
_UNWANTED = re.compile("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]")
# What begins markup: https://support.discord.com/hc/en-us/articles/210298617. An underscore
# inside a word is one, a bracket is only in a text with a link, and a hash only in front.
_ALWAYS = r"\\|\*|`|~~|\|\||(?<!\w)_|_(?!\w)|<(?=[@#:/ta])|^(?=#{1,3}\s|-#\s|>\s|>>>)"
_MARKUP = re.compile(_ALWAYS, re.MULTILINE)
_MARKUP_AND_LINKS = re.compile(rf"{_ALWAYS}|\[", re.MULTILINE)


def sanitize(text: str) -> str:
    """Nothing in it turns the reading direction; who may be pinged is said with each message.

    People, channels and times are called by name, for titles and buttons.
    """
    return _UNWANTED.sub("", plain_text(text))


def escape(text: str) -> str:
    """For what the bot itself says, in which nothing but people, channels and times is markup."""
    markup = _MARKUP_AND_LINKS if "](" in text else _MARKUP
    bare = markup.sub(lambda found: f"\\{found[0]}", _UNWANTED.sub("", text))
    return render(bare, _reference)


def _reference(kind: ReferenceKind, number: str, name: str) -> str:
    """https://docs.discord.com/developers/reference#message-formatting."""
    match kind:
        case ReferenceKind.MOMENT:
            # A date, as sentences say "on": https://docs.discord.com/developers/reference#message-formatting
            return f"<t:{number}:f>"
        case _ if _ID.fullmatch(number):
            return f"<{kind}{number}>"
        case _:
            return name or number


def shorten(text: str, most: int) -> str:
    """At most so many places, with dots where something is missing."""
    if length(text) <= most:
        return text
    return text[: fitting_length(text, most - 1)] + "…"


def split_for_inputs(text: str, most: int) -> list[str] | None:
    """A text in inputs of so many places; Discord cuts white space off both ends of each.

    So none but the whole text begins or ends with any; None where that cannot be.
    """
    parts: list[str] = []
    start = 0
    while len(text) - start > most or length(text[start:]) > most:
        end = start + fitting_length(text[start : start + most], most)
        while end > start and (text[end - 1].isspace() or text[end].isspace()):
            end -= 1
        if end == start:
            return None
        parts.append(text[start:end])
        start = end
    return [*parts, text[start:]]
