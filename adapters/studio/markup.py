"""What people and models write, as HTML or a property that can do nothing more."""

from __future__ import annotations

import html
import json
import re

_FENCE = re.compile(r"```[^\n`]*\n(.*?)(?:```|\Z)", re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
# Never over another pair of stars, so that no text is looked through from every pair to its end.
_BOLD = re.compile(r"\*\*(?=\S)([^*\n]+(?:\*(?!\*)[^*\n]+)*)(?<=\S)\*\*")
_ITALIC = re.compile(r"(?<![\w*])\*(?=\S)([^*\n]+?)(?<=\S)\*(?![\w*])")
_LINK = re.compile(r"(?<![\w&;])(https?://[^\s<]+[^\s<.,;:!?)\]'\"])")
_CALL = re.compile(r"(?<!\w)@attune(?!\w)", re.IGNORECASE)


def quoted(text: str) -> str:
    """Text as the value of a property, whatever stands in it; NiceGUI reads it as Python does."""
    return json.dumps(text, ensure_ascii=False)


def to_html(text: str) -> str:
    """Everything is escaped first; only marks that we put in ourselves remain."""
    parts: list[str] = []
    end = 0
    for fence in _FENCE.finditer(text):
        parts.append(_inline(text[end : fence.start()]))
        parts.append(f"<pre><code>{html.escape(fence[1])}</code></pre>")
        end = fence.end()
    parts.append(_inline(text[end:]))
    return "".join(parts)


def _inline(text: str) -> str:
    pieces = _CODE.split(text)
    for index, piece in enumerate(pieces):
        if index % 2:
            pieces[index] = f"<code>{html.escape(piece)}</code>"
        else:
            pieces[index] = _marked(html.escape(piece))
    return "".join(pieces)


def _marked(escaped: str) -> str:
    escaped = _LINK.sub(
        r'<a href="\1" target="_blank" rel="noopener noreferrer nofollow">\1</a>', escaped
    )
    escaped = _BOLD.sub(r"<strong>\1</strong>", escaped)
    escaped = _ITALIC.sub(r"<em>\1</em>", escaped)
    return _CALL.sub('<span class="call">@attune</span>', escaped)
