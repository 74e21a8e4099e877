"""Derives the title of a thread from its first question; pure."""

from __future__ import annotations

import re

from adapters.message_splitting import fitting_length, utf16_length

_LINK = re.compile(r"!?\[([^\[\]\n]*)\]\([^()\s]*\)")
_INLINE = r"```\w*|[`*~|\\]+|(?<!\w)_+|(?<!_)_+(?!\w)"
_AT_LINE_START = r"^[ \t]*(?:#{1,6}|-#|>{1,3}|[-+])\s+"
_MARKUP = re.compile(rf"{_INLINE}|{_AT_LINE_START}", re.MULTILINE)
_PING = re.compile(r"<(?:@[!&]?|#)\d+>|@(?=\w)")


def title_of(question: str, longest: int) -> str:
    """Returns a question on one line without markdown and mentions.

    The title has at most `longest` UTF-16 code units.
    """
    bare = _PING.sub("", _MARKUP.sub("", _LINK.sub(r"\1", question)))
    title = " ".join(bare.split())
    if utf16_length(title) <= longest:
        return title
    return f"{title[: fitting_length(title, longest - 1)].rstrip()}…"
