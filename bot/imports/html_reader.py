"""Splits HTML into tags and text in linear time, without an error for any input."""

import re
from collections.abc import Mapping
from html import unescape
from typing import Final

_PLAIN: Final = r"""(?:[^<>"']++|"[^"<]*+"|'[^'<]*+')*+"""
# The limits on "<" in quoted values keep the time linear.
_QUOTED_TAGS: Final = r"""(?:"[^"<]*+(?:<[^"<]*+){1,9}+"|'[^'<]*+(?:<[^'<]*+){1,9}+')"""
# Without a closing bracket, or with unbalanced quotes, a tag ends before the next "<".
_MARKUP: Final = re.compile(
    r"<(?:!--|(?P<end>/?)(?P<tag>[A-Za-z][^\s<>/\"']*+)"
    rf"(?P<rest>{_PLAIN}(?:{_QUOTED_TAGS}{_PLAIN}){{0,4}}+|[^<>]*+)>|[!?/][^<>]*+>)"
)
_ATTRIBUTE: Final = re.compile(r"""([^\s"'<>/=]++)(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|(\S*+)))?""")
_RAW_TEXT_END: Final = {
    tag: re.compile(rf"</{tag}\b", re.IGNORECASE) for tag in ("script", "style")
}
# `unescape` raises ValueError for numbers with thousands of digits.
_LONG_REFERENCE: Final = re.compile(r"&#[0-9]{9,}+;?")


class HtmlReader:
    """Base class for readers of HTML; subclasses override the `handle` methods.

    `line` is the number of the current line. Comments, declarations and the contents of scripts and
    styles are skipped. Markup without an end is text. `html.parser` is not used, because it raises
    AssertionError for some input and takes quadratic time for unclosed tags.
    """

    line = 1

    def read(self, text: str) -> None:
        """Calls the `handle` methods for each tag and the text between the tags, in order."""
        last_comment_end = text.rfind("-->")
        start = position = 0
        while markup := _MARKUP.search(text, position):
            position = markup.end()
            if markup[0] == "<!--":
                if markup.start() + 2 > last_comment_end:
                    continue
                position = text.index("-->", markup.start() + 2) + 3
            self._read_data(text[start : markup.start()])
            if markup["tag"]:
                self._read_tag(markup)
            if not markup["end"] and (markup["tag"] or "").lower() in _RAW_TEXT_END:
                raw_end = _RAW_TEXT_END[markup["tag"].lower()].search(text, position)
                position = raw_end.start() if raw_end else len(text)
            self.line += text.count("\n", markup.start(), position)
            start = position
        self._read_data(text[start:])

    def handle_start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Handles a start tag; `tag` and the names of attributes are in lower case."""

    def handle_end(self, tag: str) -> None:
        """Handles an end tag, also that of a self-closing tag."""

    def handle_data(self, data: str) -> None:
        """Handles text, with character references replaced and white space collapsed."""

    def _read_data(self, data: str) -> None:
        if data:
            self.handle_data(re.sub(r"\s+", " ", _unescaped(data)))
            self.line += data.count("\n")

    def _read_tag(self, markup: re.Match[str]) -> None:
        tag, rest = markup["tag"].lower(), markup["rest"]
        if not markup["end"]:
            attributes = {
                found[1].lower(): _unescaped(found[2] or found[3] or found[4] or "")
                for found in _ATTRIBUTE.finditer(rest)
            }
            self.handle_start(tag, attributes)
        # A slash without a space before it may be the end of an unquoted address.
        if markup["end"] or (rest.endswith("/") and rest[-2:-1] in "\"' \t\r\n"):
            self.handle_end(tag)


def _unescaped(text: str) -> str:
    return unescape(_LONG_REFERENCE.sub("\ufffd", text))
