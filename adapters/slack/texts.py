"""Text that others wrote, made safe for Slack; pure."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator

from adapters.message_splitting import length

LONGEST_MARKDOWN = 11_500
"""Slack takes 12,000 characters of markdown in a message; fences need some room."""

LONGEST_TEXT = 39_000
"""Slack cuts a message's text at 40,000."""

_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_UNSEEN = "\u00ad\u200b-\u200f\u2060-\u2064\ufeff\ufe00-\ufe0f"
_GAP = rf"[\s{_UNSEEN}]*"
_OPEN = r"(?:[<＜﹤]|&(?:amp;)*(?:lt|\#0*60|\#x0*3c);?)"
_CLOSE = r"(?:[>＞﹥]|&(?:amp;)*(?:gt|\#0*62|\#x0*3e);?)"
# https://docs.slack.dev/messaging/formatting-message-text: what stands between angle
# brackets after @, ! or # is alive. A comment or a doctype is not, so code keeps those.
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
_CALL = re.compile(rf"[@＠﹫][{_UNSEEN}]*(?=(?:here|channel|everyone|group)(?!\w))", re.IGNORECASE)
_IMAGE = re.compile(r"!(?=\[)")
_UNFINISHED = re.compile(
    r"(?:[<＜﹤][^<>＞\n]{0,200}|&[\w#;&]{0,60}(?:[^<>\n]{0,100})?|[@＠﹫]\S{0,12}|!)$"
)
_MOST_HELD = 201
_JOINER = "\u2060"
_ESCAPED = re.compile("&(?:amp|lt|gt);")


def sanitize(text: str) -> str:
    """Nothing in it can ping, load a picture or turn the reading direction."""
    text = _CONTROL.sub("", _TURNING.sub("", text))
    text = "".join(_without_mentions("".join(_with_addresses(text))))
    text = _CALL.sub(f"@{_JOINER}", text)
    return _IMAGE.sub("", text)


def strip_control_characters(text: str) -> str:
    """Without what no text can hold: half characters and control characters."""
    return _CONTROL.sub("", text)


def split_for_inputs(text: str, most: int) -> list[str] | None:
    """A text in inputs of so many places, if white space cut off both ends of each is no loss.

    So none but the whole text begins or ends with any; None where that cannot be.
    """
    parts: list[str] = []
    start = 0
    while len(text) - start > most // 2 and length(text[start : start + most + 1]) > most:
        end = start + most
        while length(text[start:end]) > most:
            end -= (length(text[start:end]) - most + 1) // 2
        while end > start and (text[end - 1].isspace() or text[end].isspace()):
            end -= 1
        if end == start:
            return None
        parts.append(text[start:end])
        start = end
    return [*parts, text[start:]]


def is_typable(text: str) -> bool:
    """Whether an input gives a text back as it was.

    Nobody says what becomes there of characters that no keyboard has, and of what Slack may
    read as one of the three signs that it escapes.
    """
    return _CONTROL.search(text) is None and _ESCAPED.search(text) is None


def escape(text: str) -> str:
    """For mrkdwn and the fallback text, where only these three are special."""
    return sanitize(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _with_addresses(text: str) -> Iterator[str]:
    """Links that show where they lead, whatever they call themselves."""
    start, bar = 0, -1
    for head, end in _ended(_LINK, _LINK_END, text):
        if bar < head.end():
            bar = text.find("|", head.end())
            bar = len(text) if bar < 0 else bar
        if head.start() >= start and end is not None and head.end() < bar < end.start():
            yield text[start : head.start()]
            yield f"{text[bar + 1 : end.start()]} ({head['scheme']}{text[head.end() : bar]})"
            start = end.end()
    yield text[start:]


def _without_mentions(text: str) -> Iterator[str]:
    """Mentions broken by a character that nobody sees, whether they are closed or not yet."""
    start = 0
    for head, end in _ended(_MENTION, _MENTION_END, text):
        yield text[start : head.start()]
        sigil = "#" if head["channel"] is not None else "@"
        if end is None:
            sigil = "!" if head["group"] else sigil
            yield f"{head['open']}{sigil}{_JOINER}{head['group'] or ''}"
            start = head.end()
        else:
            named = head["group"] or text[head.end() : end.start()].partition("|")[0]
            yield f"{sigil}{_JOINER}{named}"
            start = end.end()
    yield text[start:]


def _ended(
    heads: re.Pattern[str], ends: re.Pattern[str], text: str
) -> Iterator[tuple[re.Match[str], re.Match[str] | None]]:
    """What begins in a text, each with its close, if one is the first of its ends.

    One expression from head to close would look through the rest of a text at every head.
    """
    following = ends.finditer(text)
    end = next(following, None)
    for head in heads.finditer(text):
        while end is not None and end.start() < head.end():
            end = next(following, None)
        yield head, end if end is not None and end["close"] else None


class SafeTextStream:
    """Makes a text safe while it comes; holds back only what may still become alive."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        # What is whole is made safe first, so that only what is not can be held back.
        text = sanitize(self._held + piece)
        past = max(0, len(text) - _MOST_HELD)
        unfinished = _UNFINISHED.search(text, past)
        cut = unfinished.start() if unfinished else len(text)
        self._held = text[cut:]
        return text[:cut]

    def rest(self) -> str:
        held, self._held = self._held, ""
        return sanitize(held)


async def safe_pieces(pieces: AsyncGenerator[str]) -> AsyncGenerator[str]:
    """The pieces of a text, made safe as the whole would be."""
    stream = SafeTextStream()
    async for piece in pieces:
        yield stream.feed(piece)
    yield stream.rest()
