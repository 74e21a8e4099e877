"""What a thread is called: the question that it began with, as one plain line; pure."""

from __future__ import annotations

import re

from adapters.message_splitting import fitting_length, length

_LINK = re.compile(r"!?\[([^\[\]\n]*)\]\([^()\s]*\)")
_INLINE = r"```\w*|[`*~|\\]+|(?<!\w)_+|(?<!_)_+(?!\w)"
_AT_LINE_START = r"^[ \t]*(?:#{1,6}|-#|>{1,3}|[-+])\s+"
_MARKUP = re.compile(rf"{_INLINE}|{_AT_LINE_START}", re.MULTILINE)
_PING = re.compile(r"<(?:@[!&]?|#)\d+>|@(?=\w)")


def title_of(question: str, longest: int) -> str:
    """At most so many characters (UTF-16), without markdown, and nothing that looks like a ping."""
    bare = _PING.sub("", _MARKUP.sub("", _LINK.sub(r"\1", question)))
    title = " ".join(bare.split())
    if length(title) <= longest:
        return title
    return f"{title[: fitting_length(title, longest - 1)].rstrip()}…"
