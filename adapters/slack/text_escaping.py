"""Makes texts of others safe for Slack and splits texts for inputs; pure functions."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator

from adapters.message_splitting import utf16_length

MAX_MARKDOWN_LENGTH = 11_500
"""Characters of markdown in a message: Slack's limit is 12,000, and code fences need some."""

MAX_TEXT_LENGTH = 39_000
"""Characters of a message's text: Slack cuts the text at 40,000."""

_DIRECTION_MARKS = re.compile("[\u202a-\u202e\u2066-\u2069]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_INVISIBLE = "\u00ad\u200b-\u200f\u2060-\u2064\ufeff\ufe00-\ufe0f"
_GAP = rf"[\s{_INVISIBLE}]*"
_OPEN = r"(?:[<＜﹤]|&(?:amp;)*(?:lt|\#0*60|\#x0*3c);?)"
_CLOSE = r"(?:[>＞﹥]|&(?:amp;)*(?:gt|\#0*62|\#x0*3e);?)"
# https://docs.slack.dev/messaging/formatting-message-text: what stands between angle
# https://docs.slack.dev/messaging/formatting-message-text: Slack reads @, ! or # after an angle
# bracket as a mention. A comment or a doctype is none, so these remain in code.
_MENTION = re.compile(
    rf"(?P<open>{_OPEN}){_GAP}(?:"
    rf"[!！﹗]{_GAP}(?P<group>here|channel|everyone|group|subteam|date)"
    rf"|[@＠﹫]{_GAP}(?P<user>)"
    rf"|[#＃﹟]{_GAP}(?P<channel>)(?=C[A-Z0-9])"
    rf")",
    re.IGNORECASE,
)
_MENTION_END = re.compile(rf"(?P<close>{_CLOSE})|{_OPEN}|\n", re.IGNORECASE)
_LINK = re.compile(rf"{_OPEN}(?P<scheme>[a-z][a-z0-9+.-]{{0,30}}:)", re.IGNORECASE)
_LINK_END = re.compile(rf"(?P<close>{_CLOSE})|[<\n]", re.IGNORECASE)
_BROADCAST = re.compile(
    rf"[@＠﹫][{_INVISIBLE}]*(?=(?:here|channel|everyone|group)(?!\w))", re.IGNORECASE
)
_IMAGE = re.compile(r"!(?=\[)")
_UNFINISHED = re.compile(
    r"(?:[<＜﹤][^<>＞\n]{0,200}|&[\w#;&]{0,60}(?:[^<>\n]{0,100})?|[@＠﹫]\S{0,12}|!)$"
)
_UNFINISHED_LENGTH = 201
_JOINER = "\u2060"
_ENTITY = re.compile("&(?:amp|lt|gt);")


def sanitize(text: str) -> str:
    """Returns a text that cannot ping, load a picture or change the reading direction."""
    text = _CONTROL.sub("", _DIRECTION_MARKS.sub("", text))
    text = "".join(_without_mentions("".join(_with_addresses(text))))
    text = _BROADCAST.sub(f"@{_JOINER}", text)
    return _IMAGE.sub("", text)


def strip_control_characters(text: str) -> str:
    """Returns a text without control characters and lone surrogates."""
    return _CONTROL.sub("", text)


def split_for_inputs(text: str, most: int) -> list[str] | None:
    """Splits a text for inputs of `most` characters, so that Slack's trimming loses nothing.

    No split is beside white space. Returns None if there is no such place.
    """
    parts: list[str] = []
    start = 0
    while len(text) - start > most // 2 and utf16_length(text[start : start + most + 1]) > most:
        end = start + most
        while utf16_length(text[start:end]) > most:
            end -= (utf16_length(text[start:end]) - most + 1) // 2
        while end > start and (text[end - 1].isspace() or text[end].isspace()):
            end -= 1
        if end == start:
            return None
        parts.append(text[start:end])
        start = end
    return [*parts, text[start:]]


def is_typable(text: str) -> bool:
    """Whether an input returns a text unchanged.

    Slack does not document how inputs treat control characters and texts like `&amp;`.
    """
    return _CONTROL.search(text) is None and _ENTITY.search(text) is None


def escape(text: str) -> str:
    """Returns a text for mrkdwn or fallback, with Slack's three special characters escaped."""
    return sanitize(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _with_addresses(text: str) -> Iterator[str]:
    """Yields a text whose links show their addresses, whatever their labels say."""
    start, separator = 0, -1
    for link, end in _with_ends(_LINK, _LINK_END, text):
        if separator < link.end():
            separator = text.find("|", link.end())
            separator = len(text) if separator < 0 else separator
        if link.start() >= start and end is not None and link.end() < separator < end.start():
            yield text[start : link.start()]
            label, address = text[separator + 1 : end.start()], text[link.end() : separator]
            yield f"{label} ({link['scheme']}{address})"
            start = end.end()
    yield text[start:]


def _without_mentions(text: str) -> Iterator[str]:
    """Yields a text whose mentions are broken by an invisible character, also unfinished ones."""
    start = 0
    for mention, end in _with_ends(_MENTION, _MENTION_END, text):
        yield text[start : mention.start()]
        sign = "#" if mention["channel"] is not None else "@"
        if end is None:
            sign = "!" if mention["group"] else sign
            yield f"{mention['open']}{sign}{_JOINER}{mention['group'] or ''}"
            start = mention.end()
        else:
            name = mention["group"] or text[mention.end() : end.start()].partition("|")[0]
            yield f"{sign}{_JOINER}{name}"
            start = end.end()
    yield text[start:]


def _with_ends(
    heads: re.Pattern[str], ends: re.Pattern[str], text: str
) -> Iterator[tuple[re.Match[str], re.Match[str] | None]]:
    """Yields the match of each start and of its end; None if another end comes first.

    One expression from start to end would scan the rest of the text at every start.
    """
    following = ends.finditer(text)
    end = next(following, None)
    for head in heads.finditer(text):
        while end is not None and end.start() < head.end():
            end = next(following, None)
        yield head, end if end is not None and end["close"] else None


class SafeTextStream:
    """Makes a text safe while it is streamed.

    Holds back what may still become a mention or link.
    """

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """Returns the safe part of the text so far that was not returned before."""
        # The text is made safe first, so that only an unfinished end is held back.
        text = sanitize(self._held + piece)
        search_from = max(0, len(text) - _UNFINISHED_LENGTH)
        unfinished = _UNFINISHED.search(text, search_from)
        cut = unfinished.start() if unfinished else len(text)
        self._held = text[cut:]
        return text[:cut]

    def rest(self) -> str:
        """Returns the held-back end of the text, made safe."""
        rest, self._held = self._held, ""
        return sanitize(rest)


async def safe_pieces(pieces: AsyncGenerator[str]) -> AsyncGenerator[str]:
    """Yields the pieces of a text, made safe as the whole text would be."""
    stream = SafeTextStream()
    async for piece in pieces:
        yield stream.feed(piece)
    yield stream.rest()
