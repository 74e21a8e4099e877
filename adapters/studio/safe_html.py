"""Converts texts of people and models to safe HTML, properties and JavaScript strings."""

from __future__ import annotations

import json
import re
from collections.abc import MutableMapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import nh3
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markdown_it.utils import OptionsDict

_SCHEMES = frozenset({"http", "https", "mailto"})
_SCHEME = re.compile(r"(?<!\w)https?$")
_AFTER_SCHEME = re.compile(r"://[^\s<>\"'`]*[^\s<>\"'`.,;:!?)\]*_~]")
_CALL = re.compile(r"(?<!\w)@attune(?!\w)", re.IGNORECASE)


def quoted_prop(text: str) -> str:
    """Returns any text as a quoted property value for NiceGUI, which parses it as a literal."""
    return json.dumps(text, ensure_ascii=False)


def to_html(text: str) -> str:
    """Returns CommonMark with tables as HTML, without raw HTML and images.

    Only links with the schemes http, https and mailto are kept.
    """
    return _SANITIZER.clean(str(_MARKDOWN.render(text)))


_TAG = re.compile(r"(<[^<>]*>)")


def highlight(html: str, marks: Sequence[str]) -> str:
    """Returns the HTML with every occurrence of the marks outside of tags in `<mark>`."""
    texts = sorted({escapeHtml(mark) for mark in marks if mark.strip()}, key=len, reverse=True)
    if not texts:
        return html
    pattern = re.compile("|".join(map(re.escape, texts)))
    parts = _TAG.split(html)
    parts[::2] = [pattern.sub(r"<mark>\g<0></mark>", piece) for piece in parts[::2]]
    return "".join(parts)


class _Markdown(MarkdownIt):
    def validateLink(self, url: str) -> bool:  # noqa: N802
        try:
            return urlsplit(url).scheme.lower() in _SCHEMES
        except ValueError:
            return False


class _Renderer(RendererHTML):
    def text(
        self,
        tokens: Sequence[Token],
        index: int,
        options: OptionsDict,
        env: MutableMapping[str, Any],
    ) -> str:
        return _CALL.sub('<span class="call">@attune</span>', escapeHtml(tokens[index].content))


def _link_address(state: StateInline, silent: bool) -> bool:
    """Inline rule that makes a link of a bare http address, like markdown-it's rule `linkify`."""
    rest = _AFTER_SCHEME.match(state.src, state.pos, state.posMax)
    # Searches only the length of the longest scheme and one character before it.
    scheme = _SCHEME.search(state.pending[-6:]) if rest and not state.linkLevel else None
    if rest is None or scheme is None:
        return False
    if not silent:
        state.pending = state.pending[: -len(scheme[0])]
        address = scheme[0] + rest[0]
        state.push("link_open", "a", 1).attrs = {"href": state.md.normalizeLink(address)}
        state.push("text", "", 0).content = address
        state.push("link_close", "a", -1)
    state.pos = rest.end()
    return True


def _lower_headings(state: StateCore) -> None:
    """Core rule that lowers headings by three levels, below the headings of the page."""
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1:]) + 3)}"


def _markdown() -> MarkdownIt:
    markdown = _Markdown("commonmark", {"html": False, "breaks": True}, renderer_cls=_Renderer)
    # Without link definitions, which would not be shown, and without code by indentation.
    markdown.enable(["table", "strikethrough"]).disable(["image", "reference", "code"])
    markdown.inline.ruler.before("linkify", "address", _link_address)
    markdown.core.ruler.push("lower_headings", _lower_headings)
    return markdown


_MARKDOWN = _markdown()
# Sanitizes the output of markdown-it as well, in case markdown-it has a flaw.
_SANITIZER = nh3.Cleaner(
    tags={
        *("p", "br", "strong", "em", "s", "code", "pre", "blockquote", "ul", "ol", "li", "hr"),
        *("a", "span", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"),
    },
    attributes={"a": {"href", "title"}, "span": {"class"}, "ol": {"start"}},
    url_schemes=set(_SCHEMES),
    link_rel="noopener noreferrer nofollow",
    set_tag_attribute_values={"a": {"target": "_blank"}},
)


def js_string(text: str) -> str:
    """Returns the text as a JavaScript string literal that is safe in an HTML attribute."""
    return json.dumps(text, ensure_ascii=False).replace('"', "&quot;")
