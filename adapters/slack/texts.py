"""Text that others wrote, made safe for Slack; pure."""

from __future__ import annotations

import re

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
_ALIVE = re.compile(
    rf"{_OPEN}{_GAP}(?:"
    rf"[!！﹗]{_GAP}(?P<group>here|channel|everyone|group|subteam|date)(?P<rest>[^<>＞\n]*)"
    rf"|[@＠﹫]{_GAP}(?P<user>[^<>＞\n]+?)"
    rf"|[#＃﹟]{_GAP}(?P<channel>C[A-Z0-9]+[^<>＞\n]*?)"
    rf"){_CLOSE}",
    re.IGNORECASE,
)
_LINKED = re.compile(
    rf"{_OPEN}(?P<url>[a-z][a-z0-9+.-]*:[^<>|\n]+)\|(?P<label>[^<>\n]*){_CLOSE}", re.IGNORECASE
)
_CALL = re.compile(rf"[@＠﹫][{_UNSEEN}]*(?=(?:here|channel|everyone|group)(?!\w))", re.IGNORECASE)
_IMAGE = re.compile(r"!(?=\[)")
_UNFINISHED = re.compile(
    r"(?:[<＜﹤][^<>＞\n]{0,200}|&[\w#;&]{0,60}(?:[^<>\n]{0,100})?|[@＠﹫]\S{0,12}|!)$"
)
_JOINER = "\u2060"
_ESCAPED = re.compile("&(?:amp|lt|gt);")


def safe(text: str) -> str:
    """Nothing in it can ping, load a picture or turn the reading direction."""
    text = _CONTROL.sub("", _TURNING.sub("", text))
    text = _ALIVE.sub(_dead, text)
    text = _LINKED.sub(lambda found: f"{found['label']} ({found['url']})", text)
    text = _CALL.sub(f"@{_JOINER}", text)
    return _IMAGE.sub("", text)


def readable(text: str) -> str:
    """Without what no text can hold: half characters and control characters."""
    return _CONTROL.sub("", text)


def units(text: str) -> int:
    """The length as Slack's clients count it, in UTF-16."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def cut(text: str, most: int) -> list[str] | None:
    """A text in inputs of so many places, if white space cut off both ends of each is no loss.

    So none but the whole text begins or ends with any; None where that cannot be.
    """
    parts: list[str] = []
    start = 0
    while len(text) - start > most // 2 and units(text[start : start + most + 1]) > most:
        end = start + most
        while units(text[start:end]) > most:
            end -= (units(text[start:end]) - most + 1) // 2
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


def escaped(text: str) -> str:
    """For mrkdwn and the fallback text, where only these three are special."""
    return safe(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _dead(found: re.Match[str]) -> str:
    if found["group"]:
        return f"@{_JOINER}{found['group']}"
    if found["user"]:
        return f"@{_JOINER}{found['user'].partition('|')[0]}"
    return f"#{_JOINER}{found['channel'].partition('|')[0]}"


class Flow:
    """Makes a text safe while it comes; holds back only what may still become alive."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        # What is whole is made safe first, so that only what is not can be held back.
        text = safe(self._held + piece)
        unfinished = _UNFINISHED.search(text)
        cut = unfinished.start() if unfinished else len(text)
        self._held = text[cut:]
        return text[:cut]

    def rest(self) -> str:
        held, self._held = self._held, ""
        return safe(held)
