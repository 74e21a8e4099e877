"""What people and models write, as HTML or a property that can do nothing more."""

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


def quoted(text: str) -> str:
    """Text as the value of a property, whatever stands in it; NiceGUI reads it as Python does."""
    return json.dumps(text, ensure_ascii=False)


def to_html(text: str) -> str:
    """CommonMark with tables, as HTML: no raw HTML, no pictures, links to http and mailto alone."""
    return _SANITIZER.clean(str(_MARKDOWN.render(text)))


_TAG = re.compile(r"(<[^<>]*>)")


def highlight(html: str, marks: Sequence[str]) -> str:
    """HTML with the texts highlighted wherever they stand outside of tags."""
    texts = sorted({escapeHtml(one) for one in marks if one.strip()}, key=len, reverse=True)
    if not texts:
        return html
    pattern = re.compile("|".join(map(re.escape, texts)))
    pieces = _TAG.split(html)
    pieces[::2] = [pattern.sub(r"<mark>\g<0></mark>", piece) for piece in pieces[::2]]
    return "".join(pieces)


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
    """A bare http address becomes a link, by the way of markdown-it's own rule `linkify`."""
    rest = _AFTER_SCHEME.match(state.src, state.pos, state.posMax)
    # No more of the text before than the longest scheme and one character.
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
    """Below those of the page, whose outline they are no part of."""
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1:]) + 3)}"


def _markdown() -> MarkdownIt:
    made = _Markdown("commonmark", {"html": False, "breaks": True}, renderer_cls=_Renderer)
    # Nothing that was written vanishes as a definition, or is code because it is indented.
    made.enable(["table", "strikethrough"]).disable(["image", "reference", "code"])
    made.inline.ruler.before("linkify", "address", _link_address)
    made.core.ruler.push("lower_headings", _lower_headings)
    return made


_MARKDOWN = _markdown()
# What markdown-it made is read again as a browser does, so that a fault in it lets nothing in.
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


def quoted_script(text: str) -> str:
    """As a string of JavaScript that may stand in an attribute."""
    return json.dumps(text, ensure_ascii=False).replace('"', "&quot;")
